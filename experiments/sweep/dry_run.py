"""The plan of a sweep, with memory and time from a few steps of each program."""

from ml_collections.config_dict import ConfigDict
from tqdm import tqdm

from csdip_jax.solve.trial import trial
from experiments.sweep import machines
from experiments.sweep.plan import batches, make_programs
from experiments.sweep.run import measure


def dry_run(config: ConfigDict, data_dir: str | None) -> None:
    """Prints a line per program and the sums; writes nothing. Methods that stop early take less than it says."""
    programs, cells, seconds = make_programs(config, data_dir), 0, 0.0
    width = max(len(program.name) for program in programs)
    print(f"{'program':{width}} {'cells':>6} {'batches':>7} {'fits':>7} {'memory':>9} {'compile':>8} {'at most':>9}")
    for program in programs:
        parts = batches(program)
        measured = measure(parts[0])
        tried = trial(
            parts[0].method,
            measured.problem,
            measured.keys,
            image_ids=measured.image_ids,
            cases_per_operator=program.cells_per_scene,
        )
        count = len(program.scenes) * program.cells_per_scene
        time = len(machines.share(parts)) * tried.blocks * tried.step_seconds * program.sweep.method.steps
        cells, seconds = cells + count, seconds + time + tried.compile_seconds
        fits = count * program.sweep.method.restarts
        print(
            f"{program.name:{width}} {count:6d} {len(parts):7d} {fits:7d} {tried.bytes / 2**30:5.2f} GiB "
            f"{tried.compile_seconds:6.1f} s {tqdm.format_interval(time):>9}"
        )
    print(f"{cells} cells of {len(programs)} programs, at most {tqdm.format_interval(seconds)} on this machine")
