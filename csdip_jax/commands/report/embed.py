"""Pictures that become part of the page, within its bounds: figures, contact sheets, loss curves."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex, to_rgb
from PIL import Image

from csdip_jax.commands.pictures import plt
from csdip_jax.commands.report.find import unusable
from csdip_jax.commands.row_tables import of_range
from csdip_jax.files import read_arrays
from csdip_jax.methods import METHODS
from csdip_jax.runs.row import stem
from csdip_jax.types import InputError

LARGE_FIGURE = 2**20  # bytes; what is larger gets a palette of 256 colours
FIGURE_SIDE = 2400  # pixels
PAGE_BYTES = 48 * 2**20  # of all pictures, before base64
SHEET_BYTES = 8 * 2**20  # of the contact sheets of one run
MEBIBYTE = 2**20
THUMB_SIDE = 512  # pixels; larger reconstructions are reduced to this
CURVES = 40
POINTS = 100  # of a curve


class Budget:
    """Bytes that may still be embedded; a part of another one cannot take more than that has."""

    def __init__(self, limit: int, whole: "Budget | None" = None):
        self.left, self.whole = limit, whole

    def take(self, picture: "Picture") -> bool:
        """Whether the picture still fits; if so, it counts."""
        size = len(picture.data)
        if size > self.left or (self.whole and not self.whole.take(picture)):
            return False
        self.left -= size
        return True


class Picture(NamedTuple):
    """An image file's bytes, its size in pixels, where it was read, and of which type it is."""

    data: bytes
    width: int
    height: int
    path: Path
    type: str = "png"


class Thumb(NamedTuple):
    """One picture of a contact sheet: what it is, what is known of it, and what is wrong with it, in a word."""

    label: str
    detail: str
    flag: str
    picture: Picture


class Sheet(NamedTuple):
    """One image: the original, and its reconstructions, a strip for each measurement."""

    name: str
    strips: dict[str, list[Thumb]]


class Losses(NamedTuple):
    """Curves in one picture, the colour of each label, and how many further curves are left out."""

    picture: Picture
    colours: dict[str, str]
    left_out: int


def figure(path: Path) -> Picture | str:
    """A drawn figure: as it is, or reduced to FIGURE_SIDE and 256 colours where it is large; or why it cannot be."""
    return _picture(path, FIGURE_SIDE, as_it_is=True)


def thumb(path: Path) -> Picture | str:
    """A reconstruction's .png in 8 bits: at its own size up to THUMB_SIDE, without metadata; or why it cannot be."""
    return _picture(path, THUMB_SIDE, as_it_is=False)


def _picture(path: Path, side: int, as_it_is: bool) -> Picture | str:
    try:
        png = path.read_bytes()
        with Image.open(path, formats=["PNG"]) as opened:  # by its name, which an error then tells
            opened.load()
            image = opened
        if max(image.size) > side or not as_it_is:
            image = _to_eight_bits(image)
            image.thumbnail((side, side))
            png = _encode(image)
        if as_it_is and len(png) > LARGE_FIGURE:
            png = min(png, _encode(image.convert("RGB").quantize(256)), key=len)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"{path}: no picture that can be read ({error})"
    return Picture(png, *image.size, path)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):  # 16 bits: Pillow would clip at 255
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    return image.convert("RGB")


def _encode(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def sheets_of(
    folder: Path, cells: pd.DataFrame, page: Budget, limit: int = SHEET_BYTES
) -> tuple[list[Sheet], list[str], list[str]]:
    """Sheets, as many images as fit into the limit and what the page has left.

    Returns:
        The sheets; notes on what is left out; what cannot be read.
    """
    budget, sheets, problems, whole = Budget(limit, page), [], [], 0
    images = cells.groupby(["part", "image"], sort=False)
    for (part, image), group in images:
        sheet, full = Sheet(stem(part, image) or "image", {}), False
        for strip, label, detail, flag, path in _pictures(folder, part, image, group):
            reason = unusable(path, folder)
            picture = f"{path}: {reason}" if reason else thumb(path)
            if isinstance(picture, str):
                problems.append(picture)
                continue
            full = not budget.take(picture)
            if full:
                break
            detail = detail or f"{picture.width} x {picture.height}"
            sheet.strips.setdefault(strip, []).append(Thumb(label, detail, flag, picture))
        sheets += [sheet] if sheet.strips else []
        if full:
            break
        whole += 1
    notes = []
    if whole < len(images):
        notes.append(
            f"Shown whole: {whole} of {len(images)} images; a run's contact sheets may have {limit / MEBIBYTE:.3g} MiB "
            f"of pictures, the page {PAGE_BYTES / MEBIBYTE:.3g} MiB. The others lie in {folder / 'reconstructions'}."
        )
    if sheets and cells.mse.notna().any() and not (folder / "originals").is_dir():
        notes.append("This run keeps no originals: see its comparison pictures, if there are any.")
    return sheets, notes, problems


def _pictures(folder: Path, part: str, image: str, cells: pd.DataFrame) -> Iterator[tuple[str, str, str, str, Path]]:
    """(strip, label, detail, flag, path): the original, then the cells by number of measurements, noise and seed."""
    original = folder / "originals" / f"{stem(part, image)}.png"
    if os.path.lexists(original):
        yield "", "original", "", "", original
    order = ["operator", "num_measurements", "noise_variance", "seed"]
    for cell in cells.sort_values(order, kind="stable", na_position="first").itertuples():
        facts = [cell.measured]
        facts += [f"noise variance {cell.noise_variance:g}"] if cell.noise_variance > 0 else []
        facts += [f"seed {cell.seed}"] if cells.seed.nunique() > 1 else []
        known = [f"MSE {cell.mse:.3g}"] if pd.notna(cell.mse) else []
        known += [f"{cell.psnr:.1f} dB{of_range([cell.data_range])}"] if pd.notna(cell.psnr) else []
        path = folder / "reconstructions" / f"{cell.file}.png"
        yield ", ".join(facts), cell.label, ", ".join(known), cell.flag, path


def losses_of(folder: Path, cells: pd.DataFrame, limit: int = CURVES) -> tuple[Losses | None, list[str]]:
    """At most `limit` curves, the labels in turn, of the traces beside the reconstructions; and what cannot be read."""
    turns = np.lexsort((pd.factorize(cells.label)[0], cells.groupby("label").cumcount()))[:limit]
    curves, problems = [], []
    for cell in cells.iloc[turns].itertuples():
        path = folder / "reconstructions" / f"{cell.file}.npz"
        reason = unusable(path, folder)
        try:
            trace = np.zeros(0) if reason else read_arrays(path).get("trace", np.zeros(0))
        except InputError as error:
            trace, reason = np.zeros(0), f"no arrays that can be read ({error})"
        problems += [f"{path}: {reason}"] if reason else []
        points = thinned(trace) if trace.dtype.kind in "fiu" else []
        curves += [(cell.label, points)] if len(points) > 1 else []
    if not curves:
        return None, problems
    drawn = {label for label, _ in curves}
    colours = label_colours(cells.iloc[turns][cells.label.iloc[turns].isin(drawn)])
    return Losses(_drawn(curves, colours, folder), colours, len(cells) - len(turns)), problems


def thinned(trace: np.ndarray) -> np.ndarray:
    """(step, loss) from 1 on at about POINTS steps, evenly on a logarithmic axis, where the loss has a place on one."""
    trace = np.ravel(np.asarray(trace, float))
    count = np.flatnonzero(np.isfinite(trace)).max(initial=-1) + 1
    steps = np.unique(np.geomspace(1, count, POINTS).round().astype(int)) if count else np.zeros(0, int)
    points = np.stack([steps, trace[steps - 1]], axis=1)
    return points[(points[:, 1] > 1e-99) & (points[:, 1] < 1e99)]


def _drawn(curves, colours, folder: Path) -> Picture:
    """The curves as SVG; the same curves give the same bytes."""
    drawing, axis = plt.subplots(figsize=(7.5, 3.4), layout="constrained")
    for label, points in curves:
        axis.plot(*points.T, color=colours[label], lw=1.2, alpha=0.85)
    axis.loglog()
    axis.set_xlabel("step")
    axis.set_ylabel("measurement loss")
    axis.grid(alpha=0.3)
    return as_svg(drawing, "losses", folder)


def as_svg(drawing, salt: str, folder: Path = Path()) -> Picture:
    """A matplotlib figure, closed; the same figure gives the same bytes, words are set by the reader's browser."""
    buffer = io.BytesIO()
    with plt.rc_context({"svg.hashsalt": salt, "svg.fonttype": "none"}):
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(drawing)
    width, height = (round(96 * inches) for inches in drawing.get_size_inches())
    return Picture(buffer.getvalue(), width, height, folder, "svg+xml")


def label_colours(cells: pd.DataFrame) -> dict[str, str]:
    """Label -> colour, in the order of the cells: its recipe's, from dark to light where a method has several."""
    methods = dict(zip(cells.label, cells.method, strict=True))
    colours = {}
    for method in dict.fromkeys(methods.values()):
        own = [label for label, of in methods.items() if of == method]
        base = np.array(to_rgb(METHODS[method].colour if method in METHODS else "0.4"))
        for label, mix in zip(own, np.linspace(-0.5, 0.55, len(own)) if len(own) > 1 else [0.0], strict=True):
            colours[label] = to_hex(base * (1 + mix) if mix < 0 else base + (1 - base) * mix)
    return {label: colours[label] for label in methods}
