"""What a study says: the table as the paper prints it, how lr_weight was chosen, and the pictures."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from csdip_jax.results import Workdir, write_atomically
from experiments import pictures
from experiments.learned_regularization.stages import OFF, CellRun, Row, is_off
from experiments.learned_regularization.study import Cell, Plan
from experiments.reconstruct import fits

PUBLISHED = Path(__file__).parents[1] / "reference" / "table1_learned_regularization.csv"


class Entry(NamedTuple):
    """An arm in a cell of the table.

    Attributes:
        cell, arm: which.
        lr_weight: the chosen one; 0 for off.
        off, on: mean MSE without and with.
        decrease: percent by which it is lower with.
        half_width: of the 95 % interval of the decrease; NaN for a single image.
        published: the paper's decrease, or NaN.
    """

    cell: Cell
    arm: str
    lr_weight: float
    off: float
    on: float
    decrease: float
    half_width: float
    published: float


def percent_decrease(off: np.ndarray, on: np.ndarray) -> tuple[float, float]:
    """100 (1 - mean(on) / mean(off)) of paired errors, and the half width of its 95 % interval.

    The ratio of two means is linear in the images' on - ratio off to first order; their spread, with Student's t, is
    that of the ratio. NaN for fewer than two images.
    """
    ratio, count = on.mean() / off.mean(), len(off)
    if count < 2:
        return 100 * (1 - ratio), np.nan
    spread = np.std(on - ratio * off, ddof=1) / off.mean()
    return 100 * (1 - ratio), 100 * stats.t.ppf(0.975, count - 1) * spread / np.sqrt(count)


def published() -> dict[tuple[float, int], float]:
    """(noise variance, m) -> percent decrease, Table 1 of the paper."""
    lines = (line for line in PUBLISHED.read_text().splitlines() if not line.startswith("#"))
    return {(float(r["noise_variance"]), int(r["m"])): float(r["percent_decrease"]) for r in csv.DictReader(lines)}


def entries(plan: Plan, workdir: Workdir) -> list[Entry]:
    """One per cell and arm."""
    known, result = published() if plan.config.data == "xray" else {}, []
    for cell in plan.cells:
        run = CellRun(plan, workdir, cell)
        rows = run.rows

        def errors(arm, weight, rows=rows):
            return np.array([rows[Row("test", arm, weight, name)]["mse"] for name in plan.test])

        off = errors(OFF, 0.0)
        for arm in plan.arms:
            weight = run.weight_of(arm)
            on = off if is_off(arm, weight) else errors(arm.label, weight)
            theirs = known.get((cell.measurement.noise_variance, cell.measurement.count), np.nan)
            result.append(Entry(cell, arm.label, weight, off.mean(), on.mean(), *percent_decrease(off, on), theirs))
    return result


def write(plan: Plan, workdir: Workdir) -> None:
    """Prints the table, and writes it and the pictures into the workdir."""
    table = entries(plan, workdir)
    text = markdown(table, len(plan.test))
    print(f"\n{text}\n")
    write_atomically(workdir.path / "table.md", lambda file: file.write(text.encode() + b"\n"))
    write_atomically(workdir.path / "table.csv", lambda file: file.write(as_csv(table).encode()))
    save_table(workdir.path / "table.png", table)
    save_choice(workdir.path / "choice.png", plan, workdir)
    for cell in plan.cells:
        save_comparison(plan, workdir, cell)
    print(f"tables and pictures: {workdir.path}; priors: {workdir.path / 'priors'}")


def markdown(table: Sequence[Entry], images: int) -> str:
    """A block per arm, rows noise variance and columns m, as the paper's Table 1."""
    counts = list(dict.fromkeys(entry.cell.measurement.count for entry in table))
    noises = list(dict.fromkeys(entry.cell.measurement.noise_variance for entry in table))
    found = {(e.arm, e.cell.measurement.noise_variance, e.cell.measurement.count): e for e in table}
    lines = [
        f"Percent decrease of the mean MSE of {images} images, +- half a 95 % interval (paired) [lr_weight, off = 0]; "
        "published in parentheses."
    ]
    for arm in dict.fromkeys(entry.arm for entry in table):
        head = [f"{arm}: noise variance", *(f"m = {m}" for m in counts)]
        lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for noise in noises:
            lines.append(f"| {' | '.join([f'{noise:g}', *(_cell_text(found[arm, noise, m]) for m in counts)])} |")
    return "\n".join(lines)


def _cell_text(entry: Entry) -> str:
    interval = "" if np.isnan(entry.half_width) else f" +- {entry.half_width:.1f}"
    theirs = "" if np.isnan(entry.published) else f" ({entry.published:.1f})"
    return f"{entry.decrease:.1f}{interval} [{entry.lr_weight:g}]{theirs}"


def as_csv(table: Sequence[Entry]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["noise_variance", "m", "arm", "lr_weight", "mse_off", "mse_on", "percent_decrease", "half_width", "published"]
    )
    for (measurement,), *values in table:
        writer.writerow([f"{measurement.noise_variance:g}", measurement.count, *values])
    return text.getvalue()


def save_table(path: Path, table: Sequence[Entry]) -> None:
    """Percent decrease against the noise variance, a panel per number of measurements, with the published values."""
    counts = list(dict.fromkeys(entry.cell.measurement.count for entry in table))
    figure, axes = pictures.plt.subplots(
        1, len(counts), figsize=(3.8 * len(counts) + 0.6, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    arms = list(dict.fromkeys(entry.arm for entry in table))
    for axis, m in zip(axes[0], counts, strict=True):
        for number, arm in enumerate(arms):
            mine = [entry for entry in table if entry.arm == arm and entry.cell.measurement.count == m]
            places = np.arange(len(mine)) + 0.12 * (number - (len(arms) - 1) / 2)
            axis.errorbar(
                places, [e.decrease for e in mine], [e.half_width for e in mine], fmt="o", ms=4, capsize=2, label=arm
            )
        axis.plot([entry.published for entry in mine], "k_", ms=18, label="published")
        axis.axhline(0, color="k", lw=0.5)
        axis.set_xticks(range(len(mine)), [f"{entry.cell.measurement.noise_variance:g}" for entry in mine])
        axis.set_xlabel("noise variance")
        axis.set_title(f"m = {m}", fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("percent decrease of MSE")
    axes[0, 0].legend(fontsize=8)
    pictures.save_figure(path, figure)


def save_choice(path: Path, plan: Plan, workdir: Workdir) -> None:
    """Held-out loss against lr_weight, relative to the one without, a panel per reading, a curve per cell."""
    if not plan.readings:
        return
    figure, axes = pictures.plt.subplots(
        1, len(plan.readings), figsize=(4.2 * len(plan.readings) + 0.4, 3.6), squeeze=False, layout="constrained"
    )
    for axis, reading in zip(axes[0], plan.readings, strict=True):
        for cell in plan.cells:
            losses = CellRun(plan, workdir, cell).held_out_losses(reading)
            weights = sorted(plan.lr_weights(reading))
            axis.plot(weights, [losses[weight] / losses[0.0] for weight in weights], "o-", ms=4, label=cell.name)
        axis.axhline(1, color="k", lw=0.5)
        axis.set_xscale("log")
        axis.set_xlabel("lr_weight")
        axis.set_title(reading, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("held-out loss, relative to off")
    axes[0, 0].legend(fontsize=7)
    pictures.save_figure(path, figure)


def save_comparison(plan: Plan, workdir: Workdir, cell: Cell) -> None:
    """The first test images of a cell by every arm."""
    run, comparisons = CellRun(plan, workdir, cell), []
    rows = run.rows
    for name, original in plan.test.items():
        shown, captions, adjoint = {}, {}, None
        for arm in (None, *plan.arms):
            label, weight = (OFF, 0.0) if arm is None else (arm.label, run.weight_of(arm))
            row = rows.get(Row("test", label, weight, name))
            if row is not None:
                with np.load(fits.reconstruction(workdir, row["stem"])) as saved:
                    shown[label], adjoint = saved["image"], saved["adjoint"]
                captions[label] = f"MSE {row['mse']:.4f}, lr_weight {weight:g}"
        comparisons.append(pictures.Comparison(f"{name}\n{cell.name}", original, adjoint, shown, captions))
    pictures.save_comparison(workdir.path / f"comparison-{cell.name}.png", comparisons)
