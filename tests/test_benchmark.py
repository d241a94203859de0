"""experiments.benchmark: what its numbers say, and that no process of it is left behind. No timings."""

import contextlib
import importlib.util
import json
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from csdip_jax.types import InputError
from experiments import front_page
from experiments.benchmark import cases, catalogue, one_process, peers, several_processes, turns
from experiments.benchmark.cases import QUICK, Counts
from experiments.benchmark.jax_side import JaxSide
from experiments.benchmark.one_process import OneProcess
from experiments.benchmark.peer_side import PeerSide
from experiments.benchmark.worker import Worker
from tests.commands.typed import refused, run

REPOSITORY = Path(__file__).parents[1]
ECHO = """
import os
from experiments.benchmark.worker import Side, serve
class Echo(Side):
    runs = {"": lambda steps: None}
    def echo(self, **arguments):
        print("a library's message")
        os.system("echo another")
        return arguments
    def fail(self):
        os._exit(3)
serve(Echo())
"""
TINY = Counts(rounds=1, warm_up=1, sweep_steps=3, share=0.01, matrix_rows=(20,), memory_steps=2)

TARGETS = {"float32": 1.0, "float16": 1.0}

linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")


def state_of(pid):
    """Linux's letter for what a process does (T: stopped), None if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def becomes(pid, *states):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if state_of(pid) in states:
            return True
        time.sleep(0.01)
    return False


def test_sides_take_turns_and_keep_their_order():
    calls = []

    def turn(side):
        calls.append(side)
        return len(calls)

    times = turns.alternate({side: lambda side=side: turn(side) for side in "abc"}, 2, "test")
    assert "".join(calls) == "abcabc"
    assert times == {"a": [1, 4], "b": [2, 5], "c": [3, 6]}


def test_ratio_is_the_median_of_the_rounds_ratios_with_the_best_rival():
    times = {
        "jax": [10.0, 20.0, 10.0, 10.0, 11.0],  # a slow machine in round 2, a hiccup of a rival in round 5
        "plain": [15.0, 30.0, 16.0, 15.0, 99.0],
        "channels_last": [14.0, 60.0, 90.0, 90.0, 90.0],
    }
    result = turns.compare(times, "jax")
    assert result["medians"] == {"jax": 10.0, "plain": 16.0, "channels_last": 90.0}
    assert result["best"] == "plain"
    assert (result["ratio"], result["ratio_min"], result["ratio_max"]) == (1.5, 1.5, 9.0)


def test_sides_that_compute_the_same_agree():
    ours = {"loss": 100.0, "gradient": [1.0, -2.0]}
    theirs = {"plain": {"loss": 100.001, "gradient": [1.0, -2.0]}, "other": {"loss": 100.0, "gradient": [1.0, -2.0]}}
    assert turns.require_agreement("step, mnist", ours, theirs) == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"loss": 100.02, "gradient": [1.0, -2.0]}, "loss 100 against 100.02"),
        ({"loss": 100.0, "gradient": [1.0, 2.0]}, "gradient entry of kernel 1 -2 against 2"),
        ({"loss": float("nan"), "gradient": [1.0, -2.0]}, "loss 100 against nan"),
    ],
)
def test_sides_that_differ_are_refused(wrong, message):
    ours = {"loss": 100.0, "gradient": [1.0, -2.0]}
    with pytest.raises(InputError, match=f"step, mnist: JAX and plain do not compute the same.*{message}") as caught:
        turns.require_agreement("step, mnist", ours, {"same": ours, "plain": wrong})
    assert "\n" not in str(caught.value)


@linux_only
def test_a_worker_is_stopped_but_when_asked_and_gone_afterwards():
    with Worker("echo", ["-c", ECHO], {"CSDIP_TEST": "1"}) as worker:
        for number in range(2):
            assert becomes(worker.process.pid, "T")
            assert worker.ask("echo", number=number) == {"number": number}
        assert worker.ask("turn", variant="", warm_up=0, steps=1) >= 0
    assert state_of(worker.process.pid) is None


def test_a_worker_that_dies_is_one_clear_line():
    with Worker("echo", ["-c", ECHO], {}) as worker:
        with pytest.raises(ChildProcessError, match="^the echo process ended with code 3: see its message above$"):
            worker.ask("fail")
    with pytest.raises(ChildProcessError, match="the other process ended with code 4"):
        Worker("other", ["-c", "raise SystemExit(4)"], {})


@linux_only
def test_a_killed_parent_leaves_no_stopped_worker():
    code = f"from experiments.benchmark.worker import Worker\nworker = Worker('echo', ['-c', {ECHO!r}], {{}})\n"
    code += "print(worker.process.pid, flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, **pipes) as parent:
        pid = int(parent.stdout.readline())
        assert becomes(pid, "T")
        parent.kill()
    assert becomes(pid, None, "Z")  # Z: dead, where nobody adopts orphans


def test_missing_torch_is_one_line_with_the_remedy(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "torch" else find(name, *more))
    told = refused(run("benchmark", "--quick", f"--workdir={tmp_path / 'runs'}"))
    alone = ",".join(name for name in catalogue.by_default() if not catalogue.SECTIONS[name].needs)
    assert "pip install -e '.[bench]'" in told and f"--sections={alone}" in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.skipif(jax.default_backend() == "gpu", reason="there is one here")
def test_no_gpu_is_one_line_with_the_remedy(tmp_path):
    command = [sys.executable, "-m", "experiments.benchmark", "--quick", "--sections=term", "--device=gpu"]
    command += [f"--workdir={tmp_path / 'runs'}"]
    finished = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (finished.returncode, finished.stderr.count("\n")) == (1, 1)
    assert "--device=gpu: JAX finds none here" in finished.stderr and "requirements-cuda.txt" in finished.stderr
    assert not (tmp_path / "runs").exists()


def test_sections_of_jax_alone_need_nothing_else(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    catalogue.require_packages(["fits", "memory"])
    with pytest.raises(InputError, match="not installed"):
        catalogue.require_packages(["fits", "fit"])


class Here:
    """A worker in this process."""

    def __init__(self, side):
        self.side = side

    def ask(self, do, **arguments):
        return json.loads(json.dumps(getattr(self.side, do)(**json.loads(json.dumps(arguments)))))


@pytest.fixture
def tiny(monkeypatch):
    """A network that compiles fast, worked on in this process."""
    monkeypatch.setattr(one_process, "FITS", 2)
    monkeypatch.setitem(cases.CASES, "tiny", cases.Case((8, 8, 3), 4, 100, 1.0, {10: TARGETS}))
    monkeypatch.setattr(several_processes, "jax_worker", lambda **_: contextlib.nullcontext(Here(JaxSide())))
    return "tiny"


def test_fits(tiny):
    results = json.loads(json.dumps(one_process.fits(TINY, [tiny])))
    assert results[tiny]["best"] == "batch" and results[tiny]["ratio"] > 0
    assert tiny in catalogue.table("fits", results)


def test_restarts(tiny):
    (result,) = (results := json.loads(json.dumps(one_process.restarts(TINY, [tiny])))).values()
    assert result["best"] == "apart" and result["ratio"] > 0 and result["difference"] < 1e-4
    assert "tiny, m = 10" in catalogue.table("restarts", results)


def test_size(monkeypatch):
    monkeypatch.setattr(several_processes, "jax_worker", lambda **_: contextlib.nullcontext(Here(JaxSide())))
    assert list(several_processes.COLOURS) == ["grey", "RGB"]
    monkeypatch.setattr(several_processes, "COLOURS", {"RGB": 3})  # each has two networks to compile
    ((name, result),) = (results := json.loads(json.dumps(several_processes.size(QUICK)))).items()
    assert name == "32 x 32 RGB" and result["best"] == "32" and result["ratio"] > 0 and result["peak"] > 10**7
    # A pixel: four times as many take eight times as long.
    results["32 x 32 grey"] = result | {"colours": "grey", "medians": {"32": 2.0, "16": 1.0}}
    table = catalogue.table("size", results)
    assert "ns at 16" in table and "grey: a step takes n^1.50" in table and "RGB: a step" in table


def test_growth(tiny):
    results = json.loads(json.dumps(one_process.growth(QUICK._replace(growth=tiny))))
    assert [list(result["medians"]) for result in results.values()] == [["25", "50"], ["1", "2"], ["1", "2"]]
    assert turns.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert "exponent" in catalogue.table("growth", results)


def test_limits():
    results = json.loads(json.dumps(one_process.limits(QUICK)))
    network, term = results["small, network"], results["small, measurement term"]
    assert (network["unit"], term["unit"]) == ("flops", "bytes") and network["best"] == "network"
    assert network["ratio"] == pytest.approx(np.median(np.divide(*reversed(network["rates"].values()))))
    assert "GB/s" in catalogue.table("limits", results)


def test_denoiser():
    pytest.importorskip("bm3d", reason="needs the extra bm3d")
    results = json.loads(json.dumps(one_process.denoiser(QUICK)))
    assert results["small"]["best"] == "wheel" and 0 < results["small"]["ratio"]
    assert "the wheel's share" in catalogue.table("denoiser", results)


def test_start():
    results = several_processes.start(QUICK)
    assert list(results) == list(several_processes.START_TARGETS)
    for name, result in results.items():
        assert len(result["seconds"]) == QUICK.lasso_rounds
        assert name in catalogue.table("start", results)
    _, cold, warm = (result["median"] for result in results.values())
    assert cold > 0 and warm > 0  # which of them is shorter is the benchmark's to say: another process may run beside


def test_fits_that_differ_are_refused(tiny, monkeypatch):
    monkeypatch.setattr(one_process, "relative_difference", lambda *_: 1e-9)
    monkeypatch.setitem(one_process.SECTIONS, "fits", partial(one_process.fits, names=[tiny]))
    monkeypatch.setattr(several_processes, "jax_worker", lambda _: contextlib.nullcontext(Here(OneProcess())))
    with pytest.raises(InputError, match="fits, tiny: the images of the batch are not exactly those"):
        several_processes.alone("fits", TINY)


def test_a_section_of_one_process_is_measured_in_a_fresh_one():
    results = catalogue.SECTIONS["limits"].measure(QUICK)
    assert list(results) == ["small, network", "small, measurement term"]


def test_sweep(tiny):
    results = json.loads(json.dumps(one_process.sweep(TINY, tiny)))
    assert results[tiny]["best"] == "single" and results[tiny]["ratio"] > 0
    assert tiny in catalogue.table("sweep", results)


@linux_only
def test_memory(tiny):
    results = several_processes.memory(TINY, tiny)
    sizes = results["20"]
    assert sizes["matrix"] == 4 * 20 * 8 * 8 * 3
    assert 0 < sizes["baseline"] <= sizes["measured"] <= sizes["peak"]
    assert "after import" in catalogue.table("memory", results)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch, of the extra dev")
@pytest.mark.parametrize("section", ["step", "fit", "step of a U-Net"])
def test_both_sides_compute_the_same(section, tiny, monkeypatch):
    """By one PyTorch in this process; how its idle threads wait is a matter of the processes."""
    with warnings.catch_warnings(action="ignore"):  # of importing PyTorch
        from experiments.benchmark import torch_side
    section, _, unet = section.partition(" of a ")
    if unet:  # compiling takes a minute, and a compiler
        monkeypatch.setattr(torch_side, "COMPILERS", ())
        settings = {"width": 4, "scales": 1, "skip": 2}
        monkeypatch.setitem(cases.CASES, tiny, cases.Case((8, 8, 3), 4, 100, 1.0, {}, settings))
    workers = {policy: Here(torch_side.TorchSide("cpu")) for policy in several_processes.WAIT_POLICIES}
    monkeypatch.setattr(several_processes, "torch_workers", lambda: contextlib.nullcontext(workers))
    results = catalogue.SECTIONS[section].function(TINY, [tiny])
    labels = [tiny] if section == "step" else [f"tiny, m = 10, {dtype}" for dtype in TARGETS]
    assert list(results) == labels
    for label in labels:
        assert results[label]["difference"] < 1e-4
        assert {side: len(times) for side, times in results[label]["milliseconds"].items()} == {
            "jax": 1,
            "active plain": 1,
            "active channels_last": 1,
            "passive plain": 1,
            "passive channels_last": 1,
        }
        assert label in catalogue.table(section, results)


def test_term():
    results = json.loads(json.dumps(one_process.term(QUICK)))
    names = ["one, float16", "one, int8", "one, two products", "one, copied blocks", "one, in place", "2 that share A"]
    assert list(results) == [f"small, {name}" for name in names]
    assert all(result["best"] == "one, float32" and result["ratio"] > 0 for result in results.values())
    assert "small, one, int8" in catalogue.table("term", results)


def test_lasso_reaches_the_objective_of_scikit_learn(monkeypatch):
    pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra dev")
    from experiments.benchmark.sklearn_side import SklearnSide

    monkeypatch.setattr(several_processes, "jax_worker", lambda **_: contextlib.nullcontext(Here(JaxSide())))
    monkeypatch.setattr(several_processes, "sklearn_worker", lambda: contextlib.nullcontext(Here(SklearnSide())))
    result = json.loads(json.dumps(several_processes.lasso(QUICK)))["small"]
    assert 0 < result["steps"] < 1000 and result["epochs"] > 1 and result["gap"] > 0
    assert {side: len(times) for side, times in result["seconds"].items()} == {"jax": 1, "scikit-learn": 1}
    assert "small, m = 100" in catalogue.table("lasso", {"small": result})


def test_tables_and_picture(tmp_path):
    sides = ("jax", "active plain", "passive plain")
    result = turns.compare({side: [10.0 + i] * 3 for i, side in enumerate(sides)}, "jax")
    results = {"xray": result | {"target": 1.3}, "mnist": result | {"target": 2.0}}
    lines = catalogue.table("step", results).splitlines()
    assert len({len(line) for line in lines[1:]}) == 1  # aligned
    assert [line.split() for line in lines if line.startswith("best PyTorch / JAX")][0][-2:] == ["1.10", "1.10"]
    catalogue.save_ratios(tmp_path / "ratios.png", {"step": results, "fit": {"xray": result}}, "a machine")
    assert (tmp_path / "ratios.png").stat().st_size > 1000


PEER_COUNTS = QUICK._replace(peers=("small, magnitudes",))


def test_peers_answer_from_the_same_measurements(tmp_path, monkeypatch):
    """Those that are installed; what this library alone does where it is alone."""
    monkeypatch.setattr(peers, "worker", lambda _: contextlib.nullcontext(Here(PeerSide())))
    with warnings.catch_warnings(action="ignore"):  # of importing PyTorch
        results = json.loads(json.dumps(peers.peers(PEER_COUNTS, tmp_path)))
    (name,) = PEER_COUNTS.peers
    case = cases.PEER_CASES[name]
    assert list(results) == [name]
    assert list(results[name]) == [peer.label(PEER_COUNTS) for peer in peers.chosen(case)]
    for label, answer in results[name].items():
        assert np.load(peers.image_path(tmp_path, name, label)).shape == case.image_shape
        assert np.isfinite(answer["psnr"]) and answer["seconds"] > 0 and answer["cpu_seconds"] > 0
    assert results[name]["csdip_jax csdip, 10 steps"]["compile_seconds"] > 0
    assert "| csdip_jax csdip, 10 steps" in (tmp_path / "table.md").read_text()
    assert "csdip_jax csdip, 10 steps" in catalogue.table("peers", results)
    front_page.draw(tmp_path / "picture.png", results, tmp_path, PEER_COUNTS)
    assert (tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.parametrize("peer", [peer for peer in peers.PEERS if peer.needs], ids=lambda peer: peer.label(QUICK))
def test_each_peer_makes_an_image(peer, tmp_path):
    pytest.importorskip(peer.needs[0], reason=f"needs the extra {peer.needs[1]}")
    name = "small, magnitudes" if peer.magnitudes else "small"
    image = peers.photograph(cases.PEER_CASES[name])
    y, adjoint = peers.measured(cases.PEER_CASES[name], image)
    assert adjoint.shape == image.shape
    np.save(tmp_path / "measurements.npy", y)
    asked = {"package": peer.package, "method": peer.method, "case": name, "folder": str(tmp_path)}
    with warnings.catch_warnings(action="ignore"):  # of importing PyTorch
        Here(PeerSide()).ask("reconstruct", **asked, steps=peer.steps(QUICK))
    assert np.load(tmp_path / "image.npy").shape == image.shape


def test_a_peer_that_is_not_installed_is_a_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    lines = peers.missing()
    assert [line.split()[0] for line in lines] == ["bm3d", "sigpy", "deepinv"]
    assert "pip install -e '.[peers]'" in lines[-1]
    assert {peer.package for peer in peers.chosen(cases.PEER_CASES["retina"])} == {"csdip_jax"}


def test_the_front_page_asks_for_the_benchmark_first(tmp_path):
    assert "--sections=peers" in refused(run("front_page", f"--workdir={tmp_path}", f"--out={tmp_path}"))
