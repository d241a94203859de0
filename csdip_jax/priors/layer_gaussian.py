"""Learned regularization: a Gaussian prior over a network's weights, one mean and one variance per layer.

    LR(w) = (w - mu)^T Sigma^-1 (w - mu) = -2 log p(w) + constant            (paper, section 4.2)

A *layer* is a parameter tensor, a leaf of the pytree: the kernels, and the scales and shifts of BatchNorm where they
count. mu and Sigma come from weights fitted to the measurements of other images (Algorithm 1); no image is looked at.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.types import Array, InputError, pytree_dataclass, static_field

READINGS = {"weights": ("kernel",), "layer_means": ("kernel", "scale", "shift")}
"""What is taken to be Gaussian -> the kinds of tensors that count as layers unless said otherwise.

`weights`, the paper's text: every weight of layer l ~ N(mu_l, Sigma_ll), independently. Paper and theory know no
BatchNorm, so the kernels. `layer_means`, the reference code: the vector of the tensors' means ~ N(mu, Sigma), BatchNorm
included, 19 tensors in the x-ray network.
"""


@pytree_dataclass
class LayerGaussian:
    """N(mu, Sigma) over the layers of a network.

    All but the names are data: a prior can be replaced, swept (a leading axis on both arrays) and differentiated
    without another compile.

    Attributes:
        mean: mu, [L].
        covariance: Sigma, [L, L], positive definite. `weights` reads its diagonal only.
        reading: a name of `READINGS`.
        tensors: names of the L tensors, as `tensor_names` gives them.
    """

    mean: Array
    covariance: Array
    reading: str = static_field()
    tensors: tuple[str, ...] = static_field()

    def __post_init__(self):
        if self.reading not in READINGS:
            raise InputError(f"reading = {self.reading!r}: it must be {' or '.join(READINGS)}")

    @property
    def batch_size(self) -> int | None:
        """How many priors are stacked along a leading axis; None for a single one."""
        return self.mean.shape[0] if jnp.ndim(self.mean) == 2 else None

    def validated(self) -> Self:
        """Itself; outside of jit, since its numbers are looked at.

        Raises:
            InputError: shapes that do not fit, numbers that are not finite, or Sigma not positive definite.
        """
        mean, covariance, layers = np.asarray(self.mean), np.asarray(self.covariance), len(self.tensors)
        if mean.shape[-1:] != (layers,) or covariance.shape != (*mean.shape, layers):
            raise InputError(
                f"mean of shape {mean.shape} and covariance of shape {covariance.shape} for {layers} layers: "
                f"they must be ({layers},) and ({layers}, {layers})"
            )
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise InputError("mean or covariance of the prior are NaN or infinite")
        if not np.allclose(covariance, np.swapaxes(covariance, -1, -2), rtol=1e-4, atol=1e-8):
            raise InputError("covariance is not symmetric")
        smallest = float(np.linalg.eigvalsh(covariance).min())
        if not smallest > 0:
            raise InputError(
                f"covariance is not positive definite, smallest eigenvalue {smallest:.3g}: learn it from more samples"
            )
        return self


def tensor_names(params: Any, kinds: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of the parameter tensors, "params/layer_0/kernel" and so on, in the order of the pytree.

    Args:
        params: parameters, or their shapes.
        kinds: the last parts of the names that count, for instance ("kernel",); None for all.
    """
    return tuple(name for name in _named(params) if kinds is None or _kinds([name]) <= set(kinds))


def _named(params: Any) -> dict[str, Any]:
    return {_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _kinds(tensors: Iterable[str]) -> set[str]:
    return {name.rpartition("/")[2] for name in tensors}


def require_tensors(prior: LayerGaussian, available: Sequence[str]) -> None:
    """Raises InputError unless the prior's tensors are all those of their kinds that a network has.

    How large the tensors are does not matter: a prior serves networks of other widths and latents, not of other depths.

    Args:
        prior: one, or a stack.
        available: names of the network's tensors, as `tensor_names` gives them.
    """
    expected = tuple(name for name in available if _kinds([name]) <= _kinds(prior.tensors))
    if expected != tuple(prior.tensors):
        raise InputError(
            f"the prior is of another network: it has {len(prior.tensors)} tensors up to {prior.tensors[-1]}, "
            f"this one {len(expected)} up to {expected[-1] if expected else 'none'}"
        )


def penalty(prior: LayerGaussian, params: Any) -> Array:
    """The learned regularization, LR(w) = (w - mu)^T Sigma^-1 (w - mu) (paper, section 4.2).

    With mu = 0, Sigma = I and the reading `weights` it is weight decay, the sum of the squared weights.

    Args:
        prior: over tensors that `params` has.
        params: the weights of one network.

    Returns:
        Scalar: for `weights` a sum over all weights that count, for `layer_means` over the layers alone, smaller by
        orders of magnitude. One lr_weight cannot serve both.
    """
    named = _named(params)
    require_tensors(prior, list(named))
    if prior.batch_size is not None:
        raise InputError(f"{prior.batch_size} priors are stacked: take one, or map over them")
    layers = [named[name] for name in prior.tensors]
    mean, covariance = prior.mean.astype(layers[0].dtype), prior.covariance.astype(layers[0].dtype)
    if prior.reading == "weights":
        squares = jnp.stack([jnp.sum(jnp.square(layer - mu)) for layer, mu in zip(layers, mean, strict=True)])
        return jnp.sum(squares / jnp.diagonal(covariance))
    departure = jnp.stack([layer.mean() for layer in layers]) - mean
    return departure @ jnp.linalg.solve(covariance, departure)


def log_prob(prior: LayerGaussian, params: Any) -> Array:
    """The logarithm of p(w) up to the constant that normalises it: -LR(w) / 2.

    Args:
        prior: over tensors that `params` has.
        params: w, the weights of one network.

    Returns:
        Scalar.
    """
    return -0.5 * penalty(prior, params)


def move_to_mean(prior: LayerGaussian, params: Any) -> Any:
    """The weights, each layer that counts shifted as a whole so that its mean is the prior's: a warm start.

    The spread within a layer stays: weights that are all equal to their mean would be a network whose channels are all
    the same, and stay so.

    Args:
        prior: one whose tensors `params` has.
        params: the weights of one network.
    """
    means = dict(zip(prior.tensors, prior.mean, strict=True))

    def moved(path, leaf):
        mean = means.get(_name(path))
        return leaf if mean is None else leaf - leaf.mean() + mean.astype(leaf.dtype)

    return jax.tree_util.tree_map_with_path(moved, params)


def fit(
    stacked_params: Any,
    key: Array | None = None,
    *,
    reading: str = "weights",
    kinds: Sequence[str] | None = None,
    samples: int | None = None,
    rounds: int = 100,
) -> LayerGaussian:
    """The prior learned from the weights of Q fitted networks.

    By default the moments that Algorithm 1 estimates, exactly: mu_l, the mean of layer l over all its weights and
    networks; Sigma_ll, the variance of a layer's weights within a network, averaged over the networks; Sigma_kl = 0,
    since the algorithm draws from each layer independently.

    Args:
        stacked_params: weights with a leading axis of length Q, as `reconstruct(..., keep_params=True)` gives for a
            batch.
        key: random key, for Algorithm 1 only.
        reading: a name of `READINGS`.
        kinds: which tensors count as layers; by default as `READINGS` says.
        samples: S; if given, Algorithm 1 as printed: in each round a network q is drawn, from each layer of it S
            weights with replacement, mu_t is their mean and Sigma_t = M M^T / S - mu_t mu_t^T (on average too small by
            1 / S). rounds x (S - 1) must be at least the number of layers for Sigma to be invertible.
        rounds: T of Algorithm 1, whose mu_t and Sigma_t are averaged.

    Raises:
        InputError: unknown reading or kinds, parameters that are not stacked, weights that are not finite, samples
            without a key, or a covariance that is not positive definite.

    Returns:
        The prior, checked.

    Example:
        >>> generator = cs.generators.DCGAN((8, 8, 1), cs.generators.dcgan_layers((8, 8, 1), width=8))
        >>> draw = jax.vmap(lambda key: generator.init(key)[1])
        >>> prior = cs.priors.fit(draw(jax.random.split(jax.random.key(0), 3)))  # of networks that were fitted
        >>> prior.tensors
        ('params/layer_0/kernel', 'params/layer_1/kernel')
        >>> method = cs.methods.CsDip((8, 8, 1), generator=generator, prior=prior, lr_weight=100.0)

    References:
        Algorithm 1 of arXiv 1806.06438, which leaves S, T and what counts as a layer open.
    """
    if reading not in READINGS:
        raise InputError(f"reading = {reading!r}: it must be {' or '.join(READINGS)}")
    named, kinds = _named(stacked_params), READINGS[reading] if kinds is None else tuple(kinds)
    unknown = [kind for kind in kinds if kind not in _kinds(named)]
    if unknown or not kinds:
        raise InputError(f"kinds = {kinds}: the kinds of these parameters are {', '.join(sorted(_kinds(named)))}")
    counts = {leaf.shape[:1] for leaf in named.values()}
    if len(counts) > 1 or () in counts:
        raise InputError(f"stacked_params: leading axes {sorted(counts)}, they must be one, the networks; stack them")
    tensors = tensor_names(stacked_params, kinds)
    layers = [jnp.asarray(named[name]).reshape(named[name].shape[0], -1) for name in tensors]
    for name, layer in zip(tensors, layers, strict=True):
        if not jnp.isfinite(layer).all():
            raise InputError(f"{name}: weights are NaN or infinite; leave out the fits that failed")
    if samples is None:
        mean, covariance = _exact_moments(layers)
        return LayerGaussian(mean, covariance, reading, tensors).validated()
    if key is None:
        raise InputError(f"samples = {samples}: Algorithm 1 draws at random, give it a key")
    if samples < 2 or rounds < 1:
        raise InputError(f"samples = {samples}, rounds = {rounds}: at least 2 samples and 1 round are needed")
    mean, covariance = _sampled_moments(layers, key, samples, rounds)
    return LayerGaussian(mean, covariance, reading, tensors).validated()


def _exact_moments(layers: Sequence[Array]) -> tuple[Array, Array]:
    # On the host in double precision: its last bits must not depend on the number of threads, or else a study could
    # not go on elsewhere from its checkpoint.
    exact = [np.asarray(layer, np.float64) for layer in layers]
    mean = np.stack([layer.mean() for layer in exact])
    covariance = np.diag([layer.var(axis=1).mean() for layer in exact])
    return jnp.asarray(mean, jnp.float32), jnp.asarray(covariance, jnp.float32)


@partial(jax.jit, static_argnums=(2, 3))  # without, every call would compile its loop anew
def _sampled_moments(layers, key, samples, rounds):
    def one_round(key):
        key_network, key_weights = jax.random.split(key)
        q = jax.random.randint(key_network, (), 0, layers[0].shape[0])
        keys = jax.random.split(key_weights, len(layers))
        drawn = jnp.stack([jax.random.choice(k, layer[q], (samples,)) for k, layer in zip(keys, layers, strict=True)])
        mean = drawn.mean(axis=1)
        centred = drawn - mean[:, None]  # M M^T / S - mu mu^T without its cancellation
        return mean, centred @ centred.T / samples

    means, covariances = jax.lax.map(one_round, jax.random.split(key, rounds))
    return means.mean(axis=0), covariances.mean(axis=0)
