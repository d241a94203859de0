"""Gradient descent on many networks at once: vectorized over seeds and step sizes, with a look between chunks of steps.

Seeds lie on all devices; what of them fits into memory together is a batch.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from csdip_jax import theory
from csdip_jax.types import Array, InputError

CHUNK = 50
"""Steps between two looks."""

STUCK = 0.01
"""A fit whose misfit changes over a chunk by less than this share of what the bound does has come to a halt."""

PATIENCE = 2
"""A fit is followed for this many times the steps in which the bound falls to the tolerance."""

COPIES = 3
"""Arrays as large as V that drawing it takes at once."""

CACHE = 2**23
"""Bytes of V that a CPU keeps at hand: beyond two networks, a batch larger than that is slower (half as fast at 20)."""


class Traces(NamedTuple):
    """What happened, step by step; each [steps, seeds, scales].

    Attributes:
        misfit: ||V relu(W_t z) - y|| / ||y||.
        error: the same beside another signal x*, ||V relu(W_t z) - x*|| / ||x*||.
        distance: ||W_t - W_0||.
        active: share of the ReLUs that are on.
        switched: share of the ReLUs that are not as they were at the start.
    """

    misfit: np.ndarray
    error: np.ndarray
    distance: np.ndarray
    active: np.ndarray
    switched: np.ndarray


class Fits(NamedTuple):
    """Attributes:
    traces: of every step taken by the slowest of them.
    hidden: h = W z at the end, [seeds, scales, d]; of a fit that still moves, one step after the last of its traces.
    fitted: the misfit fell to the tolerance, bool [seeds, scales].
    stuck: it came to a halt above it (or the numbers overflowed), bool [seeds, scales].
    """

    traces: Traces
    hidden: Array
    fitted: np.ndarray
    stuck: np.ndarray


def tolerance_of(dtype) -> float:
    """The relative misfit that counts as fitted.

    Below, float32 loses the small steps of h: fits of 1e-6 stop short of it that go on in float64.
    """
    return 1e-12 if dtype == jnp.float64 else 1e-5


def seed_batches(seeds: int, entries: int, dtype, memory: float) -> Iterator[np.ndarray]:
    """The seeds 0, 1, ... in batches whose networks fit into memory together; the last one repeats a seed to fill up.

    Args:
        seeds: how many.
        entries: of V, n d.
        dtype: of V.
        memory: GiB to use, over all devices.

    Raises:
        InputError: not even one network per device fits.
    """
    devices, size = jax.device_count(), entries * jnp.dtype(dtype).itemsize
    network = network_gib(entries, dtype)
    on_each = int(memory / network) // devices
    if on_each < 1:
        raise InputError(
            f"{entries} entries of V take {network * devices:.2g} GiB on {devices} device(s), --config.memory is "
            f"{memory:g}: raise it, or choose fewer pixels or a smaller width"
        )
    if jax.default_backend() == "cpu":
        on_each = min(on_each, max(2, CACHE // size))
    at_once = devices * min(on_each, -(-seeds // devices))
    for first in range(0, seeds, at_once):
        yield np.minimum(np.arange(first, first + at_once), seeds - 1)


def network_gib(entries: int, dtype) -> float:
    """Memory that one network takes, while it is drawn."""
    return COPIES * entries * jnp.dtype(dtype).itemsize / 2**30


def batches(config, key: Array, pixels: int, width: int, target: Array, progress: Callable) -> Iterator[theory.Network]:
    """A cell's networks, in the batches of `seed_batches`; `progress` is told what one takes before it is drawn."""
    for seeds in seed_batches(config.num_seeds, pixels * width, target.dtype, config.memory):
        progress(f"{len(seeds)} networks, {len(seeds) * network_gib(pixels * width, target.dtype):.2g} GiB")
        yield draw(key, seeds, pixels, width, target)


def draw(key: Array, seeds: np.ndarray, pixels: int, width: int, target: Array) -> theory.Network:
    """A network per seed (leading axis), each on its device."""
    return _draw(seed_keys(key, seeds), target, pixels, width)


def seed_keys(key: Array, seeds: np.ndarray) -> Array:
    """fold_in(key, seed) for every seed, shared out over the devices."""
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("seeds",)), PartitionSpec("seeds"))
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(seeds, jnp.uint32))
    return jax.device_put(keys, sharding)


@partial(jax.jit, static_argnames=("pixels", "width"))
def _draw(keys, target, pixels, width):
    return jax.vmap(lambda key: theory.draw(key, pixels, width, target))(keys)


def fit(
    networks: theory.Network,
    target: Array,
    scales: np.ndarray,
    max_steps: int,
    other: Array | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Fits:
    """Gradient descent on each of some networks with each of some step sizes.

    Args:
        networks: leading axis of seeds.
        target: y, [n].
        scales: c of each step size.
        max_steps: where to give up.
        other: x*, [n], for `Traces.error`; y itself by default.
        progress: told now and then where the fits are.

    Returns:
        Fits. A fit that is done (fitted, or out of patience) stays where it is while others go on.
    """
    pixels, width = networks.outer.shape[1:]
    tolerance = tolerance_of(target.dtype)
    steps = theory.step_size(jnp.asarray(scales, target.dtype), pixels, width, jnp.linalg.norm(target))
    last_steps = np.minimum(PATIENCE * bound_steps(tolerance, scales, pixels, width), max_steps)
    halt = STUCK * -np.expm1(CHUNK * np.log1p(-theory.certified_rate(np.asarray(scales), pixels, width)))
    hidden, chunks = jnp.repeat(networks.hidden[:, None], len(scales), axis=1), []
    for taken in range(0, int(last_steps.max()), CHUNK):
        arguments = (target, target if other is None else other, steps, last_steps, tolerance, taken)
        hidden, traces = _advance(networks, hidden, *arguments, length=CHUNK)
        chunks.append(jax.tree.map(np.asarray, traces))
        low, high, last = (chunks[-1].misfit.min(0), chunks[-1].misfit.max(0), chunks[-1].misfit[-1])
        fitted = last <= tolerance
        stuck = ~fitted & ~(high - low > halt * high) & (last_steps >= taken + CHUNK)
        done = fitted | stuck | (last_steps <= taken + CHUNK)
        progress(f"step {taken + CHUNK}, median misfit {np.median(last):.1e}, {done.mean():.0%} done")
        if done.all():
            break
    traces = jax.tree.map(lambda *parts: np.concatenate(parts)[: last_steps.max() + 1], *chunks)
    return Fits(traces, hidden, fitted, stuck)


def bound_steps(misfit: float, scales: np.ndarray, pixels: int, width: int) -> np.ndarray:
    """The steps in which the bound of Theorem 4.1 falls to a misfit, for each scale."""
    rate = theory.certified_rate(np.asarray(scales), pixels, width)
    return np.ceil(np.log(misfit / 3) / np.log1p(-rate)).astype(int)


@partial(jax.jit, static_argnames="length", donate_argnames="hidden")
def _advance(networks, hidden, target, other, steps, last_steps, tolerance, taken, length):
    def one_fit(outer, initial, latent_norm, hidden, step, last_step):
        def one_step(hidden, t):
            network = theory.Network(outer, hidden, latent_norm)
            output, on = theory.output(network), theory.active(hidden)
            misfit, error = (jnp.linalg.norm(output - y) / jnp.linalg.norm(y) for y in (target, other))
            traces = Traces(
                misfit=misfit,
                error=error,
                distance=jnp.linalg.norm(hidden - initial) / latent_norm,
                active=on.mean(),
                switched=(on != theory.active(initial)).mean(),
            )
            moved = theory.descend(network, target, step).hidden
            return jnp.where((misfit > tolerance) & (t < last_step), moved, hidden), traces

        return jax.lax.scan(one_step, hidden, taken + jnp.arange(length))

    over_scales = jax.vmap(one_fit, in_axes=(None, None, None, 0, 0, 0), out_axes=(0, 1))
    over_seeds = jax.vmap(over_scales, in_axes=(0, 0, 0, 0, None, None), out_axes=(0, 1))
    return over_seeds(*networks, hidden, steps, last_steps)


def first_violation(fits: Fits, scales: np.ndarray, pixels: int, width: int) -> np.ndarray:
    """The first step whose misfit is above the bound of Theorem 4.1, [seeds, scales]; -1 where there is none.

    A fit that got stuck violates it in the end, if not yet: the bound goes on falling to zero. One that was fitted is
    not followed any further.
    """
    misfit, tolerance = fits.traces.misfit, tolerance_of(fits.traces.misfit.dtype)
    bound = theory.misfit_bound(np.arange(len(misfit))[:, None, None], np.asarray(scales), pixels, width)
    above = ~(misfit <= np.maximum(bound, tolerance))
    first = np.where(above.any(0), above.argmax(0), -1)
    last = np.clip(np.nan_to_num(misfit[-1], nan=np.inf), tolerance, 3)
    later = bound_steps(last, scales, pixels, width)
    return np.where((first < 0) & fits.stuck, later, first)


def measured_rate(misfit: np.ndarray, tolerance: float) -> np.ndarray:
    """The share of the misfit that a step takes off, from 1e-2 down to the tolerance; NaN where that is not reached."""
    early, late = (misfit <= 1e-2).argmax(0), (misfit <= 10 * tolerance).argmax(0)
    reached = (late > early) & (misfit <= 10 * tolerance).any(0)
    steps = np.where(reached, late - early, 1)
    fall = np.take_along_axis(misfit, late[None], 0)[0] / np.take_along_axis(misfit, early[None], 0)[0]
    return np.where(reached, 1 - fall ** (1 / steps), np.nan)
