"""The numbers behind a curve, as CSV for programs and as Markdown for people."""

import math
from collections.abc import Sequence

import pandas as pd

from experiments.paper.items import DISPLAY, SWEEPS, Item
from experiments.paper.points import Point
from experiments.tables import as_csv, as_markdown

COLUMNS = (
    *("method", "preset", "x", "images", "mse", "standard_error", "half_width_95", "over_csdip", "failed"),
    *("not_converged", "published", "published_standard_error", "published_over_csdip"),
    "difference_in_standard_errors",
)


def axis_name(item: Item) -> str:
    """Of the column that the x of a curve stands in."""
    if item.axis == "noise_variance":
        return "noise_variance"
    return "coefficients" if SWEEPS[item.sweep].fourier else "m"


def curve_csv(item: Item, points: Sequence[Point], preset: str) -> str:
    ratios = over_csdip(points)
    rows = []
    for point, (ours, published) in zip(points, ratios, strict=True):
        mse, theirs = point.estimate, point.published or (None, None)
        numbers = (mse.count, mse.mean, mse.standard_error, mse.half_width, ours, point.failed, point.unconverged)
        rows.append((point.method, preset, f"{point.x:g}", *numbers, *theirs, published, point.difference))
    header = [axis_name(item) if column == "x" else column for column in COLUMNS]
    return as_csv(pd.DataFrame(rows, columns=header))


def curve_markdown(item: Item, points: Sequence[Point]) -> str:
    """A line per place and method, ours beside published."""
    theirs = any(point.published for point in points)
    header = [axis_name(item).replace("_", " "), "method", "MSE +- 95 %", "images", "/ CS-DIP"]
    header += ["published +- 1 standard error", "/ CS-DIP", "difference / its standard error"] if theirs else []
    places = {point.x: None for point in sorted(points, key=lambda point: point.x)}
    rows = []
    for x in places:
        for point, (ours, published) in zip(points, over_csdip(points), strict=True):
            if point.x != x:
                continue
            mse = point.estimate
            row = [f"{x:g}", DISPLAY[point.method], plus_minus(mse.mean, mse.half_width), str(mse.count), ratio(ours)]
            if theirs:
                value = plus_minus(*point.published) if point.published else ""
                row += [value, ratio(published), "" if math.isnan(point.difference) else f"{point.difference:+.1f}"]
            rows.append(row)
    return as_markdown(pd.DataFrame(rows, columns=header))


def over_csdip(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Of each point the MSE over CS-DIP's at the same place, ours and published; NaN where there is none."""
    csdip = {point.x: point for point in points if point.method == "csdip"}
    found = []
    for point in points:
        other = csdip.get(point.x)
        both = other and point.published and other.published
        ours = point.estimate.mean / other.estimate.mean if other and other.estimate.mean else math.nan
        found.append((ours, point.published.value / other.published.value if both else math.nan))
    return found


def plus_minus(value: float, width: float) -> str:
    return f"{value:.4g}" if math.isnan(width) else f"{value:.4g} +- {width:.2g}"


def ratio(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"
