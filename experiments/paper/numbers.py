"""The numbers of each table and figure as data frames: what its CSV holds, and what people read."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from csdip_jax import operators
from csdip_jax.commands.estimates import estimate
from csdip_jax.commands.row_tables import FAILED, counted_seconds, flag
from csdip_jax.commands.tables import crossed, number
from csdip_jax.methods import METHODS
from csdip_jax.runs.row import Row
from experiments.configs.paper_items import PUBLISHED_AS, SWEEPS, Item
from experiments.published import Value, difference

MASK_SIZE = (256, 256)

SECONDS_NOTE = (
    "Medians over images; an image's time is its share of the batch it ran in, on a CPU a batch of one. The first "
    "batch of a program contains its compilation (or reading it from the cache) and is left out where there are more; "
    "* marks where it is the only one."
)

Published = Mapping[tuple[str, int], Value]
"""(algorithm, place on the axis) -> what was published there."""


def axis_name(item: Item) -> str:
    """Of the column that the x of a curve stands in."""
    if item.axis == "noise_variance":
        return "noise_variance"
    return "coefficients" if SWEEPS[item.sweep].fourier else "m"


def place(item: Item, row: Row) -> float:
    """Where a row lies on the item's axis: noise variance, Fourier coefficients (DC not counted), or m."""
    if item.axis == "noise_variance":
        return row.noise_variance
    return row.num_measurements - 1 if SWEEPS[item.sweep].fourier else row.count


def _by_method(rows: Sequence[Row], places: Sequence[float], methods: Sequence[str]):
    """(method, place) and the rows there, in the order of `methods`, then of the places."""
    frame = pd.DataFrame(rows).assign(place=places, flag=list(map(flag, rows)))
    frame = frame.astype({"mse": float, "seconds": float})
    frame["method"] = pd.Categorical(frame["method"], methods)
    return frame.groupby(["method", "place"], observed=True)


def _published(known: Published, method: str, where: float) -> Value:
    return known.get((PUBLISHED_AS.get(method, method), int(where)), Value(math.nan))


def points(item: Item, rows: Sequence[Row], known: Published) -> pd.DataFrame:
    """A line per method and place on the axis, `x`, in the item's order: the mean over images beside the published.

    Its columns are those of the CSV. `failed` are images on which every attempt collapsed or diverged, which are in the
    mean, `not_converged` further ones; `over_csdip` are ratios to CS-DIP's MSE at the same place; the difference is
    (ours - published) in standard errors of the difference.
    """
    found = []
    for (method, x), group in _by_method(rows, [place(item, row) for row in rows], item.methods):
        mse, theirs = estimate(group["mse"]), _published(known, method, x)
        found.append(
            {
                "method": method,
                "preset": rows[0].preset,
                "x": x,
                "images": mse.count,
                "mse": mse.mean,
                "standard_error": mse.standard_error,
                "half_width_95": mse.half_width,
                "over_csdip": math.nan,
                "failed": (group["flag"] == FAILED).sum(),
                "not_converged": (~group["flag"].isin(["", FAILED])).sum(),
                "published": theirs.value,
                "published_standard_error": theirs.standard_error,
                "published_over_csdip": math.nan,
                "difference_in_standard_errors": difference(mse, theirs),
            }
        )
    frame = pd.DataFrame(found)
    csdip = frame[frame["method"] == "csdip"].set_index("x")
    for ratio, value in (("over_csdip", "mse"), ("published_over_csdip", "published")):
        frame[ratio] = frame[value] / frame["x"].map(csdip[value]).replace(0, math.nan)
    return frame


def curve_table(item: Item, points: pd.DataFrame) -> pd.DataFrame:
    """A line per place and method, ours beside published where there is any."""
    theirs = points["published"].notna().any()
    header = [axis_name(item).replace("_", " "), "method", "MSE +- 95 %", "images", "/ CS-DIP"]
    header += ["published +- 1 standard error", "/ CS-DIP", "difference / its standard error"] if theirs else []
    lines = []
    for point in points.sort_values("x", kind="stable").itertuples():
        mse, ratio = plus_minus(point.mse, point.half_width_95), number(point.over_csdip, ".3g", "")
        line = [f"{point.x:g}", METHODS[point.method].label, mse, str(point.images), ratio]
        if theirs:
            known = not math.isnan(point.published)
            line += [plus_minus(point.published, point.published_standard_error) if known else ""]
            line += [number(point.published_over_csdip, ".3g", "")]
            line += [number(point.difference_in_standard_errors, "+.1f", "")]
        lines.append(line)
    return pd.DataFrame(lines, columns=header)


def plus_minus(value: float, width: float) -> str:
    """A number and its interval, where it has one."""
    return f"{value:.4g}" if math.isnan(width) else f"{value:.4g} +- {width:.2g}"


def seconds(rows: Sequence[Row], methods: Sequence[str], known: Published) -> pd.DataFrame:
    """A line per method and m: the median seconds of an image and the mean MSE that they bought.

    The first batch of a program in a process contains its compilation (or reading it from the cache), its rows say so,
    and is left out where there are more. Rows that an earlier process had begun have no time; `images` are the others.
    """
    found = []
    for (method, m), group in _by_method(rows, [row.count for row in rows], methods):
        counted = counted_seconds(zip(group["seconds"], group["compiled"], strict=True))
        found.append(
            {
                "method": method,
                "m": m,
                "seconds": float(np.median(counted)) if counted else math.nan,
                "images": len(counted),
                "contains_compilation": bool(counted) and bool(group.dropna(subset="seconds")["compiled"].all()),
                "device": device(rows),
                "published_seconds": _published(known, method, m).value,
                "mse": estimate(group["mse"]).mean,
            }
        )
    return pd.DataFrame(found)


def device(rows: Sequence[Row]) -> str:
    """What the rows were computed on."""
    return " and ".join(dict.fromkeys(row.device for row in rows))


def seconds_table(found: pd.DataFrame) -> pd.DataFrame:
    """A line per method, a column per m, published in brackets; * contains compilation."""
    texts = []
    for time in found.itertuples():
        ours = number(time.seconds, ".3g", "resumed") + "*" * time.contains_compilation
        texts.append(ours + ("" if math.isnan(time.published_seconds) else f" ({time.published_seconds:g})"))
    methods, columns = [METHODS[method].label for method in found["method"]], [f"m = {m}" for m in found["m"]]
    return crossed("seconds an image (published)", methods, columns, texts)


CELL_COLUMNS = ["image", "method", "preset", "count", "num_measurements", "mse", "psnr", "ssim", "data_range"]
CELL_COLUMNS += ["seconds", "ok", "converged"]


def cells(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as they are, as far as a figure of reconstructions shows them."""
    return pd.DataFrame([[getattr(row, name) for name in CELL_COLUMNS] for row in rows], columns=CELL_COLUMNS)


def cells_table(item: Item, rows: Sequence[Row]) -> pd.DataFrame:
    """MSE, a line per image, a column per method."""
    rows = sorted(rows, key=lambda row: item.methods.index(row.method))
    columns = [METHODS[row.method].label for row in rows]
    return crossed("MSE", [row.image for row in rows], columns, [number(row.mse, ".5f") for row in rows])


def coefficients(lines: Sequence[int], published: Mapping[int, int]) -> pd.DataFrame:
    """Radial lines -> coefficients of the upper half plane, DC not counted, which is how the paper counts."""
    frame = pd.DataFrame({"lines": lines})
    frame["coefficients"] = [int(operators.radial_mask(number, MASK_SIZE).sum()) for number in lines]
    return frame.assign(published_coefficients=frame["lines"].map(published))
