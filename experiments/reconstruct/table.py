"""What a run says of its rows: captions, and the table with the means."""

import math
from collections.abc import Collection

import numpy as np

from experiments.fits import stem

FAILED = "FAILED"


def measured(row: dict, seed: bool = False) -> str:
    return f"{row['measurement']}, m = {row['num_measurements']}{_besides(row, seed)}"


def _besides(row: dict, seed: bool) -> str:
    """The noise, if there is any, and the seed on request."""
    noise = f", noise variance {row['noise_variance']:g}" if row["noise_variance"] else ""
    return noise + (f", seed {row['seed']}" if seed else "")


def several_seeds(rows: Collection[dict]) -> bool:
    return len({row["seed"] for row in rows}) > 1


def flag(row: dict) -> str:
    """What is wrong with a row, in a word."""
    return FAILED if not row["ok"] else "" if row["converged"] else "not converged"


def number(value: float | None, form: str) -> str:
    """Formatted; a dash for NaN, and for what JSON has no number for."""
    return "-" if value is None or math.isnan(value) else f"{value:{form}}"


def caption(row: dict) -> str:
    return "\n".join(filter(None, [f"MSE {number(row['mse'], '.4f')}, PSNR {decibels(row)}", flag(row)]))


def decibels(row: dict) -> str:
    """The PSNR of a row, and what range it is of where that is not 2."""
    return f"{number(psnr_of(row), '.1f')} dB{of_range([data_range(row)])}"


def psnr_of(row: dict) -> float:
    """As a number, which a row has null for where it is not finite: inf for equal images, NaN where there is none."""
    if row["psnr"] is not None:
        return row["psnr"]
    return math.inf if row.get("mse") == 0 else math.nan


def data_range(row: dict) -> float:
    """What PSNR and SSIM of a row are relative to."""
    return row.get("data_range", 2.0)


def of_range(data_ranges: Collection[float]) -> str:
    """What to add to a PSNR over these, the smallest and the largest; nothing where all are 2."""
    ends = dict.fromkeys(f"{value:.3g}" for value in (min(data_ranges), max(data_ranges)))
    return "" if list(ends) == ["2"] else f" of range {' to '.join(ends)}"


def print_table(rows: Collection[dict]) -> None:
    """A line per row, and the mean of each part and method over its images."""
    width = max(len(stem(row["part"], row["image"])) for row in rows)
    label_width = max(14, *(len(row["label"]) for row in rows))
    seed = several_seeds(rows)
    hows = [f"{row['measurement']}{_besides(row, seed)}" for row in rows]
    how_width = max(16, *map(len, hows))
    ranged = f" {'of range':>8}" if of_range([data_range(row) for row in rows]) else ""
    header = (
        f"{'image':{width}} {'method':{label_width}} {'measured':>{how_width}} {'m':>6} {'MSE':>9} {'PSNR':>6}{ranged} "
        f"{'SSIM':>6} {'steps':>6} {'seconds':>8}"
    )
    print(header + "\n" + "-" * len(header))
    for row, how in zip(rows, hows, strict=True):
        seconds = "resumed" if row["seconds"] is None else f"{row['seconds']:.1f}"
        psnr = f"{number(psnr_of(row), '.2f'):>6}" + (f" {data_range(row):8.3g}" if ranged else "")
        line = (
            f"{stem(row['part'], row['image']):{width}} {row['label']:{label_width}} {how:>{how_width}} "
            f"{row['num_measurements']:6d} {number(row['mse'], '.5f'):>9} {psnr} {number(row.get('ssim'), '.3f'):>6} "
            f"{row['steps']:6d} {seconds:>8}  {flag(row)}"
        )
        print(line.rstrip())
    groups = {}
    for row in rows:
        groups.setdefault((row["part"], measured(row, seed=True), row["label"]), []).append(row["mse"])
    several = len({(part, where) for part, where, _ in groups}) > len({part for part, *_ in groups})
    for (part, where, label), values in groups.items():
        if len(values) > 1:
            values = np.array(values, float)  # NaN for null
            error = number(np.std(values, ddof=1) / np.sqrt(len(values)), ".5f")
            mean = number(values.mean(), ".5f")
            name = stem(part, label) + (f" ({where})" if several else "")
            print(f"mean MSE of {len(values)} images, {name}: {mean} +- {error} (1 standard error)")
