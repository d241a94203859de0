"""The sections of the benchmark; each returns what it measured, ready for JSON."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import jax
from tqdm import tqdm

from csdip_jax.methods import LassoDct
from csdip_jax.types import InputError
from experiments.benchmark.cases import CASES, LASSO_CASES, TERM_CASES
from experiments.benchmark.rounds import alternate, compare, require_agreement
from experiments.benchmark.worker import Worker

CPU = {"JAX_PLATFORMS": "cpu", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
TERM_CALLS = 5
SIZE_REFERENCE, SIZE_STEPS = 128, 60
SIZE_TARGET = 1.5
START_TARGETS = {"imports beyond jax, flax, optax": 0.5, "first step, nothing cached": 6.0, "first step, cached": 3.0}
WAIT_POLICIES = ("active", "passive")
FITS = 8
FITS_TARGET = 1.15
SWEEP_TARGET = 0.95
MEMORY_TARGET = 1_000_000_000
SHARED_TARGET = 2.0
NARROW_TOLERANCE = 1e-2
"""Relative difference of losses and gradients allowed between a matrix and its narrower storage."""


class Counts(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: turns of each side.
        warm_up: untimed steps at the start of a turn.
        share: of `Case.turn_steps` in a turn of section `step`; half of it in one of `fit`, and in each fit of `fits`.
        sweep_steps: of each fit in section `sweep`.
        square: rows of the matrices whose product is this machine's limit, in section `limits`.
        sides: of the images in section `size`, the first one the reference.
        matrix_rows: numbers of measurements in section `memory`.
        memory_steps: steps of its reconstructions.
        term: names of the problems in section `term`.
        lasso: names of the problems in section `lasso`.
        lasso_rounds: turns of each side in sections `lasso`, `sweep` and `start`, which are long.
    """

    rounds: int = 12
    warm_up: int = 2
    share: float = 1.0
    sweep_steps: int = 1000
    square: int = 2048
    sides: tuple[int, ...] = (128, 256, 512, 1024)
    matrix_rows: tuple[int, ...] = (2000, 4000)
    memory_steps: int = 15
    term: tuple[str, ...] = ("xray",)
    lasso: tuple[str, ...] = ("photograph",)
    lasso_rounds: int = 4


QUICK = Counts(
    rounds=2,
    warm_up=1,
    share=0.04,
    sweep_steps=10,
    square=64,
    sides=(16, 32),
    matrix_rows=(200,),
    memory_steps=3,
    term=("small",),
    lasso=("small",),
    lasso_rounds=1,
)


def require_rivals(sections: Sequence[str]) -> None:
    """Refuses the sections that cannot run."""
    alone = [name for name in SECTIONS if name not in NEEDED]
    for package, rival in dict(NEEDED[name] for name in sections if name in NEEDED).items():
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{rival}, to compare with, is not installed: run `python -m pip install -e '.[bench]'`, "
                f"or measure JAX alone with --sections={','.join(alone)}"
            )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def step(counts: Counts, names: Sequence[str] = tuple(CASES)) -> dict:
    """The network alone, gradient and RMSProp update, beside PyTorch."""
    return _beside_torch("step", counts, {name: (name, 0, {"jax": CASES[name].target}) for name in names})


def fit(counts: Counts, names: Sequence[str] = tuple(CASES)) -> dict:
    """A whole CS-DIP step with a dense A and total variation, beside PyTorch; A in float32 there, and narrower here."""
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
    with contextlib.ExitStack() as stack:
        print(f"{section}: starting JAX and {len(WAIT_POLICIES)} PyTorch processes", flush=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(_jax_worker())
        theirs = {policy: stack.enter_context(_torch_worker(policy)) for policy in WAIT_POLICIES}
        for label, (name, num_measurements, targets) in problems.items():
            print(f"{section}: {label}, compiling and checking that both sides agree", flush=True)
            setup = {"name": name, "num_measurements": num_measurements, "path": str(folder / "weights.npz")}
            answer = ours.ask("prepare", **setup, dtypes=list(targets))
            setup |= {"layers": answer["layers"], "largest": answer["largest"]}
            steps = max(2, round(counts.share * CASES[name].turn_steps))
            own = {variant: partial(_milliseconds, ours, variant, counts.warm_up, steps) for variant in targets}
            other, torch_answers = {}, {}
            for policy, worker in theirs.items():
                for variant, torch_answer in worker.ask("prepare", **setup).items():
                    side = f"{policy} {variant}"
                    torch_answers[side] = torch_answer
                    other[side] = partial(_milliseconds, worker, variant, counts.warm_up, steps)
            first, *narrower = answer["answers"]
            difference = require_agreement(f"{section}, {label}", answer["answers"][first], torch_answers)
            for variant in narrower:
                both = answer["answers"][first], {variant: answer["answers"][variant]}
                require_agreement(f"{section}, {label}", *both, tolerance=NARROW_TOLERANCE)
            print(
                f"{section}: {label}, agree to {difference:.0e}; {counts.rounds} rounds of {steps} steps a side",
                flush=True,
            )
            times = alternate(own | other, counts.rounds, f"{section} {label}")
            for variant, target in targets.items():
                sides = {"jax": times[variant]} | {side: times[side] for side in other}
                results[label if len(targets) == 1 else f"{label}, {variant}"] = {
                    "milliseconds": sides,
                    "difference": difference,
                    "target": target,
                    **compare(sides, "jax"),
                }
    return results


def _milliseconds(worker: Worker, variant: str, warm_up: int, steps: int) -> float:
    return 1000 * worker.ask("turn", variant=variant, warm_up=warm_up, steps=steps)


def term(counts: Counts) -> dict:
    """Value and gradient of the measurement term alone: ms an image, by storage of A and by images that share it."""
    results = {}
    with _jax_worker() as worker:
        for name in counts.term:
            case = TERM_CASES[name]
            print(f"term: {name}, m = {case.num_measurements}, {counts.rounds} rounds", flush=True)
            images = worker.ask("prepare_term", name=name)

            def milliseconds(variant, images=images):
                return _milliseconds(worker, variant, counts.warm_up, TERM_CALLS) / images[variant]

            times = alternate({variant: partial(milliseconds, variant) for variant in images}, counts.rounds, "term")
            for variant in images:
                if variant != "one, float32":
                    pair = {side: times[side] for side in ("one, float32", variant)}
                    target = {"target": SHARED_TARGET} if variant == "shared" else {}
                    label = f"{case.images} that share A" if variant == "shared" else variant
                    results[f"{name}, {label}"] = {"milliseconds": pair, **compare(pair, variant), **target}
    return results


def fits(counts: Counts, names: Sequence[str] = ("mnist", "retino")) -> dict:
    """Per network: seconds of eight fits as one batch and as eight single ones, through `reconstruct`."""
    results = {}
    with _jax_worker() as worker:
        for name in names:
            steps = max(2, round(counts.share * CASES[name].turn_steps / 2))
            print(f"fits: {name}, {FITS} fits of {steps} steps, {counts.rounds} rounds", flush=True)
            if not worker.ask("prepare_fits", name=name, count=FITS, steps=steps):
                raise InputError(f"fits, {name}: the images of the batch are not exactly those of the single fits")
            sides = ("batch", "singles")
            turns = {side: partial(worker.ask, "turn", variant=side, warm_up=0, steps=1) for side in sides}
            times = alternate(turns, counts.rounds, f"fits {name}")
            results[name] = {"seconds": times, **compare(times, "singles"), "steps": steps, "target": FITS_TARGET}
    return results


def sweep(counts: Counts, name: str = "mnist") -> dict:
    """Fits x steps per second of `experiments.sweep`, files and all, beside those of a single fit by `reconstruct`."""
    with _jax_worker() as worker:
        steps = counts.sweep_steps
        print(f"sweep: {name}, 3 fits of {steps} steps beside one, {counts.lasso_rounds} rounds", flush=True)
        rates = worker.ask("prepare_sweep", name=name, images=3, steps=steps)
        sides = ("sweep", "single")

        def seconds_per_fit(side):
            return worker.ask("turn", variant=side, warm_up=0, steps=1) / rates[side]

        times = alternate({side: partial(seconds_per_fit, side) for side in sides}, counts.lasso_rounds, "sweep")
    return {name: {"seconds": times, **compare(times, "sweep"), "steps": steps, "target": SWEEP_TARGET}}


def memory(counts: Counts, name: str = "xray") -> dict:
    """Per number of measurements: bytes of A, and of a fresh process that draws it and does a whole fit with it."""
    results = {}
    for m in counts.matrix_rows:
        print(f"memory: {name}, m = {m}, {counts.memory_steps} steps", flush=True)
        # With the cache of programs the compiler's own memory would not show.
        with _jax_worker(JAX_ENABLE_COMPILATION_CACHE="false") as worker:
            results[str(m)] = worker.ask("peak_memory", name=name, num_measurements=m, steps=counts.memory_steps)
        results[str(m)]["target"] = MEMORY_TARGET
    return results


def size(counts: Counts) -> dict:
    """Per side of a grey square image, m = n / 10 without a matrix: nanoseconds per pixel and step; peak memory."""
    results = {}
    with contextlib.ExitStack() as stack:
        workers = {side: stack.enter_context(_jax_worker()) for side in counts.sides}
        peaks = {}
        for side, worker in workers.items():
            print(f"size: {side} x {side}, compiling", flush=True)
            peaks[side] = worker.ask("prepare_size", side=side)

        def nanoseconds(side):
            steps = max(1, round(counts.share * SIZE_STEPS * (SIZE_REFERENCE / side) ** 2))
            return 1e9 * workers[side].ask("turn", variant="", warm_up=1, steps=steps) / side**2

        times = alternate({side: partial(nanoseconds, side) for side in counts.sides}, counts.rounds, "size")
        reference, *larger = counts.sides
        for side in larger:
            pair = {str(side): times[side], str(reference): times[reference]}
            results[f"{side} x {side}"] = {
                "nanoseconds": pair,
                **compare(pair, str(reference)),
                "peak": peaks[side],
                "target": SIZE_TARGET,
            }
    return results


def limits(counts: Counts) -> dict:
    """Rates of products and of reading from memory, and what of them the network and the measurement term reach."""
    results = {}
    with _limits_worker() as worker:
        for name in counts.term:
            print(f"limits: {name}, {counts.rounds} rounds", flush=True)
            amounts = worker.ask("prepare_limits", name=name, size=counts.square)
            turns = {
                variant: partial(_milliseconds, worker, variant, counts.warm_up, TERM_CALLS) for variant in amounts
            }
            times = alternate(turns, counts.rounds, "limits")
            for part, limit in (("network", "gemm"), ("term", "read")):
                ((unit, amount),), ((_, most),) = amounts[part].items(), amounts[limit].items()
                pair = {
                    side: [1e-6 * work / milliseconds for milliseconds in times[side]]
                    for side, work in ((limit, most), (part, amount))
                }
                label = f"{name}, {'network' if part == 'network' else 'measurement term'}"
                results[label] = {"rates": pair, "unit": unit, **compare(pair, limit)}
    return results


def denoiser(counts: Counts) -> dict:
    """A step of BM3D-AMP beside the two calls of the bm3d wheel within it, seconds."""
    results = {}
    with _limits_worker() as worker:
        for name in counts.lasso:
            print(f"denoiser: {name}, {counts.lasso_rounds} rounds", flush=True)
            worker.ask("prepare_denoiser", name=name)
            turns = {side: partial(worker.ask, "turn", variant=side, warm_up=0, steps=1) for side in ("step", "wheel")}
            times = alternate(turns, counts.lasso_rounds, "denoiser")
            results[name] = {"seconds": times, **compare(times, "step")}
    return results


def start(counts: Counts) -> dict:
    """Seconds of imports and until the first step of an x-ray fit, in fresh processes, without and with a cache."""
    command = [sys.executable, "-m", "experiments.benchmark.first_step"]

    def seconds(cache, *arguments):
        environment = os.environ | CPU | {"JAX_COMPILATION_CACHE_DIR": cache}
        finished = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=True)
        return json.loads(finished.stdout)

    rows = []
    for _ in tqdm(range(counts.lasso_rounds), desc="start", leave=False, disable=None):
        with tempfile.TemporaryDirectory() as cache:
            (alone,), (imported, cold), (_, warm) = seconds(cache, "dependencies"), seconds(cache), seconds(cache)
        rows.append([imported - alone, cold, warm])
    return {
        name: {"seconds": list(values), "median": median(values), "target": START_TARGETS[name]}
        for name, values in zip(START_TARGETS, zip(*rows, strict=True), strict=True)
    }


def lasso(counts: Counts) -> dict:
    """Per problem: seconds of scikit-learn's Lasso to its default tolerance, and of ours to the same objective."""
    results = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        _jax_worker() as ours,
        Worker("scikit-learn", ["-m", "experiments.benchmark.sklearn_side"], {}) as theirs,
    ):
        for name in counts.lasso:
            case = LASSO_CASES[name]
            print(f"lasso: {name}, m = {case.num_measurements}, {counts.lasso_rounds} rounds", flush=True)
            setup = {"name": name, "path": f"{folder}/measurements.npy"}
            ours.ask("prepare_lasso", **setup)
            reference = theirs.ask("prepare_lasso", **setup, alpha=LassoDct.alpha)
            answer = ours.ask("reach", objective=reference["objective"])
            if answer["objective"] > reference["objective"]:
                raise InputError(f"lasso, {name}: JAX stayed above scikit-learn's objective, {reference['objective']}")
            workers = {"jax": ours, "scikit-learn": theirs}
            turns = {
                side: partial(worker.ask, "turn", variant="", warm_up=0, steps=1) for side, worker in workers.items()
            }
            times = alternate(turns, counts.lasso_rounds, f"lasso {name}")
            results[name] = {
                "num_measurements": case.num_measurements,
                "seconds": times,
                "steps": answer["steps"],
                **reference,
                **compare(times, "jax"),
                "target": case.target,
            }
    return results


SECTIONS = {
    "step": step,
    "term": term,
    "fits": fits,
    "sweep": sweep,
    "size": size,
    "limits": limits,
    "start": start,
    "memory": memory,
    "fit": fit,
    "lasso": lasso,
    "denoiser": denoiser,
}
RIVALS = {
    "step": ("torch", "PyTorch"),
    "fit": ("torch", "PyTorch"),
    "lasso": ("sklearn", "scikit-learn"),
}
"""Section -> package of the other side, and its name."""
NEEDED = RIVALS | {"denoiser": ("bm3d", "the bm3d wheel")}
"""The same of whatever is not installed anyway."""


@contextlib.contextmanager
def _jax_worker(module: str = "jax_side", **environment: str) -> Iterator[Worker]:
    settings = CPU | {"JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or ""}
    with Worker("JAX", ["-m", f"experiments.benchmark.{module}"], settings | environment) as worker:
        yield worker


_limits_worker = partial(_jax_worker, "limits_side")


@contextlib.contextmanager
def _torch_worker(policy: str) -> Iterator[Worker]:
    settings = {"OMP_WAIT_POLICY": policy, "OMP_NUM_THREADS": str(cores())}
    with Worker(f"PyTorch ({policy})", ["-m", "experiments.benchmark.torch_side"], settings) as worker:
        yield worker
