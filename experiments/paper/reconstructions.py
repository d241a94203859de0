"""Reconstructions beside their originals: a row per method, a column per image, as the paper's figure 2."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from experiments import fits, tables
from experiments.paper.items import DISPLAY, Item
from experiments.pictures import plt, show
from experiments.reconstruct.table import decibels, flag, measured, number

COLUMNS = 6
TITLE_CHARACTERS = 14  # an inch


def draw(item: Item, folder: Path, rows: Sequence[Mapping]):
    """The first images of a sweep's rows and their reconstructions, with MSE and PSNR.

    Args:
        item: gives title and order of the methods.
        folder: of the sweep, with originals/ and reconstructions/.
        rows: of one number of measurements.
    """
    names = list(dict.fromkeys(row["image"] for row in rows))[:COLUMNS]
    found = {(row["method"], row["image"]): row for row in rows}
    methods = [method for method in item.methods if any((method, name) in found for name in names)]
    height = 1.65 * (1 + len(methods)) + 0.4
    figure, axes = plt.subplots(
        1 + len(methods), len(names), figsize=(1.65 * len(names) + 0.6, height), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, label in zip(axes[:, 0], ["original", *(DISPLAY[method] for method in methods)], strict=True):
        axis.set_ylabel(label.replace(" (", "\n("), fontsize=8)
    for column, name in zip(axes.T, names, strict=True):
        show(column[0], fits.load(fits.original(folder, "", name))["image"])
        for axis, method in zip(column[1:], methods, strict=True):
            row = found.get((method, name))
            if row is None:
                axis.set_axis_off()
                continue
            show(axis, fits.load(fits.reconstruction(folder, row["file"]))["image"])
            facts = f"{number(row['mse'], '.4f')}, {decibels(row)}"
            axis.set_xlabel("\n".join(filter(None, [facts, flag(row)])), fontsize=6.5)
    across = int(TITLE_CHARACTERS * figure.get_figwidth())
    title = "\n".join(
        textwrap.fill(line, across) for line in (item.title, f"{measured(rows[0])}; under each: MSE, PSNR")
    )
    figure.suptitle(title, fontsize=9)
    return figure


HEADER = ("image", "method", "preset", "count", "num_measurements", "mse", "psnr", "ssim", "data_range")
HEADER += ("seconds", "ok", "converged")


def as_csv(rows: Sequence[Mapping]) -> str:
    return tables.as_csv(pd.DataFrame(rows).reindex(columns=HEADER))


def as_markdown(item: Item, rows: Sequence[Mapping]) -> str:
    """MSE of each image and method."""
    names = list(dict.fromkeys(row["image"] for row in rows))
    found = {(row["method"], row["image"]): row for row in rows}
    methods = [method for method in item.methods if any(key[0] == method for key in found)]
    lines = []
    for name in names:
        values = [found.get((method, name)) for method in methods]
        lines.append([name, *("" if row is None else number(row["mse"], ".5f") for row in values)])
    return tables.as_markdown(pd.DataFrame(lines, columns=["MSE", *(DISPLAY[method] for method in methods)]))
