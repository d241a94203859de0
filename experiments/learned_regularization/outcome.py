"""What a study says: the table as the paper prints it, how lr_weight was chosen, and the pictures."""

import math
import textwrap

import numpy as np
import pandas as pd

from csdip_jax.commands import pictures, tables
from csdip_jax.commands.estimates import estimate
from csdip_jax.commands.row_tables import flag
from csdip_jax.commands.tables import number
from csdip_jax.files import write_atomically
from csdip_jax.runs import saved
from csdip_jax.runs.row import Row
from csdip_jax.runs.workdir import Workdir
from experiments import published
from experiments.learned_regularization.stages import OFF, CellRun, Key, is_off
from experiments.learned_regularization.study import Cell, Plan

PUBLISHED_SHAPE = (256, 256, 1)


def percent_decrease(off: np.ndarray, on: np.ndarray) -> tuple[float, float]:
    """100 (1 - mean(on) / mean(off)) of paired errors, and the half width of its 95 % interval.

    The ratio of two means is linear in the images' on - ratio off to first order; their spread, with Student's t, is
    that of the ratio. NaN for fewer than two images.
    """
    ratio = on.mean() / off.mean()
    return 100 * (1 - ratio), 100 * estimate(on - ratio * off).half_width / off.mean()


def entries(plan: Plan, workdir: Workdir) -> pd.DataFrame:
    """A line per cell and arm, as table.csv has them.

    The chosen `lr_weight` is 0 where none helped, or for a warm start alone; `is_off` says that nothing is left of the
    arm, whose images are those without. `off` and `on` are mean MSEs without and with, `decrease` by how many percent
    it is lower with, `half_width` of its 95 % interval. `published` is the paper's decrease, which is of `layer_means`.
    `unequal` counts pairs in which a fit failed, or was drawn anew and so does not start as the other does.
    """
    theirs_too = plan.config.data == "xray" and next(iter(plan.test.values())).shape == PUBLISHED_SHAPE
    known, found = published.percent_decreases() if theirs_too else {}, []
    for cell in plan.cells:
        run, noise, m = CellRun(plan, workdir, cell), cell.measurement.noise_variance, cell.measurement.count
        rows = run.rows
        off = [rows[Key("test", OFF, 0.0, name)] for name in plan.test]
        for arm in plan.arms:
            weight = run.weight_of(arm)
            on = off if is_off(arm, weight) else [rows[Key("test", arm.label, weight, name)] for name in plan.test]
            errors = [np.array([row.mse for row in group], float) for group in (off, on)]
            decrease, half_width = percent_decrease(*errors)
            as_theirs = arm.reading == "layer_means" and arm.penalized and not arm.warm
            found.append(
                {
                    "noise_variance": noise,
                    "m": m,
                    "arm": arm.label,
                    "lr_weight": weight,
                    "is_off": is_off(arm, weight),
                    "off": errors[0].mean(),
                    "on": errors[1].mean(),
                    "decrease": decrease,
                    "half_width": half_width,
                    "published": known.get((noise, m), math.nan) if as_theirs else math.nan,
                    "unequal": sum(map(_unequal, off, on)),
                }
            )
    return pd.DataFrame(found)


def _unequal(a: Row, b: Row) -> bool:
    return a.redraws != b.redraws or not (a.ok and b.ok)


def write(plan: Plan, workdir: Workdir) -> pd.DataFrame:
    """Prints the table, and writes it and the pictures into the workdir; the `entries`."""
    found = entries(plan, workdir)
    text = as_text(plan, workdir, found)
    print(f"\n{text}\n")
    write_atomically(workdir.path / "table.md", lambda file: file.write(text.encode() + b"\n"))
    write_atomically(workdir.path / "table.csv", lambda file: file.write(tables.as_csv(found).encode()))
    pictures.save_figure(workdir.path / "table.png", draw_decreases(found))
    if plan.readings:
        pictures.save_figure(workdir.path / "choice.png", draw_choice(plan, workdir))
    for cell in plan.cells:
        save_comparison(plan, workdir, cell)
    print(f"tables and pictures: {workdir.path}; priors: {workdir.path / 'priors'}")
    return found


def as_text(plan: Plan, workdir: Workdir, found: pd.DataFrame) -> str:
    """The table for people, and what they should know of how it came about."""
    return "\n".join([markdown(found, len(plan.test)), *_notes(plan, workdir)])


def _notes(plan: Plan, workdir: Workdir) -> list[str]:
    """What a reader of the table should know of how it came about."""
    notes = []
    for cell in plan.cells:
        run = CellRun(plan, workdir, cell)
        failed = len(plan.training) - len(run.trained())
        if failed:
            notes.append(f"{cell.name}: {failed} training fits failed and are left out of the priors.")
        for reading in plan.readings:
            weight, grid = run.chosen_weight(reading), plan.lr_weights(reading)
            if weight == max(grid):  # below the smallest, 0 competes
                notes.append(f"{cell.name}, {reading}: {weight:g} is the largest of its grid, try a wider one.")
    return ["", *notes] if notes else []


def markdown(found: pd.DataFrame, images: int) -> str:
    """A block per arm, rows noise variance and columns m, as the paper's Table 1."""
    of = f"the mean MSE of {images} images, with its paired 95 % interval," if images > 1 else "the MSE of 1 image"
    theirs = " (published)" if found["published"].notna().any() else ""
    blocks, unequal = [f"Percent decrease of {of} [lr_weight]{theirs}"], []
    for arm, group in found.groupby("arm", sort=False):
        noises, counts = group["noise_variance"].map("{:g}".format), group["m"].map("m = {}".format)
        texts = [_cell_text(entry) for entry in group.itertuples()]
        blocks.append(tables.as_markdown(tables.crossed(f"{arm}: noise variance", noises, counts, texts)))
    for entry in found[found["unequal"] > 0].itertuples():
        unequal.append(f"{entry.arm}, m{entry.m}-noise{entry.noise_variance:g}: {entry.unequal}")
    if unequal:
        blocks.append(f"Pairs with a failed fit, or one drawn anew and so not paired: {'; '.join(unequal)}")
    return "\n\n".join(blocks)


def _cell_text(entry) -> str:
    theirs = "" if math.isnan(entry.published) else f" ({entry.published:.1f})"
    if entry.is_off:
        return f"off{theirs}"
    interval = "" if math.isnan(entry.half_width) else f" +- {entry.half_width:.1f}"
    weight = f" [{entry.lr_weight:g}]" if entry.lr_weight else ""  # a warm start alone has none
    return f"{entry.decrease:.1f}{interval}{weight}{theirs}"


def draw_decreases(found: pd.DataFrame, title: str = ""):
    """Percent decrease against the noise variance, a panel per number of measurements, with the published values."""
    counts, arms = found["m"].unique(), found["arm"].unique()
    width = 3.8 * len(counts)  # of the panels, without the legend
    figure, axes = pictures.plt.subplots(
        1, len(counts), figsize=(width + 2.4, 3.8), sharey=True, squeeze=False, layout="constrained"
    )
    colours = pictures.plt.get_cmap("tab20").colors
    for axis, m in zip(axes[0], counts, strict=True):
        for place, arm in enumerate(arms):
            mine = found[(found["arm"] == arm) & (found["m"] == m)]
            places = np.arange(len(mine)) + 0.7 * ((place + 0.5) / len(arms) - 0.5)
            style = {"fmt": "o", "ms": 4, "capsize": 2, "label": arm, "color": colours[2 * place % 20 + place // 10]}
            axis.errorbar(places, mine["decrease"], mine["half_width"], **style)
            if mine["published"].notna().any():
                axis.plot(places, mine["published"], "k*", ms=8, label=f"published, {arm}")
        axis.axhline(0, color="k", lw=0.5)
        axis.set_xticks(range(len(mine)), mine["noise_variance"].map("{:g}".format))
        axis.set_xlim(-0.5, len(mine) - 0.5)
        axis.set_xlabel("noise variance")
        axis.set_title(f"m = {m}", fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("percent decrease of MSE")
    handles = {
        label: handle for axis in axes[0] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", fontsize=8)
    figure.suptitle(textwrap.fill(title, int(12 * width)), fontsize=10, x=width / 2 / figure.get_figwidth())
    return figure


def draw_choice(plan: Plan, workdir: Workdir):
    """Held-out loss against lr_weight, relative to the one without, a panel per reading, a curve per cell."""
    figure, axes = pictures.plt.subplots(
        1, len(plan.readings), figsize=(4.2 * len(plan.readings) + 0.4, 3.6), squeeze=False, layout="constrained"
    )
    for axis, reading in zip(axes[0], plan.readings, strict=True):
        for cell in plan.cells:
            run = CellRun(plan, workdir, cell)
            losses, chosen = run.held_out_losses(reading), run.chosen_weight(reading)
            weights = sorted(plan.lr_weights(reading))
            label = f"{cell.name}, chosen {chosen:g}" if chosen else f"{cell.name}, off chosen"
            axis.plot(weights, [losses[weight] / losses[0.0] for weight in weights], "o-", ms=4, label=label)
        axis.axhline(1, color="k", lw=0.5)
        axis.legend(fontsize=7)
        axis.set_xscale("log")
        axis.set_xlabel("lr_weight")
        axis.set_title(reading, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel("held-out loss, noise included,\nrelative to off")
    return figure


def save_comparison(plan: Plan, workdir: Workdir, cell: Cell) -> None:
    """The first test images of a cell by every arm."""
    run, comparisons = CellRun(plan, workdir, cell), []
    rows = run.rows
    for name, original in plan.test.items():
        shown, captions, maps, adjoint = {}, {}, {}, None
        for arm in (None, *plan.arms):
            label, weight = (OFF, 0.0) if arm is None else (arm.label, run.weight_of(arm))
            off = arm is None or is_off(arm, weight)
            row = rows[Key("test", OFF, 0.0, name) if off else Key("test", label, weight, name)]
            arrays = saved.load(saved.reconstruction(workdir.path, row.file), original.shape, "adjoint")
            shown[label], adjoint, maps[label] = arrays["image"], arrays["adjoint"], saved.maps(arrays)
            facts = (f"MSE {number(row.mse, '.4f')}", "off" if off else f"lr_weight {weight:g}", flag(row))
            captions[label] = ", ".join(filter(None, facts))
        comparisons.append(pictures.Comparison(f"{name}\n{cell.name}", original, adjoint, shown, captions, maps))
    pictures.save_comparison(workdir.path / f"comparison-{cell.name}.png", comparisons)
