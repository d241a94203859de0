"""MSE against measurements, coefficients or noise, and seconds against m, beside what was published."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import LogLocator
from matplotlib.transforms import offset_copy

from experiments.paper.items import DISPLAY, SWEEPS, Item
from experiments.paper.points import Point
from experiments.pictures import plt

SIZE = (8.2, 4.4)  # inches, the legend beside the axes
DODGE = 2.5  # points between the bars of two methods at one place
COLOURS = {"csdip": "C3", "bm3d_amp": "C0", "tv": "C2", "lasso_dct": "C1", "csgm": "C4"}


def draw(item: Item, points: Sequence[Point], preset: str, lines: dict[float, int] | None = None):
    """The MSE of every method with its 95 % interval; published means as crosses, their bars 95 % too.

    Args:
        item: which curve.
        points: as `points.points` makes them.
        preset: of the settings, for the legend.
        lines: coefficients -> radial lines, to name on a Fourier axis.
    """
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    methods, failed = list(dict.fromkeys(point.method for point in points)), False
    for number, method in enumerate(methods):
        mine = [point for point in points if point.method == method]
        aside = offset_copy(axis.transData, figure, x=DODGE * (number - (len(methods) - 1) / 2), units="points")
        style = {"color": COLOURS[method], "capsize": 2, "lw": 1.3, "ms": 4, "transform": aside}
        x, means, widths = np.array([(p.x, p.estimate.mean, p.estimate.half_width) for p in mine]).T
        axis.errorbar(x, means, widths, fmt="o-", label=f"{DISPLAY[method]}, preset {preset}", **style)
        lost = np.array([(p.x, p.estimate.mean) for p in mine if p.failed])
        if len(lost):
            axis.plot(*lost.T, "o", ms=4, mfc="white", color=COLOURS[method], transform=aside, zorder=3)
            failed = True
        theirs = [(p.x, p.published.value, 1.96 * p.published.standard_error) for p in mine if p.published]
        if theirs:
            style |= {"lw": 0.9, "alpha": 0.6}
            axis.errorbar(*np.array(theirs).T, fmt="x--", label=f"{DISPLAY[method]}, published", **style)
    if failed:
        axis.plot([], [], "o", ms=4, mfc="white", color="gray", label="hollow: fits among them failed")
    axis.set_ylabel("per-pixel MSE, pixels in [-1, 1]")
    axis.set_yscale("log")
    axis.set_ylim(_limits(points))
    _x_axis(axis, item, sorted({point.x for point in points}), lines or {})
    axis.set_title(item.title, fontsize=10)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7.5)
    return figure


def _limits(points: Sequence[Point]) -> tuple[float, float]:
    """Of a log axis: means and upper ends fit in; lower ends, which may be below 0, down to half the least mean."""
    means = [p.estimate.mean for p in points] + [p.published.value for p in points if p.published]
    upper = [p.estimate.mean + np.nan_to_num(p.estimate.half_width) for p in points]
    return max(min(means), 1e-7) / 2, max(means + upper) * 1.4


def _x_axis(axis, item: Item, x: Sequence[float], lines: dict[float, int]) -> None:
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


def draw_seconds(item: Item, medians: Sequence, preset: str, device: str):
    """Median seconds an image against m; published times, of other machines, as crosses."""
    figure, axis = plt.subplots(figsize=SIZE, layout="constrained")
    for method in dict.fromkeys(median.method for median in medians):
        mine = [median for median in medians if median.method == method]
        colour, label = COLOURS[method], f"{DISPLAY[method]}, preset {preset}"
        axis.plot([t.m for t in mine], [t.seconds for t in mine], "o-", ms=4, color=colour, label=label)
        theirs = [(t.m, t.published) for t in mine if t.published is not None]
        if theirs:
            style = {"color": colour, "ms": 4, "lw": 0.9, "alpha": 0.6, "label": f"{DISPLAY[method]}, published"}
            axis.plot(*np.array(theirs).T, "x--", **style)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))  # times may span less than a decade
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_ylabel("median seconds an image")
    _x_axis(axis, item, sorted({median.m for median in medians}), {})
    axis.set_title(f"{item.title}\nhere: {device}", fontsize=9)
    axis.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=7.5)
    return figure
