"""Figure 13: which Fourier coefficients radial lines keep."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from csdip_jax import operators
from experiments import tables
from experiments.pictures import plt

SIZE = (256, 256)


def counts(lines: tuple[int, ...]) -> dict[int, int]:
    """Lines -> coefficients of the upper half plane, DC not counted, which is how the paper counts."""
    return {number: int(operators.radial_mask(number, SIZE).sum()) for number in lines}


def draw(title: str, lines: tuple[int, ...]):
    """Both halves of k-space, DC in the centre, a panel per number of lines."""
    figure, axes = plt.subplots(1, len(lines), figsize=(3.1 * len(lines), 3.6), squeeze=False, layout="constrained")
    for axis, (number, count) in zip(axes[0], counts(lines).items(), strict=True):
        half = operators.radial_mask(number, SIZE)
        full = half | np.roll(half[::-1, ::-1], 1, axis=(0, 1))  # -k of k, on sides of even length
        full[SIZE[0] // 2, SIZE[1] // 2] = True
        axis.imshow(full, cmap="gray", interpolation="nearest")
        axis.set_title(f"{number} lines, {count} coefficients", fontsize=9)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.set_xlabel("$k_x$, DC in the centre", fontsize=8)
    axes[0, 0].set_ylabel("$k_y$", fontsize=8)
    figure.suptitle(title, fontsize=10)
    return figure


def rows(lines: tuple[int, ...], published: Mapping[int, int]) -> list[tuple[int, int, int | None]]:
    """(lines, coefficients, published) of each number of lines."""
    return [(number, count, published.get(number)) for number, count in counts(lines).items()]


def as_csv(table: list[tuple]) -> str:
    return tables.as_csv(pd.DataFrame(table, columns=["lines", "coefficients", "published_coefficients"]))


def as_markdown(table: list[tuple]) -> str:
    texts = [[str(lines), str(count), "" if theirs is None else str(theirs)] for lines, count, theirs in table]
    return tables.as_markdown(pd.DataFrame(texts, columns=["lines", "coefficients", "published"]))
