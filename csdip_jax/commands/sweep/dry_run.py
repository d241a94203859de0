"""The plan of a sweep, with memory and time from a few steps of each program."""

from pathlib import Path

from ml_collections.config_dict import ConfigDict
from tqdm import tqdm

from csdip_jax.commands import settings
from csdip_jax.commands.sweep.computing import require_same_settings
from csdip_jax.runs.plan import Batch, batches, cell_stem, dealt, programs
from csdip_jax.runs.run import finished_rows, measure
from csdip_jax.runs.workdir import ALONE, Share
from csdip_jax.solve.memory import as_size
from csdip_jax.solve.trial import Trial, trial


def dry_run(
    config: ConfigDict,
    workdir: Path | str | None,
    data_dir: str | None,
    pixel_range: tuple[float, float] | None = None,
    share: Share = ALONE,
) -> None:
    """Prints a line per program and the sums; writes nothing.

    What `workdir` already has is told, and takes no time. Methods that stop early take less than it says.
    """
    found, cells, finished, seconds = programs(settings.studies(config, data_dir, None, pixel_range)), 0, 0, 0.0
    rows = {}
    if workdir is not None:
        require_same_settings(config, Path(workdir), pixel_range=pixel_range)
        rows = finished_rows(Path(workdir), found)
    every = [batches(program) for program in found]
    missing = [
        batch
        for parts in every
        for batch in parts
        if any(cell_stem(batch.program, cell) not in rows for cell in batch.cells)
    ]
    mine = dealt(missing, share)
    width = max(len(program.name) for program in found)
    print(
        f"{'program':{width}} {'cells':>6} {'done':>6} {'batches':>7} {'fits':>7} {'memory':>9} {'compile':>8} "
        f"{'at most':>9}"
    )
    for program, parts in zip(found, every, strict=True):
        left = [batch for batch in missing if batch.program is program]
        count = sum(len(part.cells) for part in parts)
        done = sum(cell_stem(program, cell) in rows for part in parts for cell in part.cells)
        tried = tried_out((left or parts)[0])
        time = sum(batch.program is program for batch in mine) * tried.seconds(program.sweep.method.steps)
        cells, finished, seconds = cells + count, finished + done, seconds + time + bool(left) * tried.compile_seconds
        fits = count * program.sweep.method.restarts
        print(
            f"{program.name:{width}} {count:6d} {done:6d} {len(parts):7d} {fits:7d} {as_size(tried.bytes):>9} "
            f"{tried.compile_seconds:6.1f} s {tqdm.format_interval(time):>9}"
        )
    had = f", {finished} of them done" if finished else ""
    print(f"{cells} cells of {len(found)} programs{had}, at most {tqdm.format_interval(seconds)} on this machine")


def tried_out(batch: Batch) -> Trial:
    """A few steps of a batch."""
    measured = measure(batch)
    return trial(
        batch.method,
        measured.problem,
        measured.keys,
        image_ids=measured.image_ids,
        cases_per_operator=batch.program.cells_per_scene,
    )
