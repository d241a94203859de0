"""A start for fits of a network, learned from the measurements of a few images of the same kind.

    w <- w + rate (mean_q U_q(w) - w),    U_q(w) the weights that a fit to the measurements y_q ends at, begun at w,

once or several times, z the same throughout. One round is the mean of fits that begin at the same weights, and so lie
in the same basin; several are Reptile, whose start is near to the weights that suit each image.

References:
    Nichol, Achiam, Schulman: On first-order meta-learning algorithms (Reptile), arXiv 1803.02999, section 2.
    Tancik et al.: Learned initializations for optimizing coordinate-based neural representations, CVPR 2021.
    Liang et al.: UGoDIT, arXiv 2505.11720, whose images share an encoder alone.
"""

import dataclasses
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from csdip_jax.checks import require, require_at_most, require_count, require_key, require_number
from csdip_jax.methods.network import MOVES, Network
from csdip_jax.priors import Start
from csdip_jax.solve.driver import reconstruct
from csdip_jax.types import Array, InputError, Problem


def learn_start(
    method: Network,
    problem: Problem,
    key: Array,
    *,
    rounds: int = 5,
    rate: float = 1.0,
    progress: str | None = None,
    checkpoint: Path | str | None = None,
    pixel_range: tuple[float, float] | str | None = None,
) -> Start:
    """A start learned from measurements alone, from which a new image needs fewer steps.

    Args:
        method: how the images are fitted, `CsDip` say: its steps are those of one round. It has to move the weights.
            `priors.FEW_STEPS` with 200 steps and the schedule "cosine" serve.
        problem: of one image, or a batch of one to five of the same kind, as `reconstruct` takes it.
        key: random key.
        rounds: at least 1.
        rate: of a round, above 0 and at most 1, how far the start moves to the mean.
        progress, pixel_range: see `reconstruct`.
        checkpoint: a folder, made where it is missing, in which each round leaves a file: a call that was killed goes
            on from there. Remove it when the start is safe.

    Returns:
        The start; give it to a method of the same generator as `learned_start`.

    Raises:
        InputError: a method that fits no weights, or every fit of a round failed; see also `reconstruct`.

    Example:
        >>> network = cs.generators.DCGAN((8, 8, 1), cs.generators.dcgan_layers((8, 8, 1), width=8))
        >>> method = cs.methods.CsDip((8, 8, 1), steps=20, generator=network)
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> scans = jnp.stack([operator.forward(jnp.eye(8)[..., None]), operator.forward(-jnp.eye(8)[..., None])])
        >>> start = cs.learn_start(method, cs.Problem(operator, scans), jax.random.key(1), rounds=2)
        >>> quick = dataclasses.replace(method, learned_start=start, **cs.priors.FEW_STEPS | {"steps": 5})
        >>> cs.reconstruct(quick, cs.Problem(operator, scans[0]), jax.random.key(2)).image.shape
        (8, 8, 1)

    References:
        Nichol, Achiam, Schulman: On first-order meta-learning algorithms, arXiv 1803.02999 (Reptile, in its batch
        form).
    """
    require_key(key)
    require_count("rounds", rounds)
    require_number("rate", rate, strictly=True)
    require_at_most("rate", rate, 1.0)
    fits_weights = isinstance(method, Network) and "params" in MOVES[method.moves]
    require(fits_weights, "method", type(method).__name__, "one that fits the weights of a network, such as CsDip")
    at_start, *of_rounds = (jax.random.fold_in(key, i) for i in range(rounds + 1))
    dtype = jnp.finfo(jnp.asarray(problem.measurements).dtype).dtype
    start = Start(*method.generator.init(at_start, dtype))
    if checkpoint is not None:
        Path(checkpoint).mkdir(parents=True, exist_ok=True)
    for i, of_round in enumerate(of_rounds):
        fitted = reconstruct(
            dataclasses.replace(method, learned_start=start),
            problem,
            of_round,
            progress=None if progress is None else f"{progress} {i + 1}/{rounds}",
            checkpoint=None if checkpoint is None else Path(checkpoint) / f"round_{i}.npz",
            keep_params=True,
            pixel_range=pixel_range,
        )
        good = jnp.atleast_1d(fitted.ok)
        if not good.any():
            raise InputError(f"learn_start: all {good.size} fits of round {i + 1} failed: {method.remedy}")
        ends = fitted.params if fitted.ok.ndim else jax.tree.map(lambda leaf: leaf[None], fitted.params)
        mean = jax.tree.map(partial(_mean_of, good), ends)
        start = Start(start.latent, jax.tree.map(lambda w, end: w + rate * (end - w), start.params, mean))
    return start


def _mean_of(good: Array, leaf: Array) -> Array:
    return leaf[good].mean(0)
