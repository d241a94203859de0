"""The pictures of a run: comparisons, loss curves, images as files."""

import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.ticker import MaxNLocator  # noqa: E402

from csdip_jax.files import write_atomically  # noqa: E402
from csdip_jax.methods import METHODS  # noqa: E402

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
        _show_adjoint(second[0], image.adjoint)
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


class Explained(NamedTuple):
    """A reconstruction of measurements without a true image; pixels [h, w, c] in [-1, 1].

    Attributes:
        label: the method with its settings.
        image: the reconstruction.
        caption: what stands under it.
        residual: A^H (y - A x), [h, w, c], of a linear operator, else |y - A x| like the measurements.
        residual_caption: what stands under that.
        maps: as in `Comparison`.
    """

    label: str
    image: np.ndarray
    caption: str
    residual: np.ndarray
    residual_caption: str
    maps: Mapping[str, np.ndarray]


def save_explained(path: Path, adjoint: np.ndarray | None, fits: Sequence[Explained]) -> None:
    """A row per reconstruction: the adjoint, the same of all, the image, what it leaves of y, and further maps.

    A residual that looks like noise is one; where it shows the object, the model or the fit is not right.
    """
    names = list(dict.fromkeys(name for fit in fits for name in fit.maps))
    height = fits[0].image.shape[0] / fits[0].image.shape[1]
    figure, axes = plt.subplots(
        len(fits),
        3 + len(names),
        figsize=(3.0 * (3 + len(names)) + 0.4, len(fits) * (2.9 * height + 0.9)),
        squeeze=False,
        layout="constrained",
    )
    for (first, second, third, *others), fit in zip(axes, fits, strict=True):
        for axis in (first, second, third, *others):
            axis.set_xticks([])
            axis.set_yticks([])
        if fit is not fits[0]:
            first.set_axis_off()
        else:
            _show_adjoint(first, adjoint)
        show(second, fit.image)
        second.set_title(fit.label, fontsize=8, parse_math=False)
        second.set_xlabel(textwrap.fill(fit.caption, 52), fontsize=7)
        _show_residual(third, fit)
        for name, axis in zip(names, others, strict=True):
            if name in fit.maps:
                show_map(axis, name, fit.maps[name])
            else:
                axis.set_axis_off()
    save_figure(path, figure)


def _show_residual(axis, fit: Explained) -> None:
    """As an image where it is one, less its mean, grey being 0; else against the number of the measurement.

    An offset, as patterns of 0 and 1 leave it, or a single pixel would hide the rest: the 99th percentile is white.
    """
    residual, told = np.asarray(fit.residual, np.float64), fit.residual_caption
    if residual.shape == fit.image.shape:
        grey = residual.mean(-1)
        grey -= grey.mean()
        white = np.percentile(np.abs(grey), 99) or np.abs(grey).max() or 1.0
        axis.imshow(grey, cmap="gray", vmin=-white, vmax=white)
        axis.set_title("residual $A^H (y - Ax)$", fontsize=8)
        told += ". Its mean is taken out, white is its 99th percentile. What looks like noise is fine"
    else:
        axis.plot(residual.ravel(), lw=0.6, color="0.3")
        axis.set_xlim(0, max(residual.size - 1, 1))
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=7)
        axis.set_xticks([0, residual.size - 1])
        axis.yaxis.set_major_locator(MaxNLocator(4))
        axis.set_box_aspect(fit.image.shape[0] / fit.image.shape[1])
        axis.set_title("residual $|y - Ax|$ by measurement", fontsize=8)
    axis.set_xlabel(textwrap.fill(told, 52), fontsize=7)


def _show_adjoint(axis, adjoint: np.ndarray | None) -> None:
    """A^H y, or that there is none."""
    if adjoint is None:
        _write_in_place(axis, "no adjoint")
    else:
        axis.set_title("adjoint $A^H y$", fontsize=8)
        show(axis, to_own_range(adjoint))


def _write_in_place(axis, text: str) -> None:
    """Words where there is no image."""
    axis.set_frame_on(False)
    axis.text(0.5, 0.5, text, ha="center", va="center", fontsize=8, transform=axis.transAxes)


def save_losses(path: Path, curves: Sequence[tuple[str, np.ndarray]]) -> None:
    """Measurement loss against the step, a curve per fit; see `draw_losses`."""
    save_figure(path, draw_losses(curves))


def draw_losses(curves: Sequence[tuple[str, np.ndarray]]):
    """A curve and a name for each (label, trace), a method's in its own colour; beyond NAMED_CURVES grey and counted.

    A label begins with its method.
    """
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    colours, rest = _colours([label for label, _ in curves[:NAMED_CURVES]]), len(curves) - NAMED_CURVES
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
    for text in axis.legend(handles, labels, fontsize=7).get_texts():
        text.set_parse_math(False)  # names of files
    return figure


def _colours(labels: Sequence[str]) -> list[tuple[float, ...]]:
    """Of curves by their labels: the colour of the method, from dark to light where it has several."""
    methods = [re.split("[ ,]", label)[0] for label in labels]
    known = {name: recipe.colour for name, recipe in METHODS.items()}
    colours = []
    for i, method in enumerate(methods):
        count, before = methods.count(method), methods[:i].count(method)
        light = 0.0 if count == 1 else -0.5 + 1.1 * before / (count - 1)  # -1 is black, 1 is white
        colour = np.array(to_rgb(known.get(method, "0.4")))
        colours.append(tuple(colour + light * (1 - colour) if light > 0 else colour * (1 + light)))
    return colours


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


def to_own_range(image: np.ndarray) -> np.ndarray:
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
