"""What fits take of a device's memory, and what follows where it is not enough: fewer at once, or a clear refusal."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from csdip_jax.methods.base import Method
from csdip_jax.operators import Operator, Stack
from csdip_jax.solve.blocks import Block, sharding, take_cases
from csdip_jax.solve.fits import Case, advance, start
from csdip_jax.solve.inputs import split_swept
from csdip_jax.types import Array, InputError, Problem

USABLE = 0.8
"""Of a memory; the rest is for what the compiler does not count, and on a CPU for Python and the compiler itself."""

LARGE = 2**28
"""Bytes of an operator. On a CPU, fits that fill the cache lose by running together, but gain where they share more; in
float16 or int8 one fit reads it as fast, where that was measured (docs: Performance)."""

SHARERS = 4
"""So many of them run together then, at most: more gain little (docs: Performance)."""

SINGLE = Block(np.zeros(1, int), np.zeros(1, int), np.zeros((1, 1), int), 1)
"""One fit on one device."""

CGROUPS = Path("/sys/fs/cgroup")


class Chunk(NamedTuple):
    """The compiled program of a block's chunks, and what it takes of a device's memory, other programs included.

    Attributes:
        fixed: bytes that do not grow with the fits: an operator that all share, and operators outside the block.
        bytes: operators, fits, and what the largest program needs beside them.
        compile_seconds: until the program was ready (less where it was in the compilation cache).
    """

    fixed: int
    bytes: int
    compile_seconds: float


def fitting_blocks(
    cut: Callable[[int], list[Block]],
    method: Method,
    cases: Case,
    keys: Array,
    record: dict[str, Callable],
    cases_per_image: int,
    fits_at_once: int | None,
) -> tuple[list[Block], Chunk]:
    """All fits in blocks that fit into memory, and the program that all of them share.

    Args:
        cut: the blocks of at most so many fits on a device.
        method: with the first of its swept values.
        cases: of all fits.
        keys: [cases, restarts].
        record: what is traced besides.
        cases_per_image: those that one operator serves.
        fits_at_once: as `reconstruct` was told; None: `default_fits_at_once`, or fewer where these are too many.

    Raises:
        InputError: they do not fit.
    """
    at_once, there = fits_at_once, usable_bytes()
    if at_once is None:
        at_once = default_fits_at_once(method, cases, keys, record, cases_per_image)
    while True:
        blocks = cut(at_once)
        chunk, on_each = (
            compiled_chunk(method, cases, keys, record, blocks[0]),
            blocks[0].columns.size // blocks[0].devices,
        )
        if chunk.bytes <= there:
            return blocks, chunk
        growing = chunk.bytes - chunk.fixed
        at_once = on_each * max(0, there - chunk.fixed) // growing  # fewer than on_each
        if not at_once:
            raise _too_large(chunk.fixed + growing / on_each, there)
        if fits_at_once is not None:
            raise InputError(
                f"fits_at_once = {fits_at_once}: they need {as_size(chunk.bytes)} of memory, operators included, "
                f"where {as_size(there)} can be used; choose fits_at_once={at_once}"
            )


def require_room(method: Method, make_operator: Callable[[Array], Operator]) -> None:
    """Refuses a fit that does not fit, knowing nothing but shapes: drawing and measuring at such a size takes minutes.

    What it counts is a single fit on a single device. Operators of other images, beside it there, are not.

    Args:
        method: its settings, swept or not.
        make_operator: key -> the operator; only traced.

    Raises:
        InputError: a single fit needs more memory than there is.
    """
    key, image = jax.random.key(0), jax.ShapeDtypeStruct(method.image_shape, np.float32)
    operator = jax.eval_shape(make_operator, key)
    measured = jax.eval_shape(lambda operator, image: operator.forward(image)[None], operator, image)
    method, _ = split_swept(method, measured.dtype)
    needed = compiled_chunk(method, Case(Problem(operator, measured), {}), key, {}, SINGLE).bytes
    there = usable_bytes()
    if needed > there:
        raise _too_large(needed, there)


def _too_large(needed: float, there: int) -> InputError:
    return InputError(
        f"a single fit needs {as_size(needed)} of memory, operators included, where {as_size(there)} can be used: "
        "choose a smaller image, or operators that store less"
    )


def as_size(count: float) -> str:
    """Bytes as text: GB, or MB below a tenth of one."""
    return f"{count / 1e9:.3g} GB" if count >= 1e8 else f"{count / 1e6:.3g} MB"


def default_fits_at_once(method: Method, cases: Case, keys, record: dict, cases_per_image: int) -> int:
    """As many as a device's memory allows; on a CPU those of one image, or fewer for a method that fills the cache.

    Fits that leave other devices idle do not count as allowed.
    """
    free, operator = _accelerator_bytes("bytes_limit", "bytes_in_use"), cases.problem.operator
    operators = operator.size if isinstance(operator, Stack) else 1
    if free is None:
        if not method.fills_the_cache:
            return method.restarts * cases_per_image
        alike = method.restarts if method.restarts > 1 else cases_per_image
        # As many as come out even: a fit repeated to fill up would cost more than sharing gains.
        wide = _bytes_of([leaf for leaf in jax.tree.leaves(operator) if leaf.dtype.itemsize >= 4]) // operators
        return max(count for count in range(1, SHARERS + 1) if alike % count == 0) if wide > LARGE else 1
    chunk = compiled_chunk(method, cases, keys, record, SINGLE)
    of_a_fit = chunk.bytes - chunk.fixed
    if isinstance(operator, Stack):  # a block has a copy of the operators it needs
        of_a_fit += _bytes_of(operator) // operators // (method.restarts * cases_per_image)
    return min(fits_in(free, of_a_fit), -(-keys.size // jax.local_device_count()))


def fits_in(free_bytes: int, bytes_per_fit: int) -> int:
    """Fits that fit into memory."""
    return max(1, int(USABLE * free_bytes) // max(1, bytes_per_fit))


def compiled_chunk(method: Method, cases: Case, keys, record: dict, block: Block) -> Chunk:
    """Compiles the programs of a block, which `start` and `advance` then find compiled."""
    taken, operator = take_cases(cases, block), cases.problem.operator
    of_block = _shaped(jax.ShapeDtypeStruct(block.columns.shape, keys.dtype), block.devices)
    beginning = start.lower(method, taken, of_block, record, layout=block.layout)
    fits = _shaped(beginning.out_info, block.devices)
    with ThreadPoolExecutor(1) as pool:  # one is compiled while the other, much larger, is traced
        compiling = pool.submit(beginning.compile)
        began = time.perf_counter()
        advancing = advance.lower(method, taken, of_block, fits, 1, 0, record, layout=block.layout).compile()
        seconds = time.perf_counter() - began

    shared = not isinstance(operator, Stack)
    own = _bytes_of(taken.problem.operator) // (1 if shared else block.devices)
    outside = 0 if taken.problem.operator is operator else _bytes_of(operator)
    alone = shared or len(block.operators) == block.devices
    first, later = compiling.result().memory_analysis(), advancing.memory_analysis()
    assert first is not None and later is not None  # XLA tells it on a CPU and on a GPU
    redrawing = own + first.temp_size_in_bytes + 2 * first.output_size_in_bytes  # the fits before, and after
    running = later.argument_size_in_bytes + later.temp_size_in_bytes
    return Chunk(outside + alone * own, outside + max(redrawing, running), seconds)


def _shaped(tree, devices: int):
    """What describes arrays like these, on so many devices."""
    where = sharding(devices) if devices > 1 else None
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), tree)


def _bytes_of(operator) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(operator))


def usable_bytes() -> int:
    """Of each device's memory; not what is free just now, as a rerun has to come to the same blocks."""
    limit = _accelerator_bytes("bytes_limit")
    return limit if limit is not None else int(USABLE * host_bytes()) // jax.local_device_count()


def _accelerator_bytes(name: str, less: str | None = None) -> int | None:
    """What the first device tells of its memory; nothing on a CPU."""
    device = jax.local_devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    return None if stats is None else stats[name] - (stats[less] if less else 0)


def host_bytes() -> int:
    """What this process may use: the machine's memory, or less where a container or a cluster's job is given less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for line in _lines(Path("/proc/self/cgroup")):
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):  # cgroups of version 2, or 1
            root, name = (CGROUPS, "memory.max") if not controllers else (CGROUPS / "memory", "memory.limit_in_bytes")
            group = root / path.lstrip("/")
            folders = [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]
            limits += [int(text) for folder in folders for text in _lines(folder / name) if text.isdigit()]
    return min(limits)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
