"""What a reconstruction will take, found out by its first steps."""

import time
from typing import NamedTuple

import jax
import numpy as np

from csdip_jax.solve.driver import begin, prepare
from csdip_jax.solve.fits import RUNNING, advance
from csdip_jax.switches import without_switches

TURN = 2  # steps that are timed together; one step before them warms up
LEAST_TURNS, LEAST_SECONDS = 2, 0.5
ENOUGH_SECONDS = 5.0  # what takes longer, the first step or one turn, says as much


class Trial(NamedTuple):
    """What was measured.

    Attributes:
        bytes: of memory on a device: operators, fits and what the program needs beside them.
        compile_seconds: until the program was ready (less where it was in the compilation cache).
        step_seconds: of one step of one block, by the fastest turn: others share the machine.
        blocks: how many there are.
    """

    bytes: int
    compile_seconds: float
    step_seconds: float
    blocks: int

    def seconds(self, steps: int) -> float:
        """Of all blocks with so many steps, without compiling."""
        return self.blocks * self.step_seconds * steps


@without_switches
def trial(method, problem, key, **options) -> Trial:
    """Takes a few steps of what `reconstruct` would do; options: image_ids, cases_per_operator, fits_at_once."""
    job = prepare(method, problem, key, **options)
    block = job.blocks[0]
    arguments = job.arguments(block)
    fits = begin(*arguments, job.record, None, block)

    def turn(fits, steps=TURN):
        began = time.perf_counter()
        fits = jax.block_until_ready(advance(*arguments, fits, steps, 0, job.record, layout=block.layout))
        return fits, time.perf_counter() - began

    fits, first = turn(fits, 1)
    seconds = []
    while (
        first < ENOUGH_SECONDS
        and ((len(seconds) < LEAST_TURNS and sum(seconds) < ENOUGH_SECONDS) or sum(seconds) < LEAST_SECONDS)
        and bool((np.asarray(fits.status) == RUNNING).any())
    ):
        fits, more = turn(fits)
        seconds.append(more)
    step_seconds = min(seconds) / TURN if seconds else first
    return Trial(job.chunk.bytes, job.chunk.compile_seconds, step_seconds, len(job.blocks))
