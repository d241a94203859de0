"""Seconds per image, and the errors that they bought, from the rows of a sweep."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from experiments import tables
from experiments.paper.items import DISPLAY, PUBLISHED_AS
from experiments.published import Value
from experiments.sweep.table import counted_seconds

NOTE = (
    "Medians over images; an image's time is its share of the batch it ran in, on a CPU a batch of one. The first "
    "batch of a program contains its compilation (or reading it from the cache) and is left out where there are more; "
    "* marks where it is the only one."
)


class Median(NamedTuple):
    """The time of a method at one m.

    Attributes:
        method, m: which.
        seconds: the median over the images counted; NaN where all were resumed.
        count: how many that are.
        compiled: whether these are the first batch, whose time contains compilation, for want of others.
        mse: mean over the images.
        published: seconds of another machine, or None.
    """

    method: str
    m: int
    seconds: float
    count: int
    compiled: bool
    mse: float
    published: float | None


def medians(rows: Sequence[Mapping], methods: Sequence[str], known: Mapping[tuple[str, int], Value]) -> list[Median]:
    """One per method and m.

    The first batch of a program in a process contains its compilation (or reading it from the cache), its rows say so,
    and is left out where there are more. Rows that an earlier process had begun have no time.

    Args:
        rows: of a sweep.
        methods: order of the result.
        known: (algorithm, m) -> published seconds.
    """
    groups = {}
    for row in rows:
        groups.setdefault((row["method"], row["count"]), []).append(row)
    found = []
    for method, m in sorted(groups, key=lambda key: (methods.index(key[0]), key[1])):
        counted = counted_seconds((row["seconds"], row["compiled"]) for row in groups[method, m])
        compiled = bool(counted) and all(row["compiled"] for row in groups[method, m] if row["seconds"] is not None)
        theirs = known.get((PUBLISHED_AS.get(method, method), m))
        median = float(np.median(counted)) if counted else np.nan
        mse = float(np.mean(np.array([row["mse"] for row in groups[method, m]], float)))
        found.append(Median(method, m, median, len(counted), compiled, mse, theirs and theirs.value))
    return found


def as_csv(table: Sequence[Median], device: str) -> str:
    header = ("method", "m", "seconds", "images", "contains_compilation", "device", "published_seconds", "mse")
    rows = ((t.method, t.m, t.seconds, t.count, t.compiled, device, t.published, t.mse) for t in table)
    return tables.as_csv(pd.DataFrame(rows, columns=header))


def as_markdown(table: Sequence[Median]) -> str:
    """A row per method, a column per m, published in brackets; * contains compilation."""
    counts = sorted({median.m for median in table})
    found = {(median.method, median.m): median for median in table}
    rows = []
    for method in dict.fromkeys(median.method for median in table):
        rows.append([DISPLAY[method], *(_text(found.get((method, m))) for m in counts)])
    return tables.as_markdown(
        pd.DataFrame(rows, columns=["seconds an image (published)", *(f"m = {m}" for m in counts)])
    )


def _text(median: Median | None) -> str:
    if median is None:
        return ""
    ours = "resumed" if np.isnan(median.seconds) else f"{median.seconds:.3g}{'*' if median.compiled else ''}"
    return ours if median.published is None else f"{ours} ({median.published:g})"
