"""The pictures of a run: comparisons, loss curves, images as files."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

from csdip_jax.files import write_atomically  # noqa: E402

IMAGES_PER_PICTURE = 6
NAMED_CURVES = 12


class Comparison(NamedTuple):
    """One image of a comparison picture; pixels [h, w, c] in [-1, 1].

    Attributes:
        label: what stands above it.
        original: the true image.
        adjoint: A^H y, or None for an operator without one.
        reconstructions: method -> image.
        captions: method -> what stands under its image, or in place of one that it has not.
        maps: method -> name -> what else is known of each of its pixels, differences of pixels [h, w, c].
        best: the method whose caption is bold.
    """

    label: str
    original: np.ndarray
    adjoint: np.ndarray | None
    reconstructions: Mapping[str, np.ndarray]
    captions: Mapping[str, str]
    maps: Mapping[str, Mapping[str, np.ndarray]]
    best: str | None = None


def save_comparison(path: Path, images: Sequence[Comparison]) -> None:
    """Two columns an image: its original above every method's reconstruction, the adjoint above their errors.

    What else is known of each pixel has further columns. Rows as in the paper's Figure 2; the first few images of many.
    """
    images = images[:IMAGES_PER_PICTURE]
    methods = list(dict.fromkeys(method for image in images for method in image.reconstructions))
    names = list(dict.fromkeys(name for image in images for maps in image.maps.values() for name in maps))
    rows, columns = 1 + len(methods), 2 + len(names)
    height = max(image.original.shape[0] / image.original.shape[1] for image in images)
    figure, axes = plt.subplots(
        rows,
        columns * len(images),
        figsize=(2.2 * columns * len(images) + 0.8, rows * (2.1 * height + 0.45) + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, row in zip(axes[:, 0], ["original", *methods], strict=True):
        axis.set_ylabel(row.replace(" ", "\n"), fontsize=9)
    for number, image in enumerate(images):
        first, second, *others = axes.T[columns * number : columns * (number + 1)]
        show(first[0], image.original)
        # Names of files: no formulas, and perhaps bytes that are no text.
        label = image.label.encode(errors="backslashreplace").decode()
        first[0].set_title(label, fontsize=8, parse_math=False)
        if image.adjoint is None:
            _write_in_place(second[0], "no adjoint")
        else:
            second[0].set_title("adjoint $A^H y$", fontsize=8)
            show(second[0], _to_own_range(image.adjoint))
        for method, image_axis, error_axis in zip(methods, first[1:], second[1:], strict=True):
            if method not in image.reconstructions:
                _write_in_place(image_axis, image.captions[method])
                error_axis.set_axis_off()
                continue
            show(image_axis, image.reconstructions[method])
            weight = "bold" if method == image.best else "normal"
            image_axis.set_xlabel(image.captions[method], fontsize=7.5, fontweight=weight)
            error = np.abs(image.reconstructions[method] - image.original).mean(-1)
            shown = error_axis.imshow(error, cmap="magma", vmin=0, vmax=0.5)
            error_axis.set_xlabel("|error|", fontsize=7.5)
        for name, axis in zip(names, others, strict=True):
            axis[0].set_axis_off()
            for method, map_axis in zip(methods, axis[1:], strict=True):
                if name in image.maps.get(method, {}):
                    show_map(map_axis, name, image.maps[method][name])
                else:
                    map_axis.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.6 / rows**0.5, aspect=30, pad=0.01).ax.tick_params(labelsize=7)
    save_figure(path, figure)


def _write_in_place(axis, text: str) -> None:
    """Words where there is no image."""
    axis.set_frame_on(False)
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, transform=axis.transAxes)


def save_losses(path: Path, curves: Sequence[tuple[str, np.ndarray]]) -> None:
    """Measurement loss against the step, a curve per fit; see `draw_losses`."""
    save_figure(path, draw_losses(curves))


def draw_losses(curves: Sequence[tuple[str, np.ndarray]]):
    """A curve and a name for each (label, trace), in colours of their own; beyond NAMED_CURVES grey and counted."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    colours, rest = plt.get_cmap("Paired").colors, len(curves) - NAMED_CURVES
    for number, (label, trace) in reversed(list(enumerate(curves))):  # the named ones on top
        style = {"color": colours[number], "label": label} if number < NAMED_CURVES else {"color": "0.8"}
        axis.plot(np.arange(1, len(trace) + 1), trace, lw=1, alpha=0.8, **style)
    if any((np.asarray(trace) > 0).any() for _, trace in curves):  # measurements of zeros may leave nothing else
        axis.loglog()
    axis.set_xlabel("step")
    axis.set_ylabel(r"measurement loss $\|y - Ax\|^2$")
    axis.grid(alpha=0.3)
    handles, labels = (found[::-1] for found in axis.get_legend_handles_labels())
    if rest > 0:
        handles, labels = [*handles, plt.Line2D([], [], color="0.8")], [*labels, f"and {rest} more"]
    axis.legend(handles, labels, fontsize=7)
    return figure


def show(axis, image: np.ndarray) -> None:
    """Draws [h, w, c] in [-1, 1], grey or in colour."""
    shown = np.clip((np.asarray(image) + 1) / 2, 0, 1)
    if shown.shape[-1] == 1:
        axis.imshow(shown[..., 0], cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(shown)


def show_map(axis, name: str, differences: np.ndarray) -> None:
    """Draws the size of differences of pixels [h, w, c], the mean over their channels, from 0 to their largest."""
    sizes = np.abs(differences).mean(-1)
    known = np.isfinite(sizes).any()
    axis.imshow(sizes, cmap="magma", vmin=0, vmax=np.nanmax(sizes) or 1.0 if known else 1.0)
    told = f", 0 to {np.nanmax(sizes):.2g}" if known else ", not known"
    axis.set_xlabel(name.replace("_", " ") + told, fontsize=7.5)


def save_maps(path: Path, maps: Mapping[str, np.ndarray]) -> None:
    """A picture of some maps, name -> [h, w, c], beside each other."""
    figure, axes = plt.subplots(1, len(maps), figsize=(4 * len(maps), 4.2), squeeze=False, layout="constrained")
    for axis, (name, differences) in zip(axes[0], maps.items(), strict=True):
        axis.set_xticks([])
        axis.set_yticks([])
        show_map(axis, name, differences)
    save_figure(path, figure)


def _to_own_range(image: np.ndarray) -> np.ndarray:
    """Stretched so that the 1st and the 99th percentile become -1 and 1: an adjoint's scale means little."""
    low, high = np.percentile(image, (1, 99))
    return 2 * (image - low) / max(high - low, 1e-12) - 1


def save_figure(path: Path, figure, formats: Sequence[str] = ("png",)) -> None:
    """The matplotlib figure as a file of each format beside `path`, closed; the same figure gives the same bytes."""
    for suffix in formats:
        buffer = io.BytesIO()
        undated = {"metadata": {"CreationDate": None}} if suffix == "pdf" else {}
        figure.savefig(buffer, format=suffix, dpi=110, **undated)
        write_atomically(path.with_suffix(f".{suffix}"), lambda file, buffer=buffer: file.write(buffer.getvalue()))
    plt.close(figure)
