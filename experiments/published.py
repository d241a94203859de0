"""The published values: the files of experiments/reference, whose comments say where each comes from.

Numbers, no pictures: read off figures and tables of arXiv 1806.06438 and of the code published with it.
"""

import csv
import math
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "reference"

BARS = {("fig4a_mnist_mse", "csgm"): 2.0}
"""(file, algorithm) -> how many standard errors its bars are long, where that is not one."""


class Reference(NamedTuple):
    """A file of published values.

    Attributes:
        source: its comments, as one text.
        rows: column -> text, a row each.
    """

    source: str
    rows: list[dict[str, str]]


class Value(NamedTuple):
    """A published number and its standard error, NaN where none was published."""

    value: float
    standard_error: float = math.nan


def read(name: str) -> Reference:
    """The file experiments/reference/<name>.csv."""
    lines = (FOLDER / f"{name}.csv").read_text().splitlines()
    source = " ".join(line.lstrip("# ") for line in lines if line.startswith("#"))
    return Reference(source, list(csv.DictReader(line for line in lines if not line.startswith("#"))))


def values(name: str, column: str = "mse") -> dict[tuple[str, int], Value]:
    """(algorithm, m) -> value of a column, of a file with the columns algorithm, m and perhaps bar."""
    found = {}
    for row in read(name).rows:
        bar = float(row.get("bar") or "nan") / BARS.get((name, row["algorithm"]), 1.0)
        found[row["algorithm"], int(row["m"])] = Value(float(row[column]), bar)
    return found


def percent_decreases() -> dict[tuple[float, int], float]:
    """(noise variance, m) -> percent decrease of the MSE by learned regularization, Table 1."""
    rows = read("table1_learned_regularization").rows
    return {(float(row["noise_variance"]), int(row["m"])): float(row["percent_decrease"]) for row in rows}


def coefficient_counts() -> dict[int, int]:
    """Radial lines -> Fourier coefficients on 256 x 256, the upper half plane without DC."""
    return {int(row["lines"]): int(row["coefficients"]) for row in read("radial_line_counts").rows}
