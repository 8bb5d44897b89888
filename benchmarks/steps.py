"""`python -m benchmarks steps`: whole training steps and inference, and where the time of a step goes."""

from collections.abc import Sequence
from typing import Any

from benchmarks import machine, networks, report, results, timing
from benchmarks.goals import STEP, STEP_GOALS
from benchmarks.networks import ACTIONS, NETWORKS, NetworkContender
from benchmarks.options import Options
from benchmarks.profile import KERNELS, Profile, profile
from benchmarks.results import OURS, Row
from dlcore import backend

_NOTES = (
    "Times: milliseconds, the fastest call of many, contenders in turns, all on the same weights and images of 28×28.",
    "A step is forward, cross-entropy, backward and Adam, on one batch that is ready in memory.",
    "PyTorch: its defaults. PyTorch best: the better of these and of channels last with fused Adam, row by row.",
)


#: What takes less of a step is in the sums and in the JSON, but not printed on its own.
_LEAST_SHARE = 0.005


def run(options: Options) -> dict[str, Any]:
    """Measure what the options ask for, print it, and return it for JSON.

    Raises:
        DLCoreError: the number of threads is not to be had.
    """
    peers, skipped = _peers(options.against)
    names = ["DeepConvNet"] if options.quick else list(NETWORKS)
    seconds = 0.2 if options.quick else 2.0
    tasks = [(name, action) for name in names for action in ACTIONS]
    with timing.pinned_threads(options.threads, torch=options.against != "loops"):
        described = machine.describe("torch", "onnxruntime")
        rows = [measure(name, action, peers, seconds) for name, action in options.track(tasks)]
        profiles = {name: _profile(name, seconds / 3) for name in names}
    found = results.means(rows, STEP_GOALS.get)
    report.show_facts(described)
    report.show_notes(*(f"Skipped: {reason}." for reason in skipped))
    report.show_rows(rows)
    report.show_notes(*_NOTES)
    report.show_notes("")
    report.show_means([mean for mean in found if mean.goal is not None])
    for name, measured in profiles.items():
        _show_profile(name, measured)
    return {
        "command": "steps",
        "quick": options.quick,
        "machine": described,
        "skipped": skipped,
        **results.as_json(rows, found),
        "profiles": {name: measured.as_json() for name, measured in profiles.items()},
    }


def measure(name: str, action: str, peers: Sequence[NetworkContender], seconds: float) -> Row:
    """Check the contenders on one network, then time them in turns for about `seconds` each."""
    backend.seed(0)
    network = NETWORKS[name]()
    x = networks.images(ACTIONS[action])
    competing = [networks.DLCORE, *(peer for peer in peers if peer.takes(action))]
    # The peers' networks are copies: dlcore's own may learn meanwhile.
    calls = [contender.prepare(network, action, x) for contender in reversed(competing)][::-1]
    scores = [call() for call in calls]
    if action != STEP:
        for contender, theirs in zip(competing[1:], scores[1:], strict=True):
            networks.check(contender, name, theirs, scores[0])
    for call in calls * 3:
        call()
    taken = {contender.title: timing.Timing() for contender in competing}
    for measured, samples in zip(taken.values(), timing.interleave(calls, seconds), strict=True):
        measured.samples = samples
    rate = ACTIONS[action] / taken[OURS].minimum
    return Row(name, action, name, "", taken, rate=f"{rate:,.0f} images/s")


def _peers(against: str | None) -> tuple[list[NetworkContender], list[str]]:
    peers, skipped = [], []
    if against != "torch":
        peers.append(networks.TEXTBOOK_NETWORK)
    if against != "loops":
        from benchmarks import onnx_runtime, pytorch  # slow, and needed here only

        if pytorch.is_installed:
            from benchmarks import pytorch_networks

            peers += pytorch_networks.contenders()
        if onnx_runtime.is_installed:
            peers.append(networks.ONNX_NETWORK)
        skipped = [peer.MISSING for peer in (pytorch, onnx_runtime) if not peer.is_installed]
    return peers, skipped


def _profile(name: str, seconds: float) -> Profile:
    backend.seed(0)
    step = networks.training_step(NETWORKS[name](), networks.images(networks.BATCH))
    for _ in range(3):
        step()
    timing.wait_until_asleep()
    return profile(step, seconds)


def _show_profile(name: str, measured: Profile) -> None:
    report.show_notes(
        f"Profile of dlcore's step, {name}: {measured.step * 1e3:.2f} ms (median), of which the timers take about "
        f"{measured.cost_of_timers * 1e3:.2f} ms",
        "",
    )
    sums = [(f"all {what}" if what == KERNELS else what, "", seconds) for what, seconds in measured.sums().items()]
    parts = [
        (what, f"{measured.calls[what]:g}", seconds)
        for what, seconds in measured.seconds.items()
        if seconds >= _LEAST_SHARE * measured.step and what not in measured.sums()
    ]
    rows = [
        (what, calls, f"{seconds * 1e3:.3f}", f"{seconds / measured.step:.1%}") for what, calls, seconds in sums + parts
    ]
    report.show_table(["what", "calls", "ms", "of the step"], rows, right=3)
