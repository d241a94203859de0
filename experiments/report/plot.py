"""A plot on two logarithmic axes as SVG, in colours that can be read on light and on dark."""

import math
from collections.abc import Sequence

from experiments.report.blocks import Plot
from experiments.report.markup import Markup, element, join

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 10, 42
COLOURS = 8  # as many as the style sheet has


def svg(plot: Plot) -> Markup:
    """The curves, their axes, and below them a legend of the labels."""
    labels = list(dict.fromkeys(curve.label for curve in plot.curves))
    x_range = _range([x for curve in plot.curves for x, _ in curve.points])
    y_range = _range([y for curve in plot.curves for _, y in curve.points])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - x_range[0]) / (x_range[1] - x_range[0])
        up = (math.log10(y) - y_range[0]) / (y_range[1] - y_range[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    lines = [
        element(
            "polyline",
            element("title", curve.label),
            points=" ".join("{:.1f},{:.1f}".format(*place(*point)) for point in curve.points),
            class_=f"curve c{labels.index(curve.label) % COLOURS}",
        )
        for curve in plot.curves
    ]
    texts = [
        element("text", plot.x, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, text_anchor="middle"),
        element(
            "text", plot.y, transform=f"translate(12 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)", text_anchor="middle"
        ),
    ]
    picture = element(
        "svg",
        *(_ticks(x_range, y_range, place)),
        *lines,
        *texts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=plot.title,
    )
    legend = [element("li", element("span", class_=f"swatch c{i % COLOURS}"), label) for i, label in enumerate(labels)]
    return element("figure", element("figcaption", plot.title), picture, element("ul", join(legend)), class_="plot")


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Of the decades; never empty."""
    low, high = math.log10(min(values)), math.log10(max(values))
    middle, half = (low + high) / 2, max((high - low) / 2 * 1.03, 0.05)
    return middle - half, middle + half


def _ticks(x_range, y_range, place) -> list[Markup]:
    """A line and a number at each power of ten; every second, third ... one where there are many."""
    ticks = []
    for power in _powers(x_range):
        x, y = place(10.0**power, 10.0 ** y_range[0])
        ticks += [
            element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=TOP, y2=HEIGHT - BOTTOM, class_="grid"),
            element("text", _ten(power), x=f"{x:.1f}", y=f"{y + 15:.1f}", text_anchor="middle"),
        ]
    for power in _powers(y_range):
        x, y = place(10.0 ** x_range[0], 10.0**power)
        ticks += [
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"),
            element("text", _ten(power), x=LEFT - 6, y=f"{y + 4:.1f}", text_anchor="end"),
        ]
    return ticks


def _powers(decades: tuple[float, float]) -> list[int]:
    powers = list(range(math.ceil(decades[0]), math.floor(decades[1]) + 1))
    return powers[:: max(1, math.ceil(len(powers) / 8))]


def _ten(power: int) -> str:
    return f"{10.0**power:g}" if -3 <= power <= 4 else f"1e{power}"
