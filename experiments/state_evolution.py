"""The effective noise of D-AMP along its iterations, beside what theory predicts (state evolution).

    python -m experiments.state_evolution --workdir=runs/state_evolution
    python -m experiments.state_evolution --images='photos/*.png' --config.methods=damp_tv

Three numbers for each iteration t: sigma_t predicted from the true image; sigma_t as the method estimates it, ||z_t|| /
sqrt(m); and what both stand for, the root mean square of the error of x_t + A^T z_t. While they agree, that error is
the white noise which the denoiser is made for. The workdir gets config.json, results.jsonl (a row per image and
method) and state_evolution.png.
"""

from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

import csdip_jax as cs
from csdip_jax.files import content_digest
from csdip_jax.io.lines import FLAG, LIST, NUMBER, NUMBER_OR_NULL, TEXT, WHOLE, with_fields
from csdip_jax.methods import Damp
from csdip_jax.methods.damp import effective_image, effective_noise, state_evolution
from csdip_jax.runs.measurement import keys_of
from csdip_jax.runs.row import errors
from csdip_jax.runs.workdir import Workdir
from csdip_jax.solve.progress import progress_bar
from csdip_jax.types import Array, InputError
from experiments import launcher, pictures, settings
from experiments.row_tables import decibels

ROW = {
    "image": TEXT,
    "method": TEXT,
    "num_measurements": WHOLE,
    "mse": NUMBER_OR_NULL._replace(optional=True),
    "psnr": NUMBER_OR_NULL,
    "data_range": NUMBER._replace(optional=True),
    "converged": FLAG,
} | dict.fromkeys(("predicted", "estimated", "true"), LIST)

_CONFIG = launcher.define_config("state_evolution")
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/state_evolution-m<m>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")
_IMAGES = flags.DEFINE_string("images", None, "Your own images: a file, a folder or a quoted glob.")
_PIXEL_RANGE = launcher.define_pixel_range()
flags.declare_key_flag("pixel_range")  # so that --help lists it


def main() -> None:
    config = launcher.config_of(_CONFIG)
    pixel_range = launcher.numbers_of(_PIXEL_RANGE, float, 2)
    study = settings.study(config, _DATA_DIR.value, _IMAGES.value, pixel_range)
    names, images = study.load_images()
    shape = images.shape[1:]
    measurement = study.measurements(shape)[0][0]
    if measurement.kind != "gaussian":
        raise InputError(f"operator = {config.operator!r}: the theory is about Gaussian matrices, choose gaussian")
    methods = {name: study.method(name, shape) for name in study.methods}
    for name, method in methods.items():
        if not isinstance(method, Damp):
            raise InputError(f"--config.methods: {name!r} is not among bm3d_amp, damp_tv, damp_wavelet")

    path = _WORKDIR.value or f"runs/state_evolution-m{measurement.count}"
    described = {"config": config.to_dict(), "images": _IMAGES.value, "contents": content_digest(images)}
    keys = keys_of(config.seed)
    workdir = Workdir(path, described, read=with_fields(ROW))
    rows = {(row["image"], row["method"]): row for row in workdir.rows}
    wanted = [(name, method) for name in names for method in methods]
    for name, method_name in progress_bar([key for key in wanted if key not in rows], desc="images x methods"):
        image, method = images[names.index(name)], methods[method_name]
        row = {"image": name, "method": method_name, "num_measurements": measurement.count}
        row |= measured(method, measurement.problem(keys, name, image), image, keys.fit)
        variance = measurement.paper_variance(measurement.count)
        theory = jax.jit(state_evolution)(method, image, measurement.count, variance, keys.fit)
        row["predicted"] = theory.tolist()
        workdir.append(row)
        rows[name, method_name] = row
    rows = [rows[key] for key in wanted]
    for row in rows:
        print_table(row)
    save_picture(workdir.path / "state_evolution.png", rows)
    print(f"picture: {workdir.path / 'state_evolution.png'}")


def measured(method: Damp, problem: cs.Problem, image: Array, key: Array) -> dict:
    """A run's effective noise before each iteration, estimated and true, and how it ended."""
    state, estimated, true = jax.jit(type(method).init)(method, problem, key), [], []
    for _ in range(method.steps):
        state, noise = _iterate(method, problem, state, image, jax.random.fold_in(key, len(estimated)))
        estimated.append(float(noise[0]))
        true.append(float(noise[1]))
    quality = errors(np.asarray(method.image(state)), np.asarray(image))
    return {"estimated": estimated, "true": true, **quality, "converged": bool(method.converged(state))}


@jax.jit
def _iterate(method, problem, state, image, key):
    error = effective_image(state) - image
    noise = effective_noise(state), jnp.sqrt(jnp.mean(jnp.square(error)))
    return method.step(problem, state, key)[0], noise


def print_table(row: dict) -> None:
    """A line per iteration, and the largest departure from the prediction."""
    verdict = "converged" if row["converged"] else "NOT converged"
    psnr = decibels(row["psnr"], row.get("data_range", 2.0))
    print(f"\n{row['image']}, {row['method']}, m = {row['num_measurements']}: PSNR {psnr}, {verdict}")
    print(f"{'t':>3} {'predicted':>10} {'estimated':>10} {'true':>10}")
    noises = {name: np.array(row[name]) for name in ("predicted", "estimated", "true")}
    for t, values in enumerate(zip(*noises.values(), strict=True)):
        print(f"{t:3d} " + " ".join(f"{value:10.4f}" for value in values))
    for name in ("estimated", "true"):
        departure = noises[name] / noises["predicted"] - 1
        worst = np.abs(departure).argmax()
        print(f"largest departure of the {name} noise from the predicted: {departure[worst]:+.1%} at t = {worst}")


def save_picture(path: Path, rows: Sequence[dict]) -> None:
    """Noise against the iteration, a panel per row."""
    figure, axes = pictures.plt.subplots(
        1, len(rows), figsize=(3.6 * len(rows) + 0.4, 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, row in zip(axes[0], rows, strict=True):
        axis.semilogy(row["predicted"], color="k", lw=1, label="predicted")
        axis.semilogy(row["estimated"], "o", ms=3.5, label=r"estimated, $\|z_t\|/\sqrt{m}$")
        axis.semilogy(row["true"], "x", ms=4, label="true")
        axis.set_title(f"{row['image']}, {row['method']}, m = {row['num_measurements']}", fontsize=9)
        axis.set_xlabel("iteration t")
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel(r"effective noise $\sigma_t$")
    axes[0, 0].legend(fontsize=8)
    pictures.save_figure(path, figure)


if __name__ == "__main__":
    launcher.run(main, interrupted="the same command goes on after the last image")
