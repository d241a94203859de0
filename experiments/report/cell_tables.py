"""Tables of a run: its means, and its cells. Columns that say nothing anywhere are left out."""

import math
from collections.abc import Sequence

from experiments.report.blocks import Entry, Flag, Folded, Link, Note, Number, Table
from experiments.report.cells import Cell, worst_and_slowest
from experiments.report.summary import Line
from experiments.row_tables import of_range

CELLS = 400  # of a run
HOW = (
    "Mean MSE over images, of each image's mean over seeds; its 95 % interval by Student's t over images, or over "
    "seeds where there is one image. Failed and not converged cells are included."
)


def summary(lines: Sequence[Line]) -> list:
    rows = [
        {
            "part": line.part,
            "measured": line.measured,
            "noise variance": number(line.noise, "g"),
            "preset": line.preset,
            "method": line.label,
            "images": number(line.images, "d"),
            "seeds": number(line.seeds, "d"),
            "mean MSE": number(line.mse, ".4g"),
            "± 95 %": number(line.half_width, ".2g"),
            "median PSNR / dB": number(line.psnr, ".2f"),
            "of range": of_range(line.data_ranges).removeprefix(" of range "),
            "median seconds": number(line.seconds, ".2f"),
            "total seconds": number(line.total_seconds, ".1f"),
            "failed": count(line.failed),
            "not converged": count(line.unconverged),
            "redraws": count(line.redraws),
            "resumed": count(line.resumed),
        }
        for line in lines
    ]
    if all(line.seeds == 1 for line in lines):
        rows = [{name: entry for name, entry in row.items() if name != "seeds"} for row in rows]
    infinite = sum(line.infinite for line in lines)
    more = f" {infinite} cells whose MSE is no finite number are left out of the means." if infinite else ""
    optional = ("part", "preset", "of range", "failed", "not converged", "redraws", "resumed")
    return [_table("Summary", rows, optional), Note(HOW + more)]


def table(caption: str, cells: Sequence[Cell], runs: Sequence[Link] = ()) -> Table:
    """The cells in their order, each with a link to its run where `runs` has one; * marks seconds with compiling."""
    rows = [
        ({"run": runs[i]} if runs else {})
        | {
            "image": f"{cell.part}: {cell.image}" if cell.part else cell.image,
            "method": cell.label,
            "flag": Flag(cell.flag),
            "measured": cell.measured,
            "noise variance": number(cell.noise, "g"),
            "seed": number(cell.seed, "d"),
            "MSE": number(cell.mse, ".4g"),
            "seconds": _seconds(cell),
            "PSNR / dB": number(cell.psnr, ".2f"),
            "of range": of_range({cell.data_range}).removeprefix(" of range "),
            "SSIM": number(cell.ssim, ".3f"),
            "steps": number(cell.steps, "d"),
            "redraws": count(cell.redraws),
        }
        for i, cell in enumerate(cells)
    ]
    return _table(
        caption, rows, ("image", "flag", "noise variance", "seed", "MSE", "PSNR / dB", "of range", "SSIM", "redraws")
    )


def folded(cells: Sequence[Cell]) -> Folded:
    """All cells of a run, or the worst and the slowest of very many."""
    shown = worst_and_slowest(cells, CELLS)
    if len(shown) == len(cells):
        return Folded(f"All {len(cells)} cells, the worst first", [table("", shown)])
    note = Note(
        f"The worst {CELLS - CELLS // 2}, and the slowest {CELLS // 2} of the others; results.jsonl has them all."
    )
    return Folded(f"{len(shown)} of {len(cells)} cells, the worst first", [note, table("", shown)])


def _seconds(cell: Cell) -> Number:
    if cell.seconds is None:
        return Number("resumed", None)
    return Number(f"{cell.seconds:.2f}{'*' * cell.compiled}", cell.seconds)


def _table(caption: str, rows: Sequence[dict[str, Entry]], optional: Sequence[str]) -> Table:
    names = [name for name in rows[0] if name not in optional or any(_says_something(row[name]) for row in rows)]
    return Table(caption, names, [[row[name] for name in names] for row in rows], sortable=True)


def _says_something(entry: Entry) -> bool:
    return bool(entry.value if isinstance(entry, Number) else entry.text if isinstance(entry, Flag) else entry)


def number(value: float | None, form: str) -> Number:
    """Formatted; a dash for None and NaN."""
    if value is None or math.isnan(value):
        return Number("–", None)
    return Number(f"{value:{form}}", float(value))


def count(value: int) -> Number:
    """Formatted; 0 is left blank, so that the others stand out."""
    return Number(str(value) if value else "", float(value))
