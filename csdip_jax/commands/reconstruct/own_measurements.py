"""The user's own measurements: no original, so no metrics."""

import dataclasses
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import jax

from csdip_jax.commands import launcher, pictures, row_tables, settings
from csdip_jax.commands.tables import number
from csdip_jax.files import content_digest, write_array
from csdip_jax.io import OwnProblem, read_array, with_mask, with_matrix
from csdip_jax.runs import saved
from csdip_jax.runs.measurement import keys_of
from csdip_jax.runs.row import times_noise
from csdip_jax.runs.study import Sweep, digests
from csdip_jax.solve.inputs import checked_batch, split_swept
from csdip_jax.solve.normalise import normalise
from csdip_jax.types import InputError, ReconstructionWarning


class Conventions(NamedTuple):
    """How the measurements count and scale, see `csdip_jax.io.measurements.with_mask`."""

    dc: str
    norm: str
    origin: str
    order: str | None
    force_real: bool


class Files(NamedTuple):
    """The measurements, the matrix or the k-space mask behind them, and their conventions."""

    measurements: str
    matrix: str | None
    mask: str | None
    conventions: Conventions
    noise: float | None = None
    """Standard deviation of the noise of one measurement."""


def run(config, workdir, data_dir, sweep_flags, files: Files, image_shape, pixel_range) -> None:
    """Reconstructs the image of a user's own measurements."""
    own = _read(files, image_shape, pixel_range, config.matrix_dtype)
    for note in own.notes:
        print(f"note: {launcher.spelled(note)}")
    shape = own.problem.operator.image_shape
    noise_energy = own.problem.measurements.size * (files.noise / own.unit) ** 2 if files.noise else None
    sweeps = settings.study(config, data_dir, sweep=sweep_flags).sweeps(shape)
    key = keys_of(config.seed).fit
    _require_solvable(own, sweeps)
    workdir = settings.open_workdir(
        workdir,
        Path(files.measurements.partition(":")[0]).stem,
        config,
        free=(*settings.FREE_SETTINGS, "noise"),  # earlier versions kept it, but only the verdict uses it
        measurements=files.measurements,
        matrix=files.matrix,
        mask=files.mask,
        contents=content_digest(*jax.tree.leaves(own.problem)),
        image_shape=shape,
        pixel_range=own.pixel_range,
        sweep=sorted(sweep_flags),
        trained=digests(sweeps),
    )
    done = {
        row.label
        for row in workdir.rows
        if saved.is_whole(saved.reconstruction(workdir.path, row.file), shape, "trace")
    }
    for sweep in sweeps:
        if done.issuperset(sweep.labels):
            continue
        options = {"known": {"preset": config.preset, "seed": config.seed}, "pixel_range": own.pixel_range}
        for fit in saved.solve(workdir, "", sweep, own.problem, key, 0, noise_energy, **options):
            name, label = fit.row.file, fit.row.label
            if label in done:
                continue
            image = fit.solution.image
            signed = saved.signed(fit.solution, own.pixel_range)
            saved.save(workdir, fit._replace(solution=signed), image, {}, own.pixel_range)
            write_array(workdir.path / f"{name}.npy", image)
            saved.write_picture(workdir.path / f"{name}.png", signed.image)
            pictures.save_losses(workdir.path / f"loss-{name}.png", [(label, fit.solution.trace["measurement_loss"])])
            if fit.solution.maps:
                pictures.save_maps(workdir.path / f"{name}-aux.png", fit.solution.maps)
            workdir.append(fit.row)
        saved.forget_checkpoint(workdir, "", sweep)
    for row in {row.label: row for row in workdir.rows}.values():
        residual = number(row.relative_residual, ".3g")
        line = f"{row.label}: relative residual {residual} after {row.steps} steps"
        told = dataclasses.replace(row, times_noise=times_noise(row.measurement_loss, noise_energy))  # as told now
        print("  ".join(filter(None, [line, row_tables.flag(row), told.verdict])))
        print(f"image: {workdir.path / row.file}.npy and .png, loss curve: {workdir.path / f'loss-{row.file}.png'}")


def _require_solvable(own: OwnProblem, sweeps: Collection[Sweep]) -> None:
    """InputError for what `reconstruct` would refuse, before there is a workdir that holds it; it warns by itself."""
    for sweep in sweeps:
        problem, _ = checked_batch(own.problem, sweep.method)
        split_swept(sweep.method, problem.measurements.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconstructionWarning)
        normalise(problem, own.pixel_range)


def _read(files: Files, image_shape, pixel_range, matrix_dtype) -> OwnProblem:
    if bool(files.matrix) == bool(files.mask):
        raise InputError("--measurements needs either --matrix=A.npy or --mask=mask.npy (exactly one)")
    measurements = read_array(files.measurements)
    if files.matrix:
        matrix = read_array(files.matrix)
        order = files.conventions.order
        return with_matrix(measurements, matrix, image_shape, pixel_range, matrix_dtype, order)
    mask = read_array(files.mask)
    return with_mask(measurements, mask, image_shape, pixel_range, *files.conventions)
