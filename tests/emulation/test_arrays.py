"""The stand-in's arrays refuse, count and order as CuPy's do. No compiler is needed for these."""

import pickle
from typing import Any

import numpy as np
import pytest

from tests import emulation

cp = emulation.stand_in()


def channels_last(shape: tuple[int, ...] = (2, 3, 4, 5)) -> Any:
    """An (N, C, H, W) view of an N, H, W, C block."""
    N, C, H, W = shape
    return cp.zeros((N, H, W, C), np.float32).transpose(0, 3, 1, 2)


# ------------------------------------------------------------------------------------------ to the host, or not


def test_nothing_becomes_a_numpy_array_unasked() -> None:
    x = cp.ones(3)
    assert type(x).__module__ == "cupy"
    assert not isinstance(x, np.ndarray)
    for convert in (np.asarray, np.array, np.ascontiguousarray):
        with pytest.raises(TypeError, match=r"Implicit conversion to a NumPy array is not allowed"):
            convert(x)


@pytest.mark.parametrize(
    "mix",
    [
        lambda x, y: x + y,
        lambda x, y: y + x,
        lambda x, y: x < y,
        lambda x, y: cp.maximum(x, y),
        lambda x, y: np.maximum(x, y),
        lambda x, y: cp.where(y > 0, x, x),
        lambda x, y: cp.concatenate([x, y]),
        lambda x, y: cp.sum(y),
        lambda x, y: x.__iadd__(y),
        lambda x, y: x @ y,
        lambda x, y: cp.ascontiguousarray(y),
    ],
)
def test_numpy_arrays_do_not_mix(mix: Any) -> None:
    with pytest.raises(TypeError):
        mix(cp.ones(3), np.ones(3))


def test_numpy_arrays_are_not_assigned() -> None:
    x = cp.ones(3)
    with pytest.raises(ValueError, match=r"non-scalar numpy\.ndarray"):
        x[...] = np.zeros(3)
    x.set(np.zeros(3))
    assert not x.get().any()


def test_numpy_scalars_and_numbers_mix() -> None:
    x = cp.ones(3, np.float32)
    for sum_ in (x + 1, 1 + x, x + np.float32(1), np.float32(1) + x, x + np.array(1, np.float32)):
        assert (sum_.dtype, sum_.get().tolist()) == (np.float32, [2, 2, 2])
    assert (x + np.float64(1)).dtype == np.float64  # NumPy's scalars are strong, Python's weak


def test_numpy_functions_find_cupys() -> None:
    x = cp.full(3, 4.0)
    assert type(np.sqrt(x)) is cp.ndarray
    assert type(np.sum(x)) is cp.ndarray
    with pytest.raises(TypeError, match="no implementation found"):
        np.fft.fft(x)


def test_reductions_and_elements_are_arrays() -> None:
    x = cp.ones((2, 3))
    for scalar in (x.sum(), x.max(), x.mean(), x[0, 0], cp.sqrt(x.sum())):
        assert type(scalar) is cp.ndarray
        assert scalar.shape == ()
    x[1, 2] = 5
    element = x[1, 2]
    element[...] = 6  # an element is a view
    assert x.get()[1, 2] == 6


def test_reads_are_counted() -> None:
    x = cp.ones(())
    with emulation.counting() as counts:
        assert (float(x), int(x), bool(x), x.item(), x.tolist(), f"{x:.1f}") == (1, 1, True, 1, 1, "1.0")
        x.get()
        cp.asnumpy(x)
        repr(x)
        assert counts.gets == {
            **dict.fromkeys(("float", "int", "bool", "item", "tolist", "format", "repr"), 1),
            "get": 2,
        }
        cp.cuda.Device().synchronize()
        cp.arange(4)[cp.arange(4) > 2]
        assert counts.synchronizations == {"Device.synchronize": 1, "boolean index": 1}
    with emulation.counting() as counts:
        y = cp.asarray(np.ones(3)) + cp.zeros(3)
        y.fill(1)
        assert (counts.gets, counts.synchronizations, counts.sets) == ({}, {}, 1)
        assert counts.array_functions["add"] == 1


# --------------------------------------------------------------------------------------------------------- memory order


def test_element_wise_results_are_in_c_order() -> None:
    x = channels_last()
    for y in (x + x, cp.exp(x), x > 0, cp.where(x > 0, x, 0), -x, cp.maximum(x, 0), cp.matmul(x, x.swapaxes(2, 3))):
        assert y.flags.c_contiguous
    out = cp.empty_like(x)
    cp.add(x, x, out=out)
    assert out.strides == x.strides


def test_copies_keep_the_order_that_cupy_keeps() -> None:
    x = channels_last()
    for y in (cp.empty_like(x), cp.zeros_like(x), x.astype(np.float32), cp.copy(x), cp.array(x), x.copy("K")):
        assert y.strides == x.strides
        assert not cp.may_share_memory(x, y)
    for y in (x.copy(), cp.ascontiguousarray(x), cp.asarray(x.get("A")), x.astype(np.float64, "C")):
        assert y.flags.c_contiguous
    assert cp.asarray(x) is x
    # Of a host's array in channels-last order nothing is left but the shape.
    assert cp.asarray(np.zeros((2, 4, 5, 3)).transpose(0, 3, 1, 2)).flags.c_contiguous
    assert cp.asarray(np.zeros((3, 4)).T).flags.f_contiguous


def test_conversions_of_layout_are_counted() -> None:
    x = channels_last()
    with emulation.counting() as counts:
        cp.ascontiguousarray(x.transpose(0, 2, 3, 1))
        x + x
        assert counts.layout_copies == {}
        cp.ascontiguousarray(x)
        x.reshape(2, -1)
        x.copy()
        assert counts.layout_copies == {"to C order": 2, "reshape": 1}


def test_views_share_memory() -> None:
    x = cp.zeros((2, 3, 4))
    for view in (x.T, x.reshape(6, 4), x[1:], x[:, None], x.ravel(), cp.broadcast_to(x, (5, 2, 3, 4)), x[..., 0]):
        assert cp.may_share_memory(x, view)
        assert view.base is view[...].base is x
    x[1:].fill(1)
    assert x.get().sum() == 12
    assert not cp.may_share_memory(x, x[cp.asarray([0, 1])])


# -------------------------------------------------------------------------------------------------------------- indices


def test_indices_outside_wrap_around() -> None:
    x = cp.arange(3)
    assert x[[1, 3]].get().tolist() == [1, 0]
    assert cp.take(x, cp.asarray([4, -1])).get().tolist() == [1, 2]
    assert cp.take_along_axis(x, cp.asarray([5]), 0).get().tolist() == [2]
    x[cp.asarray([3])] = 7
    assert x.get().tolist() == [7, 1, 2]
    with pytest.raises(IndexError, match="out of bounds"):
        x[3]


def test_indices_of_every_kind() -> None:
    host = np.arange(60).reshape(3, 4, 5)
    x = cp.asarray(host)
    rows, mask = np.array([2, 0]), host[:, :, 0] > 20
    simple = (1, (0, ..., 2), (slice(None), None, 3))
    arrays = ((rows,), (rows, rows), (..., rows), (mask,), (1, rows, slice(2, 4)))
    for index in (*simple, *arrays):
        np.testing.assert_array_equal(x[index].get(), host[index])
    for index in arrays:
        on_device = tuple(cp.asarray(part) if isinstance(part, np.ndarray) else part for part in index)
        np.testing.assert_array_equal(x[on_device].get(), host[index])
    with pytest.raises(IndexError, match="integer or boolean"):
        x[cp.asarray([0.5])]


def test_add_at_takes_the_types_of_atomics() -> None:
    x = cp.zeros(3, np.float32)
    cp.add.at(x, cp.asarray([0, 0, 2]), cp.ones(3, np.float32))
    assert x.get().tolist() == [2, 0, 1]
    with pytest.raises(TypeError, match="int64"):
        cp.add.at(cp.zeros(3, np.int64), cp.asarray([0]), 1)


# -------------------------------------------------------------------------------------------------- devices and memory


def test_arrays_live_on_devices() -> None:
    assert cp.cuda.runtime.getDeviceCount() == 2
    with cp.cuda.Device(1) as device:
        x = cp.ones(3)
        assert cp.cuda.Device() == device
    assert x.device.id == 1
    assert cp.cuda.Device().id == 0
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        x + 1
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        x[0] = 1
    assert x.get().tolist() == [1, 1, 1]
    assert cp.asarray(x).device.id == 0
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="invalid device ordinal"):
        cp.cuda.Device(2).use()


def test_between_devices_only_whole_blocks_are_copied() -> None:
    with cp.cuda.Device(1):
        x = channels_last()
    with pytest.raises(NotImplementedError, match="non-contiguous"):
        cp.asarray(x)
    assert x.copy().flags.c_contiguous


def test_memory_is_poisoned_and_counted() -> None:
    pool = cp.get_default_memory_pool()
    before = pool.used_bytes()
    x = cp.empty(100, np.float32)
    assert np.isnan(x.get()).all()
    assert pool.used_bytes() == before + 512
    view = x[:1]
    del x
    assert pool.used_bytes() == before + 512
    del view
    assert pool.used_bytes() == before


def test_memory_ends() -> None:
    pool = cp.get_default_memory_pool()
    pool.set_limit(pool.used_bytes() + 1000)
    try:
        words = r"allocating 4,096 bytes \(allocated so far: .* limit set to"
        with pytest.raises(cp.cuda.memory.OutOfMemoryError, match=words):
            cp.empty(1000, np.float32)
    finally:
        pool.set_limit(0)
    cp.empty(1000, np.float32)


# ------------------------------------------------------------------------------------------ to other libraries


def test_dlpack_shares_memory_and_names_the_device() -> None:
    with cp.cuda.Device(1):
        x = cp.zeros((2, 3))
    assert x.__dlpack_device__() == (2, 1)
    y = cp.from_dlpack(x)
    assert (y.device.id, y.data.ptr) == (1, x.data.ptr)
    with pytest.raises(BufferError):
        cp.from_dlpack(np.zeros(3))


def test_cuda_array_interface_shares_memory() -> None:
    x = channels_last()

    class Other:
        __cuda_array_interface__ = x.__cuda_array_interface__

    y = cp.asarray(Other())
    assert (y.data.ptr, y.strides, y.dtype) == (x.data.ptr, x.strides, x.dtype)


def test_arrays_are_pickled_through_the_host() -> None:
    x = cp.arange(3)
    with emulation.counting() as counts:
        copy = pickle.loads(pickle.dumps(x))
        assert (counts.gets, counts.sets) == ({"pickle": 1}, 1)
    assert copy.get().tolist() == [0, 1, 2]


def test_half_precision_sums_in_float32() -> None:
    x = cp.ones(5000, np.float16)
    assert x.sum().dtype == np.float16
    assert float(x.sum()) == 5000  # adding one by one would end at 2048
    a = cp.ones((2, 5000), np.float16)
    assert (a @ a.T).get().tolist() == [[5000, 5000]] * 2
