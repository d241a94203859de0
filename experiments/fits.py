"""One reconstruction under way and its files: workdir, checkpoint, solution, facts."""

import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from tqdm import tqdm

import csdip_jax as cs
from csdip_jax.results import Workdir, device_name, read_arrays, write_arrays
from experiments import pictures, settings

FREE_SETTINGS = ("num_images", "first_image", "methods")  # a rerun may change these and go on


class Fit(NamedTuple):
    """A finished reconstruction.

    Attributes:
        stem: name of its files.
        label: of the method and its swept settings.
        solution: as numpy arrays.
        facts: what its row says of it.
    """

    stem: str
    label: str
    solution: cs.Solution
    facts: dict


def open_workdir(path: str | None, default_name: str, config, free=FREE_SETTINGS, fields=None, **inputs) -> Workdir:
    """The run's folder; inputs (flags, digests) belong to the settings that a rerun must not change.

    `fields` are those of its rows, see `csdip_jax.results.read_rows`.
    """
    described = describe(config, **inputs)
    fixed = repr(sorted((name, value) for name, value in described["config"].items() if name not in free))
    name = f"{default_name}-{zlib.crc32((fixed + repr(sorted(described['flags'].items()))).encode()):08x}"
    workdir = Workdir(path or Path("runs") / name, described, free=free, fields=fields)
    print(f"workdir: {workdir.path}   device: {device_name()}")
    return workdir


def describe(config, **inputs) -> dict:
    """The settings of a run, as its config.json has them; inputs that are empty are left out."""
    return {"config": config.to_dict(), "flags": {name: value for name, value in inputs.items() if value}}


def stem(*names: str) -> str:
    """A file name of the parts that are not empty."""
    return "-".join(name.replace(" ", "-") for name in names if name)


def solve(
    workdir: Workdir, prefix: str, sweep: settings.Sweep, problem: cs.Problem, key, image_id: int, **options
) -> list[Fit]:
    """One image under every setting of a sweep, from its last chunk where there is a checkpoint.

    Options are those of `csdip_jax.reconstruct`.
    """
    options |= {"image_ids": [image_id], "progress": stem(prefix, sweep.name)}
    solutions, seconds = reconstructed(sweep.method, problem, key, _checkpoint(workdir, prefix, sweep), **options)
    return list(_fits(prefix, sweep, solutions, problem, seconds))


def reconstructed(
    method, problem: cs.Problem, key, checkpoint: Path, **options
) -> tuple[list[cs.Solution], float | None]:
    """The solution of each case as numpy arrays, and its share of the seconds.

    They share a program, and so the time; there is none where an earlier process did part of the work.
    """
    resumed, began = checkpoint.exists(), time.perf_counter()
    solution = jax.tree.map(np.asarray, cs.reconstruct(method, problem, key, checkpoint=checkpoint, **options))
    elapsed = time.perf_counter() - began
    if not solution.ok.ndim:
        solution = jax.tree.map(lambda x: x[None], solution)
    count = len(solution.ok)
    solutions = [jax.tree.map(lambda x, i=i: x[i], solution) for i in range(count)]
    return solutions, None if resumed else round(elapsed / count, 3)


def _fits(prefix, sweep, solutions, problem, seconds) -> Iterator[Fit]:
    for i, (label, solution) in enumerate(zip(sweep.labels, solutions, strict=True)):
        name = stem(prefix, label)
        known = {"method": sweep.name, "label": label, "swept": sweep.values(i)}
        fit = Fit(name, label, solution, known | facts(solution, problem.measurements, seconds))
        warn(fit, sweep.method)
        yield fit


def warn(fit: Fit, method: cs.methods.Method) -> None:
    """Says so where a fit failed or did not converge."""
    if not fit.solution.ok:
        tqdm.write(f"warning: {fit.stem}: every attempt collapsed or diverged; {method.remedy}")
    elif not fit.solution.converged:
        tqdm.write(f"warning: {fit.stem}: not converged; {method.remedy}")


def _checkpoint(workdir: Workdir, prefix: str, sweep: settings.Sweep) -> Path:
    return workdir.path / f"checkpoint-{stem(prefix, sweep.name)}.npz"


def forget_checkpoint(workdir: Workdir, prefix: str, sweep: settings.Sweep) -> None:
    """To be called when the rows are written: a kill between the two leaves a checkpoint nobody reads."""
    _checkpoint(workdir, prefix, sweep).unlink(missing_ok=True)


def reconstruction(folder: Path, name: str) -> Path:
    return folder / "reconstructions" / f"{name}.npz"


def original(folder: Path, part: str, image: str) -> Path:
    return folder / "originals" / f"{stem(part, image)}.npz"


def save(workdir: Workdir, fit: Fit, image: np.ndarray, more: dict) -> None:
    """The image (in the user's pixel range), the loss curve and what else is known as .npz, the picture as .png."""
    path = reconstruction(workdir.path, fit.stem)
    pictures.save_image(path.with_suffix(".png"), fit.solution.image)
    write_arrays(path, image=image, trace=fit.solution.trace, **more)


def arrays_of(shape: tuple | None = None, *more: str) -> dict:
    """What `save` writes of an image of this shape [h, w, c], and `more` of its shape, as `read_arrays` expects it."""
    return {"trace": ("f", (None,))} | dict.fromkeys(("image", *more), ("f", shape or (None, None, None)))


def read_image(path: Path) -> np.ndarray:
    """[h, w, c] of an original or a reconstruction."""
    return read_arrays(path, image=("f", (None, None, None)))["image"]


def facts(solution: cs.Solution, measurements, seconds: float | None) -> dict:
    """What a row says of a solution."""
    energy = float(np.sum(np.abs(np.asarray(measurements)) ** 2))
    return {
        "seconds": seconds,
        "measurement_loss": float(solution.measurement_loss),
        "relative_residual": float(solution.measurement_loss) / energy if energy else None,
        "steps": int(solution.steps),
        "restart": int(solution.restart),
        "redraws": int(solution.redraws),
        "ok": bool(solution.ok),
        "converged": bool(solution.converged),
    }


def metrics(image: np.ndarray, original: np.ndarray) -> dict:
    """Those of `csdip_jax.metrics` that an image of this size has."""
    values = {"mse": cs.metrics.mse(image, original), "psnr": cs.metrics.psnr(image, original)}
    if min(image.shape[:2]) >= cs.metrics.SSIM_WINDOW:
        values["ssim"] = cs.metrics.ssim(image, original)
    return {name: float(value) for name, value in values.items()}
