"""The sections that measure us beside other packages; each returns what it measured, ready for JSON."""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from csdip_jax.methods import LassoDct
from csdip_jax.types import InputError
from experiments.benchmark import processes
from experiments.benchmark.cases import CASES, LASSO_CASES
from experiments.benchmark.counts import Counts
from experiments.benchmark.rounds import alternate, calls, compare, milliseconds, require_agreement

NARROW_TOLERANCE = 1e-2
"""Relative difference of losses and gradients allowed between a matrix and its narrower storage."""


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
        print(f"{section}: starting JAX and PyTorch", flush=True)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = stack.enter_context(processes.jax_worker())
        theirs = stack.enter_context(processes.torch_workers())
        for label, (name, num_measurements, targets) in problems.items():
            print(f"{section}: {label}, compiling and checking that both sides agree", flush=True)
            setup = {"name": name, "num_measurements": num_measurements, "path": str(folder / "weights.npz")}
            answer = ours.ask("prepare", **setup, dtypes=list(targets))
            setup |= {"layers": answer["layers"], "largest": answer["largest"]}
            steps = max(2, round(counts.share * CASES[name].turn_steps))
            own = {variant: partial(milliseconds, ours, variant, counts.warm_up, steps) for variant in targets}
            other, torch_answers = {}, {}
            for process, worker in theirs.items():
                for variant, torch_answer in worker.ask("prepare", **setup).items():
                    side = f"{process} {variant}"
                    torch_answers[side] = torch_answer
                    other[side] = partial(milliseconds, worker, variant, counts.warm_up, steps)
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


def lasso(counts: Counts) -> dict:
    """Per problem: seconds of scikit-learn's Lasso to its default tolerance, and of ours to the same objective."""
    results = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        processes.jax_worker() as ours,
        processes.sklearn_worker() as theirs,
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


def denoiser(counts: Counts) -> dict:
    """A step of BM3D-AMP beside the two calls of the bm3d wheel within it, seconds."""
    results = {}
    with processes.limits_worker() as worker:
        for name in counts.lasso:
            print(f"denoiser: {name}, {counts.lasso_rounds} rounds", flush=True)
            worker.ask("prepare_denoiser", name=name)
            times = alternate(calls(worker, ("step", "wheel")), counts.lasso_rounds, "denoiser")
            results[name] = {"seconds": times, **compare(times, "step")}
    return results
