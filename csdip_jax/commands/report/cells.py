"""Rows of all kinds of runs as a data frame of cells: an image, measured once, reconstructed under one setting.

The tables that are shown of them are data frames of texts.
"""

import math
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd

from csdip_jax.commands.estimates import over_images
from csdip_jax.commands.row_tables import FAILED, counted_seconds, flag, of_range
from csdip_jax.runs.row import FIELDS, Row

FLOATS = ("num_measurements", "noise_variance", "mse", "psnr", "ssim", "seconds", "data_range", "relative_residual")
DASH = "–"
COLUMNS = (
    {name: (name, None) for name in ("run", "part", "image", "flag", "measured", "preset", "seconds")}
    | {"verdict": ("what it proves", None), "relative_residual": ("relative residual", ".3g")}
    | {"label": ("method", None), "range": ("of range", None), "noise_variance": ("noise variance", "g")}
    | {name: (name, "d") for name in ("images", "seeds", "seed", "steps")}
    | {name: (name, "n") for name in ("redraws", "failed", "resumed")}
    | {"unconverged": ("not converged", "n"), "mse": ("MSE", ".4g"), "psnr": ("PSNR / dB", ".2f")}
    | {"ssim": ("SSIM", ".3f"), "mean_mse": ("mean MSE", ".4g"), "half_width": ("± 95 %", ".2g")}
    | {"median_psnr": ("median PSNR / dB", ".2f"), "median_seconds": ("median seconds", ".2f")}
    | {"total_seconds": ("total seconds", ".1f")}
)
"""Of a table: name -> heading, and format of its numbers: "n" for counts of what is seldom, None for texts."""


def cells_of(rows: Iterable) -> tuple[pd.DataFrame, int, list[str]]:
    """Cells, the number of rows that are no reconstructions, and what of the others cannot be read.

    Of rows of the same cell the last one counts. The columns are the fields of a row, NaN where a number is not known,
    an MSE infinite where it is no number, with these: label also tells apart the fits of a study, measured is the
    operator with its numbers, flag what is wrong, in a word, verdict what the fit proves, in a sentence, and short the
    same in few words.
    """
    found, others, problems = {}, 0, []
    for number, line in enumerate(rows, 1):
        if not (isinstance(line, Mapping) and {"method", "label"} <= line.keys()):
            others += 1
            continue
        try:
            row = Row.read(line)
        except ValueError as error:
            problems.append(f"row {number} cannot be read ({error}); it is left out")
            continue
        mse = math.inf if row.mse is not None and math.isnan(row.mse) else row.mse
        shown = {"label": _label(row), "measured": _measured(row), "flag": flag(row), "mse": mse}
        shown |= {"verdict": row.verdict, "short": row.in_short}
        found[row.file, row.num_measurements, row.noise_variance, row.seed, row.preset] = vars(row) | shown
    # Texts as objects: names of files may hold bytes that are no text.
    cells = pd.DataFrame([*found.values()], columns=[*FIELDS, "measured", "flag", "verdict", "short"], dtype=object)
    return cells.astype(dict.fromkeys(FLOATS, float)), others, problems


def _label(row: Row) -> str:
    """The method and its swept values; which fit of learned_regularization it was."""
    if "stage" not in row.more:
        return row.label
    weight = row.swept.get("lr_weight")
    swept = [f"lr_weight={weight:g}"] if weight else []
    return ", ".join([str(row.more["stage"]), str(row.more.get("arm")), *swept])


def _measured(row: Row) -> str:
    if row.num_measurements is None:
        return "own measurements"
    measurement = row.measurement or row.operator.capitalize()
    return ", ".join(filter(None, [measurement, f"m = {row.num_measurements}"]))


def worst_first(cells: pd.DataFrame) -> pd.DataFrame:
    """Failed ones, then by descending MSE; those without an original come last."""
    failed = cells.assign(failed=cells.flag == FAILED)
    return cells.loc[failed.sort_values(["failed", "mse"], ascending=False, kind="stable").index]


def slowest_first(cells: pd.DataFrame) -> pd.DataFrame:
    """By descending seconds; resumed ones, which have none, last."""
    return cells.sort_values("seconds", ascending=False, kind="stable")


def worst_and_slowest(cells: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` cells, worst first: all, or in equal shares the worst and, of the others, the slowest."""
    ordered = worst_first(cells)
    worst, others = ordered[: limit - limit // 2], ordered[limit - limit // 2 :]
    return ordered if len(ordered) <= limit else worst_first(pd.concat([worst, slowest_first(others)[: limit // 2]]))


def summarize(cells: pd.DataFrame) -> pd.DataFrame:
    """A line per method, measurement and noise variance.

    Parts come in their order, then measurements by their number, then noise, then methods as they first come. The mean
    is over the images, of each one's mean over the seeds, and its 95 % interval, too (over the seeds of a single
    image); compiling counts in the median seconds only if all contain it. `infinite` cells, whose MSE is no number,
    are not in the means; failed and unconverged ones are.
    """
    places = [
        pd.factorize(cells.part)[0],
        cells.operator,
        cells.num_measurements.fillna(0),
        cells.noise_variance.fillna(0),
    ]
    groups = cells.groupby([*places, cells.preset, pd.factorize(cells.label)[0]])
    return pd.DataFrame([_line(group) for _, group in groups], dtype=object)


def _line(group: pd.DataFrame) -> dict:
    first, finite, timed = group.iloc[0], group[np.isfinite(group.mse)], group[group.seconds.notna()]
    mse = over_images(list(finite.image), list(finite.mse))
    counted = counted_seconds(zip(timed.seconds, timed.compiled, strict=True))
    return dict(first[["part", "measured", "noise_variance", "preset", "label"]]) | {
        "images": group.image.nunique(),
        "seeds": group.seed.nunique(),
        "mean_mse": mse.mean,
        "half_width": mse.half_width,
        "median_psnr": finite.psnr.median(),
        "range": _of_range(group.data_range),
        "median_seconds": pd.Series(counted, dtype=float).median(),
        "total_seconds": timed.seconds.sum(),
        "failed": (group.flag == FAILED).sum(),
        "unconverged": (~group.flag.isin(["", FAILED])).sum(),
        "redraws": group.redraws.sum(),
        "resumed": len(group) - len(timed),
        "infinite": group.mse.notna().sum() - len(finite),
    }


def summary_table(lines: pd.DataFrame) -> pd.DataFrame:
    """What `summarize` found, as texts."""
    optional = ["part", "preset", "range", "failed", "unconverged", "redraws", "resumed"]
    alike = [name for name, usual in (("seeds", 1), ("preset", "paper")) if (lines[name] == usual).all()]
    return _texts(lines.drop(columns=alike), optional)


def cell_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells in their order as texts, with all numbers of theirs in `aux`; * marks seconds with compiling.

    Each has its run where there is such a column.
    """
    shown = cells.assign(
        image=[": ".join(filter(None, names)) for names in zip(cells.part, cells.image, strict=True)],
        seconds=_seconds(cells),
        range=[_of_range({value}) for value in cells.data_range],
    )
    columns = [
        "image",
        "label",
        "flag",
        "measured",
        "noise_variance",
        "seed",
        "mse",
        "seconds",
        "psnr",
        "range",
        "ssim",
    ]
    columns = ["run"] * ("run" in cells) + columns + ["steps", "redraws"]
    optional = ("image", "flag", "noise_variance", "seed", "mse", "psnr", "range", "ssim", "redraws")
    more = pd.DataFrame([*cells.aux], dtype=float).map("{:.4g}".format).replace("nan", DASH)
    return pd.concat([_texts(shown[columns], optional), more], axis=1)


def outcome_table(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of a user's own measurements: how each fit ended, and what that proves."""
    columns = ["label", "flag", "relative_residual", "verdict", "steps", "seconds"]
    return _texts(cells.assign(seconds=_seconds(cells))[columns], ("flag", "verdict"))


def _seconds(cells: pd.DataFrame) -> list[str]:
    """As texts, * marks those with compiling."""
    seconds = zip(cells.seconds, cells.compiled, strict=True)
    return ["resumed" if np.isnan(value) else f"{value:.2f}{'*' * compiled}" for value, compiled in seconds]


def asked(cells: pd.DataFrame) -> str:
    """What a run was, counted: methods and their settings, images, and what else has several values."""
    if not len(cells):
        return ""
    methods, labels = [*cells.method.unique()], cells.label.nunique()
    named = f" ({', '.join(methods)})" if len(methods) <= 8 else ""
    settings = f" under {labels} settings" if labels > len(methods) else ""
    counts = [
        (cells.image.where(cells.image != "").groupby(cells.part).nunique().sum(), "image"),
        (cells.operator.nunique(), "operator"),
        (cells.groupby("operator").num_measurements.nunique().max(), "number of measurements"),
        (cells.noise_variance.nunique(), "noise variance"),
        (cells.seed.nunique(), "seed"),
    ]
    several = [_counted(count, name) for count, name in counts if count > 1 or (count and name == "image")]
    presets = [f"preset {' and '.join(filter(None, cells.preset.unique()))}"] if cells.preset.any() else []
    return ", ".join([_counted(len(methods), "method") + named + settings, *several, *presets])


def imaged(cells: pd.DataFrame) -> str:
    """The name of the image, where there is one alone; else the first one's and how many more there are."""
    first, *others = dict.fromkeys(name for name in cells.image if name) or [""]
    return f"{first} and {len(others)} more" if others else first


def outcome(cells: pd.DataFrame) -> str:
    """The best of the fits that did not fail, by their mean error, with its PSNR; what each leaves, without a truth.

    The smallest residual is no sign of the best image, so that no method is called best by it.
    """
    lines = summarize(cells[cells.flag != FAILED])
    known = lines[lines.mean_mse.astype(float).notna()] if len(lines) else lines
    if not len(known):
        return "; ".join(
            f"{cell.label}: {cell.flag if cell.flag == FAILED else cell.short}" for cell in cells.itertuples()
        )
    line = known.loc[known.mean_mse.astype(float).idxmin()]
    where = [line.measured] if known.measured.nunique() > 1 else []
    psnr = f"{_text(line.median_psnr, '.1f')} dB" + (f" of range {line.range}" if line.range else "")
    return ", ".join([("best: " if len(known) > 1 else "") + line.label, *where, psnr])


def _counted(count: int, name: str) -> str:
    first, space, rest = name.partition(" of ")
    return f"{count} {first}{'s' if count != 1 else ''}{space}{rest}"


def _of_range(data_ranges: Iterable[float]) -> str:
    return of_range({*data_ranges}).removeprefix(" of range ")


def _texts(frame: pd.DataFrame, optional: Collection[str]) -> pd.DataFrame:
    """The known columns under their headings, without optional ones in which nothing stands."""
    texts = {}
    for name in filter(COLUMNS.get, frame.columns):
        heading, form = COLUMNS[name]
        entries = [_text(value, form) for value in frame[name]]
        if name not in optional or not {*entries} <= {"", "0", DASH}:
            texts[heading] = entries
    return pd.DataFrame(texts, dtype=object)


def _text(value, form: str | None) -> str:
    """Formatted; a dash for NaN; 0 of what is counted is left blank, so that the others stand out."""
    if form is None:
        return str(value)
    return DASH if pd.isna(value) else f"{value:{form}}" if value or form != "n" else ""
