"""How fits are cut into blocks, where they lie, and how their outcomes come together."""

import math
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from csdip_jax.checks import require_count
from csdip_jax.operators import Stack
from csdip_jax.solve.fits import Case, Layout, mesh
from csdip_jax.types import Problem, Solution, Status


class Block(NamedTuple):
    """The fits that run together, equally many on each device.

    Attributes:
        operators: indices of the operators, [devices * operators on each].
        rows: of the cases, [devices * cases on each].
        columns: of the restarts, [devices * cases on each, restarts].
        devices: how many.
    """

    operators: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    devices: int

    @property
    def index(self) -> tuple[np.ndarray, np.ndarray]:
        """Of its fits in arrays [cases, restarts]."""
        return self.rows[:, None], self.columns

    def is_whole(self, shape: tuple[int, ...]) -> bool:
        """Whether it holds all fits of [cases, restarts] in their order, so that nothing needs to be picked."""
        everything = np.arange(shape[0]), np.tile(np.arange(shape[1]), (shape[0], 1))
        return all(map(np.array_equal, (self.rows, self.columns), everything))

    @property
    def layout(self) -> Layout:
        """How its fits lie."""
        return Layout(single=self.columns.size == self.devices, devices=self.devices)


def cut_into_blocks(
    operators: int, cases_per_operator: int, restarts: int, fits_at_once: int, devices: int = 1
) -> list[Block]:
    """The blocks of all fits, of one size, as even as can be: where fits are missing, one is repeated to fill up.

    Args:
        operators: how many; each serves the next `cases_per_operator` cases.
        cases_per_operator: at least 1.
        restarts: of each case.
        fits_at_once: the most on a device.
        devices: how many there are. Fewer are used where there are not enough fits.
    """
    require_count("fits_at_once", fits_at_once)

    def cut(count, most):
        size = math.ceil(count / math.ceil(count / most))
        return [np.minimum(np.arange(first, first + size), count - 1) for first in range(0, count, size)]

    rows = np.arange(operators * cases_per_operator).reshape(operators, cases_per_operator)
    size = min(rows.size, max(1, fits_at_once // restarts))
    if size < cases_per_operator:
        parts = [([i], rows[i][part]) for i in range(operators) for part in cut(cases_per_operator, size)]
    else:
        parts = [(group, rows[group].ravel()) for group in cut(operators, size // cases_per_operator)]
    # Restart by restart: the blocks of several devices then have an operator of its own for each.
    columns = cut(restarts, min(restarts, fits_at_once))
    pieces = [
        Block(np.array(group), part, np.tile(column, (len(part), 1)), 1) for column in columns for group, part in parts
    ]

    def joined(parts):
        operators, rows, columns, _ = zip(*parts, strict=True)
        return Block(np.concatenate(operators), np.concatenate(rows), np.concatenate(columns), len(parts))

    return [joined([pieces[i] for i in together]) for together in cut(len(pieces), devices)]


def take_cases(cases: Case, block: Block) -> Case:
    """The cases of a block, each on its device."""
    operator, measurements = cases.problem
    if isinstance(operator, Stack):
        operator = place(_picked(operator, block.operators, operator.size), block.devices)
    else:
        operator = place(operator, block.devices, shared=True)
    rest = _picked(cases._replace(problem=Problem(None, measurements)), block.rows, len(measurements))
    rest = place(rest, block.devices)
    return rest._replace(problem=Problem(operator, rest.problem.measurements))


def _picked(tree: Any, indices: np.ndarray, count: int) -> Any:
    """These entries of the leading axes, `count` long; no copy and nothing to compile where they are all, in order."""
    if np.array_equal(indices, np.arange(count)):
        return tree
    return jax.tree.map(lambda x: x[indices], tree)


def place(tree: Any, devices: int, shared: bool = False) -> Any:
    """Its arrays cut along the leading axis and shared out over the devices, or a copy on each."""
    if devices == 1:
        return tree
    return jax.device_put(tree, sharding(devices, shared))


def sharding(devices: int, shared: bool = False) -> NamedSharding:
    """Of arrays that lie on so many devices, cut along the leading axis or a copy on each."""
    return NamedSharding(mesh(devices), PartitionSpec() if shared else PartitionSpec("fits"))


def store_block(outcomes: list | None, leaves: list, block: Block, shape: tuple[int, ...]) -> list:
    """The leaves of the outcomes of all fits, [cases, restarts, ...], with those of one more block."""
    if outcomes is None:
        outcomes = [np.zeros(shape + leaf.shape[2:], leaf.dtype) for leaf in leaves]
    for everything, part in zip(outcomes, leaves, strict=True):
        everything[block.index] = part
    return outcomes


def choose_restarts(solutions: Solution, scores: np.ndarray) -> Solution:
    """The restart with the lowest score for each case, of [cases, restarts]; one that failed only where all did."""
    scores = np.where(np.isfinite(scores), scores, np.inf)
    restart = np.lexsort((scores, solutions.status >= Status.DIVERGED), axis=1)[:, 0]
    best = jax.tree.map(lambda x: x[np.arange(len(restart)), restart], solutions)
    return best._replace(restart=restart, redraws=solutions.redraws.sum(axis=1))
