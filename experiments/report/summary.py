"""Means over images: one line per method, measurement and noise variance."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.estimates import over_images
from experiments.report.cells import Cell
from experiments.row_tables import FAILED, counted_seconds


class Line(NamedTuple):
    """A method under one measurement.

    Attributes:
        part, label, measured, noise, preset: which, as in Cell.
        images, seeds: over how many.
        mse: mean over the images of the mean over the seeds; NaN without originals.
        half_width: of its 95 % interval, over the images (over the seeds of a single image); NaN where it has none.
        psnr: median over the cells, in dB.
        seconds: median over the cells that were not resumed; compiling counts only where all contain it.
        total_seconds: of all that were not resumed, compiling included.
        redraws: sum over the cells.
        failed, unconverged, resumed, infinite: numbers of cells. The first two are in the means; `infinite`, those
            whose MSE is no number, cannot be.
        data_ranges: what the PSNRs are relative to.
    """

    part: str
    label: str
    measured: str
    noise: float | None
    preset: str
    images: int
    seeds: int
    mse: float
    half_width: float
    psnr: float
    seconds: float
    total_seconds: float
    redraws: int
    failed: int
    unconverged: int
    resumed: int
    infinite: int
    data_ranges: frozenset[float]


def summarize(cells: Sequence[Cell]) -> list[Line]:
    """Parts, then measurements by their number, then noise, then methods as they first come."""
    parts = list(dict.fromkeys(cell.part for cell in cells))
    labels = list(dict.fromkeys(cell.label for cell in cells))
    groups = {}
    for cell in cells:
        place = (parts.index(cell.part), cell.kind, cell.num_measurements or 0, cell.noise or 0.0, cell.preset)
        groups.setdefault((*place, labels.index(cell.label)), []).append(cell)
    return [_line(groups[key]) for key in sorted(groups)]


def _line(group: Sequence[Cell]) -> Line:
    finite = [cell for cell in group if cell.mse is not None and math.isfinite(cell.mse)]
    mse = over_images([cell.image for cell in finite], [cell.mse for cell in finite])
    seconds = [cell.seconds for cell in group if cell.seconds is not None]
    counted = counted_seconds((cell.seconds, cell.compiled) for cell in group)
    psnr = [cell.psnr for cell in finite if cell.psnr is not None]
    flags = [cell.flag for cell in group]
    first = group[0]
    return Line(
        *(first.part, first.label, first.measured, first.noise, first.preset),
        len({cell.image for cell in group}),
        len({cell.seed for cell in group}),
        *(mse.mean, mse.half_width),
        float(np.median(psnr)) if psnr else math.nan,
        float(np.median(counted)) if counted else math.nan,
        float(sum(seconds)),
        sum(cell.redraws for cell in group),
        flags.count(FAILED),
        len([flag for flag in flags if flag not in ("", FAILED)]),
        len(group) - len(seconds),
        len([cell for cell in group if cell.mse is not None]) - len(finite),
        frozenset(cell.data_range for cell in group),
    )
