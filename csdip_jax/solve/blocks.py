"""How fits are cut into blocks, and how many fit into memory."""

from functools import partial
from typing import Any

import jax
import numpy as np

from csdip_jax.methods.base import Method
from csdip_jax.solve.fits import Case, Layout, advance, start
from csdip_jax.types import InputError, Problem


def cut_into_blocks(cases: int, restarts: int, fits_at_once: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(case indices, restart indices) of each block, all of one size: the last ones repeat a fit to fill up."""
    if fits_at_once < 1:
        raise InputError(f"fits_at_once = {fits_at_once}: it must be at least 1")

    def cut(count, size):
        return [np.minimum(np.arange(first, first + size), count - 1) for first in range(0, count, size)]

    columns = min(restarts, fits_at_once)
    rows = min(cases, max(1, fits_at_once // restarts))
    return [(row, column) for row in cut(cases, rows) for column in cut(restarts, columns)]


def default_fits_at_once(method: Method, cases: Case, keys, operator_batched: bool, cases_per_image: int) -> int:
    """As many as memory allows; on a CPU one, or those of one image where the method leaves room for more."""
    device = jax.local_devices()[0]
    memory = device.memory_stats() if device.platform != "cpu" else None
    if memory is None:
        return 1 if method.fills_the_cache else method.restarts * cases_per_image
    layout = Layout(single=True, operator_batched=operator_batched)
    one = (method, take_cases(cases, np.zeros(1, int), operator_batched))
    fits = jax.eval_shape(partial(start, layout=layout), *one, keys[:1, :1])
    needed = advance.lower(*one, fits, 1, 0, layout=layout).compile().memory_analysis()
    return fits_in(memory["bytes_limit"] - memory["bytes_in_use"], needed.temp_size_in_bytes + _bytes_of(fits))


def _bytes_of(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def fits_in(free_bytes: int, bytes_per_fit: int) -> int:
    """Fits that fit into memory, a fifth of it left for what the compiler does not count."""
    return max(1, int(0.8 * free_bytes) // max(1, bytes_per_fit))


def take_cases(cases: Case, rows: np.ndarray, operator_batched: bool) -> Case:
    (operator, measurements), swept = cases
    if len(measurements) == 1:
        return cases
    if operator_batched:
        operator = jax.tree.map(lambda x: x[rows], operator)
    return Case(Problem(operator, measurements[rows]), jax.tree.map(lambda x: x[rows], swept))
