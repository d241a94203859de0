"""The error against whatever a run swept: a chart per axis, a panel for each value of the others, curves by method."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from csdip_jax.commands.estimates import over_images
from csdip_jax.commands.pictures import plt
from csdip_jax.commands.report.embed import Picture, as_svg, label_colours
from csdip_jax.operators import COUNTS, OPERATORS
from csdip_jax.operators.kinds import MEASUREMENTS

PANELS = 6  # of a chart
CURVES = 12  # of a chart
TICKS = 8  # an axis of no more values is labelled at each of them
SPAN = 8.0  # from which ratio of its ends on an axis is logarithmic
BARS = 2.0  # how far above and below the means the axis of the error goes at most; an interval may go on
MARGIN = 0.08  # share of its length by which an axis goes beyond its values
ASIDE = 0.03  # inches between the points of neighbouring curves at the same place, so that intervals can be told apart
COUNTED = {
    "num_measurements": ("number of measurements", "measurements m"),
    "num_lines": ("number of lines", "radial lines"),
}
"""Name of a count -> what a title calls it, and what stands at the axis; of others the name does."""
PLACE = ("part", "preset", "operator", "measured", "noise_variance")
NOISE_LABEL = "noise variance s, of the whole vector"


class Axis(NamedTuple):
    """What a run swept.

    Attributes:
        title: what it is.
        label: what stands at the axis.
        x: its value of each cell, NaN of those that have none.
        curve: name of the curve that each cell belongs to.
        panels: columns of the cells whose values have a panel each.
        names: where x counts names, these.
    """

    title: str
    label: str
    x: pd.Series
    curve: pd.Series
    panels: Sequence[str]
    names: Sequence[str] = ()


class Chart(NamedTuple):
    """The pictures of one axis.

    Attributes:
        title: what is drawn against what.
        panels: caption and picture of each value of the other axes.
        colours: label of a curve -> its colour.
        notes: what is left out.
    """

    title: str
    panels: list[tuple[str, Picture]]
    colours: dict[str, str]
    notes: list[str]


def charts_of(cells: pd.DataFrame) -> list[Chart]:
    """A chart of each axis that has two values at least, of the MSE, or without true images of the residual."""
    name, quantity = ("mse", "MSE") if np.isfinite(cells.mse).any() else ("relative_residual", "relative residual")
    error = pd.to_numeric(cells[name], errors="coerce").astype(float)
    known = cells.assign(error=error)[np.isfinite(error)]
    charts = [_chart(axis, known, quantity) for axis in _axes(known)] if len(known) else []
    return [chart for chart in charts if chart.panels]


def _axes(cells: pd.DataFrame) -> Iterator[Axis]:
    """All that could be one, in the order in which they are shown."""
    place, counts = [*PLACE], cells.operator.map({name: kind.count.name for name, kind in OPERATORS.items()})
    for name in COUNTS:
        numbers = cells.num_measurements if name == MEASUREMENTS.name else pd.to_numeric(cells["count"])
        counted = counts.fillna(MEASUREMENTS.name) == name
        x = numbers.astype(float).where(counted)
        title, label = COUNTED.get(name, (name.replace("_", " "),) * 2)
        yield Axis(title, label, x, cells.label, _without(place, "measured"))
    yield Axis("noise variance", NOISE_LABEL, cells.noise_variance, cells.label, _without(place, "noise_variance"))
    for (method, field), x in _swept(cells).items():
        pattern = rf"[ ,]+{re.escape(field)}=[^ ,]+"
        yield Axis(f"{method}.{field}", field, x, cells.label.str.replace(pattern, "", regex=True), place)
    if cells.operator.nunique() > 1:
        order = cells.sort_values(["operator", "num_measurements"], kind="stable").measured.unique()
        x = cells.measured.map({name: float(i) for i, name in enumerate(order)})
        yield Axis("operator", "", x, cells.label, _without(place, "operator", "measured"), [*order])
    seeds = sorted(cells.seed.unique())
    x = cells.seed.map({seed: float(i) for i, seed in enumerate(seeds)})
    yield Axis("seed", "seed", x, cells.label, place, [*map(str, seeds)])


def _without(names: Sequence[str], *left_out: str) -> list[str]:
    return [name for name in names if name not in left_out]


def _swept(cells: pd.DataFrame) -> dict[tuple[str, str], pd.Series]:
    """(method, field) -> the value of each cell of that method, NaN of others; of what a run swept."""
    found: dict[tuple[str, str], pd.Series] = {}
    for at, method, swept in zip(cells.index, cells.method, cells.swept, strict=True):
        for field, value in swept.items():
            column = found.setdefault((method, field), pd.Series(np.nan, cells.index, dtype=float))
            column[at] = float(value)
    return found


def _chart(axis: Axis, cells: pd.DataFrame, quantity: str) -> Chart:
    drawn = cells.assign(x=axis.x, curve=axis.curve)[np.isfinite(axis.x)]
    ordered = drawn.sort_values(["operator", "num_measurements", "noise_variance"], kind="stable")
    groups = [group for _, group in ordered.groupby([*axis.panels], sort=False, dropna=False) if group.x.nunique() > 1]
    curves = [*dict.fromkeys(name for group in groups for name in group.curve)]
    shown, kept = _spread(groups, PANELS), curves[:CURVES]
    means = [_means(group[group.curve.isin(kept)]) for group in shown]
    colours = label_colours(drawn.assign(label=drawn.curve)[drawn.curve.isin(kept)]) if groups else {}
    limits, logarithmic = _limits(means)
    panels = [
        (_caption(group, cells, axis), _drawn(axis, points, colours, quantity, limits, logarithmic))
        for group, points in zip(shown, means, strict=True)
    ]
    notes = [f"{len(shown)} of {len(groups)} panels are shown."] if len(groups) > len(shown) else []
    notes += [f"{len(curves) - len(kept)} further curves are left out."] if len(curves) > len(kept) else []
    return Chart(f"{quantity} against {axis.title}", panels, colours, notes)


def _spread(items: Sequence, most: int) -> list:
    """At most so many, evenly, the first and the last among them."""
    places = np.unique(np.linspace(0, len(items) - 1, min(len(items), most)).round().astype(int)) if items else []
    return [items[place] for place in places]


def _means(group: pd.DataFrame) -> pd.DataFrame:
    """Curve, x, mean over images and half width of its 95 % interval, as in the summary; widths not known are 0."""
    lines = []
    for (curve, x), cells in group.groupby(["curve", "x"], sort=True):
        mean = over_images(list(cells.image), list(cells.error))
        lines.append((curve, x, mean.mean, np.nan_to_num(mean.half_width)))
    return pd.DataFrame(lines, columns=["curve", "x", "mean", "width"])


def _limits(means: Sequence[pd.DataFrame]) -> tuple[tuple[float, float], bool]:
    """The ends of the axis of the error, the same in all panels, and whether it is logarithmic."""
    if not means:
        return (0.0, 1.0), False
    every = pd.concat(means)
    low, high = every["mean"].min(), every["mean"].max()
    upper = min((every["mean"] + every.width).max(), BARS * high)
    if low > 0 and high / low > SPAN / 2:
        return (max((every["mean"] - every.width).min(), low / BARS) / 1.15, upper * 1.15), True
    return (0.0, upper * 1.08 or 1.0), False


def _caption(group: pd.DataFrame, cells: pd.DataFrame, axis: Axis) -> str:
    """What a panel has in common, so far as it tells panels apart or says what was measured."""
    first = group.iloc[0]
    kind = OPERATORS.get(first.operator)
    named = {
        "part": first.part,
        "preset": f"preset {first.preset}" if cells.preset.nunique() > 1 else "",
        "operator": "" if kind is None or "measured" in axis.panels else kind.label,
        "measured": first.measured,
        "noise_variance": f"noise variance {first.noise_variance:g}" if first.noise_variance > 0 else "",
    }
    if first.noise_variance == 0 and cells.noise_variance.nunique() > 1:
        named["noise_variance"] = "no noise"
    return ", ".join(named[name] for name in axis.panels if named[name])


def _drawn(axis: Axis, points: pd.DataFrame, colours, quantity: str, limits, logarithmic: bool) -> Picture:
    drawing, plot = plt.subplots(figsize=(3.5, 2.7), layout="constrained")
    line = "none" if axis.names else "-"
    groups = points.groupby("curve", sort=False)
    for place, (curve, found) in enumerate(groups):
        aside = ScaledTranslation((place - (len(groups) - 1) / 2) * ASIDE, 0, drawing.dpi_scale_trans)
        style = {"transform": plot.transData + aside} | {
            "color": colours[curve],
            "lw": 1.2,
            "ls": line,
            "marker": "o",
            "ms": 3,
        }
        *_, (bars,) = plot.errorbar(found.x, found["mean"], yerr=found.width, elinewidth=0.9, capsize=0, **style)
        bars.set_alpha(0.45)
    if logarithmic:
        plot.set_yscale("log", nonpositive="clip")
        plot.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        plot.yaxis.set_major_formatter("{x:g}")
        plot.yaxis.set_minor_locator(NullLocator())
    plot.set_ylim(*limits)
    plot.set_ylabel(quantity)
    plot.set_xlabel(axis.label)
    _scale_x(plot, axis, np.unique(points.x))
    plot.grid(alpha=0.3)
    return as_svg(drawing, axis.title)


def _scale_x(plot, axis: Axis, values: np.ndarray) -> None:
    """Logarithmic where the values span much, and labelled at each of them where they are few."""
    low, high = values[0], values[-1]
    smallest = min(values[values > 0], default=high)
    if axis.names:
        names = [axis.names[int(value)] for value in values]
        turned = {"rotation": 30, "ha": "right", "fontsize": 7} if max(map(len, names)) > TICKS else {}
        if len(values) <= 2 * TICKS:
            plot.set_xticks(values, names, **turned)
        plot.set_xlim(low - 0.5, high + 0.5)
    elif low > 0 and high / low >= SPAN / 2:
        plot.set_xscale("log")
        plot.set_xlim(low / (high / low) ** MARGIN, high * (high / low) ** MARGIN)
    elif low == 0 and high / smallest >= SPAN / 2:
        plot.set_xscale("symlog", linthresh=smallest, linscale=0.5)
        plot.set_xlim(-0.3 * smallest, high * (high / smallest) ** MARGIN)
    else:
        plot.set_xlim(low - MARGIN * (high - low), high + MARGIN * (high - low))
    if not axis.names and len(values) <= TICKS:
        plot.set_xticks(values, [f"{value:g}" for value in values])
        plot.xaxis.set_minor_locator(NullLocator())
