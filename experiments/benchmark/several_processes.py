"""The sections for which several processes are started, above all those beside other packages.

Each returns what it measured, ready for JSON; its docstring is the title of its table.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import jax
from tqdm import tqdm

from csdip_jax.types import InputError
from experiments.benchmark.cases import CASES, DENSE_CASES, Counts
from experiments.benchmark.turns import alternate, compare, cores, on_gpu, require_agreement, tell
from experiments.benchmark.worker import Worker

JAX_SETTINGS = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
WAIT_POLICIES = ("active", "passive")
NARROW_TOLERANCE = 1e-2
"""Relative difference of losses and gradients allowed between a matrix and its narrower storage."""
LASSO_TARGET = 1.0
SIZE_REFERENCE, SIZE_STEPS = 128, 60
COLOURS = {"grey": 1, "RGB": 3}
SIZE_TARGET = 1.5
START_TARGETS = {"imports beyond jax, flax, optax": 0.5, "first step, nothing cached": 6.0, "first step, cached": 3.0}
MEMORY_TARGET = 1_000_000_000


def jax_worker(module: str = "jax_side", **environment: str) -> Worker:
    """A fresh process that answers with this module."""
    settings = JAX_SETTINGS | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or ""}
    return Worker("JAX", ["-m", f"experiments.benchmark.{module}"], settings | environment)


@contextlib.contextmanager
def torch_workers() -> Iterator[dict[str, Worker]]:
    """One for each way in which idle threads may wait; on a GPU, where that is no matter, one alone."""
    device, policies = ("cuda", {"eager": "passive"}) if on_gpu() else ("cpu", {name: name for name in WAIT_POLICIES})
    command = ["-m", "experiments.benchmark.torch_side", device]
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, policy in policies.items():
            threads = {"OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(cores())}
            workers[name] = stack.enter_context(Worker(f"PyTorch ({name})", command, threads))
        yield workers


def sklearn_worker() -> Worker:
    """A fresh process that answers with scikit-learn."""
    return Worker("scikit-learn", ["-m", "experiments.benchmark.sklearn_side"], {})


def alone(section: str, counts: Counts) -> dict:
    """A section of `one_process`, in a fresh process."""
    with jax_worker("one_process") as worker:
        answer = worker.ask("measure", section=section, counts=counts._asdict())
    if "refused" in answer:
        raise InputError(answer["refused"])
    return answer["results"]


def step(counts: Counts, names: Sequence[str] = tuple(CASES)) -> dict:
    """Value, gradient and RMSProp update of the network alone, ms per step (medians)."""
    return _beside_torch("step", counts, {name: (name, 0, {"jax": CASES[name].target}) for name in names})


def fit(counts: Counts, names: Sequence[str] = tuple(CASES)) -> dict:
    """A whole CS-DIP step, dense A and total variation included, ms per step (medians)."""
    problems = {f"{name}, m = {m}": (name, m, targets) for name in names for m, targets in CASES[name].fits.items()}
    return _beside_torch("fit", counts._replace(share=counts.share / 2), problems)


def _beside_torch(section: str, counts: Counts, problems: Mapping[str, tuple[str, int, Mapping[str, float]]]) -> dict:
    """Per problem and variant of ours: milliseconds per step of each side in each round, PyTorch's best against JAX.

    Args:
        section: its name.
        counts: how much.
        problems: label -> name of the network, m or 0 for the network alone, and our variants with their targets.
    """
    results = {}
    tell(f"{section}: starting JAX and PyTorch")
    with tempfile.TemporaryDirectory() as folder, jax_worker() as ours, torch_workers() as theirs:
        for label, (name, num_measurements, targets) in problems.items():
            tell(f"{section}: {label}, compiling and checking that both sides agree")
            setup = {"name": name, "num_measurements": num_measurements, "path": str(Path(folder) / "weights.npz")}
            answer = ours.ask("prepare", **setup, dtypes=list(targets))
            setup |= {"layers": answer["layers"], "largest": answer["largest"]}
            sides, torch_answers = {variant: (ours, variant) for variant in targets}, {}
            for process, worker in theirs.items():
                for variant, torch_answer in worker.ask("prepare", **setup).items():
                    torch_answers[f"{process} {variant}"] = torch_answer
                    sides[f"{process} {variant}"] = worker, variant
            first, *narrower = answer["answers"]
            difference = require_agreement(f"{section}, {label}", answer["answers"][first], torch_answers)
            for variant in narrower:
                both = answer["answers"][first], {variant: answer["answers"][variant]}
                require_agreement(f"{section}, {label}", *both, tolerance=NARROW_TOLERANCE)

            steps = CASES[name].steps(counts.share)
            tell(f"{section}: {label}, agree to {difference:.0e}; {counts.rounds} rounds of {steps} steps a side")
            turns = {side: partial(_milliseconds, *which, counts.warm_up, steps) for side, which in sides.items()}
            times = alternate(turns, counts.rounds, f"{section} {label}")
            for variant, target in targets.items():
                shown = {"jax": times[variant]} | {side: times[side] for side in torch_answers}
                facts = {"difference": difference, "target": target, **compare(shown, "jax")}
                results[label if len(targets) == 1 else f"{label}, {variant}"] = {"milliseconds": shown, **facts}
    return results


def _milliseconds(worker: Worker, variant: str, warm_up: int, steps: int) -> float:
    """Of a step in a turn of the worker."""
    return 1000 * worker.ask("turn", variant=variant, warm_up=warm_up, steps=steps)


def lasso(counts: Counts) -> dict:
    """Lasso-DCT of a photograph, alpha = 1e-5, to the objective where scikit-learn stops, s (medians)."""
    name, case = counts.lasso, DENSE_CASES[counts.lasso]
    tell(f"lasso: {name}, m = {case.num_measurements}, {counts.lasso_rounds} rounds")
    with tempfile.TemporaryDirectory() as folder, jax_worker() as ours, sklearn_worker() as theirs:
        setup = {"name": name, "path": f"{folder}/measurements.npy"}
        alpha = ours.ask("prepare_lasso", **setup)
        reference = theirs.ask("prepare_lasso", **setup, alpha=alpha)
        answer = ours.ask("reach", objective=reference["objective"])
        if answer["objective"] > reference["objective"]:
            raise InputError(f"lasso, {name}: JAX stayed above scikit-learn's objective, {reference['objective']}")
        one = {"variant": "", "warm_up": 0, "steps": 1}
        turns = {"jax": partial(ours.ask, "turn", **one), "scikit-learn": partial(theirs.ask, "turn", **one)}
        times = alternate(turns, counts.lasso_rounds, f"lasso {name}")
    facts = {"num_measurements": case.num_measurements, "steps": answer["steps"], **reference, "target": LASSO_TARGET}
    return {name: {"seconds": times, **facts, **compare(times, "jax")}}


def size(counts: Counts) -> dict:
    """A CS-DIP step of a square image, m = n / 10 without a matrix, ns per pixel (medians)."""
    shapes = [(side, colours) for colours in COLOURS for side in counts.sides]
    with contextlib.ExitStack() as stack:
        workers, peaks = {shape: stack.enter_context(jax_worker()) for shape in shapes}, {}
        for (side, colours), worker in workers.items():
            tell(f"size: {side} x {side} {colours}, compiling")
            peaks[side, colours] = worker.ask("prepare_size", side=side, channels=COLOURS[colours])

        def nanoseconds(shape):
            steps = max(1, round(counts.share * SIZE_STEPS * (SIZE_REFERENCE / shape[0]) ** 2))
            return 1e9 * workers[shape].ask("turn", variant="", warm_up=1, steps=steps) / shape[0] ** 2

        times = alternate({shape: partial(nanoseconds, shape) for shape in shapes}, counts.rounds, "size")
    results, (reference, *larger) = {}, counts.sides
    for side, colours in [shape for shape in shapes if shape[0] in larger]:
        pair = {str(side): times[side, colours], str(reference): times[reference, colours]}
        facts = {"colours": colours, "peak": peaks[side, colours], "target": SIZE_TARGET}
        results[f"{side} x {side} {colours}"] = {"nanoseconds": pair, **compare(pair, str(reference)), **facts}
    return results


def start(counts: Counts) -> dict:
    """Fresh processes, x-ray, seconds (medians)."""
    command = [sys.executable, "-m", "experiments.benchmark.first_step"]

    def seconds(cache):
        environment = os.environ | JAX_SETTINGS | {"JAX_COMPILATION_CACHE_DIR": cache}
        return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)

    rows = []
    for _ in tqdm(range(counts.lasso_rounds), desc="start", leave=False, disable=None):
        with tempfile.TemporaryDirectory() as cache:
            (packages, imported, cold), (*_, warm) = seconds(cache), seconds(cache)
        rows.append([imported - packages, cold, warm])
    return {
        name: {"seconds": list(values), "median": median(values), "target": START_TARGETS[name]}
        for name, values in zip(START_TARGETS, zip(*rows, strict=True), strict=True)
    }


def memory(counts: Counts, name: str = "xray") -> dict:
    """A fresh process that draws a dense A and does a whole x-ray fit, MB (1e6 bytes)."""
    results = {}
    for m in counts.matrix_rows:
        tell(f"memory: {name}, m = {m}, {counts.memory_steps} steps")
        # With the cache of programs the compiler's own memory would not show.
        with jax_worker(JAX_ENABLE_COMPILATION_CACHE="false") as worker:
            sizes = worker.ask("peak_memory", name=name, num_measurements=m, steps=counts.memory_steps)
        results[str(m)] = sizes | {"target": MEMORY_TARGET}
    return results
