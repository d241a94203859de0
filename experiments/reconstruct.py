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
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags

import csdip_jax as cs
from csdip_jax.results import Workdir, write_array, write_arrays
from csdip_jax.types import InputError
from experiments import launcher, own_measurements, pictures, settings

_CONFIG = launcher.define_config("default")
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
    image_shape = _numbers(_IMAGE_SHAPE, int, 3)
    pixel_range = _numbers(_PIXEL_RANGE, float, 2)
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


def _reconstruct_images(config, image_shape, pixel_range) -> None:
    if config.data is None and not _IMAGES.value:
        raise InputError("nothing to reconstruct: give --images, --measurements, or a --config that names its data")
    default_name = "images" if _IMAGES.value else config.data
    with config.unlocked():
        config.image_shape = image_shape or config.image_shape
    flags_used = {"images": _IMAGES.value, "pixel_range": pixel_range}
    loaded = {part: (values, *_load(values, pixel_range)) for part, values in settings.parts(config).items()}
    workdir = _open_workdir(config, default_name, **flags_used)
    for part, (values, names, images) in loaded.items():
        _run_part(workdir, part, values, names, images)
    rows = {(row["part"], row["image"], row["method"]): row for row in workdir.rows}
    wanted = [
        rows[part, name, method]
        for part, (values, names, _) in loaded.items()
        for name in names
        for method in _method_names(values)
    ]
    _report(wanted)
    _draw(workdir, wanted, loaded)


def _load(config, pixel_range) -> tuple[list[str], np.ndarray]:
    return cs.data.load_named(
        _IMAGES.value or config.data,
        _DATA_DIR.value,
        image_shape=config.image_shape,
        num_images=config.num_images,
        first=config.first_image,
        pixel_range=pixel_range,
    )


def _method_names(config) -> list[str]:
    return [name.strip() for name in config.methods.split(",")]


def _run_part(workdir: Workdir, part: str, config, names: Sequence[str], images: np.ndarray) -> None:
    """Every image of one part by every method, those not yet finished."""
    shape = images.shape[1:]
    measurement = settings.measurement(config, shape)
    keys = settings.keys(config.seed)
    methods = {name: settings.make_method(name, config, shape) for name in _method_names(config)}
    done = {(row["image"], row["method"]) for row in workdir.rows if row["part"] == part}
    for name, image in zip(names, images, strict=True):
        todo = {method_name: method for method_name, method in methods.items() if (name, method_name) not in done}
        if not todo:
            continue
        id_ = settings.image_id(name)
        operator = measurement.operator(keys.operator, id_, shape)
        y = cs.operators.measure(jax.random.fold_in(keys.noise, id_), operator, image, measurement.noise_variance)
        for method_name, method in todo.items():
            stem = _stem(part, name, method_name)
            solution, seconds = _solve(workdir, stem, method, cs.Problem(operator, y), keys.fit, id_)
            arrays = {"image": solution.image, "trace": solution.trace, "measurements": np.asarray(y)}
            if isinstance(operator, cs.operators.LinearOperator):
                arrays["adjoint"] = np.asarray(operator.adjoint(y))
            _save_solution(workdir, stem, solution, arrays)
            row = {
                "part": part,
                "image": name,
                "method": method_name,
                "preset": config.preset,
                "measurement": measurement.description,
                "num_measurements": int(y.size),
                "noise_variance": measurement.noise_variance,
                "seed": config.seed,
                **_metrics(solution.image, image),
                **_facts(solution, y, seconds),
            }
            _finish(workdir, stem, row)


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
    folder = workdir.path / "reconstructions"
    write_arrays(folder / f"{stem}.npz", **arrays)
    pictures.save_image(folder / f"{stem}.png", solution.image)
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


def _report(rows: Sequence[dict]) -> None:
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


def _draw(workdir: Workdir, rows: Sequence[dict], loaded: dict) -> None:
    saved = {}
    for row in rows:
        stem = _stem(row["part"], row["image"], row["method"])
        with np.load(workdir.path / "reconstructions" / f"{stem}.npz") as arrays:
            saved[row["part"], row["image"], row["method"]] = (row, dict(arrays))
    comparisons = []
    for part, (config, names, images) in loaded.items():
        methods = _method_names(config)
        for name, original in zip(names, images, strict=True):
            found = {method: saved[part, name, method] for method in methods}
            row, arrays = found[methods[0]]
            comparisons.append(
                pictures.Comparison(
                    label=f"{_stem(part, name)}\n{row['measurement']}, m = {row['num_measurements']}",
                    original=original,
                    adjoint=arrays.get("adjoint"),
                    reconstructions={method: arrays["image"] for method, (_, arrays) in found.items()},
                    captions={
                        method: f"MSE {row['mse']:.4f}, PSNR {row['psnr']:.1f} dB" for method, (row, _) in found.items()
                    },
                )
            )
    pictures.save_comparison(workdir.path / "comparison.png", comparisons)
    pictures.save_losses(
        workdir.path / "loss.png", {_stem(*key): arrays["trace"] for key, (_, arrays) in saved.items()}
    )
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
    inputs = {"measurements": _MEASUREMENTS.value, "matrix": _MATRIX.value, "mask": _MASK.value}
    shape = own.problem.operator.image_shape
    workdir = _open_workdir(
        config, Path(_MEASUREMENTS.value.partition(":")[0]).stem, **inputs, image_shape=shape, pixel_range=pixel_range
    )
    done = {row["method"] for row in workdir.rows}
    key = settings.keys(config.seed).fit
    for name in _method_names(config):
        if name in done:
            continue
        method = settings.make_method(name, config, shape)
        solution, seconds = _solve(workdir, name, method, own.problem, key, 0)
        _save_solution(workdir, name, solution, {"image": own.to_user(solution.image), "trace": solution.trace})
        write_array(workdir.path / f"{name}.npy", own.to_user(solution.image))
        pictures.save_image(workdir.path / f"{name}.png", solution.image)
        pictures.save_losses(workdir.path / "loss.png", {name: solution.trace})
        _finish(
            workdir,
            name,
            {
                "method": name,
                "preset": config.preset,
                "seed": config.seed,
                **_facts(solution, own.problem.measurements, seconds),
            },
        )
    for row in workdir.rows:
        flag = "" if row["ok"] else "  FAILED"
        print(f"{row['method']}: relative residual {row['relative_residual']:.3g} after {row['steps']} steps{flag}")
        print(f"image: {workdir.path / row['method']}.npy and .png, loss curve: {workdir.path / 'loss.png'}")


if __name__ == "__main__":
    launcher.run(main)
