"""The pictures of a run: comparisons, loss curves, images as files."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from csdip_jax.results import write_atomically  # noqa: E402

ROWS_PER_PICTURE = 8


class Comparison(NamedTuple):
    """One row of a comparison picture; images [h, w, c] in [-1, 1].

    Attributes:
        label: what stands left of the row.
        original: the true image.
        adjoint: A^H y, or None for an operator without one.
        reconstructions: method -> image.
        captions: method -> what stands under its image.
    """

    label: str
    original: np.ndarray
    adjoint: np.ndarray | None
    reconstructions: Mapping[str, np.ndarray]
    captions: Mapping[str, str]


def save_image(path: Path, image: np.ndarray) -> None:
    """[h, w, c] in [-1, 1] -> an 8-bit .png."""
    pixels = np.round((np.clip(np.asarray(image), -1, 1) + 1) * 127.5).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    write_atomically(path, lambda file: picture.save(file, format="png"))


def save_comparison(path: Path, rows: Sequence[Comparison]) -> None:
    """Rows: original, adjoint, each method's reconstruction and its absolute error; the first few rows of many."""
    rows = rows[:ROWS_PER_PICTURE]
    methods = list(rows[0].reconstructions)
    titles = ["original", "adjoint $A^H y$"]
    for method in methods:
        titles += [method, f"|error| of {method}"]
    heights = [row.original.shape[0] / row.original.shape[1] for row in rows]
    figure, axes = plt.subplots(
        len(rows),
        len(titles),
        figsize=(2.5 * len(titles) + 0.6, sum(2.4 * height + 0.5 for height in heights)),
        gridspec_kw={"height_ratios": heights},
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=9)
    for line, row in zip(axes, rows, strict=True):
        line[0].set_ylabel(row.label, fontsize=8)
        _show(line[0], row.original)
        if row.adjoint is None:
            line[1].text(0.5, 0.5, "no adjoint", ha="center", va="center", transform=line[1].transAxes)
        else:
            _show(line[1], _to_own_range(row.adjoint))
        for method, image_axis, error_axis in zip(methods, line[2::2], line[3::2], strict=True):
            _show(image_axis, row.reconstructions[method])
            image_axis.set_xlabel(row.captions[method], fontsize=8)
            error = np.abs(row.reconstructions[method] - row.original).mean(-1)
            shown = error_axis.imshow(error, cmap="magma", vmin=0, vmax=0.5)
    figure.colorbar(shown, ax=axes, shrink=0.6 / len(rows) ** 0.5, aspect=30, pad=0.01).ax.tick_params(labelsize=7)
    _save_figure(path, figure)


def save_losses(path: Path, traces: Mapping[str, np.ndarray]) -> None:
    """Measurement loss against the step, one curve per fit."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    many = len(traces) > 8
    for label, trace in traces.items():
        axis.semilogy(np.arange(1, len(trace) + 1), trace, lw=1, alpha=0.7, label=None if many else label)
    axis.set_xlabel("step")
    axis.set_ylabel(r"measurement loss $\|y - Ax\|^2$")
    axis.grid(alpha=0.3)
    if not many:
        axis.legend(fontsize=7)
    _save_figure(path, figure)


def _show(axis, image: np.ndarray) -> None:
    shown = np.clip((np.asarray(image) + 1) / 2, 0, 1)
    if shown.shape[-1] == 1:
        axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(shown)


def _to_own_range(image: np.ndarray) -> np.ndarray:
    """Stretched so that the 1st and the 99th percentile become -1 and 1: an adjoint's scale means little."""
    low, high = np.percentile(image, (1, 99))
    return 2 * (image - low) / max(high - low, 1e-12) - 1


def _save_figure(path: Path, figure) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    plt.close(figure)
    write_atomically(path, lambda file: file.write(buffer.getvalue()))
