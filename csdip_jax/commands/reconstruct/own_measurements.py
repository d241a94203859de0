"""The user's own measurements: no original, so no metrics."""

import dataclasses
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.commands import launcher, own_code, pictures, row_tables, settings
from csdip_jax.commands.tables import number
from csdip_jax.data.pixels import from_signed_range
from csdip_jax.files import content_digest, write_array
from csdip_jax.io import OwnProblem, read_array, with_mask, with_matrix, with_operator
from csdip_jax.operators import OPERATORS, LinearOperator, Operator
from csdip_jax.runs import saved
from csdip_jax.runs.measurement import keys_of
from csdip_jax.runs.row import Row, code_of, require_same_code, times_noise
from csdip_jax.runs.study import Sweep, digests
from csdip_jax.runs.workdir import Workdir
from csdip_jax.solve.inputs import checked_batch, split_swept
from csdip_jax.solve.normalise import normalise
from csdip_jax.types import InputError, ReconstructionWarning

LEAST_SIDE = 256
"""Pixels of the picture that is to be opened: viewers show smaller ones as a stamp, or blurred."""


class Conventions(NamedTuple):
    """How the measurements count and scale, see `csdip_jax.io.measurements.with_mask`."""

    dc: str
    norm: str
    origin: str
    order: str | None
    force_real: bool


class Files(NamedTuple):
    """The measurements, the matrix, the k-space mask or the operator behind them, and their conventions."""

    measurements: str
    matrix: str | None
    mask: str | None
    conventions: Conventions
    noise: float | None = None
    """Standard deviation of the noise of one measurement."""


def run(config, workdir, data_dir, sweep_flags, files: Files, image_shape, pixel_range) -> None:
    """Reconstructs the image of a user's own measurements."""
    own = _read(files, image_shape, pixel_range, config)
    for note in own.notes:
        print(f"note: {launcher.spelled(note)}")
    shape = own.problem.operator.image_shape
    noise_energy = own.problem.measurements.size * (files.noise / own.unit) ** 2 if files.noise else None
    sweeps = settings.study(config, data_dir, sweep=sweep_flags).sweeps(shape)
    key = keys_of(config.seed).fit
    _require_solvable(own, sweeps)
    operator = config.operator if own_code.is_own(config.operator) else ""
    workdir = settings.open_workdir(
        workdir,
        Path(files.measurements.partition(":")[0]).stem,
        config,
        free=(*settings.FREE_SETTINGS, "noise"),  # earlier versions kept it, but only the verdict uses it
        measurements=files.measurements,
        matrix=files.matrix,
        mask=files.mask,
        operator_code=code_of("", own_code.operator_name(operator)),
        contents=content_digest(*jax.tree.leaves(own.problem)),
        image_shape=shape,
        pixel_range=own.pixel_range,
        sweep=sorted(sweep_flags),
        trained=digests(sweeps),
    )
    rows = workdir.rows
    for row in rows:
        require_same_code(row, workdir.path)
    done = {row.label for row in rows if _is_whole(workdir, row, shape)}
    for sweep in sweeps:
        if done.issuperset(sweep.labels):
            continue
        options = {"known": {"preset": config.preset, "seed": config.seed}, "pixel_range": own.pixel_range}
        options |= {"hold_out": config.hold_out, "noise_variance": noise_energy}
        for fit in saved.solve(workdir, "", sweep, own.problem, key, 0, noise_energy, **options):
            name, label = fit.row.file, fit.row.label
            if label in done:
                continue
            image = fit.solution.image
            signed = saved.signed(fit.solution, own.pixel_range)
            saved.save(workdir, fit._replace(solution=signed), image, {}, own.pixel_range)
            write_array(workdir.path / f"{name}.npy", image)
            saved.write_picture(workdir.path / f"{name}.png", signed.image, LEAST_SIDE)
            pictures.save_losses(workdir.path / f"loss-{name}.png", [(label, fit.solution.trace["measurement_loss"])])
            if fit.solution.maps:
                pictures.save_maps(workdir.path / f"{name}-aux.png", fit.solution.maps)
            workdir.append(fit.row)
        saved.forget_checkpoint(workdir, "", sweep)
    rows = [
        dataclasses.replace(row, times_noise=times_noise(row.measurement_loss, noise_energy))  # as told now
        for row in {row.label: row for row in workdir.rows}.values()
    ]
    for row in rows:
        residual = number(row.relative_residual, ".3g")
        line = f"{row.label}: relative residual {residual} after {row.steps} steps"
        print("  ".join(filter(None, [line, row_tables.flag(row), row_tables.in_words(row)])))
        estimated = row_tables.estimated_psnr(row, abs(own.pixel_range[1] - own.pixel_range[0]))
        if estimated:
            print(estimated)
        print(f"image: {workdir.path / row.file}.npy and .png, loss curve: {workdir.path / f'loss-{row.file}.png'}")
    _draw(workdir, own, [row for row in rows if _is_whole(workdir, row, shape)])


def _is_whole(workdir: Workdir, row: Row, shape: tuple[int, int, int]) -> bool:
    return saved.is_whole(saved.reconstruction(workdir.path, row.file), shape, "trace")


def _draw(workdir: Workdir, own: OwnProblem, rows: Collection[Row]) -> None:
    """comparison.png, from the saved reconstructions: what each leaves of the measurements, in place of an error."""
    operator, y = own.problem
    linear = isinstance(operator, LinearOperator)
    back = np.asarray(operator.adjoint(y)) if linear else None
    fits = []
    for row in rows:
        found = saved.load(saved.reconstruction(workdir.path, row.file), None)
        left = y - operator.forward(jnp.asarray(from_signed_range(found["image"], own.pixel_range), jnp.float32))
        residual = np.asarray(operator.adjoint(left)) if linear else np.abs(np.asarray(left))
        share = np.linalg.norm(residual) / (np.linalg.norm(back if linear else np.asarray(y)) or 1.0)
        fits.append(
            pictures.Explained(
                label=row.label,
                image=found["image"],
                caption=", ".join(filter(None, [row_tables.flag(row), row.verdict])),
                residual=residual,
                residual_caption=f"{100 * share:.2g} % of {'the adjoint' if linear else 'y'}, in norm",
                maps=saved.maps(found),
            )
        )
    pictures.save_explained(workdir.path / "comparison.png", back, fits)
    print(f"picture: {workdir.path / 'comparison.png'}")


def _require_solvable(own: OwnProblem, sweeps: Collection[Sweep]) -> None:
    """InputError for what `reconstruct` would refuse, before there is a workdir that holds it; it warns by itself."""
    for sweep in sweeps:
        problem, _ = checked_batch(own.problem, sweep.method)
        split_swept(sweep.method, problem.measurements.dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReconstructionWarning)
        normalise(problem, own.pixel_range)


def _read(files: Files, image_shape, pixel_range, config) -> OwnProblem:
    operator = config.operator if own_code.is_own(config.operator) else None
    if sum(map(bool, (files.matrix, files.mask, operator))) != 1:
        raise InputError(
            "--measurements needs one of --matrix=A.npy, --mask=mask.npy and --operator=module:name (exactly one)"
        )
    measurements = read_array(files.measurements)
    if operator:
        return with_operator(measurements, _operator(operator, image_shape, config.seed), pixel_range)
    if files.matrix:
        matrix = read_array(files.matrix)
        order = files.conventions.order
        return with_matrix(measurements, matrix, image_shape, pixel_range, config.matrix_dtype, order)
    mask = read_array(files.mask)
    return with_mask(measurements, mask, image_shape, pixel_range, *files.conventions)


def _operator(text: str, image_shape, seed: int) -> Operator:
    """The user's own, of images of this shape, or of its own where it says one."""
    kind = OPERATORS[own_code.operator_name(text)]
    shape = image_shape or kind.image_shape
    if shape is None:
        raise InputError(f"`image_shape=(h, w, c)` is needed beside --operator={text}")
    return kind.make(keys_of(seed).operator, kind.count.default(shape), shape)
