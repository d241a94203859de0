"""How fits are cut into blocks, and how many fit into memory."""

from functools import partial
from typing import Any

import jax
import numpy as np

from csdip_jax.solve.fits import Layout, advance, start
from csdip_jax.types import InputError, Problem


def cut_into_blocks(images: int, restarts: int, fits_at_once: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image indices, restart indices) of each block, all of one size: the last ones repeat a fit to fill up."""
    if fits_at_once < 1:
        raise InputError(f"fits_at_once = {fits_at_once}: it must be at least 1")

    def cut(count, size):
        return [np.minimum(np.arange(first, first + size), count - 1) for first in range(0, count, size)]

    columns = min(restarts, fits_at_once)
    rows = min(images, max(1, fits_at_once // restarts))
    return [(row, column) for row in cut(images, rows) for column in cut(restarts, columns)]


def default_fits_at_once(method, problem, keys, operator_batched) -> int:
    device = jax.local_devices()[0]
    memory = device.memory_stats() if device.platform != "cpu" else None
    if memory is None:
        return 1
    layout = Layout(single=True, operator_batched=operator_batched)
    one = (method, take_images(problem, np.zeros(1, int), operator_batched))
    fits = jax.eval_shape(partial(start, layout=layout), *one, keys[:1, :1])
    needed = advance.lower(*one, fits, 1, 0, layout=layout).compile().memory_analysis()
    return fits_in(memory["bytes_limit"] - memory["bytes_in_use"], needed.temp_size_in_bytes + _bytes_of(fits))


def _bytes_of(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def fits_in(free_bytes: int, bytes_per_fit: int) -> int:
    """Fits that fit into memory, a fifth of it left for what the compiler does not count."""
    return max(1, int(0.8 * free_bytes) // max(1, bytes_per_fit))


def take_images(problem: Problem, rows: np.ndarray, operator_batched: bool) -> Problem:
    if len(problem.measurements) == 1:
        return problem
    operator = jax.tree.map(lambda x: x[rows], problem.operator) if operator_batched else problem.operator
    return Problem(operator, problem.measurements[rows])
