"""Contact sheets: per image the original and all its reconstructions, in the order of the images."""

import os
from collections.abc import Sequence
from pathlib import Path

from experiments import fits
from experiments.report import embed
from experiments.report.blocks import Note, Picture, Problem, Sheet, Strip, Thumb
from experiments.report.cells import Cell
from experiments.report.find import unusable
from experiments.row_tables import of_range

MEBIBYTE = 2**20


def sheets_of(folder: Path, cells: Sequence[Cell], page: embed.Budget, limit: int = embed.SHEET_BYTES) -> list:
    """Sheets, as many images as fit into the limit and what the page has left; what is missing or left out is said."""
    budget, sheets, problems, left_out = embed.Budget(limit, page), [], [], 0
    images = {}
    for cell in cells:
        images.setdefault((cell.part, cell.image), []).append(cell)
    full = False
    for (part, image), group in images.items():
        if not full:
            sheet, broken, full = _sheet(folder, fits.stem(part, image) or "image", image, group, budget)
            problems += broken
            sheets += [sheet] if sheet.strips else []
        left_out += full
    notes = []
    if left_out:
        notes.append(
            Note(
                f"Shown whole: {len(images) - left_out} of {len(images)} images; a run's contact sheets may have "
                f"{limit / MEBIBYTE:.3g} MiB of pictures, the page {embed.PAGE_BYTES / MEBIBYTE:.3g} MiB. "
                f"The others lie in {folder / 'reconstructions'}."
            )
        )
    if sheets and not (folder / "originals").is_dir():
        notes.append(Note("This run keeps no originals: see its comparison pictures, if there are any."))
    return [*notes, *sheets, *problems]


def _sheet(folder: Path, name: str, image: str, cells: Sequence[Cell], budget) -> tuple[Sheet, list[Problem], bool]:
    """The sheet, what cannot be read, and whether the budget ended before it did."""
    strips, problems = [], []
    original = folder / "originals" / f"{fits.stem(cells[0].part, image)}.png"
    if os.path.lexists(original):
        picture = _picture(original, folder)
        if isinstance(picture, Problem):
            problems.append(picture)
        elif budget.take(picture):
            strips.append(Strip("", [Thumb("original", _size(picture), "", picture)]))
        else:
            return Sheet(name, strips), problems, True
    for label, group in _by_measurement(cells).items():
        thumbs = []
        for cell in group:
            picture = _picture(folder / "reconstructions" / f"{cell.file}.png", folder)
            if isinstance(picture, Problem):
                problems.append(picture)
            elif budget.take(picture):
                thumbs.append(Thumb(cell.label, _detail(cell), cell.flag, picture))
            else:
                strips += [Strip(label, thumbs)] if thumbs else []
                return Sheet(name, strips), problems, True
        strips += [Strip(label, thumbs)] if thumbs else []
    return Sheet(name, strips), problems, False


def _picture(path: Path, folder: Path) -> Picture | Problem:
    reason = unusable(path, folder)
    return Problem(f"{path}: {reason}") if reason else embed.thumb(path)


def _by_measurement(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Title of a strip -> its cells, by the number of measurements, noise and seed."""
    groups, seeds = {}, {cell.seed for cell in cells}
    for cell in sorted(cells, key=lambda cell: (cell.kind, cell.num_measurements or 0, cell.noise or 0.0, cell.seed)):
        facts = [cell.measured]
        facts += [f"noise variance {cell.noise:g}"] if cell.noise else []
        facts += [f"seed {cell.seed}"] if len(seeds) > 1 else []
        groups.setdefault(", ".join(facts), []).append(cell)
    return groups


def _detail(cell: Cell) -> str:
    facts = [] if cell.mse is None else [f"MSE {cell.mse:.3g}"]
    facts += [] if cell.psnr is None else [f"{cell.psnr:.1f} dB{of_range([cell.data_range])}"]
    return ", ".join(facts)


def _size(picture: Picture) -> str:
    return f"{picture.width} x {picture.height}"
