"""`python -m benchmarks`: what it takes, what it prints and keeps. No time is asserted."""

import json
import xml.etree.ElementTree as ET

import pytest
from numba.core.ccallback import CFunc

import benchmarks.__main__ as command
from benchmarks import algorithms, ceiling, chart, cold, compile_times, kernel_rows, report, timing
from benchmarks.cases import CASES, MNIST
from benchmarks.contenders import DLCORE, LOOPS
from benchmarks.goals import PYTORCH, PYTORCH_BEST
from dlcore.train.report import can_draw
from kernels.errors import ArgumentError

LAYER = "conv2d 1->6@28 k5"


@pytest.fixture(autouse=True)
def in_a_moment(monkeypatch):
    """Nothing here needs good times."""
    monkeypatch.setattr(timing, "_LEAST_TURNS", 1)
    monkeypatch.setattr(timing, "_TURN_SECONDS", 0.0)
    monkeypatch.setattr(ceiling, "_SECONDS", 0.01)
    monkeypatch.setattr(ceiling, "_MOST_BYTES", 1 << 20)


def keep_options(monkeypatch):
    """Let `kernels` only keep the options it gets."""
    kept = []
    monkeypatch.setattr(kernel_rows, "run", kept.append)  # which returns None
    return kept


@pytest.mark.parametrize("arguments", [[], ["--quick"], ["--threads", "1", "--backend", "numpy"]])
def test_without_a_command_it_is_kernels_against_loops(monkeypatch, arguments):
    kept = keep_options(monkeypatch)
    assert command.main(arguments) == command.main(["kernels", *arguments]) == 0
    assert kept[0] == kept[1]
    assert kept[0].against == "loops"


def test_options_reach_the_kernels(monkeypatch):
    kept = keep_options(monkeypatch)
    command.main(["kernels", "--quick", "--only", "pool", "--rotate", "--relu-inputs", "--threads", "1"])
    assert kept == [
        kernel_rows.KernelOptions(
            threads=1, quick=True, against="loops", backend="numpy", only="pool", rotate=True, relu_inputs=True
        )
    ]


@pytest.mark.parametrize(
    "arguments", [["nothing"], ["--against", "tensorflow"], ["--threads", "0"], ["--backend", "abacus"], ["chart"]]
)
def test_what_is_wrong_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_kernels_prints_tables_and_keeps_json(tmp_path, capsys):
    file = tmp_path / "new" / "results.json"
    assert command.main(["--quick", "--only", "avg_pool2d 16@28 k2", "--threads", "1", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "avg_pool2d 16@28 k2 s2 N=100" in out
    assert "Python loops" in out
    assert "≥ 1e+03" in out
    kept = json.loads(file.read_text())
    assert kept["machine"]["threads"] == 1
    assert len(kept["ceiling"]["gflops"]) == 2
    assert min(kept["ceiling"]["gflops"]) > 0
    (row,) = kept["rows"]
    assert set(row["contenders"]) == {DLCORE.title, *(peer.title for peer in LOOPS)}
    assert {mean["peer"] for mean in kept["means"]} == set(row["ratios"])


def test_a_case_that_fails_is_told_and_the_others_go_on(tmp_path, capsys, monkeypatch):
    measure = kernel_rows.measure

    def fail_once(case, *given, **options):
        if case.kernel == "avg_pool2d":
            raise AssertionError("differs")
        return measure(case, *given, **options)

    monkeypatch.setattr(kernel_rows, "measure", fail_once)
    file = tmp_path / "results.json"
    assert command.main(["--quick", "--only", "avg_pool2d", "--threads", "1", "--json", str(file)]) == 1
    assert "FAILED: avg_pool2d 16@28 k2 s2 N=100: AssertionError: differs" in capsys.readouterr().out
    kept = json.loads(file.read_text())
    assert [row["kernel"] for row in kept["rows"]] == ["avg_pool2d_grad"]
    assert len(kept["failed"]) == 1


def test_rotated_and_rectified_inputs():
    (case,) = [case for case in CASES if str(case).startswith("max_pool2d 16@28 k2")]
    taken = kernel_rows.measure(case, [DLCORE], 0.0, rotate=True, rectified=True)
    assert taken[DLCORE.title].minimum > 0


def test_cases_are_chosen_by_a_regular_expression():
    assert {case.group for case in kernel_rows.choose(CASES, quick=False, only="^MNIST")} == {MNIST}
    assert len(kernel_rows.choose(CASES, quick=True, only=None)) < len(CASES)


def test_contenders_take_turns_and_the_first_call_of_a_turn_is_not_counted(monkeypatch):
    monkeypatch.setattr(timing, "_LEAST_TURNS", 2)
    calls = []
    samples = timing.interleave([lambda: calls.append("a"), lambda: calls.append("b")], 0.0)
    assert calls == ["a", "a", "b", "b", "a", "a", "b", "b"]
    assert [len(taken) for taken in samples] == [2, 2]
    monkeypatch.setattr(timing, "_TURN_SECONDS", 0.001)
    (taken,) = timing.interleave([lambda: calls.append("c")], 0.0)
    assert len(taken) == calls.count("c") - 2
    monkeypatch.setattr(timing, "_LONG_CALL_SECONDS", 0.0)
    monkeypatch.setattr(timing, "_TURN_SECONDS", 0.0)
    (taken,) = timing.interleave([lambda: calls.append("d")], 0.0)
    assert len(taken) == calls.count("d") == 2  # a long call is a turn by itself


def test_ceilings_are_positive():
    assert ceiling.arithmetic(0.01) > 0
    copies = ceiling.CopyBandwidth(0.01)
    assert copies.of(1000) == copies.of(1 << 20) > 0
    assert list(copies.measured) == [1 << 20]


def test_three_digits():
    assert [report.three_digits(value) for value in (0.01234, 1.234, 12.34, 123.4, 1234, 123456)] == [
        "0.0123",
        "1.23",
        "12.3",
        "123",
        "1,230",
        "123,000",
    ]


def test_cold_measures_in_processes_of_their_own(tmp_path):
    taken = cold._measure(cold._IMPORT.format(module="json"), tmp_path, 1, 2)
    assert len(taken) == 2
    assert all(figures["seconds"] >= 0 for figures in taken)
    assert cold._row("import json", taken)[-2:] == ("", "")


def test_compilations_are_timed(monkeypatch):
    monkeypatch.setattr(CFunc, "compile", CFunc.compile)  # so that it is put back
    times = compile_times.compile_times()
    import numba

    @numba.njit
    def twice(x):
        return 2 * x

    assert twice(2) == 4
    (name,) = [name for name in times if name.endswith("twice")]
    assert times[name] > 0


MEASURED = {
    "command": "kernels",
    "machine": {"threads": 2, "processor": "a processor", "target": "znver3", "torch": "2.13.0"},
    "means": [
        {"group": MNIST, "action": action, "peer": peer, "ratio": ratio}
        for action, best, default in (("forward", 2.0, 3.0), ("input grad", 0.5, 4.0))
        for peer, ratio in ((PYTORCH_BEST, best), (PYTORCH, default))
    ],
}


@pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed (pip install 'dlcore[plot]')")
def test_chart(tmp_path):
    file = tmp_path / "results.json"
    file.write_text(json.dumps(MEASURED))
    drawn = []
    for name in ("a.svg", "b/b.svg"):
        assert command.main(["chart", str(file), str(file), "-o", str(tmp_path / name)]) == 0
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert ET.fromstring(drawn[0]).tag.endswith("svg")


def test_bars():
    assert chart.bars_of(MEASURED) == {MNIST: [("forward", 2.0, 3.0), ("input grad", 0.5, 4.0)]}


@pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed (pip install 'dlcore[plot]')")
@pytest.mark.parametrize("content", [{"means": []}, {}, []])
def test_a_chart_needs_a_comparison_with_pytorch(tmp_path, content):
    file = tmp_path / "results.json"
    file.write_text(json.dumps(content))
    with pytest.raises(ArgumentError, match="holds no comparison with PyTorch"):
        chart.draw([file], tmp_path / "chart.svg")


def test_algorithms_keeps_times_and_errors_of_each_way(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(algorithms, "_layers", lambda: [(*algorithms._MORE_LAYERS[0], 1)])
    path = tmp_path / "algorithms.json"
    assert command.main(["algorithms", "--quick", "--threads", "1", "--json", str(path)]) == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["action"] for row in rows] == list(algorithms.PASSES)
    for row in rows:
        assert set(row["milliseconds"]) == {"direct", "F(2×2)", "F(4×4)"}
        assert row["chosen"] in row["milliseconds"]
        assert row["errors"].keys() >= row["milliseconds"].keys()
        assert all(0 < error < 1e-4 for error in row["errors"].values())
    assert "F(4×4), ms" in capsys.readouterr().out
