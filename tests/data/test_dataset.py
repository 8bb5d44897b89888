import numpy as np
import pytest

import dlcore.data as data
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError, DataError


class Squares(data.Dataset):
    """The least that a dataset of one's own needs."""

    def __len__(self):
        return 5

    def __getitem__(self, index):
        x = np.arange(5, dtype=np.float32)[index, np.newaxis]
        return x, x**2


def images(count=6):
    x = np.arange(count * 8, dtype=np.uint8).reshape(count, 2, 2, 2)
    return data.ArrayDataset(x, np.arange(count) % 3, ["a", "b", "c"])


def test_bytes_stay_compact_and_come_out_as_floats_from_0_to_1():
    bytes_ = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    dataset = data.ArrayDataset(bytes_, np.zeros(4, np.uint8))
    assert np.shares_memory(dataset._inputs, bytes_)
    assert dataset.x.dtype == np.float32
    assert dataset.x.min() == 0.0
    assert dataset.x.max() == 1.0
    np.testing.assert_array_equal(dataset.x, bytes_ / np.float32(255))
    assert dataset.x is dataset.x


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_other_inputs_are_shared_and_unchanged(dtype):
    x = np.arange(6, dtype=dtype).reshape(3, 2)
    dataset = data.ArrayDataset(x, [0, 1, 1])
    assert dataset.x.dtype == dtype
    assert np.shares_memory(dataset.x, x)


def test_python_floats_become_float32():
    dataset = data.ArrayDataset([[0.0, 1.0], [1.0, 1.0]], [[0.0], [1.0]])
    assert (dataset.x.dtype, dataset.y.dtype) == (np.float32, np.float32)


def test_a_tensor_can_be_the_source(backend):
    dataset = data.ArrayDataset(Tensor(backend.asarray(np.ones((3, 2), np.float32))), [0, 1, 2])
    assert type(dataset.x) is np.ndarray


@pytest.mark.parametrize("index", [slice(1, 4), np.array([5, 0, 3]), [5, 0, 3], np.arange(6) > 2, slice(0, 0)])
def test_slices_and_arrays_cut_stacks(index):
    dataset = images()
    x, y = dataset[index]
    np.testing.assert_array_equal(x, dataset.x[index])
    np.testing.assert_array_equal(y, dataset.y[index])


def test_numbers_take_one_pair():
    dataset = images()
    x, y = dataset[4]
    assert x.shape == dataset.input_shape == (2, 2, 2)
    assert y == 1
    np.testing.assert_array_equal(dataset[-1][0], dataset.x[5])
    with pytest.raises(IndexError):
        dataset[6]
    assert len(list(dataset)) == len(dataset) == 6


def test_classes():
    assert images().classes == ["a", "b", "c"]
    unnamed = data.ArrayDataset(np.zeros((3, 1)), [0, 4, 1])
    assert unnamed.classes == ["0", "1", "2", "3", "4"]
    assert unnamed.num_classes == 5
    assert unnamed.y.dtype == np.int64
    targets = data.ArrayDataset(np.zeros((3, 1)), np.zeros((3, 2), np.float32))
    assert (targets.classes, targets.num_classes) == ([], 0)
    assert data.ArrayDataset(np.zeros((2, 1)), np.array([True, False])).y.tolist() == [1, 0]


def test_repr():
    assert repr(images()) == "ArrayDataset(6 inputs of shape (2, 2, 2), 3 classes)"
    assert repr(Squares()) == "Squares(5 inputs of shape (1,))"


ONES = np.ones((3, 2), np.float32)


@pytest.mark.parametrize(
    ("x", "y", "classes", "message"),
    [
        (ONES, [0, 1, 2], ["a", "b"], r"y\[2\] is 2, but there are 2 classes, so labels go from 0 to 1"),
        (ONES, [0, -1, 7], ["a"], r"y\[1\] is -1"),
        (ONES, np.array([0, 2**63, 0], np.uint64), None, r"y\[1\] is 9223372036854775808, but without `classes`"),
        (ONES, [-3, -1, -2], None, r"y\[0\] is -3"),
        (ONES, [0, 1], None, r"x has 3 items but y has 2 \(x.shape=\(3, 2\), y.shape=\(2,\)\)"),
        (ONES[:0], [], None, "the data are empty"),
        (ONES, [[0], [1], [1]], None, r"must have shape \(3,\), got \(3, 1\); .* must be floating-point"),
        (ONES, np.eye(3), ["a", "b", "c"], "classes are for integer labels, but y has dtype float64"),
        (ONES, np.array([[0.0], [np.nan], [1.0]]), None, r"y\[1, 0\] is nan"),
        (ONES, ["a", "b", "c"], None, "y must hold real numbers"),
        (ONES * 1j, [0, 1, 1], None, "x must hold real numbers, but its dtype is complex64"),
        (np.array([None, None]), [0, 1], None, "x must hold real numbers, but its dtype is object"),
        ([[1.0], [1.0, 2.0]], [0, 1], None, "x is not an array"),
        (3.0, [0], None, "x must have one row per item, got the single number 3.0"),
    ],
)
def test_what_cannot_be_a_dataset(x, y, classes, message):
    with pytest.raises(DataError, match=f"^ArrayDataset: .*{message}"):
        data.ArrayDataset(x, y, classes)


def test_a_dataset_of_ones_own():
    dataset = Squares()
    assert (dataset.input_shape, dataset.classes, dataset.num_classes) == ((1,), [], 0)
    assert dataset.y.ravel().tolist() == [0.0, 1.0, 4.0, 9.0, 16.0]
    part = data.Subset(dataset, [3, 1])
    assert part.x.ravel().tolist() == [3.0, 1.0]


def test_subset():
    dataset = images()
    part = data.Subset(dataset, [4, 0, 5])
    assert len(part) == 3
    assert (part.classes, part.num_classes, part.input_shape) == (dataset.classes, 3, (2, 2, 2))
    np.testing.assert_array_equal(part.x, dataset.x[[4, 0, 5]])
    np.testing.assert_array_equal(part[1:][0], dataset.x[[0, 5]])
    np.testing.assert_array_equal(part.y, dataset.y[[4, 0, 5]])
    np.testing.assert_array_equal(data.Subset(part, [2])[0][0], dataset.x[5])


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 6], r"indices\[1\] is 6, but the dataset has 6 items"),
        ([-1], r"indices\[0\] is -1"),
        ([], "one or more integers"),
        ([0.5], "got dtype float64"),
        ([[0, 1]], r"shape \(1, 2\)"),
    ],
)
def test_what_cannot_be_a_subset(indices, message):
    with pytest.raises(DataError, match=message):
        data.Subset(images(), indices)


@pytest.mark.parametrize(
    ("lengths", "sizes"), [([4, 2], [4, 2]), ([0.5, 0.5], [3, 3]), ([0.4, 0.4, 0.2], [3, 2, 1]), ([1.0], [6])]
)
def test_random_split_deals_every_item_once(lengths, sizes):
    parts = data.random_split(images(), lengths)
    assert [len(part) for part in parts] == sizes
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(6))


def test_random_split_depends_on_the_seed_alone():
    dataset = data.ArrayDataset(np.zeros((100, 1)), np.zeros(100, int))
    first, again, other = (data.random_split(dataset, [0.5, 0.5], seed=seed)[0].indices for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([4, 3], ArgumentError, r"lengths \[4, 3\] sum to 7, but the dataset has 6 items"),
        ([0.5, 0.4], ArgumentError, "integers that sum to 6, or fractions that sum to 1"),
        ([], ArgumentError, "sum to 0"),
        ([6, 0], DataError, r"the sizes would be \[6, 0\]"),
        ([7, -1], DataError, r"the sizes would be \[7, -1\]"),
    ],
)
def test_what_cannot_be_split(lengths, error, message):
    with pytest.raises(error, match=message):
        data.random_split(images(), lengths)
