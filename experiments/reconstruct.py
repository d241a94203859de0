"""Reconstructs images from compressed measurements and compares them with the originals, where there are any.

    python -m experiments.reconstruct --config=experiments/configs/demo.py
    python -m experiments.reconstruct --config=experiments/configs/mnist.py --data_dir=data --config.num_images=10
    python -m experiments.reconstruct --images='scans/*.png' --config.num_measurements=4000
    python -m experiments.reconstruct --measurements=y.npy --matrix=A.npy --image_shape=256,256,1
    python -m experiments.reconstruct --measurements=kspace.npy --mask=mask.npy

Rerun with the same settings it skips finished images and goes on with the interrupted one from its last chunk. The
workdir gets config.json (settings, versions, device, commit), results.jsonl (a row per image and method),
reconstructions as .npz and .png, comparison.png and loss.png.
"""

import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from absl import flags
from ml_collections.config_dict import ConfigDict

import csdip_jax as cs
from csdip_jax.data.pixels import checked_shape
from csdip_jax.methods import Method
from csdip_jax.results import Workdir, content_digest, write_array, write_arrays
from csdip_jax.types import InputError
from experiments import launcher, own_measurements, pictures, settings

_CONFIG = launcher.define_config("default")
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/<name of the settings>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")
_IMAGES = flags.DEFINE_string(
    "images", None, "Your own images: a file, a folder or a quoted glob of PNG, JPEG, TIFF, PPM or .npy files."
)
_MEASUREMENTS = flags.DEFINE_string(
    "measurements",
    None,
    "Your own measurements, .npy, .npz or .mat (file:name picks one array); no original is needed.",
)
_MATRIX = flags.DEFINE_string(
    "matrix", None, "The matrix A [m, n] behind --measurements; its columns count pixels row-major over (h, w, c)."
)
_MASK = flags.DEFINE_string("mask", None, "The k-space mask [h, w] behind --measurements (complex Fourier samples).")
_IMAGE_SHAPE = flags.DEFINE_list(
    "image_shape", None, "h,w,c of the image behind --measurements, or to bring --images to."
)
_PIXEL_RANGE = flags.DEFINE_list(
    "pixel_range",
    None,
    "black,white of your pixel values. Default: -1,1 for measurements and float images, the type's range for integers.",
)
_DC = flags.DEFINE_enum(
    "dc", "auto", ["auto", "centre", "corner"], "With --mask: where k-space has its zero frequency."
)
_NORM = flags.DEFINE_enum(
    "norm", "auto", ["auto", "ortho", "backward"], "With --mask: scale of the DFT, as numpy names it."
)

FREE_SETTINGS = ("num_images", "first_image")  # a rerun may change these and go on


def main() -> None:
    config = launcher.config_of(_CONFIG)
    image_shape = checked_shape(_numbers(_IMAGE_SHAPE, int, 3))
    pixel_range = _numbers(_PIXEL_RANGE, float, 2)
    if _MEASUREMENTS.value and _IMAGES.value:
        raise InputError("--images and --measurements are two ways to begin: give one of them")
    if _MEASUREMENTS.value:
        _reconstruct_measurements(config, image_shape, pixel_range or (-1.0, 1.0))
    elif _MATRIX.value or _MASK.value:
        raise InputError("--matrix and --mask describe --measurements, which is missing")
    else:
        _reconstruct_images(config, image_shape, pixel_range)


def _numbers(flag: flags.FlagHolder, kind: type, count: int) -> tuple | None:
    if flag.value is None:
        return None
    try:
        numbers = tuple(kind(value) for value in flag.value)
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"--{flag.name}={','.join(flag.value)}: give {count} numbers, separated by commas")
    return numbers


def _open_workdir(config, default_name: str, **inputs) -> Workdir:
    described = {"config": config.to_dict(), "flags": {name: value for name, value in inputs.items() if value}}
    fixed = repr(sorted((name, value) for name, value in config.to_dict().items() if name not in FREE_SETTINGS))
    name = f"{default_name}-{zlib.crc32((fixed + repr(sorted(described['flags'].items()))).encode()):08x}"
    workdir = Workdir(_WORKDIR.value or Path("runs") / name, described, free=FREE_SETTINGS)
    print(f"workdir: {workdir.path}   device: {jax.devices()[0].device_kind}")
    return workdir


# --- images: measured here, compared with the original


class Part(NamedTuple):
    """What is to be done: named images, each measured once and reconstructed by every method."""

    name: str
    config: ConfigDict
    image_names: Sequence[str]
    images: np.ndarray
    measurement: settings.Measurement
    methods: Mapping[str, Method]


def _reconstruct_images(config, image_shape, pixel_range) -> None:
    if _IMAGES.value is None and all(part.data is None for part in settings.parts(config).values()):
        raise InputError("nothing to reconstruct: give --images, --measurements, or a --config that names its data")
    if image_shape:
        with config.unlocked():
            config.image_shape = image_shape
    parts = [_plan(name, part, pixel_range) for name, part in settings.parts(config).items()]
    default_name = "images" if _IMAGES.value else config.data
    workdir = _open_workdir(config, default_name, images=_IMAGES.value, pixel_range=pixel_range)
    for part in parts:
        _run(workdir, part)
    rows = {(row["part"], row["image"], row["method"]): row for row in workdir.rows}
    wanted = {
        (part.name, image, method): rows[part.name, image, method]
        for part in parts
        for image in part.image_names
        for method in part.methods
    }
    _report(wanted.values())
    _draw(workdir, wanted, parts)


def _plan(name: str, config, pixel_range) -> Part:
    """Reads the images and builds everything that can be refused, before anything is written."""
    names, images = cs.data.load_named(
        _IMAGES.value or config.data,
        _DATA_DIR.value,
        image_shape=config.image_shape,
        num_images=config.num_images,
        first=config.first_image,
        pixel_range=pixel_range,
    )
    shape = images.shape[1:]
    methods = {method: settings.make_method(method, config, shape) for method in settings.method_names(config)}
    return Part(name, config, names, images, settings.measurement(config, shape), methods)


def _run(workdir: Workdir, part: Part) -> None:
    """Every image of one part by every method, those not yet finished."""
    keys = settings.keys(part.config.seed)
    done = _finished(workdir, part)
    for name, image in zip(part.image_names, part.images, strict=True):
        todo = [method for method in part.methods if (name, method) not in done]
        if not todo:
            continue
        id_ = settings.image_id(name)
        operator = part.measurement.operator(keys.operator, id_, image.shape)
        noise_key = jax.random.fold_in(keys.noise, id_)
        y = part.measurement.measure(noise_key, operator, image)
        for method in todo:
            stem = _stem(part.name, name, method)
            solution, seconds = _solve(workdir, stem, part.methods[method], cs.Problem(operator, y), keys.fit, id_)
            arrays = {"image": solution.image, "trace": solution.trace, "measurements": np.asarray(y)}
            if isinstance(operator, cs.operators.LinearOperator):
                arrays["adjoint"] = np.asarray(operator.adjoint(y))
            _save_solution(workdir, stem, solution, arrays)
            row = {
                "part": part.name,
                "image": name,
                "image_digest": content_digest(image),
                "method": method,
                "preset": part.config.preset,
                "measurement": part.measurement.description,
                "num_measurements": int(y.size),
                "noise_variance": part.measurement.noise_variance,
                "seed": part.config.seed,
                **_metrics(solution.image, image),
                **_facts(solution, y, seconds),
            }
            _finish(workdir, stem, row)


def _finished(workdir: Workdir, part: Part) -> set[tuple[str, str]]:
    """(image, method) of the rows whose reconstruction is there; InputError if an image is no longer the same."""
    digests = {name: content_digest(image) for name, image in zip(part.image_names, part.images, strict=True)}
    done = set()
    for row in workdir.rows:
        name, method = row["image"], row["method"]
        if row["part"] == part.name and name in digests:
            if row["image_digest"] != digests[name]:
                raise InputError(f"image {name} has changed since {workdir.path} was written: choose another --workdir")
            if _reconstruction(workdir, _stem(part.name, name, method)).exists():
                done.add((name, method))
    return done


def _reconstruction(workdir: Workdir, stem: str) -> Path:
    return workdir.path / "reconstructions" / f"{stem}.npz"


def _stem(*names: str) -> str:
    return "-".join(name for name in names if name)


def _solve(
    workdir: Workdir, stem: str, method, problem: cs.Problem, key, image_id: int
) -> tuple[cs.Solution, float | None]:
    """The solution as numpy arrays, and the seconds it took (None where an earlier process did part of it)."""
    checkpoint = _checkpoint(workdir, stem)
    resumed, began = checkpoint.exists(), time.perf_counter()
    solution = cs.reconstruct(method, problem, key, image_ids=[image_id], progress=stem, checkpoint=checkpoint)
    solution = jax.tree.map(np.asarray, solution)
    return solution, None if resumed else round(time.perf_counter() - began, 2)


def _checkpoint(workdir: Workdir, stem: str) -> Path:
    return workdir.path / f"checkpoint-{stem}.npz"


def _save_solution(workdir: Workdir, stem: str, solution: cs.Solution, arrays: dict) -> None:
    path = _reconstruction(workdir, stem)
    pictures.save_image(path.with_suffix(".png"), solution.image)
    write_arrays(path, **arrays)
    if not solution.ok:
        print(
            f"warning: {stem}: every attempt collapsed or diverged; try another --config.seed, a lower "
            "--config.csdip.learning_rate or more measurements"
        )


def _finish(workdir: Workdir, stem: str, row: dict) -> None:
    # In this order: a kill between the two leaves a finished row and a checkpoint nobody reads.
    workdir.append(row)
    _checkpoint(workdir, stem).unlink(missing_ok=True)


def _metrics(image: np.ndarray, original: np.ndarray) -> dict:
    values = {"mse": cs.metrics.mse(image, original), "psnr": cs.metrics.psnr(image, original)}
    if min(image.shape[:2]) >= cs.metrics.SSIM_WINDOW:
        values["ssim"] = cs.metrics.ssim(image, original)
    return {name: float(value) for name, value in values.items()}


def _facts(solution: cs.Solution, measurements, seconds: float | None) -> dict:
    energy = float(np.sum(np.abs(np.asarray(measurements)) ** 2))
    return {
        "seconds": seconds,
        "measurement_loss": float(solution.measurement_loss),
        "relative_residual": float(solution.measurement_loss) / energy if energy else None,
        "steps": int(solution.steps),
        "restart": int(solution.restart),
        "redraws": int(solution.redraws),
        "ok": bool(solution.ok),
    }


def _report(rows: Collection[dict]) -> None:
    """A table of the rows, and the mean of each part and method over its images."""
    width = max(len(_stem(row["part"], row["image"])) for row in rows)
    header = (
        f"{'image':{width}} {'method':14} {'measured':>16} {'m':>6} {'MSE':>9} {'PSNR':>6} {'SSIM':>6} {'seconds':>8}"
    )
    print(header + "\n" + "-" * len(header))
    for row in rows:
        seconds = "resumed" if row["seconds"] is None else f"{row['seconds']:.1f}"
        flag = "" if row["ok"] else "  FAILED"
        print(
            f"{_stem(row['part'], row['image']):{width}} {row['method']:14} {row['measurement']:>16} "
            f"{row['num_measurements']:6d} {row['mse']:9.5f} {row['psnr']:6.2f} {row.get('ssim', np.nan):6.3f} "
            f"{seconds:>8}{flag}"
        )
    for part, method in dict.fromkeys((row["part"], row["method"]) for row in rows):
        values = np.array([row["mse"] for row in rows if (row["part"], row["method"]) == (part, method)])
        if len(values) > 1:
            error = values.std(ddof=1) / np.sqrt(len(values))
            mean = f"{values.mean():.5f} +- {error:.5f} (1 standard error)"
            print(f"mean MSE of {len(values)} images, {_stem(part, method)}: {mean}")


def _draw(workdir: Workdir, rows: Mapping[tuple[str, str, str], dict], parts: Sequence[Part]) -> None:
    """comparison.png and loss.png, from the saved reconstructions."""
    saved = {}
    for key in rows:
        with np.load(_reconstruction(workdir, _stem(*key))) as arrays:
            saved[key] = dict(arrays)
    comparisons = []
    for part in parts:
        for name, original in zip(part.image_names, part.images, strict=True):
            found = {method: (part.name, name, method) for method in part.methods}
            first = next(iter(found.values()))
            measured = f"{rows[first]['measurement']}, m = {rows[first]['num_measurements']}"
            comparisons.append(
                pictures.Comparison(
                    label=f"{_stem(part.name, name)}\n{measured}",
                    original=original,
                    adjoint=saved[first].get("adjoint"),
                    reconstructions={method: saved[key]["image"] for method, key in found.items()},
                    captions={
                        method: f"MSE {rows[key]['mse']:.4f}, PSNR {rows[key]['psnr']:.1f} dB"
                        for method, key in found.items()
                    },
                )
            )
    pictures.save_comparison(workdir.path / "comparison.png", comparisons)
    pictures.save_losses(workdir.path / "loss.png", {_stem(*key): saved[key]["trace"] for key in rows})
    print(f"pictures: {workdir.path / 'comparison.png'}, {workdir.path / 'loss.png'}")


# --- the user's own measurements: no original, so no metrics


def _reconstruct_measurements(config, image_shape, pixel_range) -> None:
    if bool(_MATRIX.value) == bool(_MASK.value):
        raise InputError("--measurements needs either --matrix=A.npy or --mask=mask.npy (exactly one)")
    measurements = own_measurements.read_array(_MEASUREMENTS.value)
    if _MATRIX.value:
        matrix = own_measurements.read_array(_MATRIX.value)
        own = own_measurements.with_matrix(measurements, matrix, image_shape, pixel_range)
    else:
        mask = own_measurements.read_array(_MASK.value)
        own = own_measurements.with_mask(measurements, mask, image_shape, pixel_range, _DC.value, _NORM.value)
    for note in own.notes:
        print(f"note: {note}")
    shape = own.problem.operator.image_shape
    methods = {name: settings.make_method(name, config, shape) for name in settings.method_names(config)}
    workdir = _open_workdir(
        config,
        Path(_MEASUREMENTS.value.partition(":")[0]).stem,
        measurements=_MEASUREMENTS.value,
        matrix=_MATRIX.value,
        mask=_MASK.value,
        contents=content_digest(*jax.tree.leaves(own.problem)),
        image_shape=shape,
        pixel_range=pixel_range,
    )
    done = {row["method"] for row in workdir.rows}
    key = settings.keys(config.seed).fit
    for name in [name for name in methods if name not in done]:
        solution, seconds = _solve(workdir, name, methods[name], own.problem, key, 0)
        image = own.to_user(solution.image)
        _save_solution(workdir, name, solution, {"image": image, "trace": solution.trace})
        write_array(workdir.path / f"{name}.npy", image)
        pictures.save_image(workdir.path / f"{name}.png", solution.image)
        pictures.save_losses(workdir.path / f"loss-{name}.png", {name: solution.trace})
        facts = _facts(solution, own.problem.measurements, seconds)
        _finish(workdir, name, {"method": name, "preset": config.preset, "seed": config.seed, **facts})
    for row in workdir.rows:
        flag = "" if row["ok"] else "  FAILED"
        print(f"{row['method']}: relative residual {row['relative_residual']:.3g} after {row['steps']} steps{flag}")
        name = row["method"]
        print(f"image: {workdir.path / name}.npy and .png, loss curve: {workdir.path / f'loss-{name}.png'}")


if __name__ == "__main__":
    launcher.run(main)
