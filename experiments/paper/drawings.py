"""The figures: curves beside what was published, reconstructions beside their originals, the mask of radial lines."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator
from matplotlib.transforms import offset_copy

from csdip_jax import operators
from csdip_jax.commands.pictures import plt, show
from csdip_jax.commands.row_tables import decibels, flag, measured
from csdip_jax.commands.tables import number
from csdip_jax.methods import METHODS
from csdip_jax.runs import saved
from csdip_jax.runs.row import Row
from experiments.configs.paper_items import COLUMNS, SWEEPS, Item
from experiments.paper.numbers import MASK_SIZE

SIZE = (8.2, 4.4)  # inches, the legend beside the axes
DODGE = 2.5  # points between the bars of two methods at one place
TITLE_CHARACTERS = 14  # an inch


def curve(item: Item, points: pd.DataFrame, lines: Mapping[float, int] | None = None):
    """The MSE of every method with its 95 % interval; published means as crosses, their bars 95 % too.

    Args:
        item: which curve.
        points: as `numbers.points` makes them.
        lines: coefficients -> radial lines, to name on a Fourier axis.
    """
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    methods = points["method"].unique()
    for place, method in enumerate(methods):
        mine = points[points["method"] == method]
        aside = offset_copy(axis.transData, figure, x=DODGE * (place - (len(methods) - 1) / 2), units="points")
        style = {"color": METHODS[method].colour, "capsize": 2, "lw": 1.3, "ms": 4, "transform": aside}
        label = f"{METHODS[method].label}, preset {mine['preset'].iloc[0]}"
        axis.errorbar(mine["x"], mine["mse"], mine["half_width_95"], fmt="o-", label=label, **style)
        lost, theirs = mine[mine["failed"] > 0], mine.dropna(subset="published")
        if len(lost):
            hollow = {"ms": 4, "mfc": "white", "color": METHODS[method].colour}
            axis.plot(lost["x"], lost["mse"], "o", transform=aside, zorder=3, **hollow)
        if len(theirs):
            style |= {"lw": 0.9, "alpha": 0.6, "label": f"{METHODS[method].label}, published"}
            bars = 1.96 * theirs["published_standard_error"]
            axis.errorbar(theirs["x"], theirs["published"], bars, fmt="x--", **style)
    if points["failed"].any():
        axis.plot([], [], "o", ms=4, mfc="white", color="gray", label="hollow: fits among them failed")
    axis.set_ylabel("per-pixel MSE, pixels in [-1, 1]")
    axis.set_yscale("log")
    axis.set_ylim(_limits(points))
    _finish(figure, axis, item, sorted(points["x"].unique()), lines or {})
    axis.set_title(item.title, fontsize=10)
    return figure


def _limits(points: pd.DataFrame) -> tuple[float, float]:
    """Of a log axis: means and upper ends fit in; lower ends, which may be below 0, down to half the least mean."""
    means, upper = points[["mse", "published"]], points["mse"] + points["half_width_95"].fillna(0)
    return max(means.min().min(), 1e-7) / 2, max(means.max().max(), upper.max()) * 1.4


def _finish(figure, axis, item: Item, x: Sequence[float], lines: Mapping[float, int]) -> None:
    """The x axis, a grid, and the legend beside it."""
    if item.axis == "noise_variance":
        axis.set_xscale("symlog", linthresh=10, linscale=0.6)  # the first of them is 0
        axis.set_xlim(-3, 1.5 * max(x))  # limits are given, for matplotlib cannot tell them from points put aside
        axis.set_xlabel(r"noise variance $\sigma^2$, of a measurement $\sigma^2 / m$")
    else:
        axis.set_xscale("log")
        axis.set_xlim(min(x) / 1.15, 1.15 * max(x))
        fourier = SWEEPS[item.sweep].fourier
        axis.set_xlabel("Fourier coefficients on radial lines" if fourier else "measurements m")
    labels = [f"{value:g}\n({lines[value]} lines)" if value in lines else f"{value:g}" for value in x]
    axis.set_xticks(x, labels, fontsize=8)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7.5)


def seconds(item: Item, times: pd.DataFrame, preset: str):
    """Median seconds an image against m; published times, of other machines, as crosses."""
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    for method, mine in times.groupby("method", sort=False):
        style = {"ms": 4, "color": METHODS[method].colour}
        axis.plot(mine["m"], mine["seconds"], "o-", label=f"{METHODS[method].label}, preset {preset}", **style)
        theirs = mine.dropna(subset="published_seconds")
        if len(theirs):
            style |= {"lw": 0.9, "alpha": 0.6, "label": f"{METHODS[method].label}, published"}
            axis.plot(theirs["m"], theirs["published_seconds"], "x--", **style)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # times may span less than a decade
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_ylabel("median seconds an image")
    _finish(figure, axis, item, sorted(times["m"].unique()), {})
    axis.set_title(f"{item.title}\nhere: {times['device'].iloc[0]}", fontsize=9)
    return figure


def reconstructions(item: Item, folder: Path, rows: Sequence[Row]):
    """A row per method, a column per image, as the paper's figure 2: the first images of a sweep, with MSE and PSNR.

    Args:
        item: gives title and order of the methods.
        folder: of the sweep, with originals/ and reconstructions/.
        rows: of one number of measurements.
    """
    names = list(dict.fromkeys(row.image for row in rows))[:COLUMNS]
    found = {(row.method, row.image): row for row in rows}
    methods = [method for method in item.methods if any((method, name) in found for name in names)]
    size = (1.65 * len(names) + 0.6, 1.65 * (1 + len(methods)) + 0.4)
    figure, axes = plt.subplots(1 + len(methods), len(names), figsize=size, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, label in zip(axes[:, 0], ["original", *(METHODS[method].label for method in methods)], strict=True):
        axis.set_ylabel(label.replace(" (", "\n("), fontsize=8)
    for column, name in zip(axes.T, names, strict=True):
        show(column[0], saved.load(saved.original(folder, "", name))["image"])
        for axis, method in zip(column[1:], methods, strict=True):
            row = found.get((method, name))
            if row is None:
                axis.set_axis_off()
                continue
            show(axis, saved.load(saved.reconstruction(folder, row.file))["image"])
            facts = f"{number(row.mse, '.4f')}, {decibels(row.psnr, row.data_range)}"
            axis.set_xlabel("\n".join(filter(None, [facts, flag(row)])), fontsize=6.5)
    across, lines = int(TITLE_CHARACTERS * size[0]), (item.title, f"{measured(rows[0])}; under each: MSE, PSNR")
    figure.suptitle("\n".join(textwrap.fill(line, across) for line in lines), fontsize=9)
    return figure


def mask(title: str, counts: Mapping[int, int]):
    """Which Fourier coefficients radial lines keep: both halves of k-space, DC in the centre, a panel per number.

    Args:
        title: of the figure.
        counts: lines -> coefficients.
    """
    figure, axes = plt.subplots(1, len(counts), figsize=(3.1 * len(counts), 3.6), squeeze=False, layout="constrained")
    for axis, (lines, count) in zip(axes[0], counts.items(), strict=True):
        half = operators.radial_mask(lines, MASK_SIZE)
        full = half | np.roll(half[::-1, ::-1], 1, axis=(0, 1))  # -k of k, on sides of even length
        full[MASK_SIZE[0] // 2, MASK_SIZE[1] // 2] = True
        axis.imshow(full, cmap="gray", interpolation="nearest")
        axis.set_title(f"{lines} lines, {count} coefficients", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel("$k_x$, DC in the centre", fontsize=8)
    axes[0, 0].set_ylabel("$k_y$", fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure
