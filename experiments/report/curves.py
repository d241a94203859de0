"""Loss curves of a run, from the traces beside its reconstructions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from csdip_jax.results import read_arrays
from csdip_jax.types import InputError
from experiments.report.blocks import Curve, Note, Plot, Problem
from experiments.report.cells import Cell
from experiments.report.find import unusable

CURVES = 40
POINTS = 100


def plot_of(folder: Path, cells: Sequence[Cell], limit: int = CURVES) -> list:
    """One plot of at most `limit` curves, the first of each label; nothing where no trace is kept."""
    shown = chosen(cells, limit)
    curves, problems = [], []
    for cell in shown:
        path = folder / "reconstructions" / f"{cell.file}.npz"
        reason = unusable(path, folder)
        if reason:
            problems.append(Problem(f"{path}: {reason}"))
            continue
        try:
            trace = read_arrays(path).get("trace", np.zeros(0))
            if trace.dtype.kind in "fiu":
                curves.append(Curve(cell.label, thinned(trace)))
        except InputError as error:
            problems.append(Problem(f"{path}: no arrays that can be read ({error})"))
    curves = [curve for curve in curves if len(curve.points) > 1]
    if not curves:
        return problems
    left_out = len(cells) - len(shown)
    note = [Note(f"Curves of {left_out} further fits are left out: see their traces (.npz).")] if left_out else []
    title = "Measurement loss ‖y − A x‖² of the chosen restart"
    return [Plot(title, "step", "measurement loss", curves), *note, *problems]


def chosen(cells: Sequence[Cell], limit: int) -> list[Cell]:
    """The cells of all labels in turn, until there are enough."""
    labels = {}
    for cell in cells:
        labels.setdefault(cell.label, []).append(cell)
    longest = max(map(len, labels.values()), default=0)
    return [group[i] for i in range(longest) for group in labels.values() if i < len(group)][:limit]


def thinned(trace: np.ndarray) -> list[tuple[float, float]]:
    """(step, loss) from 1 on at about POINTS steps, evenly on a logarithmic axis, where the loss is above 0."""
    trace = np.ravel(np.asarray(trace, float))
    ended = np.flatnonzero(np.isfinite(trace))
    count = ended[-1] + 1 if len(ended) else 0
    if count == 0:
        return []
    steps = np.unique(np.geomspace(1, count, POINTS).round().astype(int))
    return [(float(i), float(trace[i - 1])) for i in steps if np.isfinite(trace[i - 1]) and trace[i - 1] > 0]
