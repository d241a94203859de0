"""What large images will take, told before their fits begin: a photograph of a telephone takes hours."""

import warnings
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from csdip_jax.commands.sweep.dry_run import tried_out
from csdip_jax.data.pixels import at_most
from csdip_jax.runs.plan import Program, batches, cell_stem
from csdip_jax.runs.run import finished_rows
from csdip_jax.solve.memory import as_size
from csdip_jax.types import InputError, ReconstructionWarning

LARGE_SIDE = 512
LONG_SECONDS = 3600.0


def tell(programs: Sequence[Program], folder: Path, as_wanted: bool) -> None:
    """Says how long images of more than `LARGE_SIDE` pixels a side will take, and how much memory, by a few steps.

    Args:
        programs: all that is asked for.
        folder: of the run, which may have some of it.
        as_wanted: whether the user has said how large the images are to be.

    Raises:
        InputError: more than an hour, and the user has not.
    """
    large = [program for program in programs if max(program.image_shape[:2]) > LARGE_SIDE]
    rows = finished_rows(folder, programs) if large else {}
    parts = {
        program.name: [
            batch for batch in batches(program) if any(cell_stem(program, cell) not in rows for cell in batch.cells)
        ]
        for program in large
    }
    large = [program for program in large if parts[program.name]]
    if not large:
        return
    shape = max((program.image_shape for program in large), key=max)
    methods = ", ".join(dict.fromkeys(program.sweep.name for program in large))
    print(f"note: images of {_sides(shape)} pixels: timing a few steps of each method ({methods}) first")
    seconds, memory = 0.0, 0
    for program in large:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconstructionWarning)  # the fits will say so
            tried = tried_out(parts[program.name][0])
        seconds += len(parts[program.name]) * tried.seconds(program.sweep.method.steps) + tried.compile_seconds
        memory = max(memory, tried.bytes)
    smaller = _sides(at_most(shape, LARGE_SIDE))
    told = f"images of {_sides(shape)} pixels take at most {tqdm.format_interval(seconds)} and {as_size(memory)} here"
    if seconds > LONG_SECONDS and not as_wanted:
        raise InputError(
            f"{told}: `max_side={LARGE_SIDE}` shrinks them to {smaller}, `max_side=0` takes them as they are"
        )
    print(f"note: {told}; --max_side={LARGE_SIDE} shrinks them to {smaller}")


def _sides(image_shape: tuple[int, int, int]) -> str:
    return f"{image_shape[1]} x {image_shape[0]}"
