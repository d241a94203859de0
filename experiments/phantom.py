"""Recovers the Shepp-Logan phantom from radial Fourier lines by total variation, exactly but for rounding.

    python -m experiments.phantom --workdir=runs/phantom
    python -m experiments.phantom --config.num_lines=15 --config.tv.isotropic=True

The experiment of Candes, Romberg and Tao (IEEE Trans. Inf. Theory 52(2), 2006), Figure 1. The workdir gets config.json,
results.jsonl, the reconstruction as .npz, and phantom.png: the phantom, the samples of its Fourier transform, the image
that has zeros in place of the others, the reconstruction and its error.
"""

from pathlib import Path

import numpy as np
from absl import flags
from matplotlib.colors import LogNorm
from skimage.data import shepp_logan_phantom

import csdip_jax as cs
from csdip_jax.files import write_arrays
from csdip_jax.operators import radial_mask
from csdip_jax.runs.measurement import keys_of
from csdip_jax.runs.workdir import Workdir
from csdip_jax.types import InputError
from experiments import launcher, settings
from experiments.pictures import plt, save_figure

_CONFIG = launcher.define_config("phantom")
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", "runs/phantom", "Folder of the results.")


def main() -> None:
    config = launcher.config_of(_CONFIG)
    shape = tuple(config.image_shape)
    if len(shape) != 3 or shape[2] != 1:
        raise InputError(f"image_shape = {shape}: the phantom is grey, give (h, w, 1)")
    study = settings.study(config)
    measurement = study.measurements(shape)[0][0]
    if study.methods != ("tv",) or measurement.kind != "radial_fourier":
        raise InputError(
            f"methods = {config.methods!r}, operator = {config.operator!r}: this is about tv and radial_fourier, "
            "experiments.reconstruct compares others"
        )
    method, keys = study.method("tv", shape), keys_of(config.seed)
    phantom = sampled_phantom(*shape[:2])
    operator = measurement.operator(keys.operator, 0, shape)
    problem = cs.Problem(operator, measurement.measure(keys.noise, operator, phantom))
    workdir = Workdir(_WORKDIR.value, {"config": config.to_dict()})
    solution = cs.reconstruct(method, problem, keys.fit, progress="phantom")

    images = {"zero-filled": np.asarray(operator.adjoint(problem.measurements)), "tv": np.asarray(solution.image)}
    psnr = {name: float(cs.metrics.psnr(image, phantom)) for name, image in images.items()}
    print(
        f"{config.num_lines} radial lines, m = {problem.measurements.size} complex samples of n = {phantom.size} pixels"
    )
    print(f"PSNR: zero-filled {psnr['zero-filled']:.1f} dB, TV {psnr['tv']:.1f} dB")
    verdict = "converged" if solution.status == cs.Status.CONVERGED else "NOT converged: raise --config.tv.steps"
    print(f"{int(solution.steps)} steps, {verdict}")
    write_arrays(workdir.path / "phantom.npz", image=images["tv"], phantom=phantom)
    if not workdir.rows:  # a rerun comes to the same
        workdir.append({"num_lines": config.num_lines, "psnr": psnr, "steps": int(solution.steps)})
    save_picture(workdir.path / "phantom.png", phantom, radial_mask(config.num_lines, shape[:2]), images, psnr)
    print(f"picture: {workdir.path / 'phantom.png'}")


def sampled_phantom(height: int, width: int) -> np.ndarray:
    """The phantom [h, w, 1] in [-1, 1]: the nearest pixels of a finer one, so that it stays piecewise constant."""
    fine = shepp_logan_phantom()
    rows, columns = (
        ((np.arange(size) + 0.5) * side / size).astype(int)
        for size, side in zip((height, width), fine.shape, strict=True)
    )
    return (2 * fine[np.ix_(rows, columns)] - 1).astype(np.float32)[..., None]


def save_picture(path: Path, phantom: np.ndarray, half: np.ndarray, images: dict, psnr: dict) -> None:
    """Phantom, mask (both halves of k-space), the images with their PSNR, and the error of the last."""
    full = half | np.roll(half[::-1, ::-1], [1 - side % 2 for side in half.shape], axis=(0, 1))
    full[half.shape[0] // 2, half.shape[1] // 2] = True
    figure, axes = plt.subplots(1, 5, figsize=(13, 2.9), layout="constrained")
    grey = {"phantom": phantom[..., 0], f"{full.sum()} Fourier samples": 2.0 * full - 1}
    grey |= {f"{name}, {psnr[name]:.1f} dB": image[..., 0] for name, image in images.items()}
    for axis, (title, image) in zip(axes, grey.items(), strict=False):
        axis.imshow(image, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, fontsize=10)
    error = np.abs(images["tv"] - phantom)[..., 0]
    shown = axes[-1].imshow(error, cmap="magma", norm=LogNorm(1e-6, 1, clip=True))
    axes[-1].set_title("|error| of tv", fontsize=10)
    figure.colorbar(shown, ax=axes[-1], shrink=0.8).ax.tick_params(labelsize=8)
    for axis in axes:
        axis.set_axis_off()
    save_figure(path, figure)


if __name__ == "__main__":
    launcher.run(main, interrupted="the same command begins anew")
