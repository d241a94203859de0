"""Early stopping: fitted to y = x* + noise, the error to x* falls and rises again while the misfit to y vanishes."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax import theory
from experiments.theorem_check import fits
from experiments.theorem_check.claims import Claim, verdict
from experiments.theorem_check.rows import curve_steps

CHUNK = 100


def cells(config) -> list[dict]:
    return [
        {"section": "early_stopping", "network": network, "noise": noise}
        for network in ("one layer", "DCGAN")
        for noise in config.early_stopping.noise
    ]


def measure(config, cell: dict, key, progress) -> dict:
    """Curves of misfit and error, [runs][steps kept]; noise is ||y - x*|| / ||x*||.

    `reachable` is the smallest misfit that the network's outputs allow: those of tanh lie within (-1, 1).
    """
    settings = config.early_stopping
    if cell["network"] == "one layer":
        clean = smooth_signal(settings.pixels, config.dtype)
        target = noisy(jax.random.fold_in(key, 2**31), clean, cell["noise"])
        misfit, error = one_layer(config, key, clean, target, progress)
        reachable = 0.0
    else:
        clean = jnp.asarray(cs.data.load("demo", image_shape=(*settings.image_shape, 1))[0])
        target = noisy(jax.random.fold_in(key, 2**31), clean, cell["noise"])
        misfit, error = dcgan(settings.dcgan_steps, key, clean, target, progress)
        reachable = float(jnp.linalg.norm(target - jnp.clip(target, -1, 1)) / jnp.linalg.norm(target))
    kept = curve_steps(len(misfit))
    return {
        "pixels": clean.size,
        "width": settings.ratio * clean.size if cell["network"] == "one layer" else None,
        "reachable": reachable,
        "steps": kept.tolist(),
        "misfit": misfit[kept].T.tolist(),
        "error": error[kept].T.tolist(),
        "best_step": error.argmin(0).tolist(),
        "best_error": error.min(0).tolist(),
    }


def smooth_signal(pixels: int, dtype):
    """x*, [n]: two waves and a step, as an image has them."""
    t = jnp.linspace(0, 1, pixels, dtype=dtype)
    return jnp.sin(2 * jnp.pi * t) + 0.5 * jnp.sin(6 * jnp.pi * t) + (t > 0.6)


def noisy(key, clean, noise: float):
    """x* + e with ||e|| = noise ||x*||."""
    drawn = jax.random.normal(key, clean.shape, clean.dtype)
    return clean + noise * jnp.linalg.norm(clean) / jnp.linalg.norm(drawn) * drawn


def one_layer(config, key, clean, target, progress) -> tuple[np.ndarray, np.ndarray]:
    """Misfit and error, [steps, seeds], of gradient descent with c = 1/16."""
    n, d, parts = clean.size, config.early_stopping.ratio * clean.size, []
    for networks in fits.batches(config, key, n, d, target, progress):
        traces = fits.fit(networks, target, [theory.CERTIFIED_SCALE], config.max_steps, clean, progress).traces
        parts.append(np.stack([traces.misfit[..., 0], traces.error[..., 0]]))
    steps = max(part.shape[1] for part in parts)
    parts = [np.pad(part, ((0, 0), (0, steps - part.shape[1]), (0, 0)), mode="edge") for part in parts]
    return tuple(np.concatenate(parts, axis=-1)[..., : config.num_seeds])


def expected_error(steps: np.ndarray, noise: float, pixels: int, width: int) -> np.ndarray:
    """||G(W_t) - x*|| / ||x*|| for d >> n: every direction loses the same share of its misfit in a step.

    With q = 1 - 4 c d / (4 n + d) and an output that starts at norm ||y|| / sqrt 2 in a random direction:
    error^2 = q^2t (1 + (1 + noise^2) / 2) + (1 - q^t)^2 noise^2.
    """
    left = (1 - 4 * theory.CERTIFIED_SCALE * width / (4 * pixels + width)) ** steps
    return np.sqrt(left**2 * (1 + (1 + noise**2) / 2) + (1 - left) ** 2 * noise**2)


def dcgan(steps: int, key, clean, target, progress) -> tuple[np.ndarray, np.ndarray]:
    """Misfit and error, [steps, 1], of the paper's network and optimiser on the noisy image itself (A = I)."""
    method = cs.methods.CsDip.preset("paper", clean.shape)
    method = dataclasses.replace(method, tv_weight=0.0, steps=steps)
    problem = cs.Problem(cs.operators.Identity(clean.shape), target.reshape(-1))
    state, traces = jax.jit(type(method).init)(method, problem, key), []
    for taken in range(0, steps, CHUNK):
        state, errors = _advance(method, problem, state, clean)
        traces.append(np.asarray(errors))
        progress(f"step {taken + CHUNK}, misfit {traces[-1][-1, 0]:.2f}, error {traces[-1][-1, 1]:.2f}")
    misfit, error = np.concatenate(traces)[:steps].T
    return misfit[:, None], error[:, None]


@jax.jit
def _advance(method, problem, state, clean):
    def step(state, _):
        state, scalars = method.step(problem, state, jax.random.key(0))
        misfit = jnp.sqrt(scalars["measurement_loss"]) / jnp.linalg.norm(problem.measurements)
        return state, jnp.stack([misfit, jnp.linalg.norm(state.last_image - clean) / jnp.linalg.norm(clean)])

    return jax.lax.scan(step, state, length=CHUNK)


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
