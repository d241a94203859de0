"""One reconstruction under way and its files: workdir, checkpoint, solution, facts."""

import glob
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image
from tqdm import tqdm

import csdip_jax as cs
from csdip_jax.data.pixels import checked_range, from_signed_range, to_signed_range
from csdip_jax.files import ANEW, DamagedFile, read_arrays, write_arrays, write_atomically
from csdip_jax.methods.recipe import NONE
from csdip_jax.runs.row import Row, code_of, facts, flat, stem, weight_of
from csdip_jax.runs.study import Sweep
from csdip_jax.runs.workdir import Workdir
from csdip_jax.solve.normalise import ERRORS
from csdip_jax.types import Array, InputError


class Fit(NamedTuple):
    """A finished reconstruction.

    Attributes:
        solution: as numpy arrays.
        row: what is said of it.
    """

    solution: cs.Solution
    row: Row


def solve(
    workdir: Workdir,
    prefix: str,
    sweep: Sweep,
    problem: cs.Problem,
    key,
    image_id: int,
    noise_energy: float | None = None,
    known: Mapping[str, Any] = NONE,
    **options,
) -> list[Fit]:
    """One image under every setting of a sweep, from its last chunk where there is a checkpoint.

    Args:
        workdir, prefix: of the files.
        sweep: the method.
        problem, key, image_id: see `csdip_jax.reconstruct`, whose options may follow.
        noise_energy: E ||eta||^2, for the verdict; None where it is not known.
        known: further fields of the rows.
    """
    options |= {"image_ids": [image_id], "progress": stem(prefix, sweep.name)}
    solutions, seconds = reconstructed(sweep.method, problem, key, _checkpoint(workdir, prefix, sweep), **options)
    fits = []
    for i, (label, solution) in enumerate(zip(sweep.labels, solutions, strict=True)):
        which = {"file": stem(prefix, label), "method": sweep.name, "label": label, "swept": sweep.values(i)}
        found = facts(solution, problem.measurements, seconds, noise_energy)
        more = code_of(sweep.name) | weight_of(sweep.method, sweep.values(i))
        row = Row(**which, **{"more": more, **known}, **found)
        warn(row, sweep.method)
        fits.append(Fit(solution, row))
    return fits


def reconstructed(
    method, problem: cs.Problem, key, checkpoint: Path, **options
) -> tuple[list[cs.Solution], float | None]:
    """The solution of each case as numpy arrays, and its share of the seconds.

    They share a program, and so the time; there is none where an earlier process did part of the work.
    """
    resumed, began = checkpoint.exists(), time.perf_counter()
    solution = jax.tree.map(np.asarray, cs.reconstruct(method, problem, key, checkpoint=checkpoint, **options))
    elapsed = time.perf_counter() - began
    if not solution.status.ndim:
        solution = jax.tree.map(lambda x: x[None], solution)
    count = len(solution.status)
    solutions = [jax.tree.map(lambda x, i=i: x[i], solution) for i in range(count)]
    return solutions, None if resumed else round(elapsed / count, 3)


def warn(row: Row, method: cs.methods.Method) -> None:
    """Says at once that a fit failed; all else is said by the tables at the end."""
    if not row.ok:
        tqdm.write(f"warning: {row.file}: {row.verdict}; {method.remedy}")


def _checkpoint(workdir: Workdir, prefix: str, sweep: Sweep) -> Path:
    return workdir.path / f"checkpoint-{stem(prefix, sweep.name, *code_of(sweep.name).values())}.npz"


def forget_checkpoint(workdir: Workdir, prefix: str, sweep: Sweep) -> None:
    """To be called when the rows are written: a kill between the two leaves a checkpoint nobody reads."""
    path = _checkpoint(workdir, prefix, sweep)
    for one in (path, *path.parent.glob(glob.escape(path.stem) + "-*.npz")):  # those of a method made of several
        one.unlink(missing_ok=True)


def reconstruction(folder: Path, name: str) -> Path:
    """The file of what a fit gave."""
    return folder / "reconstructions" / f"{name}.npz"


def original(folder: Path, part: str, image: str) -> Path:
    """The file of a true image."""
    return folder / "originals" / f"{stem(part, image)}.npz"


def save(
    workdir: Workdir, fit: Fit, image: np.ndarray, more: dict, pixel_range: tuple[float, float] | None = None
) -> None:
    """The picture as .png, the rest as .npz, also all that `Solution.aux` has, as aux_<name>.

    Args:
        workdir: of the run.
        fit: its solution in [-1, 1], whose traces are written; its row names the files.
        image: as a reader wants it: in the user's pixel range if there is one, else in [-1, 1].
        more: further arrays. Measurements and adjoint are those of the image in [-1, 1]; an adjoint of NaN is none.
        pixel_range: (black, white) of `image`, for `load`; None for [-1, 1].
    """
    path = reconstruction(workdir.path, fit.row.file)
    write_picture(path.with_suffix(".png"), fit.solution.image)
    known = {} if pixel_range is None else {"pixel_range": np.array(pixel_range, float)}
    write_arrays(path, image=image, **told(_scaled(fit.solution, _half(pixel_range))), **known, **more)


def told(solution: cs.Solution) -> dict[str, Any]:
    """What a solution tells besides its image, as arrays of a file: the loss as `trace`, trace_<name>, aux_<name>."""
    arrays = {f"trace_{name}": values for name, values in solution.trace.items() if name != "measurement_loss"}
    arrays |= {f"{AUX}{name}": values for name, values in flat(solution.aux).items()}
    return {"trace": solution.trace["measurement_loss"], **arrays}


AUX = "aux_"


def maps(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name -> what a file that `load` read tells of each pixel besides its image, differences of pixels in [-1, 1]."""
    shape = arrays["image"].shape
    return {
        name.removeprefix(AUX): values
        for name, values in arrays.items()
        if name.startswith(AUX) and values.shape == shape
    }


def signed(solution: cs.Solution, pixel_range: tuple[float, float]) -> cs.Solution:
    """A solution in the user's units, those of `pixel_range`, as one in [-1, 1]."""
    image: Any = to_signed_range(np.asarray(solution.image), pixel_range)
    return _scaled(solution, 1 / _half(pixel_range))._replace(image=image)


def _scaled(solution: cs.Solution, factor: float) -> cs.Solution:
    """With the differences of pixels that it tells, and the squares of some, in another unit."""
    squares = {name: factor**2 * solution.aux[name] for name in ERRORS if name in solution.aux}
    return solution._replace(aux=solution.aux | {name: factor * x for name, x in solution.maps.items()} | squares)


def _half(pixel_range: tuple[float, float] | None) -> float:
    return 1.0 if pixel_range is None else abs(pixel_range[1] - pixel_range[0]) / 2


def write_picture(path: Path, image: np.ndarray | Array, least_side: int = 1) -> None:
    """[h, w, c] in [-1, 1] -> an 8-bit .png, its pixels repeated until the longer side is the least that is asked."""
    pixels = np.round((np.clip(np.asarray(image), -1, 1) + 1) * 127.5).astype(np.uint8)
    times = -(-least_side // max(pixels.shape[:2]))
    pixels = pixels.repeat(times, 0).repeat(times, 1)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    write_atomically(path, lambda file: picture.save(file, format="png"))


def in_units(image: np.ndarray, pixel_range: tuple[float, float] | None) -> dict:
    """An image in [-1, 1] as a file has it: in the user's units beside their range, or as it is without one."""
    if pixel_range is None:
        return {"image": image}
    return {"image": from_signed_range(image, pixel_range), "pixel_range": np.array(pixel_range, float)}


def load(path: Path, shape: tuple | None = None, *more: str) -> dict[str, np.ndarray]:
    """The arrays of a reconstruction or an original, its image in [-1, 1] whatever units the file has.

    Args:
        path: of the file.
        shape: [h, w, c] of the image; None for any.
        more: further arrays that have to be there: "trace" [steps], or others of the image's shape.

    Raises:
        DamagedFile: see `csdip_jax.files.read_arrays`; also a pixel range that is none.
    """
    expected = dict.fromkeys(("image", *more), ("f", shape or (None, None, None)))
    arrays = read_arrays(path, **expected | ({"trace": ("f", (None,))} if "trace" in more else {}))
    if "pixel_range" in arrays:
        ends: Any = arrays.pop("pixel_range")
        try:
            arrays["image"] = to_signed_range(arrays["image"], checked_range(ends))
        except InputError as error:
            raise DamagedFile(f"{path} is damaged ({error}): remove it, {ANEW}") from None
        arrays |= {AUX + name: values / _half(ends) for name, values in maps(arrays).items()}
    return arrays


def known(adjoint: np.ndarray) -> np.ndarray | None:
    """The adjoint A^H y of a file, or None where it is NaN: its operator has none."""
    return None if np.isnan(adjoint).all() else adjoint


def is_whole(path: Path, shape: tuple | None = None, *more: str) -> bool:
    """Whether `load` reads it."""
    try:
        load(path, shape, *more)
    except DamagedFile:
        return False
    return True
