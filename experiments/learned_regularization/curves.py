"""MSE and objective against the steps, from random and from learned starts: of study alone, they decide nothing."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pandas as pd

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.commands import pictures, tables
from csdip_jax.files import is_whole, read_arrays, write_arrays, write_atomically
from csdip_jax.methods import CsDip
from csdip_jax.runs.measurement import image_id, keys_of
from csdip_jax.runs.workdir import Workdir
from csdip_jax.types import Array
from experiments.learned_regularization.stages import CellRun
from experiments.learned_regularization.study import Cell, Plan

TRACES = ("mse", "objective")


def methods(run: CellRun) -> dict[str, CsDip]:
    """Name of a curve -> method: random starts in all steps and in few, the learned one in as few."""
    plan, names = run.plan, run.trained()
    few = priors.FEW_STEPS | {"steps": plan.config.start_steps}
    return {
        "cold": plan.method,
        "cold, few steps": dataclasses.replace(plan.method, **few),
        "learned start": dataclasses.replace(plan.method, **few, learned_start=run.start(names)),
    }


def _mse(truth: Array, image: Array) -> Array:
    return cs.metrics.mse(image, truth)


def traces(plan: Plan, workdir: Workdir, cell: Cell) -> dict[str, dict[str, np.ndarray]]:
    """Name of a curve -> trace -> [test images, steps]; each fit is a file below curves/, and is not run again."""
    run, keys, found = CellRun(plan, workdir, cell), keys_of(plan.config.seed), {}
    for label, method in methods(run).items():
        each = []
        for name, image in plan.test.items():
            path = workdir.path / "curves" / f"{cell.name}-{label}-{name}.npz".replace(", ", "-").replace(" ", "_")
            expected = dict.fromkeys(TRACES, ("f", (method.steps,)))
            if not is_whole(path, **expected):
                record = {"mse": jax.tree_util.Partial(_mse, image)}
                fit = partial(cs.reconstruct, image_ids=[image_id(name)], progress=path.stem, record=record)
                solution = fit(method, cell.measurement.problem(keys, name, image), keys.fit)
                path.parent.mkdir(exist_ok=True)
                write_arrays(path, **{trace: np.asarray(solution.trace[trace]) for trace in TRACES})
            each.append(read_arrays(path, **expected))
        found[label] = {trace: np.stack([one[trace] for one in each]) for trace in TRACES}
    return found


def entries(found: dict[str, dict[str, np.ndarray]]) -> pd.DataFrame:
    """A line per curve: the geometric mean over the test images of the last MSE, relative to that of the first curve.

    `steps_to_the_first` are those after which the curve's own mean is within 2 % of that of the first, NaN if never.
    """
    means = {label: np.exp(np.log(each["mse"]).mean(0)) for label, each in found.items()}
    aim, lines = 1.02 * next(iter(means.values()))[-1], []
    for label, mean in means.items():
        below = np.flatnonzero(mean <= aim)
        reached = below[0] + 1 if below.size else np.nan
        lines.append({"curve": label, "steps": len(mean), "mse": mean[-1], "steps_to_the_first": reached})
    return pd.DataFrame(lines).assign(ratio=lambda lines: lines["mse"] / lines["mse"].iloc[0])


def as_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Its numbers as people read them."""
    return table.map(lambda entry: entry if isinstance(entry, str) else tables.number(entry, ".4g"))


def write(plan: Plan, workdir: Workdir) -> None:
    """Prints a table for each cell, and writes it and a picture of the curves into the workdir."""
    for cell in plan.cells:
        found = traces(plan, workdir, cell)
        table = entries(found)
        print(f"\n{cell.name}, {len(plan.test)} images, geometric means\n\n{tables.as_markdown(as_texts(table))}\n")
        path = workdir.path / f"curves-{cell.name}"
        write_atomically(path.with_suffix(".csv"), lambda file, table=table: file.write(tables.as_csv(table).encode()))
        pictures.save_figure(path.with_suffix(".png"), draw(found))


def draw(found: dict[str, dict[str, np.ndarray]]):
    """A panel per trace; thin lines are images, thick ones their geometric mean."""
    figure, axes = pictures.plt.subplots(1, len(TRACES), figsize=(9, 3.8), layout="constrained")
    for axis, trace in zip(axes, TRACES, strict=True):
        for place, (label, each) in enumerate(found.items()):
            steps = np.arange(1, each[trace].shape[1] + 1)
            axis.plot(steps, each[trace].T, color=f"C{place}", lw=0.5, alpha=0.4)
            axis.plot(steps, np.exp(np.log(each[trace]).mean(0)), color=f"C{place}", lw=2, label=label)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel("steps")
        axis.set_title("MSE" if trace == "mse" else trace, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    return figure
