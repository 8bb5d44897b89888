import numpy as np

import dlcore.data as data


def test_the_split_is_fixed_and_stratified():
    parts = data.digits()
    assert [len(part) for part in parts] == [1197, 300, 300]
    assert [part.y.sum() for part in parts] == [5370, 1350, 1350]
    assert np.bincount(parts[0].y).tolist() == [118, 122, 117, 123, 121, 122, 121, 119, 114, 120]
    for part in parts[1:]:
        assert np.bincount(part.y).tolist() == [30] * 10


def test_images_are_sixteenths_from_0_to_1():
    for part in data.digits():
        assert part.input_shape == (1, 8, 8)
        assert part.classes == list("0123456789")
        assert part.x.dtype == np.float32
        assert (part.x.min(), part.x.max()) == (0.0, 1.0)
        np.testing.assert_array_equal(part.x * 16 % 1, 0)


def test_nearest_neighbour_recognises_them():
    """The labels belong to the images: one of the simplest methods there is must already do well."""
    train, _, test = data.digits()
    known, unknown = (part.x.reshape(len(part), -1) for part in (train, test))
    distances = (known**2).sum(axis=1) - 2 * unknown @ known.T
    accuracy = (train.y[distances.argmin(axis=1)] == test.y).mean()
    assert accuracy > 0.97
