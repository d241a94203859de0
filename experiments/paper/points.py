"""From the rows of a sweep to the points of a curve: a mean over images for each method and place on the axis."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.estimates import Estimate, difference, estimate
from experiments.paper.items import PUBLISHED_AS, SWEEPS, Item
from experiments.published import Value


class Point(NamedTuple):
    """A method at one place of the axis.

    Attributes:
        method, x: which.
        estimate: of the MSE.
        published: what was published there, or None.
        failed: images on which every attempt collapsed or diverged; they are in the mean.
        unconverged: further images that did not converge.
    """

    method: str
    x: float
    estimate: Estimate
    published: Value | None
    failed: int
    unconverged: int

    @property
    def difference(self) -> float:
        """From what was published, in standard errors of the difference; NaN where it cannot be said."""
        return math.nan if self.published is None else difference(self.estimate, self.published)


def place(item: Item, row: Mapping) -> float:
    """Where a row lies on the item's axis: noise variance, Fourier coefficients (DC not counted), or m."""
    if item.axis == "noise_variance":
        return row["noise_variance"]
    return row["num_measurements"] - 1 if SWEEPS[item.sweep].fourier else row["count"]


def points(item: Item, rows: Sequence[Mapping], known: Mapping[tuple[str, int], Value]) -> list[Point]:
    """One per method and place, in the item's order; `known` are the published values of (algorithm, place)."""
    groups = {}
    for row in rows:
        groups.setdefault((row["method"], place(item, row)), []).append(row)
    found = []
    for method, x in sorted(groups, key=lambda key: (item.methods.index(key[0]), key[1])):
        group = groups[method, x]
        failed = sum(not row["ok"] for row in group)
        unconverged = sum(row["ok"] and not row["converged"] for row in group)
        theirs = known.get((PUBLISHED_AS.get(method, method), int(x)))
        mse = estimate([row["mse"] for row in group])
        found.append(Point(method, x, mse, theirs, failed, unconverged))
    return found
