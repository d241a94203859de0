"""Both sections: what is measured, what is fitted, the tables and the pictures."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import csdip_jax as cs
from csdip_jax.checks import require
from csdip_jax.commands import pictures, tables
from csdip_jax.files import read_arrays, write_arrays, write_atomically
from csdip_jax.io.arrays import read_array
from csdip_jax.runs.measurement import image_id, keys_of
from csdip_jax.runs.workdir import Workdir, locked
from csdip_jax.types import InputError
from experiments import published

PEAK_OVER_ZERO_FILLED = 1.2
"""The pixel range, relative to the largest magnitude of the zero-filled image, which columns left out make smaller."""


def column_mask(size: int, acceleration: float, calibration: float, seed: int) -> np.ndarray:
    """Columns of k-space, DC in the middle: all of a band around it, others drawn with a density that falls outwards.

    Args:
        size: columns, and rows.
        acceleration: size over the number of columns.
        calibration: width of the band, relative to the size.
        seed: of the draw.

    Returns:
        Boolean [size, size].

    Raises:
        InputError: no column, more than there are, or fewer than the band's.
    """
    distance = np.abs(np.arange(size) - size // 2)
    chosen = distance < max(1, round(calibration * size) / 2)
    further = round(size / acceleration) - chosen.sum()
    if not 0 <= further <= size - chosen.sum():
        raise InputError(f"acceleration = {acceleration}: {chosen.sum()} of {size} columns are measured in any case")
    density = np.where(chosen, 0, (1 - distance / size) ** 4)
    drawn = np.random.default_rng(seed).choice(size, further, replace=False, p=density / density.sum())
    chosen[drawn] = True
    return np.broadcast_to(chosen, (size, size))


def brain(data_dir: str, name: str, size: int) -> np.ndarray:
    """A slice as two channels [size, size, 2], of magnitude at most 1, with the middle of its k-space.

    Raises:
        InputError: there is no such slice, or it is smaller.
    """
    whole = read_array(Path(data_dir) / "mri_complex_brains" / f"test_data_{name}.mat")
    if not 8 <= size <= len(whole):
        raise InputError(f"--config.mri.size = {size}: slices have {len(whole)} pixels a side, and 8 are the fewest")
    first = (len(whole) - size) // 2
    middle = np.fft.fftshift(np.fft.fft2(whole, norm="ortho"))[first : first + size, first : first + size]
    image = np.fft.ifft2(np.fft.ifftshift(middle), norm="ortho")
    return (np.stack([image.real, image.imag], -1) / np.abs(image).max()).astype(np.float32)


def magnitude(image: np.ndarray) -> np.ndarray:
    """Of two channels [h, w, 2], cut at 1: [h, w, 1]."""
    return np.minimum(np.linalg.norm(image, axis=-1, keepdims=True), 1.0)


def fitted(folder: Path, cell: str, fit: Callable[[Path], cs.Solution]) -> np.ndarray:
    """The images of a cell, [h, w, c] or [b, h, w, c]: read where they are there, else fitted from a checkpoint on."""
    path, checkpoint = folder / "reconstructions" / f"{cell}.npz", folder / f"checkpoint-{cell}.npz"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_arrays(path, image=np.asarray(fit(checkpoint).image))
        checkpoint.unlink(missing_ok=True)
    return read_arrays(path, image=("f", None))["image"]


def mri(config, data_dir: str, folder: Path) -> pd.DataFrame:
    """A row per slice and method: PSNR and SSIM of the magnitude. Draws mri.png."""
    settings, keys, rows, pages = config.mri, keys_of(config.seed), [], []
    shape = (settings.size, settings.size, 2)
    mask = column_mask(settings.size, settings.acceleration, settings.calibration, config.seed)
    operator = cs.operators.cartesian_fourier(mask, (*shape[:2], 1)) @ cs.operators.ComplexImage(shape)
    for name in settings.slices:
        image, id_ = brain(data_dir, name, settings.size), image_id(name)
        y = cs.operators.measure(jax.random.fold_in(keys.noise, id_), operator, image, settings.noise_variance)
        filled = np.asarray(operator.adjoint(y))
        peak = PEAK_OVER_ZERO_FILLED * float(np.linalg.norm(filled, axis=-1).max())
        truth, found = magnitude(image), {"zero-filled": magnitude(filled)}
        for method in settings.methods:
            asked = {"steps": settings.steps} | settings[method].to_dict()
            made = cs.methods.METHODS[method].make("paper", shape, asked, {"generator": {"width": settings.width}})
            options = {"image_ids": [id_], "pixel_range": (-peak, peak), "progress": f"{name} {method}"}

            def fit(checkpoint, made=made, y=y, options=options):
                return cs.reconstruct(made, cs.Problem(operator, y), keys.fit, checkpoint=checkpoint, **options)

            found[method] = magnitude(fitted(folder, f"mri-{name}-{method}", fit))
        scores = {
            method: [float(s(x, truth, 1.0)) for s in (cs.metrics.psnr, cs.metrics.ssim)] for method, x in found.items()
        }
        rows += [(name, method, *score) for method, score in scores.items()]
        captions = {method: f"{psnr:.2f} dB, SSIM {ssim:.3f}" for method, (psnr, ssim) in scores.items()}
        drawn = {method: 2 * x - 1 for method, x in found.items()}
        pages.append(pictures.Comparison(f"slice {name}", 2 * truth - 1, drawn["zero-filled"], drawn, captions, {}))
    pictures.save_comparison(folder / "mri.png", pages)
    return pd.DataFrame(rows, columns=["slice", "method", "psnr", "ssim"])


def mri_table(frame: pd.DataFrame) -> pd.DataFrame:
    """PSNR by slice and method, their means, and by how much a method's is above the first one's."""
    wide = frame.pivot(index="slice", columns="method", values="psnr")[frame["method"].unique()]
    plain = wide.columns[1]
    wide.loc["mean"] = wide.mean()
    wide.loc[f"above {plain}"] = wide.loc["mean"] - wide.loc["mean", plain]
    return wide.map("{:.2f}".format).reset_index()


def phase(config, data_dir: str, folder: Path) -> pd.DataFrame:
    """A row per digit and number of measurements: its MSE. Draws phase.png."""
    settings, keys, rows = config.phase, keys_of(config.seed), []
    shape = (28, 28, 1)
    names, images = cs.data.load_named(
        "mnist", data_dir, num_images=settings.num_images, first=settings.first_image, image_shape=shape
    )
    method = cs.methods.CsDip.preset("paper", shape)
    method = dataclasses.replace(method, steps=settings.steps, restarts=settings.restarts)
    for m in settings.num_measurements:
        matrix = cs.operators.gaussian(jax.random.fold_in(keys.operator, m), m, shape)
        operator = cs.operators.Magnitude(matrix, black=float(settings.black))
        ids, label = [*map(image_id, names)], f"phase, m = {m}"

        def fit(checkpoint, operator=operator, ids=ids, label=label):
            problem = cs.Problem(operator, jax.vmap(operator.forward)(jnp.asarray(images)))
            options = {"image_ids": ids, "checkpoint": checkpoint, "progress": label}
            return cs.reconstruct(method, problem, keys.fit, **options)

        found = fitted(folder, f"phase-{m}", fit)
        if settings.black == 0:  # the sign is open
            found = np.where(found.mean((1, 2, 3), keepdims=True) > 0, -found, found)
        errors = [float(cs.metrics.mse(*pair)) for pair in zip(found, images, strict=True)]
        rows += [(name, m, m / images[0].size, error) for name, error in zip(names, errors, strict=True)]
    frame = pd.DataFrame(rows, columns=["digit", "m", "m_over_n", "mse"])
    save_curve(folder / "phase.png", frame)
    return frame


def phase_table(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean and the largest MSE of each number of measurements, beside what was published at the nearest ratio."""
    there, rows = published.read("phase_retrieval_mnist").table, []
    for (m, ratio), errors in frame.groupby(["m", "m_over_n"])["mse"]:
        near = there.loc[(there["m_over_n"] - ratio).abs().idxmin()]
        at, mean = f"{near['mse']:.4f} ({near['m_over_n']:.3f})", f"{errors.mean():.4f}"
        rows.append((str(m), f"{ratio:.3f}", mean, f"{errors.median():.4f}", f"{errors.max():.4f}", at))
    return pd.DataFrame(rows, columns=["m", "m / n", "mean MSE", "median", "largest", "published (m / n)"])


def save_curve(path: Path, frame: pd.DataFrame) -> None:
    """Mean MSE against m / n, with every digit's, beside the published one."""
    figure, axis = pictures.plt.subplots(figsize=(6, 4), layout="constrained")
    means = frame.groupby("m_over_n")["mse"].mean()
    axis.semilogy(frame["m_over_n"], frame["mse"], ".", color="0.7", label="each digit")
    axis.semilogy(means.index, means, "o-", label="mean")
    there = published.read("phase_retrieval_mnist").table
    axis.semilogy(there["m_over_n"], there["mse"], "s--", label="published")
    axis.set_xlabel("m / n")
    axis.set_ylabel("MSE per pixel, pixels in [-1, 1]")
    axis.legend()
    pictures.save_figure(path, figure)


SECTIONS = {"mri": (mri, mri_table), "phase": (phase, phase_table)}
FREE = ("sections", "slices", "methods", "num_measurements")


def run(config, data_dir: str, path: str) -> None:
    """Computes what is missing of the sections asked for, prints and writes their tables.

    Raises:
        InputError: a section that is none, or settings other than those of the run in the folder.
    """
    sections = config.sections.split(",")
    for section in sections:
        require(section in SECTIONS, "--config.sections", section, " or ".join(SECTIONS))
    workdir = Workdir(path, {"config": config.to_dict()}, free=FREE)
    with locked(workdir.path):
        for section in sections:
            measure, table = SECTIONS[section]
            frame = measure(config, data_dir, workdir.path)
            text = tables.as_markdown(table(frame))
            print(f"\n{text}\n")
            for name, content in ((f"{section}.csv", tables.as_csv(frame)), (f"{section}.md", f"{text}\n")):
                write_atomically(workdir.path / name, lambda file, content=content: file.write(content.encode()))
    print(f"tables and pictures: {workdir.path}")
