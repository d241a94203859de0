"""`Best`: fits of several methods, weighed by measurements that none of them was given (`csdip_jax.methods.best`)."""

import dataclasses
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from csdip_jax.checks import require_count, require_key
from csdip_jax.methods import Method, Network
from csdip_jax.methods.best import Best
from csdip_jax.operators import LinearOperator, measurement_loss, one_of
from csdip_jax.priors import Start
from csdip_jax.rules import Average, HeldOut
from csdip_jax.solve.fits import fit_keys
from csdip_jax.solve.held_out import LEAST, OF_HELD_OUT, draw, halves, parts_of, residual_of
from csdip_jax.solve.inputs import checked_batch, checked_ids, require_problem
from csdip_jax.solve.normalise import in_double, in_user_units, normalise
from csdip_jax.solve.stacking import (
    cross_fitted,
    mse_of_rounds,
    simplex_weights,
    spread_of,
    stacked_mse,
    weights_by_distance,
)
from csdip_jax.solve.uncertainty import calibrated_spread, rows_of
from csdip_jax.types import Array, InputError, Problem, ReconstructionWarning, Solution, Status

SHARE, ENOUGH, OF_FEW = 0.05, 120, 0.1
"""Of the measurements that are held out; of few of them so many, but at most the third."""
TOO_FEW, TOLD, MOST_ROUNDS = 45, 100, 6
"""Where fewer than the first are held out, fits are repeated with others held out until so many have told, at most so
often. Their weighted mean is the image then, and nothing goes on on all measurements: the error would no longer be that
which was told."""
LEAST_WEIGHT = 0.05
"""Below it a fit is left out."""
FAR_OFF = 4.0
"""After its first fit a candidate whose held out error is so many times the least is not repeated."""
ON_ALL, SLOWER = 0.2, 0.3
"""The winners go on, on all measurements, for such a share of their steps, at such a share of their rate."""


class Member(NamedTuple):
    """A fit of a candidate.

    Attributes:
        name: of the candidate.
        round: its number; in each one other measurements are held out.
        method: as it was fitted.
        solution: of all but the held out measurements, in the methods' units.
        left: what its image leaves of the held out measurements, [h].
    """

    name: str
    round: int
    method: Method
    solution: Solution
    left: np.ndarray

    @property
    def chosen(self) -> np.ndarray:
        """What is left of the held out measurements that may choose, as `reconstruct` lets them choose."""
        return halves(self.left)[0]

    @property
    def told(self) -> np.ndarray:
        """Of those that only tell."""
        return halves(self.left)[1]

    @property
    def image(self) -> np.ndarray:
        """[h, w, c], in double precision."""
        return np.asarray(self.solution.image, float)


class Options(NamedTuple):
    """How the fits of one image are run.

    Attributes:
        noise: variance of one measurement's noise.
        key, image_id: see `reconstruct`.
        progress: label of the bars, or None.
        checkpoint: (name) -> path of a fit's checkpoint, or None.
        ends: when all fits have to end, by `time.perf_counter`; None for never.
        reconstruct: `csdip_jax.reconstruct`.
    """

    noise: float
    key: Array
    image_id: int
    progress: str | None
    checkpoint: Callable[[str], Path | None]
    ends: float | None
    reconstruct: Callable[..., Solution]

    def fit(self, name: str, method: Method, problem: Problem, share_of_time: float, **more: Any) -> Solution:
        """One fit, with no word of what is doubtful in it: that is said of the weighted image."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReconstructionWarning)
            return self.reconstruct(
                method,
                problem,
                self.key,
                image_ids=[self.image_id],
                progress=None if self.progress is None else f"{self.progress} {name}",
                checkpoint=self.checkpoint(name),
                seconds=None if self.ends is None else max(share_of_time * (self.ends - time.perf_counter()), 0.1),
                keep_params=isinstance(method, Network),
                **more,
            )


def best_of_each(
    method: Best,
    problem: Problem,
    key: Array,
    image_ids: Sequence[int] | None,
    cases_per_operator: int,
    pixel_range: tuple[float, float] | str | None,
    noise_variance: ArrayLike | None,
    progress: str | None,
    checkpoint: Path | str | None,
    *,
    reconstruct: Callable[..., Solution],
) -> Solution:
    """The solution of each image, one after the other; see `reconstruct`, which is given to fit the candidates."""
    began = time.perf_counter()
    require_key(key, several=True)
    require_problem(problem)
    require_count("cases_per_operator", cases_per_operator)
    exact = in_double(problem.measurements)
    problem, batched = checked_batch(problem, method, cases_per_operator, pixel_range)
    images = problem.measurements.shape[0]
    ids = checked_ids(image_ids, key, images)
    problem, units = normalise(problem, pixel_range, exact)
    noise = units.of_noise(0.0 if noise_variance is None else noise_variance, images)
    found = []
    for i, id_ in enumerate(ids):
        operator = one_of(problem.operator, i // cases_per_operator)
        ends = None if method.seconds is None else began + method.seconds * (i + 1) / images
        options = Options(
            noise=float(noise[i]),
            key=key[i] if key.ndim else key,
            image_id=id_,
            progress=progress,
            checkpoint=partial(_checkpoint, checkpoint, f"{i}-" if images > 1 else ""),
            ends=ends,
            reconstruct=reconstruct,
        )
        found.append(best_of_one(method, Problem(operator, problem.measurements[i]), options))
    solutions, weights = zip(*found, strict=True)
    solution = in_user_units(_stacked(solutions), units)
    names = dict.fromkeys(name for one in weights for name in one)
    of_each = {name: np.array([one.get(name, 0.0) for one in weights]) for name in names}
    solution = solution._replace(aux=solution.aux | {"weights": of_each})
    return jax.tree.map(lambda x: jnp.asarray(x if batched else x[0]), solution)


def _stacked(solutions: Sequence[Solution]) -> Solution:
    """As numpy arrays with an axis of images; NaN where a trace is shorter, or tells what is not told of all."""
    steps = max(len(one.trace["measurement_loss"]) for one in solutions)
    told = ("measurement_loss", "objective")
    nothing = {name: jnp.full_like(value, jnp.nan) for one in solutions for name, value in one.aux.items()}
    padded = [
        one._replace(
            trace={
                name: np.pad(np.asarray(one.trace[name]), (0, steps - len(one.trace[name])), constant_values=np.nan)
                for name in told
            },
            aux=nothing | one.aux,
        )
        for one in solutions
    ]
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *padded)


def _checkpoint(path: Path | str | None, image: str, name: str) -> Path | None:
    """Of one fit, beside the one that was asked for."""
    return None if path is None else Path(path).with_name(f"{Path(path).stem}-{image}{name.replace(' ', '-')}.npz")


def best_of_one(method: Best, problem: Problem, options: Options) -> tuple[Solution, dict[str, float]]:
    """The solution of one image in the methods' units, and the weights by candidate.

    Args:
        method: the candidates and the budget.
        problem: normalised.
        options: of the fits.

    Raises:
        InputError: too few measurements to hold any out, or no candidate is left.
    """
    share, rounds = plan(problem.measurements.size)
    linear = isinstance(problem.operator, LinearOperator)
    chosen = {name: one for name, one in method.chosen().items() if linear or not one.needs_linear_operator}
    cheapest_first = sorted(chosen.items(), key=lambda pair: cost(pair[1]))
    chosen = {name: _watched(one, share) for name, one in cheapest_first}
    members = _fitted(chosen, problem, options, share, rounds)
    if not members:
        raise InputError(f"none of {', '.join(chosen) or 'no candidates'} could be fitted: {method.remedy}")
    weights = _weights(members, problem)
    winners = [(member, weight) for member, weight in zip(members, weights, strict=True) if weight]
    images = [_on_all(one, problem, options, len(winners)) if rounds == 1 else one.image for one, _ in winners]
    image = sum(weight * np.asarray(image, float) for (_, weight), image in zip(winners, images, strict=True))
    image = jnp.asarray(image, members[0].solution.image.dtype)
    of_each = dict.fromkeys(chosen, 0.0)
    for member, weight in zip(members, weights, strict=True):
        of_each[member.name] += float(weight)
    return _solution(problem, members, weights, image, options.noise), of_each


def plan(m: int) -> tuple[float, int]:
    """The share of m measurements that is held out, and how often."""
    share = min(max(SHARE, ENOUGH / m), OF_FEW)
    share = max(share, LEAST / m)
    held = round(share * m)
    return share, 1 if held >= TOO_FEW else min(MOST_ROUNDS, -(-TOLD // held))


def _watched(method: Method, share: float) -> Method:
    """A network's fit ends where held out measurements say."""
    has_own = not isinstance(method, Network) or method.stop is not None
    return method if has_own else dataclasses.replace(method, stop=HeldOut(share))


def _fitted(
    chosen: Mapping[str, Method], problem: Problem, options: Options, share: float, rounds: int
) -> list[Member]:
    """The fits that succeeded; of candidates that are far off after the first round only one each."""
    members: list[Member] = []
    costs = {name: cost(candidate) for name, candidate in chosen.items()}
    near = list(chosen)
    for i in range(rounds):
        own = options._replace(key=options.key if i == 0 else jax.random.fold_in(options.key, i))
        held = _held_out(problem, share, own)
        for place, name in enumerate(near):
            to_come = sum(costs[one] for one in near[place:]) + (rounds - 1 - i) * sum(costs[one] for one in near)
            share_of_time = costs[name] / (to_come + ON_ALL * sum(costs[one] for one in near) * rounds)
            label = name if rounds == 1 else f"{name} {i + 1} of {rounds}"
            found = own.fit(label, chosen[name], problem, share_of_time, hold_out=share)
            if bool(found.ok) and bool(jnp.isfinite(found.image).all()):
                members.append(Member(name, i, chosen[name], found, np.asarray(residual_of(held, found.image))))
        if i == 0:
            errors = {member.name: _error(member.left) for member in members}
            near = [name for name in near if errors.get(name, np.inf) <= FAR_OFF * min(errors.values(), default=0.0)]
    return members


def _error(left: np.ndarray) -> float:
    """Mean square of residuals."""
    return float(np.mean(np.square(np.abs(left))))


def _weights(members: Sequence[Member], problem: Problem) -> np.ndarray:
    """Of sum 1, one for each fit; those below `LEAST_WEIGHT` are 0."""
    if not any(member.round for member in members):
        found = simplex_weights(np.stack([member.told for member in members]))
    else:
        errors = np.array([_error(member.chosen) for member in members])
        if isinstance(problem.operator, LinearOperator):
            errors /= float(problem.operator.frobenius_norm()) ** 2 / problem.measurements.size
            found = weights_by_distance(errors, np.stack([member.image for member in members]))
        else:  # what they differ by cannot be compared with what they leave
            found = np.maximum(errors, 1e-30) ** -2.0
            found /= found.sum()
    found = np.where(found >= min(LEAST_WEIGHT, found.max()), found, 0.0)
    return found / found.sum()


def cost(method: Method) -> float:
    """Roughly how long a fit takes beside others: its share of the time where that is limited."""
    return float(method.steps * method.restarts) if isinstance(method, Network) else 200.0


def _held_out(problem: Problem, share: float, options: Options) -> Problem:
    """The measurements that `reconstruct` gives no fit of this image."""
    ids, number = (jnp.asarray([value], jnp.uint32) for value in (options.image_id, OF_HELD_OUT))
    keys = fit_keys(options.key, ids, number)[:, 0]
    parts = jax.tree.map(lambda x: x[0], draw(problem.operator, share, keys))
    return parts_of(problem, parts)[1]


def _on_all(member: Member, problem: Problem, options: Options, winners: int) -> Array:
    """The image of a winner that has seen all measurements: a network goes on where it was.

    One that was stopped early stays as it is: it had begun to fit noise, and would go on to.
    """
    method, solution = member.method, member.solution
    if int(solution.status) == Status.STOPPED:
        return solution.image
    if isinstance(method, Network) and solution.params is not None:
        method = dataclasses.replace(
            method,
            learned_start=Start(_latent(method, solution, options), solution.params, noise=0.0),
            steps=max(1, round(ON_ALL * method.steps)),
            learning_rate=SLOWER * method.learning_rate,
            schedule="cosine",
            restarts=1,
            stop=None,
            keep=Average(0.97),
        )
    found = options.fit(f"{member.name} on all", method, problem, 1 / winners)
    # One that time cut short stands at the optimiser's first steps, which lead away from where it was.
    explains_more = bool(found.ok) and bool(found.measurement_loss <= solution.measurement_loss)
    return found.image if explains_more else solution.image


def _latent(method: Network, solution: Solution, options: Options) -> Any:
    """That of the chosen restart, which its key draws again."""
    restart = jnp.asarray([int(solution.restart)], jnp.uint32)
    key = fit_keys(options.key, jnp.asarray([options.image_id], jnp.uint32), restart)[0, 0]
    return method.generator.init(jax.random.fold_in(key, 0))[0]


def _solution(problem: Problem, members: Sequence[Member], weights: np.ndarray, image: Array, noise: float) -> Solution:
    """That of the weighted image."""
    first = members[int(weights.argmax())].solution
    left, images = np.stack([member.told for member in members]), np.stack([member.image for member in members])
    rounds = np.array([member.round for member in members])
    several, size = bool(rounds.any()), problem.measurements.size
    given = size - len(members[0].left)
    square = weights @ np.array([_error(one) for one in left]) if several else _error(cross_fitted(left))
    told: dict[str, Any] = {"held_out_error": square}
    spread = spread_of(images, weights, np.asarray(image, float))
    rows = rows_of(problem.operator)
    if rows is None:
        told["standard_deviation"] = spread
    else:
        if several:
            found = mse_of_rounds(left, rounds, weights, images, rows, noise)
        else:
            fitted = float(measurement_loss(*problem, image))
            found = stacked_mse(left, rows, noise, fitted, given, size)
        told |= {"estimated_mse": found.mse, "estimated_mse_interval": found.interval}
        told["standard_deviation"] = calibrated_spread(spread, found.mse)
    unexplained = int(first.status) == Status.UNEXPLAINED  # which is said of the weighted image anew
    return first._replace(
        image=image,
        measurement_loss=measurement_loss(*problem, image),
        steps=jnp.asarray(sum(int(member.solution.steps) for member in members), jnp.int32),
        redraws=jnp.asarray(sum(int(member.solution.redraws) for member in members), jnp.int32),
        status=jnp.asarray(Status.FINISHED, jnp.int32) if unexplained else first.status,
        aux={name: jnp.asarray(value, image.dtype) for name, value in told.items()},
        params=None,
    )
