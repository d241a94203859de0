"""Gradient descent on the theorem's network as a method: every seed with every step scale by one `reconstruct`.

    argmin_W 1/2 ||y - V relu(W z)||^2

V is the operator and relu(W z) the image that it measures, so that the step scales of a seed share its V. The units are
those of `reconstruct`, which leaves the problem as it is: ||y|| = 1, and ||z|| = 1/32 for relu(W z) to lie in [0, 1].
Neither norm matters to a relative misfit.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax.types import Array, InputError, Problem, pytree_dataclass
from experiments.theorem_check import theory

LATENT_NORM = 1 / 32
"""||z||."""

CHUNK, STUCK = 50, 0.01
"""A fit whose misfit changes over so many steps by less than this share of what the bound does has come to a halt."""

PATIENCE = 2
"""A fit is followed for this many times the steps in which the bound falls to the tolerance."""

COPIES = 3
"""Arrays as large as V that a network takes at once."""

OF_TARGET, OF_OUTER = 2**31, 2**31 + 1
"""Folded into a cell's key, for what is drawn besides the starts of its seeds."""

CURVE_POINTS = 80


@pytree_dataclass
class Outer(cs.operators.Dense):
    """V, which is not to be brought to other units, whatever its columns' norm and its flat images."""

    is_balanced = True

    def gain(self, frobenius_norm: Array) -> Array:
        return jnp.ones_like(frobenius_norm)


class State(NamedTuple):
    """What the next step needs, and what is looked at.

    Attributes:
        initial, hidden: W_0 z and W z, [1, d, 1].
        output: V relu(W z) of the last iterate evaluated, the one that the step started from, [n].
        step: steps taken.
        loss: ||output - y||^2.
        fitted: whether that meets the tolerance.
    """

    initial: Array
    hidden: Array
    output: Array
    step: Array
    loss: Array
    fitted: Array


@pytree_dataclass
class OneLayer(cs.methods.Method):
    """Gradient descent on W, as it moves h = W z; W_0 is drawn.

    Each step tells the loss of the iterate that it started from; one that meets the tolerance is not moved.

    Attributes:
        image_shape: (1, d, 1), of relu(W z).
        steps: the most of them.
        scale: c of the step size.
        tolerance: > 0, the misfit relative to ||y|| that counts as fitted.
        latent_norm: ||z||.
    """

    scale: float = 1.0
    tolerance: float = 1e-5
    latent_norm: float = LATENT_NORM
    has_tolerance = True

    def init(self, problem: Problem, key: Array) -> State:
        y = problem.measurements
        hidden = self.latent_norm * _normal(key, self.image_shape, y.dtype)
        counted = jnp.zeros((), jnp.int32), jnp.full((), jnp.inf, y.dtype), jnp.zeros((), bool)
        return State(hidden, hidden, jnp.zeros_like(y), *counted)

    def step(self, problem: Problem, state: State, key: Array) -> tuple[State, dict[str, Array]]:
        operator, y = problem
        residual, back = operator.residual_and_adjoint(y, self.image(state))
        loss, norm = jnp.sum(jnp.square(residual)), jnp.linalg.norm(y)
        fitted = jnp.sqrt(loss) <= self.tolerance * norm
        eta = theory.step_size(self.scale, y.size, state.hidden.size, norm)
        moved = state.hidden + eta * jnp.square(self.latent_norm) * theory.active(state.hidden) * back
        hidden = jnp.where(fitted, state.hidden, moved)
        state = State(state.initial, hidden, y - residual, state.step + 1, loss, fitted)
        return state, {"measurement_loss": loss, "objective": loss / 2}

    def image(self, state: State) -> Array:
        return jnp.maximum(state.hidden, 0)

    def converged(self, state: State) -> Array:
        return state.fitted

    def params(self, state: State) -> tuple[Array, Array]:
        """W_0 z and W z, [d]."""
        return state.initial.ravel(), state.hidden.ravel()


@pytree_dataclass
class Halted(cs.rules.Stop):
    """Ends a fit whose misfit has come to a halt, and one that has moved often enough.

    Attributes:
        least: share by which the misfit has to change over CHUNK steps.
        limit: steps after which W is evaluated once more and no longer moved.
    """

    least: float = 0.0
    limit: float = float("inf")
    keep = cs.rules.Last()

    def init(self, image: Array) -> tuple[Array, Array]:
        """The lowest and the highest loss of the present chunk."""
        return jnp.full((), jnp.inf, image.dtype), jnp.zeros((), image.dtype)

    def update(self, state: tuple[Array, Array], seen: cs.rules.Iterate) -> tuple[tuple[Array, Array], Array, dict]:
        begins, loss = seen.step % CHUNK == 0, seen.scalars["measurement_loss"]
        low = jnp.minimum(jnp.where(begins, jnp.inf, state[0]), loss)
        high = jnp.maximum(jnp.where(begins, 0, state[1]), loss)
        changes = jnp.sqrt(high) - jnp.sqrt(low) > self.least * jnp.sqrt(high)
        return (low, high), (((seen.step + 1) % CHUNK == 0) & ~changes) | (seen.step >= self.limit), {}


def _normal(key: Array, shape: tuple[int, ...], dtype) -> Array:
    """Drawn in single precision, so that both precisions fit the same networks."""
    return jax.random.normal(key, shape, jnp.float32).astype(dtype)


class Fits(NamedTuple):
    """What came of all seeds of a cell with some step scales.

    Attributes:
        pixels: n.
        scales: c of each step size.
        misfit: ||V relu(W_t z) - y|| / ||y||, [seeds, scales, steps] of the slowest; of the others the last one again.
        recorded: name -> what was asked for besides, like it.
        initial, hidden: W_0 z and W z at the end, [seeds, scales, d]; of a fit that still moves one step later.
        fitted: the misfit fell to the tolerance, bool [seeds, scales].
        stuck: it came to a halt above it (or the numbers overflowed), bool [seeds, scales].
    """

    pixels: int
    scales: np.ndarray
    misfit: np.ndarray
    recorded: dict[str, np.ndarray]
    initial: np.ndarray
    hidden: np.ndarray
    fitted: np.ndarray
    stuck: np.ndarray


def tolerance_of(dtype) -> float:
    """The relative misfit that counts as fitted.

    Below, float32 loses the small steps of h: fits of 1e-6 stop short of it that go on in float64.
    """
    return 1e-12 if dtype == jnp.float64 else 1e-5


def seed_batches(seeds: int, entries: int, dtype, memory: float) -> list[np.ndarray]:
    """The seeds 0, 1, ... in batches whose networks, of so many entries of V, fit into `memory` GiB together.

    Raises:
        InputError: not even one network fits.
    """
    network = COPIES * entries * jnp.dtype(dtype).itemsize / 2**30
    if network > memory:
        raise InputError(
            f"{entries} entries of V take {network:.2g} GiB, --config.memory is {memory:g}: raise it, or choose fewer "
            "pixels or a smaller width"
        )
    return np.array_split(np.arange(seeds), -(-seeds // int(memory / network)))


def seed_keys(key: Array, seeds: Sequence[int]) -> Array:
    """fold_in(key, seed) for every seed."""
    return jax.vmap(partial(jax.random.fold_in, key))(jnp.asarray(seeds, jnp.uint32))


@partial(jax.jit, static_argnames=("pixels", "width"))
def outer_weights(key: Array, seeds: Sequence[int], pixels: int, width: int, target: Array) -> Array:
    """V of each seed, [seeds, pixels, d], with nu for a target y [n] (or [m], with A still to come)."""
    deviation = theory.outer_deviation(target.size, width, jnp.linalg.norm(target), LATENT_NORM)

    def draw(key):
        return deviation * _normal(key, (pixels, width), target.dtype)

    return jax.lax.map(draw, seed_keys(jax.random.fold_in(key, OF_OUTER), seeds))


def fit(
    config,
    key: Array,
    pixels: int,
    width: int,
    target: Array,
    scales: Sequence[float],
    through: Callable[[Array], Array] = lambda outer: outer,
    **options,
) -> Fits:
    """Gradient descent on the network of each seed with each step scale.

    Args:
        config: num_seeds, max_steps (where to give up) and memory of it.
        key: of the cell; seed s starts from what `reconstruct` draws for image s.
        pixels, width: of V as it is drawn.
        target: y, [n], of norm 1.
        scales: c of each step size.
        through: V of some seeds, [seeds, pixels, d] -> A V, [seeds, n, d].
        options: `record` and `progress` of `reconstruct`.
    """
    n, tolerance, scales = target.size, tolerance_of(target.dtype), np.asarray(scales)
    limits = np.minimum(PATIENCE * bound_steps(tolerance, scales, n, width), config.max_steps)
    least = STUCK * -np.expm1(CHUNK * np.log1p(-theory.certified_rate(scales, n, width)))
    solutions, options = [], options | {"cases_per_operator": len(scales), "max_redraws": 0, "keep_params": True}
    for seeds in seed_batches(config.num_seeds, pixels * width, target.dtype, config.memory):
        scale, limit, change = (np.tile(values, len(seeds)) for values in (scales, limits.astype(float), least))
        stop, steps = Halted(change, limit), int(limits.max()) + 1
        method = OneLayer((1, width, 1), steps, scale=scale, tolerance=tolerance, stop=stop)
        outer = Outer(through(outer_weights(key, seeds, pixels, width, target)), method.image_shape)
        problem = Problem(cs.operators.Stack(outer), jnp.broadcast_to(target, (len(scale), n)))
        solution = cs.reconstruct(method, problem, key, image_ids=np.repeat(seeds, len(scales)), **options)
        solutions.append(solution._replace(image=None))
        del outer, problem  # before the next ones are drawn

    def joined(*parts):
        together = np.concatenate(parts)
        return together.reshape(config.num_seeds, len(scales), *together.shape[1:])

    solution = jax.tree.map(joined, *solutions)
    last = np.minimum(np.arange(solution.steps.max()), solution.steps[..., None] - 1)
    at = (*np.indices(solution.steps.shape)[..., None], last)
    traces = {name: trace[at] for name, trace in solution.trace.items()}
    misfit = np.sqrt(traces.pop("measurement_loss"))
    fitted = solution.status == cs.Status.CONVERGED
    stuck = ~fitted & (solution.steps <= limits)
    return Fits(n, scales, misfit, traces, *solution.params, fitted, stuck)


def bound_steps(misfit: float, scales: Sequence[float], pixels: int, width: int) -> np.ndarray:
    """The steps in which the bound of Theorem 4.1 falls to a misfit, for each scale."""
    rate = theory.certified_rate(np.asarray(scales), pixels, width)
    return np.ceil(np.log(misfit / 3) / np.log1p(-rate)).astype(int)


def random_target(key: Array, pixels: int, dtype) -> Array:
    """y, of norm 1. The law of V does not change if R^n is turned, so no y is harder to fit than another."""
    target = jax.random.normal(jax.random.fold_in(key, OF_TARGET), (pixels,), dtype)
    return target / jnp.linalg.norm(target)


def first_violation(fits: Fits) -> np.ndarray:
    """The first step whose misfit is above the bound of Theorem 4.1, [seeds, scales]; -1 where there is none.

    A fit that got stuck violates it in the end, if not yet: the bound goes on falling to zero. One that was fitted is
    not followed any further.
    """
    misfit, tolerance, sizes = fits.misfit, tolerance_of(fits.misfit.dtype), (fits.pixels, fits.hidden.shape[-1])
    bound = theory.misfit_bound(np.arange(misfit.shape[-1]), fits.scales[:, None], *sizes)
    above = ~(misfit <= np.maximum(bound, tolerance))
    first = np.where(above.any(-1), above.argmax(-1), -1)
    last = np.clip(np.nan_to_num(misfit[..., -1], nan=np.inf), tolerance, 3)
    later = bound_steps(last, fits.scales, *sizes)
    return np.where((first < 0) & fits.stuck, later, first)


def measured_rate(misfit: np.ndarray, tolerance: float) -> np.ndarray:
    """The share of the misfit, [..., steps], that a step takes off, from 1e-2 to the tolerance; NaN if not reached."""
    early, late = (misfit <= 1e-2).argmax(-1), (misfit <= 10 * tolerance).argmax(-1)
    reached = (late > early) & (misfit <= 10 * tolerance).any(-1)
    at_late, at_early = (np.take_along_axis(misfit, at[..., None], -1)[..., 0] for at in (late, early))
    return np.where(reached, 1 - (at_late / at_early) ** (1 / np.where(reached, late - early, 1)), np.nan)


def curve_steps(max_steps: int) -> np.ndarray:
    """The steps at which curves are kept: all of the first ones, then ever fewer."""
    return np.unique(np.geomspace(1, max_steps, CURVE_POINTS).astype(int)) - 1


def outcome(fits: Fits, max_steps: int) -> dict:
    """What is kept, JSON-able: [seeds][scales] for each number, and the range of misfits, [scales][curve steps]."""
    on, before, steps = theory.active(fits.hidden), theory.active(fits.initial), curve_steps(max_steps)
    curves = fits.misfit[..., np.minimum(steps, fits.misfit.shape[-1] - 1)]
    kept = {
        "violated_at": first_violation(fits),
        "fitted": fits.fitted,
        "stuck": fits.stuck,
        "rate": measured_rate(fits.misfit, tolerance_of(fits.misfit.dtype)),
        "misfit": fits.misfit[..., -1],
        "distance": np.linalg.norm(fits.hidden - fits.initial, axis=-1) / LATENT_NORM,
        "active": on.mean(-1),
        "switched": (on != before).mean(-1),
        "steps": steps,
    }
    ranges = np.quantile(curves, (0, 0.5, 1), axis=0).tolist()
    curve = dict(zip(("low", "median", "high"), ranges, strict=True))
    return {name: values.tolist() for name, values in kept.items()} | {"curve": curve}
