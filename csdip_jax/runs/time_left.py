"""How far a sweep is, and how long it will still take."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from csdip_jax.runs.plan import Batch, cell_stem
from csdip_jax.runs.row import Row
from csdip_jax.solve.progress import progress_bar


class Part(NamedTuple):
    """A cell's name, and those of the program and the method that it has in common with others."""

    cell: str
    program: str
    method: str


def parts(mine: Sequence[Batch]) -> list[Part]:
    """Of all cells of some batches."""
    return [
        Part(cell_stem(batch.program, cell), batch.program.name, batch.program.sweep.name)
        for batch in mine
        for cell in batch.cells
    ]


class Progress:
    """A bar of the cells done of all, and the time left.

    Rows of earlier runs count, so an estimate is there at once when a sweep goes on.
    """

    def __init__(self, mine: Sequence[Batch], rows: Mapping[str, Row]):
        self.parts = parts(mine)
        done = sum(part.cell in rows for part in self.parts)
        form = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} cells [{elapsed}{postfix}]"
        self.bar = progress_bar(total=len(self.parts), initial=done, desc="all", unit="cells", bar_format=form)
        self._show_time_left(rows)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def begin(self, batch: Batch) -> None:
        """Shows which batch is computed."""
        self.bar.set_description_str(f"all, at {batch.name}")

    def end(self, cells: int, rows: Mapping[str, Row]) -> None:
        """Shows that so many cells more are done, and the time left by the rows so far."""
        self.bar.update(cells)
        self._show_time_left(rows)

    def _show_time_left(self, rows: Mapping[str, Row]) -> None:
        left = seconds_left(self.parts, rows)
        if left is not None:
            self.bar.set_postfix_str(f"{tqdm.format_interval(left)} left")


def seconds_left(parts: Sequence[Part], rows: Mapping[str, Row]) -> float | None:
    """What the missing cells will take, if they take what others of the same program did, or else method.

    None before any is done.
    """
    took, missing = {}, []
    for part in parts:
        row = rows.get(part.cell)
        if row is None:
            missing.append(part)
        elif row.seconds is not None:
            for group in (part.program, part.method, ""):
                took.setdefault(group, []).append(row.seconds)
    if not took:
        return None
    means = {group: float(np.mean(seconds)) for group, seconds in took.items()}
    return sum(means.get(part.program, means.get(part.method, means[""])) for part in missing)
