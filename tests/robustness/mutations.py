"""One or two arguments of a valid call, made bad. Every choice comes from the generator that is handed over."""

from collections.abc import Callable
from typing import Any

import numpy as np

import dlcore as dl
from dlcore import backend, nn

#: More elements than any argument should make: with four bytes each, two gibibytes.
MANY = 2**29

#: What stands where something else is expected.
STRANGERS: list[Callable[[], Any]] = [
    lambda: None,
    lambda: "strange",
    lambda: b"\0\xff",
    dict,
    lambda: {"a": 1},
    list,
    lambda: ["a", None],
    lambda: [[1.0], [1.0, 2.0]],
    lambda: object(),
    lambda: ...,
    lambda: 1j,
    lambda: range(3),
    lambda: (number for number in range(3)),
    lambda: {1, 2},
    lambda: nn.ReLU(),
    lambda: dl.Tensor([1.0, 2.0]),
    lambda: np.float32(2.5),
    lambda: np.array([1, 2, 3]),
    lambda: np.datetime64("2020-01-01"),
]

INTEGERS = [0, -1, -7, 3, 5, 10**9, -(10**9), 2**31, 2**63, -(2**63), 10**30]
NUMBERS = [0.0, -1.0, 0.5, 1.5, float("nan"), float("inf"), float("-inf"), 1e308, -1e-308, 10**400]
NUMPY_NUMBERS = [np.int64(2), np.int8(-1), np.uint8(200), np.float32(1.5), np.float64("nan"), np.bool_(True)]
TEXTS = ["", " ", "no such name", "\0", "é" * 1000, "mean ", "MEAN", "../..", "cupy:99", "float16", "O", "->", "ii"]
DTYPES = [
    "float16",
    "float32",
    "float64",
    "int64",
    "uint8",
    "bool",
    "complex64",
    "object",
    "str",
    "M8[s]",
    ">f4",
    "i,f",
]
VALUES = [np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0, -1.0, 1e6]


def mutated(
    rng: np.random.Generator, arguments: dict[str, Any], fixed: tuple[str, ...], many: bool
) -> tuple[dict[str, Any], list[str]]:
    """The arguments, one or two of them changed; and what was done, in words."""
    result, notes = dict(arguments), []
    names = [name for name, value in arguments.items() if name not in fixed or isinstance(value, dl.Tensor)]
    count = 1 if len(names) == 1 or rng.random() < 0.7 else 2
    for name in rng.choice(names, size=count, replace=False):
        value = result[name]
        only_tensors = name in fixed
        result[name], note = _changed(rng, value, only_tensors, many)
        notes.append(f"{name}: {note}")
    return result, notes


def _is_array(value: Any) -> bool:
    return isinstance(getattr(value, "strides", None), tuple) and not isinstance(value, np.generic)


def _pick(rng: np.random.Generator, choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _changed(rng: np.random.Generator, value: Any, only_tensors: bool = False, many: bool = True) -> tuple[Any, str]:
    if isinstance(value, dl.Tensor) or _is_array(value):
        return _changed_array(rng, value, only_tensors, many)
    if rng.random() < 0.25:
        return _stranger(rng)
    if isinstance(value, bool):
        return _described(_pick(rng, [not value, None, 0, 2, float("nan"), "yes", "", [], np.bool_(False)]))
    if isinstance(value, int):
        return _described(
            _pick(rng, [*INTEGERS, value + 1, value - 1, *NUMBERS, *NUMPY_NUMBERS, (value, value), [1, 2, 3], "1"])
        )
    if isinstance(value, float):
        return _described(_pick(rng, [*NUMBERS, *INTEGERS, *NUMPY_NUMBERS, -value, "0.5", [value]]))
    if isinstance(value, str):
        return _described(_pick(rng, [*TEXTS, value.upper(), value + "x", value.encode()]))
    if isinstance(value, dict):
        return _changed_mapping(rng, value)
    if isinstance(value, (list, tuple)):
        return _changed_sequence(rng, value)
    if value is None:
        return _described(_pick(rng, [*INTEGERS, *NUMBERS, *TEXTS, (1, 2), [3]]))
    return _stranger(rng)


def _described(value: Any) -> tuple[Any, str]:
    return value, f"{value!r:.80}" if isinstance(value, (str, bytes)) else f"{type(value).__name__} {str(value)[:60]}"


def _stranger(rng: np.random.Generator) -> tuple[Any, str]:
    number = int(rng.integers(len(STRANGERS)))
    value = STRANGERS[number]()
    return value, f"{type(value).__name__} (stranger {number})"


def _changed_mapping(rng: np.random.Generator, value: dict[Any, Any]) -> tuple[Any, str]:
    changed, keys = dict(value), list(value)
    kind = rng.integers(5)
    if kind == 0 or not keys:
        changed["no such key"] = 1.0
        return changed, "a key more"
    key = _pick(rng, keys)
    if kind == 1:
        del changed[key]
        return changed, f"without {key!r}"
    if kind == 2:
        changed[3] = changed.pop(key)
        return changed, f"{key!r} called 3"
    changed[key], note = _changed(rng, value[key])
    return changed, f"[{key!r}]: {note}"


def _changed_sequence(rng: np.random.Generator, value: Any) -> tuple[Any, str]:
    kind, items = rng.integers(7), list(value)
    make = type(value)
    if kind == 0:
        return make(items[:-1]), "the last item gone"
    if kind == 1 and items:
        return make([*items, items[0]]), "the first item again"
    if kind == 2:
        return make([]), "empty"
    if kind == 3:
        return make([value]), "nested"
    if not items:
        return make([1]), "one item"
    position = int(rng.integers(len(items)))
    items[position], note = _changed(rng, items[position])
    return make(items), f"[{position}]: {note}"


def _changed_array(rng: np.random.Generator, value: Any, only_tensors: bool, many: bool) -> tuple[Any, str]:
    """Another array in its place, as a Tensor if it was one and can be one."""
    host = backend.to_numpy(value)
    name = _pick(rng, [name for name in ARRAYS if many or name != "huge"])
    changed = ARRAYS[name](rng, host)
    if changed is None:  # something else than an array
        if only_tensors:
            return value, "as it is"
        if rng.random() < 0.4:
            twin = value.data if isinstance(value, dl.Tensor) else dl.Tensor(value)
            return twin, "an array for a Tensor, or the other way round"
        return _stranger(rng)
    note = f"{name}: {changed.dtype} {changed.shape} strides {changed.strides}"
    try:
        # What a device cannot hold stays on the host, where it meets arrays of the device.
        there = _beside(value, changed, name)
        if isinstance(value, dl.Tensor):
            return dl.Tensor(there, requires_grad=value.requires_grad and there.dtype.kind == "f"), note
    except (dl.DLCoreError, TypeError, ValueError):
        return (value if only_tensors else changed), note
    return there, note


def _beside(value: Any, changed: Any, name: str) -> Any:
    """What was made of an array, where that array lies."""
    owner = backend.of(value.data if isinstance(value, dl.Tensor) else value)
    if owner.is_host:
        return changed
    if name == "huge":  # a view there, too
        one = owner.asarray(np.array(changed[(0,) * changed.ndim]).reshape((1,) * changed.ndim))
        return owner.xp.broadcast_to(one, changed.shape)
    return owner.asarray(changed)


def _resized(rng: np.random.Generator, x: Any) -> Any:
    shape = list(x.shape)
    if not shape:
        return x.reshape(1)
    axis = int(rng.integers(len(shape)))
    shape[axis] = max(shape[axis] + int(_pick(rng, [-1, 1, 2])), 0)
    return np.resize(x, shape) if x.size else x


def _emptied(rng: np.random.Generator, x: Any) -> Any:
    shape = list(x.shape) or [1]
    shape[int(rng.integers(len(shape)))] = 0
    return np.zeros(shape, x.dtype)


def _filled(rng: np.random.Generator, x: Any) -> Any:
    changed = x.copy()
    value = _pick(rng, VALUES)
    with np.errstate(all="ignore"):
        if changed.size:
            changed[(0,) * x.ndim if rng.random() < 0.5 else ...] = (
                value
                if x.dtype.kind == "f"
                else np.nan_to_num(value, posinf=2**31, neginf=-(2**31)).astype(np.int64).astype(x.dtype)
            )
    return changed


def _huge(rng: np.random.Generator, x: Any) -> Any:
    """A view of one element that says it were many."""
    shape = list(x.shape) or [1]
    axis = int(rng.integers(len(shape)))
    shape[axis] = MANY // max(int(np.prod(shape)) // max(shape[axis], 1), 1)
    return np.broadcast_to(
        x.reshape(-1)[:1].reshape((1,) * len(shape)) if x.size else np.zeros((1,) * len(shape), x.dtype), shape
    )


def _misaligned(rng: np.random.Generator, x: Any) -> Any:
    if x.dtype.kind == "O":
        return x
    memory = np.zeros(x.nbytes + 1, np.uint8)
    view = memory[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def _converted(rng: np.random.Generator, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.zeros(x.shape, "i,f") if (dtype := _pick(rng, DTYPES)) == "i,f" else x.astype(dtype)


def _locked(rng: np.random.Generator, x: Any) -> Any:
    x = x.copy()
    x.flags.writeable = False
    return x


#: What is made of an array; None stands for what is no array.
ARRAYS: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    "one axis more": lambda rng, x: x[None],
    "one axis less": lambda rng, x: x[0] if x.ndim and len(x) else x.reshape(-1),
    "one number": lambda rng, x: np.asarray(x.reshape(-1)[0]) if x.size else np.zeros((), x.dtype),
    "many axes": lambda rng, x: x.reshape(x.shape + (1,) * (40 - x.ndim)),
    "resized": _resized,
    "empty axis": _emptied,
    "axes reversed": lambda rng, x: x.T,
    "another type": _converted,
    "another type, too": _converted,
    "values": _filled,
    "huge": _huge,
    "every other": lambda rng, x: np.repeat(x, 2, axis=0)[::2] if x.ndim else x,
    "backwards": lambda rng, x: x[::-1] if x.ndim else x,
    "Fortran order": lambda rng, x: np.asfortranarray(x),
    "read-only": _locked,
    "misaligned": _misaligned,
    "a subclass": lambda rng, x: np.ma.masked_array(x, mask=False),
    "none": lambda rng, x: None,
    "none, too": lambda rng, x: None,
}
