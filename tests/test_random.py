"""Random numbers: the published bits, distributions, independent streams, state, threads."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dlcore as dl
from dlcore import random
from dlcore.random import Generator
from kernels.philox import philox4x32

# Philox4x32-10 from kat_vectors of Random123, the authors' own implementation: counter, key, result, first word first.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN_ANSWERS, ids=["zeros", "ones", "pi"])
def test_published_vectors(backend: dl.backend.Backend, counter: str, key: str, result: str) -> None:
    c0, c1, c2, c3 = words(counter)
    k0, k1 = words(key)
    block = philox4x32(backend.xp, 4, key=k1 << 32 | k0, stream=c3 << 32 | c2, start=c1 << 32 | c0)
    assert dl.backend.to_numpy(block).tolist() == words(result)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_any_count_is_a_prefix(backend: dl.backend.Backend, count: int) -> None:
    longer, shorter = (philox4x32(backend.xp, n, key=1, start=2**32 - 1) for n in (12, count))
    assert (shorter.shape, shorter.dtype) == ((count,), np.uint32)
    np.testing.assert_array_equal(dl.backend.to_numpy(longer)[:count], dl.backend.to_numpy(shorter))


def on_backend(backend: dl.backend.Backend, seed: int = 0) -> Generator:
    return Generator(seed).on(backend.xp)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.uniform(shape),
        lambda rng, shape: rng.normal(shape),
        lambda rng, shape: rng.bernoulli(shape, 0.5),
    ],
    ids=["uniform", "normal", "bernoulli"],
)
@pytest.mark.parametrize("shape", [(), 5, (0,), (2, 3), (7,)], ids=str)
def test_shapes(backend: dl.backend.Backend, draw: Callable[..., Any], shape: Any) -> None:
    assert draw(on_backend(backend), shape).shape == (shape if isinstance(shape, tuple) else (shape,))


SIZE = 200_000


def five_sigma(samples: np.ndarray, mean: float, std: float) -> None:
    assert abs(samples.mean() - mean) < 5 * std / np.sqrt(samples.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform(backend: dl.backend.Backend, dtype: str) -> None:
    x = dl.backend.to_numpy(on_backend(backend).uniform(SIZE, -1.0, 3.0, dtype))
    assert x.dtype == dtype
    assert x.min() >= -1
    assert x.max() < 3
    for power, mean, std in ((1, 1.0, 1.155), (2, 7 / 3, 2.6)):  # of x and x², from the integrals
        five_sigma(x.astype(np.float64) ** power, mean, std)
    counts = np.histogram(x, 20, (-1, 3))[0]
    assert np.abs(counts - SIZE / 20).max() < 5 * np.sqrt(SIZE / 20)
    assert len(np.unique(x)) > 0.98 * SIZE


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal(backend: dl.backend.Backend, dtype: str) -> None:
    x = dl.backend.to_numpy(on_backend(backend).normal(SIZE, 2.0, 0.5, dtype))
    assert x.dtype == dtype
    z = (x.astype(np.float64) - 2) / 0.5
    for power, moment, std in ((1, 0, 1), (2, 1, np.sqrt(2)), (3, 0, np.sqrt(15)), (4, 3, np.sqrt(96))):
        five_sigma(z**power, moment, std)
    five_sigma(z[:-1] * z[1:], 0, 1)  # neighbours, which share a radius, are independent
    assert 4 < np.abs(z).max() < 7


@pytest.mark.parametrize("p", [0.0, 1e-3, 0.3, 1 - 1e-12, 1.0])
def test_bernoulli(backend: dl.backend.Backend, p: float) -> None:
    x = dl.backend.to_numpy(on_backend(backend).bernoulli(SIZE, p))
    assert x.dtype == bool
    assert abs(x.mean() - p) <= 5 * np.sqrt(p * (1 - p) / SIZE)


def test_permutation(backend: dl.backend.Backend) -> None:
    rng = on_backend(backend)
    for n in (0, 1, 2, 1000):
        order = rng.permutation(n)
        assert isinstance(order, np.ndarray)
        assert order.dtype == np.int64
        assert sorted(order) == list(range(n))
    firsts = np.bincount([rng.permutation(5)[0] for _ in range(2000)], minlength=5)
    assert np.abs(firsts - 400).max() < 5 * np.sqrt(400)


def test_every_backend_draws_the_same(backend: dl.backend.Backend) -> None:
    here, host = on_backend(backend, 7), Generator(7)
    for dtype in ("float32", "float64"):
        np.testing.assert_array_equal(dl.backend.to_numpy(here.uniform(9, dtype=dtype)), host.uniform(9, dtype=dtype))
        found = dl.backend.to_numpy(here.normal(9, dtype=dtype))
        np.testing.assert_allclose(found, host.normal(9, dtype=dtype), rtol=1e-6)
    np.testing.assert_array_equal(here.permutation(9), host.permutation(9))


def test_draws_go_on_and_seeds_differ(backend: dl.backend.Backend) -> None:
    rng = on_backend(backend)
    draws = [dl.backend.to_numpy(x) for x in (rng.uniform(8), rng.uniform(8), on_backend(backend, 1).uniform(8))]
    assert len(np.unique(draws)) == 24


def test_a_purpose_is_a_stream_of_its_own(backend: dl.backend.Backend) -> None:
    alone, disturbed = on_backend(backend), on_backend(backend)
    disturbed.uniform(100, purpose="another")
    disturbed.permutation(10)
    disturbed.normal(3)
    np.testing.assert_array_equal(*(dl.backend.to_numpy(rng.uniform(5)) for rng in (alone, disturbed)))
    x, y = (Generator(0).uniform(SIZE, purpose=purpose, dtype="float64") for purpose in ("one", "other"))
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(SIZE)


def test_spawn_is_a_pure_function_of_seed_and_purpose(backend: dl.backend.Backend) -> None:
    parent = on_backend(backend, 3)
    before = parent.spawn("shuffle").seed
    parent.uniform(10)
    assert parent.spawn("shuffle").seed == before
    assert parent.spawn("shuffle").xp is backend.xp
    others = {parent.spawn("augment").seed, Generator(4).spawn("shuffle").seed, parent.seed}
    assert before not in others
    assert len(others) == 3


@pytest.mark.parametrize("seed", [0, 2**64 - 1, np.int64(5)])
def test_state_round_trip(backend: dl.backend.Backend, seed: Any) -> None:
    rng = on_backend(backend, seed)
    rng.uniform(5), rng.permutation(3)
    state = rng.state_dict()
    expected = [dl.backend.to_numpy(x) for x in (rng.uniform(5), rng.normal(5), rng.permutation(5))]
    restored = Generator(99)
    restored.on(backend.xp).load_state_dict(state)  # a generator and its twins on other backends are one
    assert restored.seed == seed
    restored = restored.on(backend.xp)
    for found, wanted in zip((restored.uniform(5), restored.normal(5), restored.permutation(5)), expected, strict=True):
        np.testing.assert_array_equal(dl.backend.to_numpy(found), wanted)


def test_twins_share_state_and_draw_with_their_own_library(backend: dl.backend.Backend) -> None:
    rng = Generator(5)
    twin = rng.on(backend.xp)
    twin.load_state_dict({"seed": 6, "counters": {}})
    assert (rng.seed, rng.on(np) is rng, twin.xp) == (6, True, backend.xp)
    drawn = twin.uniform(4)
    assert dl.backend.of(drawn) is backend
    assert not np.array_equal(rng.uniform(4), dl.backend.to_numpy(drawn))


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "0", None, True])
def test_impossible_seeds(backend: dl.backend.Backend, seed: Any) -> None:
    with pytest.raises(dl.ArgumentError, match=r"seed: expected an integer from 0 to 2\*\*64 - 1, got"):
        dl.backend.seed(seed)


# ---- the default generator, and threads -----------------------------------------------------------------------------


def in_a_thread(work: Callable[[], Any]) -> Any:
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()
    thread.join()
    return results[0]


def seeded_draws(seed: int) -> list[float]:
    dl.backend.seed(seed)
    return dl.randn(5).numpy().tolist()


def test_seeding_resets_what_everybody_draws_from(backend: dl.backend.Backend) -> None:
    first = seeded_draws(1)
    assert dl.randn(5).numpy().tolist() != first
    assert seeded_draws(1) == first
    assert seeded_draws(2) != first
    assert random.default_generator().seed == 2


def test_a_thread_that_seeds_has_its_own_generator(backend: dl.backend.Backend) -> None:
    alone = seeded_draws(1)
    dl.backend.seed(2)
    with dl.backend.using("numpy"):
        assert in_a_thread(lambda: seeded_draws(1)) == [pytest.approx(x, rel=1e-6) for x in alone]
    assert random.default_generator().seed == 2


def test_a_thread_that_does_not_seed_shares_the_processs(backend: dl.backend.Backend) -> None:
    dl.backend.seed(3)
    assert in_a_thread(lambda: random.default_generator().seed) == 3


def test_threads_never_get_the_same_numbers(backend: dl.backend.Backend) -> None:
    rng, drawn = Generator(0), []
    threads = [threading.Thread(target=lambda: drawn.append(rng.words(400))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(np.concatenate(drawn)) == sorted(Generator(0).words(16 * 400))
