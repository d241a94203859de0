"""Images that are at hand: measured here, reconstructed by every method, compared with the original."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections.config_dict import ConfigDict

import csdip_jax as cs
from csdip_jax.results import Workdir, content_digest
from csdip_jax.types import InputError
from experiments import pictures, settings
from experiments.reconstruct import fits, table


class Part(NamedTuple):
    """What is to be done: named images, each measured once and reconstructed by every method."""

    name: str
    config: ConfigDict
    image_names: Sequence[str]
    images: np.ndarray
    measurement: settings.Measurement
    sweeps: Sequence[settings.Sweep]

    @property
    def labels(self) -> list[str]:
        return [label for sweep in self.sweeps for label in sweep.labels]


def run(config, workdir, data_dir, sweep_flags, files, image_shape, pixel_range) -> None:
    if files is None and all(part.data is None for part in settings.parts(config).values()):
        print("note: no --images, --measurements or --config.data given: the first photograph of the demo")
        with config.unlocked():
            config.data, config.num_images = "demo", config.num_images or 1
    if image_shape:
        with config.unlocked():
            config.image_shape = image_shape
    parts = [
        _plan(name, part, data_dir, sweep_flags, files, pixel_range) for name, part in settings.parts(config).items()
    ]
    workdir = fits.open_workdir(
        workdir,
        "images" if files else config.data,
        config,
        images=files,
        pixel_range=pixel_range,
        sweep=sorted(sweep_flags),
        trained=settings.digests(sweep for part in parts for sweep in part.sweeps),
    )
    for part in parts:
        _run_part(workdir, part)
    rows = {(row["part"], row["image"], row["label"]): row for row in workdir.rows}
    wanted = {
        (part.name, image, label): rows[part.name, image, label]
        for part in parts
        for image in part.image_names
        for label in part.labels
    }
    table.print_table(wanted.values())
    _draw(workdir, wanted, parts)


def _plan(name: str, config, data_dir, sweep_flags, files, pixel_range) -> Part:
    """Reads the images and builds everything that can be refused, before anything is written."""
    names, images = settings.load_images(config, data_dir, files, pixel_range)
    shape = images.shape[1:]
    sweeps = settings.sweeps(config, shape, data_dir, sweep_flags)
    return Part(name, config, names, images, settings.measurement(config, shape), sweeps)


def _run_part(workdir: Workdir, part: Part) -> None:
    """Every image of one part by every method, those not yet finished."""
    keys = settings.keys(part.config.seed)
    done = _finished(workdir, part)
    for name, image in zip(part.image_names, part.images, strict=True):
        todo = [sweep for sweep in part.sweeps if any((name, label) not in done for label in sweep.labels)]
        if not todo:
            continue
        id_ = settings.image_id(name)
        operator, y = problem = part.measurement.problem(keys, name, image)
        known = {"measurements": np.asarray(y)}
        if isinstance(operator, cs.operators.LinearOperator):
            known["adjoint"] = np.asarray(operator.adjoint(y))
        for sweep in todo:
            prefix = fits.stem(part.name, name)
            for fit in fits.solve(workdir, prefix, sweep, problem, keys.fit, id_):
                if (name, fit.label) in done:
                    continue
                fits.save(workdir, fit, fit.solution.image, known)
                workdir.append(
                    {
                        "part": part.name,
                        "image": name,
                        "image_digest": content_digest(image),
                        "measurement": part.measurement.description,
                        "num_measurements": int(y.size),
                        "noise_variance": part.measurement.noise_variance,
                        "preset": part.config.preset,
                        "seed": part.config.seed,
                        **fit.facts,
                        **metrics(fit.solution.image, image),
                    }
                )
            fits.forget_checkpoint(workdir, prefix, sweep)


def _finished(workdir: Workdir, part: Part) -> set[tuple[str, str]]:
    """(image, label) of the rows whose reconstruction is there; InputError if an image is no longer the same."""
    digests = {name: content_digest(image) for name, image in zip(part.image_names, part.images, strict=True)}
    done = set()
    for row in workdir.rows:
        name, label = row["image"], row["label"]
        if row["part"] == part.name and name in digests:
            if row["image_digest"] != digests[name]:
                raise InputError(f"image {name} has changed since {workdir.path} was written: choose another --workdir")
            if fits.reconstruction(workdir, fits.stem(part.name, name, label)).exists():
                done.add((name, label))
    return done


def metrics(image: np.ndarray, original: np.ndarray) -> dict:
    """Those of `csdip_jax.metrics` that an image of this size has."""
    values = {"mse": cs.metrics.mse(image, original), "psnr": cs.metrics.psnr(image, original)}
    if min(image.shape[:2]) >= cs.metrics.SSIM_WINDOW:
        values["ssim"] = cs.metrics.ssim(image, original)
    return {name: float(value) for name, value in values.items()}


def _draw(workdir: Workdir, rows: Mapping[tuple[str, str, str], dict], parts: Sequence[Part]) -> None:
    """comparison.png and loss.png, from the saved reconstructions."""
    saved = {}
    for key in rows:
        with np.load(fits.reconstruction(workdir, fits.stem(*key))) as arrays:
            saved[key] = dict(arrays)
    comparisons = []
    for part in parts:
        for name, original in zip(part.image_names, part.images, strict=True):
            found = {label: (part.name, name, label) for label in part.labels}
            first = next(iter(found.values()))
            comparisons.append(
                pictures.Comparison(
                    label=f"{fits.stem(part.name, name)}\n{table.measured(rows[first])}",
                    original=original,
                    adjoint=saved[first].get("adjoint"),
                    reconstructions={label: saved[key]["image"] for label, key in found.items()},
                    captions={label: table.caption(rows[key]) for label, key in found.items()},
                )
            )
    pictures.save_comparison(workdir.path / "comparison.png", comparisons)
    curves = [(label, arrays["trace"]) for (_, _, label), arrays in saved.items()]
    pictures.save_losses(workdir.path / "loss.png", curves)
    print(f"pictures: {workdir.path / 'comparison.png'}, {workdir.path / 'loss.png'}")
