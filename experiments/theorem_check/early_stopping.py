"""Early stopping: fitted to y = x* + noise, the error to x* falls and rises again while the misfit to y vanishes."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax.types import Array
from experiments.theorem_check import one_layer, theory
from experiments.theorem_check.claims import Claim, verdict


def cells(config) -> list[dict]:
    """A cell for each network and noise."""
    return [
        {"section": "early_stopping", "network": network, "noise": noise}
        for network in ("one layer", "DCGAN")
        for noise in config.early_stopping.noise
    ]


def measure(config, cell: dict, key, progress: str) -> dict:
    """Curves of misfit and error, [runs][steps kept]; noise is ||y - x*|| / ||x*||.

    `reachable` is the smallest misfit that the network's outputs allow: those of tanh lie within (-1, 1).
    """
    settings, key_noise = config.early_stopping, jax.random.fold_in(key, one_layer.OF_TARGET)
    if cell["network"] == "one layer":
        clean = smooth_signal(settings.pixels, config.dtype)
        target, width, reachable = noisy(key_noise, clean, cell["noise"]), settings.ratio * clean.size, 0.0
        misfit, error = one_layer_curves(config, key, clean, target, width, progress)
    else:
        clean, width = jnp.asarray(cs.data.load("demo", image_shape=(*settings.image_shape, 1))[0]), None
        target = noisy(key_noise, clean, cell["noise"])
        reachable = float(relative_error(target, jnp.clip(target, -1, 1)))
        misfit, error = dcgan_curves(settings.dcgan_steps, key, clean, target, progress)
    kept = one_layer.curve_steps(misfit.shape[-1])
    return {
        "pixels": clean.size,
        "width": width,
        "reachable": reachable,
        "steps": kept.tolist(),
        "misfit": misfit[:, kept].tolist(),
        "error": error[:, kept].tolist(),
        "best_step": error.argmin(-1).tolist(),
        "best_error": error.min(-1).tolist(),
    }


def smooth_signal(pixels: int, dtype) -> Array:
    """x*, [n]: two waves and a step, as an image has them."""
    t = jnp.linspace(0, 1, pixels, dtype=dtype)
    return jnp.sin(2 * jnp.pi * t) + 0.5 * jnp.sin(6 * jnp.pi * t) + (t > 0.6)


def noisy(key, clean: Array, noise: float) -> Array:
    """x* + e with ||e|| = noise ||x*||."""
    drawn = jax.random.normal(key, clean.shape, clean.dtype)
    return clean + noise * jnp.linalg.norm(clean) / jnp.linalg.norm(drawn) * drawn


def relative_error(clean: Array, image: Array) -> Array:
    """||image - x*|| / ||x*||."""
    return jnp.linalg.norm(image - clean) / jnp.linalg.norm(clean)


def one_layer_curves(config, key, clean, target, width: int, progress: str) -> tuple[np.ndarray, np.ndarray]:
    """Misfit and error, [seeds, steps], of gradient descent with c = 1/16."""
    norm = jnp.linalg.norm(target)
    record = {"error": jax.tree_util.Partial(_error_of_output, clean / norm)}
    sizes, scales = (clean.size, width), [theory.CERTIFIED_SCALE]
    fits = one_layer.fit(config, key, *sizes, target / norm, scales, record=record, progress=progress)
    return fits.misfit[:, 0], fits.recorded["error"][:, 0]


def _error_of_output(clean, image, state):
    return relative_error(clean, state.output)


def dcgan_curves(steps: int, key, clean: Array, target: Array, progress: str) -> tuple[np.ndarray, np.ndarray]:
    """Misfit and error, [1, steps], of the paper's network and optimiser on the noisy image itself (A = I)."""
    method = cs.methods.CsDip.preset("paper", clean.shape)
    plain = {"keep": cs.rules.Last(), "fail": None, "restarts": 1, "tv_weight": 0.0}
    method = dataclasses.replace(method, steps=steps, **plain)
    problem = cs.Problem(cs.operators.Identity(clean.shape), target.reshape(-1))
    record = {"error": jax.tree_util.Partial(relative_error, clean)}
    trace = cs.reconstruct(method, problem, key, record=record, progress=progress).trace
    misfit = jnp.sqrt(trace["measurement_loss"]) / jnp.linalg.norm(target)
    return np.asarray(misfit)[None], np.asarray(trace["error"])[None]


def expected_error(steps: np.ndarray, noise: float, pixels: int, width: int) -> np.ndarray:
    """||G(W_t) - x*|| / ||x*|| for d >> n: every direction loses the same share of its misfit in a step.

    With q = 1 - 4 c d / (4 n + d) and an output that starts at norm ||y|| / sqrt 2 in a random direction:
    error^2 = q^2t (1 + (1 + noise^2) / 2) + (1 - q^t)^2 noise^2.
    """
    left = (1 - 4 * theory.CERTIFIED_SCALE * width / (4 * pixels + width)) ** steps
    return np.sqrt(left**2 * (1 + (1 + noise**2) / 2) + (1 - left) ** 2 * noise**2)


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The misfit goes below the noise, and the error has been lower on the way than at the end."""
    found = []
    for row in rows:
        where, noise = f"{row['network']}, noise {row['noise']:g}", row["noise"]
        last, alone = np.array(row["misfit"])[:, -1], noise / np.sqrt(1 + noise**2)
        measured = (
            f"misfit to y ends at {last.max():.2g}; possible {row['reachable']:.2g}, the noise alone is {alone:.2g}"
        )
        fitted = bool(np.all(last < row["reachable"] + 0.1 * alone))
        found.append(Claim("The noise is fitted too", where, verdict(fitted), measured))
        best, end = np.median(row["best_error"]), np.median(np.array(row["error"])[:, -1])
        measured = (
            f"error to x* {best:.3f} at step {np.median(row['best_step']):.0f}, {end:.3f} at the end; y itself "
            f"{noise:g}, y shrunk by the best factor {alone:.3f}"
        )
        found.append(Claim("Stopping early pays", where, verdict(bool(best < 0.99 * end)), measured))
    return found
