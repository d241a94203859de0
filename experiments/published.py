"""The published values: the files of experiments/reference, whose comments say where each comes from.

Numbers, no pictures: read off figures and tables of arXiv 1806.06438 and of the code published with it.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from csdip_jax.commands.estimates import Estimate

FOLDER = Path(__file__).parent / "reference"

BARS = {("fig4a_mnist_mse", "csgm"): 2.0}
"""(file, algorithm) -> how many standard errors its bars are long, where that is not one."""


class Reference(NamedTuple):
    """A file of published values: its comments, as one text, and its table."""

    source: str
    table: pd.DataFrame


class Value(NamedTuple):
    """A published number and its standard error, NaN where none was published."""

    value: float
    standard_error: float = math.nan


def read(name: str) -> Reference:
    """The file experiments/reference/<name>.csv."""
    path = FOLDER / f"{name}.csv"
    comments = [line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("#")]
    return Reference(" ".join(comments), pd.read_csv(path, comment="#"))


def values(name: str, column: str = "mse") -> dict[tuple[str, int], Value]:
    """(algorithm, m) -> value of a column, of a file with the columns algorithm, m and perhaps bar."""
    table = read(name).table.reindex(columns=["algorithm", "m", column, "bar"])
    return {
        (algorithm, m): Value(value, bar / BARS.get((name, algorithm), 1.0))
        for algorithm, m, value, bar in table.itertuples(index=False)
    }


def percent_decreases() -> dict[tuple[float, int], float]:
    """(noise variance, m) -> percent decrease of the MSE by learned regularization, Table 1."""
    table = read("table1_learned_regularization").table.astype({"noise_variance": float})
    return table.set_index(["noise_variance", "m"])["percent_decrease"].to_dict()


def coefficient_counts() -> dict[int, int]:
    """Radial lines -> Fourier coefficients on 256 x 256, the upper half plane without DC."""
    return read("radial_line_counts").table.set_index("lines")["coefficients"].to_dict()


def difference(ours: Estimate, published: Value) -> float:
    """(ours - published) in standard errors of the difference; NaN where either has none.

    The two sets of images count as independent. Where they share some (the first MNIST digits) the difference is known
    better than that, and this is too small.
    """
    return (ours.mean - published.value) / float(np.hypot(ours.standard_error, published.standard_error))
