"""Runs what is missing of a sweep: batch by batch, each cell's row and reconstruction on disk as soon as it is done."""

import dataclasses
import glob
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax.files import DamagedFile, content_digest, read_arrays, write_arrays, write_atomically
from csdip_jax.io.lines import read_all_rows
from csdip_jax.runs import saved
from csdip_jax.runs.measurement import image_id, keys_of
from csdip_jax.runs.plan import Batch, Cell, Program, batches, cell_stem, dealt, scene_by_scene
from csdip_jax.runs.row import Row, code_of, errors, facts, require_same_code, weight_of
from csdip_jax.runs.study import digests
from csdip_jax.runs.time_left import Progress
from csdip_jax.runs.workdir import Workdir, device_name, locked
from csdip_jax.solve.normalise import ends_note
from csdip_jax.types import EndsOfRangeWarning, InputError


def compute(
    programs: Sequence[Program],
    workdir: Workdir,
    *,
    curves: bool = False,
    show: Callable[[list[Row]], None] | None = None,
) -> list[Row]:
    """Computes the cells of some programs that the workdir does not have yet.

    Args:
        programs: see `csdip_jax.runs.plan.programs`.
        workdir: of the run; as one of several processes, it computes its share.
        curves: whether to write each cell's loss as curves/<cell>.csv.
        show: called where a scene has been through all that is asked for and others have not, with the rows of those
            that have.

    Returns:
        The rows of exactly these cells, in the order of the plan; as one of several processes, those there are so far
        (the same call finds them all when the others have finished).

    Raises:
        InputError: the workdir holds rows of other images, or another process works in it.
    """
    every = [batch for program in programs for batch in batches(program)]
    scenes = {
        cell_stem(batch.program, cell): (batch.program.study.part, cell.scene)
        for batch in every
        for cell in batch.cells
    }
    names = list(scenes)
    with locked(workdir.path, workdir.share):
        rows, compiled = finished_rows(workdir.path, programs), set()
        save_originals(workdir.path, programs)
        if curves:
            for name in names:
                if name in rows and not curve_file(workdir.path, name).exists():
                    save_curve(workdir.path, name)
        mine = scene_by_scene(dealt(every, workdir.share))
        with Progress(mine, rows) as bar:
            for batch in mine:
                missing = [cell for cell in batch.cells if cell_stem(batch.program, cell) not in rows]
                if missing:
                    bar.begin(batch)
                    for name, row in run_batch(workdir, batch, missing):
                        rows[name] = dataclasses.replace(row, compiled=batch.program.name not in compiled)
                        workdir.append(rows[name])
                        if curves:
                            save_curve(workdir.path, name)
                    for checkpoint in workdir.path.glob(glob.escape(batch.begins) + "*.npz"):
                        checkpoint.unlink()
                    compiled.add(batch.program.name)
                    bar.end(len(missing), rows)
                    if show:
                        _show_whole(show, scenes, rows, batch)
    rows = finished_rows(workdir.path, programs)
    missing = sum(name not in rows for name in names)
    if missing:
        print(f"{missing} of {len(names)} cells are still to come from other processes")
    return [rows[name] for name in names if name in rows]


def _show_whole(show: Callable, scenes: Mapping[str, tuple], rows: Mapping[str, Row], batch: Batch) -> None:
    """Calls `show` as `compute` says, after a batch; `scenes`: name of a cell -> its part and scene."""
    open_ = {scene for name, scene in scenes.items() if name not in rows}
    if open_ and not open_.issuperset((batch.program.study.part, one) for one in batch.scenes):
        show([rows[name] for name, scene in scenes.items() if scene not in open_])


def save_originals(folder: Path, programs: Sequence[Program]) -> None:
    """The images that are not there yet, or no longer what they were, as .npz and .png."""
    images = {(program.study.part, name): program for program in programs for name in program.images}
    for (part, name), program in images.items():
        path, image = saved.original(folder, part, name), program.images[name]
        arrays = saved.in_units(image, program.study.pixel_range)
        if not _holds(path, arrays):
            saved.write_picture(path.with_suffix(".png"), image)
            write_arrays(path, **arrays)


def _holds(path: Path, arrays: dict[str, np.ndarray]) -> bool:
    """Whether a file is there with exactly these arrays, in their units."""
    try:
        saved = read_arrays(path)
    except DamagedFile:
        return False
    return saved.keys() == arrays.keys() and all(
        content_digest(saved[name]) == content_digest(array) for name, array in arrays.items()
    )


def finished_rows(folder: Path, programs: Sequence[Program]) -> dict[str, Row]:
    """Name of a cell -> its row, where its reconstruction is there; nothing where there is no folder.

    Raises:
        InputError: an image is no longer the same, a method was trained to something else, or a row is no cell's.
    """
    images = {(program.study.part, name): image for program in programs for name, image in program.images.items()}
    contents = {key: content_digest(image) for key, image in images.items()}
    trained = digests(program.sweep for program in programs)
    rows = {}
    for row in read_all_rows(folder, Row.read):
        key = (row.part, row.image)
        if contents.get(key, row.image_digest) != row.image_digest:
            raise InputError(f"image {row.image} has changed since {folder} was written: choose another `workdir`")
        if row.trained_digest != trained.get(row.method, row.trained_digest):
            raise InputError(f"{row.method} was trained otherwise when {folder} was written: choose another `workdir`")
        require_same_code(row, folder)
        if key in images:
            rows[row.file] = row
    return {
        name: row
        for name, row in rows.items()
        if saved.is_whole(saved.reconstruction(folder, name), images[row.part, row.image].shape, "trace", "adjoint")
    }


class Measured(NamedTuple):
    """A batch, ready for `csdip_jax.reconstruct`; leading axes of cells, but one operator per scene or one for all."""

    problem: cs.Problem
    keys: jax.Array
    image_ids: list[int]

    def problem_of(self, cell: int) -> cs.Problem:
        """That of one cell, with its own operator."""
        operator, measurements = self.problem
        if isinstance(operator, cs.operators.Stack):
            operator = operator.take(cell * operator.size // len(measurements))
        return cs.Problem(operator, measurements[cell])


def measure(batch: Batch) -> Measured:
    """Draws the operators, and the measurements of each scene by its own: they do not depend on what is beside it."""
    program, measurements, roots, ids = batch.program, [], [], []
    first, labels, operator = program.measurements[0], len(program.sweep.labels), None
    for image, seed in batch.scenes:
        root, id_ = keys_of(seed), image_id(image)
        if operator is None or not program.shares_operator:
            operator = first.operator(root.operator, id_, program.image_shape)
        noise = jax.random.fold_in(root.noise, id_)
        for measurement in program.measurements:
            measurements += [measurement.measure(noise, operator, program.images[image])] * labels
        roots.append(root)
        ids.append(id_)
    if len(batch.scenes) > 1 and not program.shares_operator:
        del operator  # room for those of all scenes
        drawn = jax.vmap(lambda key, id_: first.operator(key, id_, program.image_shape))(
            jnp.stack([root.operator for root in roots]), jnp.asarray(ids, jnp.uint32)
        )
        operator = cs.operators.Stack(drawn)
    fit_keys = jnp.repeat(jnp.stack([root.fit for root in roots]), program.cells_per_scene)
    ids = [id_ for id_ in ids for _ in range(program.cells_per_scene)]
    return Measured(cs.Problem(operator, jnp.stack(measurements)), fit_keys, ids)


def run_batch(workdir: Workdir, batch: Batch, missing: Sequence[Cell]) -> Iterator[tuple[str, Row]]:
    """(name, row) of each missing cell, its files being written."""
    measured = jax.block_until_ready(measure(batch))
    m = measured.problem.measurements[0].size
    noises = np.array([cell.measurement.paper_variance(m) for cell in batch.cells])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EndsOfRangeWarning)  # said of each cell, beside its original
        solutions, seconds = saved.reconstructed(
            batch.method,
            measured.problem,
            measured.keys,
            workdir.path / batch.checkpoint,
            image_ids=measured.image_ids,
            cases_per_operator=batch.program.cells_per_scene,
            progress=f"  {batch.name}",
            hold_out=batch.program.study.hold_out,
            noise_variance=noises,
        )
    for i, (cell, solution) in enumerate(zip(batch.cells, solutions, strict=True)):
        if cell in missing:
            yield _finish(workdir, batch.program, cell, measured.problem_of(i), solution, seconds)


def _finish(workdir, program, cell, problem, solution, seconds) -> tuple[str, Row]:
    (image_name, seed), measurement, setting = cell
    image, name, label = program.images[image_name], cell_stem(program, cell), program.sweep.label(setting)
    operator, measurements = problem
    noise = measurement.paper_variance(measurements.size)
    row = Row(
        file=name,
        part=program.study.part,
        image=image_name,
        image_digest=content_digest(image),
        operator=measurement.kind,
        count=measurement.count,
        measurement=measurement.description,
        num_measurements=int(measurements.size),
        noise_variance=measurement.noise_variance,
        preset=program.study.preset,
        seed=seed,
        method=program.sweep.name,
        label=label,
        swept=program.sweep.values(setting),
        **facts(solution, measurements, seconds, noise),
        **errors(solution.image, image),
        trained_digest=digests([program.sweep]).get(program.sweep.name),
        device=device_name(),
        more=code_of(program.sweep.name, measurement.kind)
        | weight_of(program.sweep.method, program.sweep.values(setting)),
    )
    saved.warn(row, program.sweep.method)
    note = ends_note(solution.image)
    if note and not ends_note(image):  # an original that lies there itself is no news
        warnings.warn(f"{name}: {note}", EndsOfRangeWarning, stacklevel=2)
    back = operator.adjoint(measurements) if isinstance(operator, cs.operators.LinearOperator) else None
    nothing = np.full(image.shape, np.nan, np.float32)
    known = {"measurements": np.asarray(measurements), "adjoint": nothing if back is None else np.asarray(back)}
    image_in_units = saved.in_units(solution.image, program.study.pixel_range)
    saved.save(workdir, saved.Fit(solution, row), **image_in_units, more=known)
    return name, row


def curve_file(folder: Path, name: str) -> Path:
    """Where `save_curve` writes."""
    return folder / "curves" / f"{name}.csv"


def save_curve(folder: Path, name: str) -> None:
    """The loss of each step that a finished cell took, a line each."""
    trace = saved.load(saved.reconstruction(folder, name), None, "trace")["trace"]
    lines = ["step,measurement_loss", *(f"{i + 1},{loss:.9g}" for i, loss in enumerate(trace) if np.isfinite(loss))]
    text = "\n".join([*lines, ""]).encode()
    write_atomically(curve_file(folder, name), lambda file: file.write(text))
