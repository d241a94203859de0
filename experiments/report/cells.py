"""Rows of all kinds of runs as cells of one kind: an image, measured once, reconstructed under one setting."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from experiments import fits, row_tables
from experiments.row_tables import FAILED


class Cell(NamedTuple):
    """One reconstruction.

    Attributes:
        part, image, label, seed: which; label is the method with its swept values.
        kind: "gaussian" or "radial_fourier"; empty where the row does not say.
        measured: the same with its numbers, for people.
        num_measurements: size of y; None for a user's own measurements.
        noise: variance; None for a user's own measurements.
        preset: of the method.
        mse, psnr, ssim: None where there is no original, or a tiny image.
        seconds: None where the fit was resumed.
        compiled: the seconds contain compiling its program; the first batch of a sweep's does.
        steps, redraws: of the optimiser.
        flag: what is wrong, in a word.
        file: stem of its files.
        data_range: what psnr and ssim are relative to.
    """

    part: str
    image: str
    label: str
    seed: int
    kind: str
    measured: str
    num_measurements: int | None
    noise: float | None
    preset: str
    mse: float | None
    psnr: float | None
    ssim: float | None
    seconds: float | None
    compiled: bool
    steps: int
    redraws: int
    flag: str
    file: str
    data_range: float = 2.0


def cells_of(rows: Iterable) -> tuple[list[Cell], int, list[str]]:
    """Cells, the number of rows that are no reconstructions, and what of the others cannot be read.

    Of rows of the same cell the last one counts.
    """
    found, others, problems = {}, 0, []
    for number, row in enumerate(rows, 1):
        if not (isinstance(row, Mapping) and {"method", "label"} <= row.keys()):
            others += 1
            continue
        try:
            cell = read(row)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            problems.append(f"row {number} cannot be read ({type(error).__name__}: {error}); it is left out")
            continue
        found[cell.file, cell.num_measurements, cell.noise, cell.seed, cell.preset] = cell
    return list(found.values()), others, problems


def read(row: Mapping) -> Cell:
    """A row of experiments.reconstruct, sweep or learned_regularization."""
    part, image = row.get("part") or "", row.get("image") or ""
    count = row.get("num_measurements")
    known = {name: _number(row, name) for name in ("mse", "psnr", "data_range")}
    psnr, mse, data_range = row_tables.psnr_of(known), known["mse"], known["data_range"]
    if math.isnan(psnr):  # as csdip_jax.metrics.psnr where the MSE is kept alone, as learned_regularization does
        derived = data_range is None and mse and math.isfinite(mse)
        psnr = 10 * math.log10(4 / mse) if derived else None
    return Cell(
        part=str(part),
        image=str(image),
        label=_label(row),
        seed=_whole(row, "seed"),
        kind=_kind(row),
        measured="own measurements" if count is None else _measured(row),
        num_measurements=None if count is None else _whole(row, "num_measurements"),
        noise=_number(row, "noise_variance"),
        preset=str(row.get("preset") or ""),
        mse=mse,
        psnr=psnr,
        ssim=_number(row, "ssim"),
        seconds=_number(row, "seconds"),
        compiled=bool(row.get("compiled")),
        steps=_whole(row, "steps"),
        redraws=_whole(row, "redraws"),
        flag=row_tables.flag(row),
        file=str(row.get("file") or row.get("stem") or fits.stem(part, image, row["label"])),
        data_range=2.0 if data_range is None else data_range,
    )


def _number(row: Mapping, name: str) -> float | None:
    value = row.get(name)
    return None if value is None else float(value)


def _whole(row: Mapping, name: str) -> int:
    value = int(row.get(name) or 0)
    if abs(value) >= 2**63:
        raise ValueError(f"{name} has {len(str(value))} digits")
    return value


def _label(row: Mapping) -> str:
    """The method and its swept values; which fit of learned_regularization it was."""
    if "stage" not in row:
        return str(row["label"])
    swept = [f"lr_weight={row['lr_weight']:g}"] if row["lr_weight"] else []
    return ", ".join([str(row["stage"]), str(row["arm"]), *swept])


def _kind(row: Mapping) -> str:
    if row.get("operator"):
        return str(row["operator"])
    measurement = row.get("measurement") or ""
    return "radial_fourier" if "radial" in measurement else measurement.lower()


def _measured(row: Mapping) -> str:
    m = f"m = {int(row['num_measurements'])}"
    kind = _kind(row)
    if kind == "radial_fourier":
        return f"{row['count']} radial lines, {m}" if "count" in row else f"{row['measurement']}, {m}"
    return f"{kind.capitalize()}, {m}" if kind else m


def worst_first(cells: Iterable[Cell]) -> list[Cell]:
    """Failed ones, then by descending MSE; NaN is as bad as it can be, those without an original come last."""

    def badness(cell):
        mse = -math.inf if cell.mse is None else math.inf if math.isnan(cell.mse) else cell.mse
        return cell.flag == FAILED, mse

    return sorted(cells, key=badness, reverse=True)


def slowest_first(cells: Iterable[Cell]) -> list[Cell]:
    """By descending seconds; resumed ones, which have none, last."""
    return sorted(cells, key=lambda cell: -1.0 if cell.seconds is None else cell.seconds, reverse=True)


def worst_and_slowest(cells: Sequence[Cell], limit: int) -> list[Cell]:
    """At most `limit` cells, worst first: all, or in equal shares the worst and, of the others, the slowest."""
    ordered = worst_first(cells)
    if len(ordered) <= limit:
        return ordered
    worst = ordered[: limit - limit // 2]
    return worst_first([*worst, *slowest_first(ordered[len(worst) :])[: limit // 2]])
