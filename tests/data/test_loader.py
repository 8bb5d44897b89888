import threading

import numpy as np
import pytest

import dlcore.data as data
from dlcore import backend as backends
from dlcore import random
from dlcore.tensor import Tensor
from kernels.errors import ArgumentError, DataError, StateDictError


def numbers(count=10, dtype=np.float32):
    return data.ArrayDataset(np.arange(count, dtype=dtype).reshape(count, 1), np.arange(count) % 3)


def order(loader):
    return np.concatenate([x.numpy().ravel() for x, _ in loader]).astype(int).tolist()


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
def test_batches_in_order(backend, prefetch):
    batches = list(data.DataLoader(numbers(), 4, prefetch=prefetch))
    assert [x.shape for x, _ in batches] == [(4, 1), (4, 1), (2, 1)]
    for x, y in batches:
        assert isinstance(x, Tensor)
        assert isinstance(y, Tensor)
        assert x.backend is y.backend is backend
        assert (x.dtype, y.dtype) == (np.float32, np.int64)
        np.testing.assert_array_equal(y.numpy(), x.numpy().ravel() % 3)
    assert [row for x, _ in batches for row in x.numpy().ravel()] == list(range(10))


@pytest.mark.parametrize(
    ("count", "batch_size", "drop_last", "length"),
    [(10, 4, False, 3), (10, 4, True, 2), (8, 4, True, 2), (3, 4, False, 1), (4, 4, True, 1)],
)
def test_length_is_the_number_of_batches(backend, count, batch_size, drop_last, length):
    loader = data.DataLoader(numbers(count), batch_size, drop_last=drop_last)
    assert len(loader) == len(list(loader)) == length


def test_shuffles_are_a_function_of_seed_and_epoch(backend):
    loader = data.DataLoader(numbers(50), 7, shuffle=True, seed=3)
    epochs = [order(loader), order(loader), order(loader)]
    assert loader.epoch == 3
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert epochs[0] != list(range(50))

    again = data.DataLoader(numbers(50), 5, shuffle=True, seed=3, prefetch=0)
    again.set_epoch(2)
    assert order(again) == epochs[2]
    again.set_epoch(0)
    assert order(again) == epochs[0]
    assert order(data.DataLoader(numbers(50), 7, shuffle=True, seed=4)) != epochs[0]
    expected = random.Generator(3).spawn("epoch 1").permutation(50)
    assert epochs[1] == expected.tolist()


def test_without_a_seed_the_default_generator_decides(backend):
    def shuffled(seed):
        backends.seed(seed)
        return order(data.DataLoader(numbers(50), 7, shuffle=True))

    assert shuffled(1) == shuffled(1) != shuffled(2)


def test_a_loader_leaves_the_default_generator_where_it_was(backend):
    before = random.default_generator().state_dict()
    order(data.DataLoader(numbers(), 2, shuffle=True))
    assert random.default_generator().state_dict() == before


def test_the_epoch_advances_with_the_last_batch(backend):
    loader = data.DataLoader(numbers(10), 4, shuffle=True, seed=0)
    first = next(iter(loader))[0].numpy()
    assert loader.epoch == 0
    np.testing.assert_array_equal(next(iter(loader))[0].numpy(), first)  # the same epoch, begun again
    for _ in zip(range(len(loader)), loader, strict=False):  # stops without asking for a fourth batch
        pass
    assert loader.epoch == 1


def test_leaving_the_loop_ends_the_thread(backend):
    before = threading.active_count()
    for _ in data.DataLoader(numbers(1000), 1):
        assert threading.active_count() == before + 1
        break
    assert threading.active_count() == before


def test_an_error_in_the_loop_ends_the_thread(backend):
    def train():
        for _ in data.DataLoader(numbers(1000), 1):
            raise ZeroDivisionError

    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        train()
    assert threading.active_count() == before


def test_an_error_in_the_transfer_ends_the_thread_though_its_traceback_lives():
    class Lost(backends.Backend):
        def asarray(self, x, dtype=None):
            raise ConnectionError("device lost")

    before = threading.active_count()
    with pytest.raises(ConnectionError, match="device lost") as caught:
        next(iter(data.DataLoader(numbers(1000), 1, backend=Lost("lost", np))))
    assert threading.active_count() == before
    assert len(caught.traceback) > 1


def test_two_iterations_at_once(backend):
    loader = data.DataLoader(numbers(20), 3, shuffle=True, seed=0)
    pairs = [(a.numpy(), b.numpy()) for (a, _), (b, _) in zip(loader, loader, strict=True)]
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_the_backend_can_be_chosen(backend):
    with backends.using("numpy"):
        chosen = data.DataLoader(numbers(), 4, backend=backend)
        assert all(x.backend is backend for x, _ in chosen)
        assert all(x.backend is backend for x, _ in data.DataLoader(numbers(), 4).batches(backend.name))
        assert all(x.backend.name == "numpy" for x, _ in chosen.batches("numpy"))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_a_batch_belongs_to_the_caller(backend, prefetch):
    dataset = numbers()
    for x, y in data.DataLoader(dataset, 10, prefetch=prefetch):
        x.data[...] = -1
        y.data[...] = -1
    assert dataset.x.ravel().tolist() == list(range(10))
    assert dataset.y.min() == 0


def test_bytes_are_converted_batch_by_batch(backend):
    dataset = data.ArrayDataset(np.full((4, 1, 2, 2), 51, np.uint8), np.zeros(4, int))
    for x, _ in data.DataLoader(dataset, 2):
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x.numpy(), np.float32(51) / np.float32(255))
    assert "x" not in vars(dataset)  # the whole was never converted


def test_an_error_in_the_dataset_reaches_the_caller(backend):
    class Broken(data.Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            raise OSError("cannot read")

    for prefetch in (0, 2):
        with pytest.raises(OSError, match="cannot read"):
            next(iter(data.DataLoader(Broken(), 2, prefetch=prefetch)))


class Empty(data.Dataset):
    def __len__(self):
        return 0

    def __getitem__(self, index):
        raise IndexError(index)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ArgumentError, "batch_size must be an integer of at least 1, got 0"),
        ({"batch_size": 2.5}, ArgumentError, "batch_size must be an integer of at least 1, got 2.5"),
        ({"prefetch": -1}, ArgumentError, "prefetch must be an integer of at least 0, got -1"),
        ({"seed": -1}, ArgumentError, "seed"),
        ({"backend": "abacus"}, ArgumentError, "abacus"),
        ({"batch_size": 11, "drop_last": True}, DataError, "leaves no batch: 10 items, but batch_size is 11"),
        ({"dataset": Empty()}, DataError, "the dataset is empty"),
    ],
)
def test_what_cannot_be_loaded(arguments, error, message):
    with pytest.raises(error, match=message):
        data.DataLoader(**{"dataset": numbers(), **arguments})


def test_epochs_are_counted_from_0():
    with pytest.raises(ArgumentError, match="epoch must be an integer of at least 0, got -1"):
        data.DataLoader(numbers()).set_epoch(-1)


def pictures(count=10):
    """Images of one pixel that says their number, and of a frame that says nothing."""
    x = np.zeros((count, 1, 5, 5), np.float32)
    x[:, 0, 2, 2] = 1 + np.arange(count)
    return data.ArrayDataset(x, np.arange(count))


def varied(**options):
    return data.DataLoader(pictures(), 3, shuffle=True, seed=5, transform=data.RandomShift(2), **options)


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_can_begin_in_its_middle(backend, start):
    """The batches are those of the whole epoch, and the ones before them are not made."""
    whole = [(x.numpy(), y.numpy()) for x, y in varied()]
    numbers = []

    class Watched(data.Subset):
        def __getitem__(self, index):
            numbers.extend(np.atleast_1d(index).tolist())
            return super().__getitem__(index)

    loader = varied()
    loader.dataset = Watched(loader.dataset, range(10))
    rest = [(x.numpy(), y.numpy()) for x, y in loader.batches(start=start)]
    assert len(rest) == 4 - start
    for (x, y), (expected_x, expected_y) in zip(rest, whole[start:], strict=True):
        np.testing.assert_array_equal(x, expected_x)
        np.testing.assert_array_equal(y, expected_y)
    assert numbers == [number for _, y in rest for number in y]
    assert loader.epoch == 1


@pytest.mark.parametrize(("start", "message"), [(-1, "start must be"), (1.0, "start must be"), (5, "an epoch has 4")])
def test_an_epoch_cannot_begin_behind_its_end(start, message):
    with pytest.raises(ArgumentError, match=message):
        varied().batches(start=start)


def test_batches_are_varied_as_seed_epoch_and_number_say(backend):
    epochs = [[(x.numpy(), y.numpy()) for x, y in loader] for loader in [varied()] * 2]
    again = varied(prefetch=0)
    again.set_epoch(1)
    for (x, y), (expected_x, expected_y) in zip(again, epochs[1], strict=True):
        np.testing.assert_array_equal(x.numpy(), expected_x)
        np.testing.assert_array_equal(y.numpy(), expected_y)
    generator = random.Generator(5).spawn("epoch 1")
    order = generator.permutation(10)
    expected = data.RandomShift(2)(pictures()[order[3:6]][0], generator.spawn("batch 1"))
    np.testing.assert_array_equal(epochs[1][1][0], expected)
    places = {
        int(y): np.argwhere(x[0])[0].tolist()
        for epoch in epochs
        for xs, ys in epoch
        for x, y in zip(xs, ys, strict=True)
    }
    assert len({tuple(place) for place in places.values()}) > 3


def test_a_transform_must_keep_the_number():
    loader = data.DataLoader(pictures(), 3, transform=lambda x, generator: x[:2])
    with pytest.raises(DataError, match="the transform made 2 inputs of a batch of 3"):
        list(loader)


def test_seed_and_epoch_are_all_its_state(backend):
    loader = data.DataLoader(numbers(50), 7, shuffle=True, seed=2**63)
    order(loader)
    state = loader.state_dict()
    assert state == {"seed": 2**63, "epoch": 1}
    other = data.DataLoader(numbers(50), 7, shuffle=True)
    other.load_state_dict(state)
    assert order(other) == order(loader)
    assert other.state_dict() == loader.state_dict() == {"seed": 2**63, "epoch": 2}


@pytest.mark.parametrize(
    "state", [{}, {"seed": 1}, {"seed": -1, "epoch": 0}, {"seed": 1, "epoch": -1}, {"seed": "1", "epoch": 0}, None]
)
def test_a_state_that_does_not_fit_changes_nothing(state):
    loader = data.DataLoader(numbers(), seed=3)
    with pytest.raises(StateDictError, match="expected a state of seed and epoch"):
        loader.load_state_dict(state)
    assert loader.state_dict() == {"seed": 3, "epoch": 0}


def test_what_is_no_transform():
    with pytest.raises(ArgumentError, match="transform must be a callable or None, got 5"):
        data.DataLoader(pictures(), 3, transform=5)


@pytest.mark.parametrize("result", [None, [1.0, 2.0, 3.0], np.float32(1)])
def test_a_transform_must_return_an_array(result):
    def careless(x, generator):
        return result

    loader = data.DataLoader(pictures(), 3, transform=careless)
    with pytest.raises(DataError, match="the transform careless must return an array of 3 inputs, got"):
        next(iter(loader))
