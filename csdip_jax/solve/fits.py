"""The device side: fits, one or a vectorized block of them, as compiled programs.

Each program is compiled once per method, shapes and layout; the method's data fields, the length of a chunk and the
number of redraws are arguments of it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from csdip_jax.methods.base import Method
from csdip_jax.operators import Stack, measurement_loss, one_of
from csdip_jax.rules import HELD_OUT_LOSS, Iterate
from csdip_jax.solve.held_out import Parts, held_out_loss, parts_of, residual_of, that_choose, that_tell
from csdip_jax.types import Array, Problem, Solution, Status, with_fields


class Case(NamedTuple):
    """One image to reconstruct, under one setting of the method; a leading axis makes a batch.

    Attributes:
        problem: operator and measurements (in a batch the operator may be shared).
        swept: the method's fields that differ from case to case, name -> value (an array, or a pytree of them).
        parts: which of its measurements the fits are given, and which are held out; None where they are given all.
        unit: what a measurement loss is multiplied by to be that of all measurements in the user's units; None for 1.
    """

    problem: Problem
    swept: dict[str, Any]
    parts: Parts | None = None
    unit: Array | None = None


class Given(NamedTuple):
    """What a fit has of its case.

    Attributes:
        whole: operator and all measurements.
        problem: those that are fitted to.
        held: those that are held out; None where there are none.
        unit: see `Case`.
    """

    whole: Problem
    problem: Problem
    held: Problem | None
    unit: Array | float


class Outcome(NamedTuple):
    """What a fit comes to.

    Attributes:
        solution: its own, in the method's units; `unexplained` is not known yet.
        score: what decides between restarts, the lower the better.
        held_out: what the image leaves of those that are held out and chose nothing, [k]; None where there are none.
        fitted: the measurement loss of the others.
    """

    solution: Solution
    score: Array
    held_out: Array | None
    fitted: Array


class Fit(NamedTuple):
    """One restart of one case, under way.

    Attributes:
        state: the method's.
        kept, stopping: what the rules that keep and stop remember.
        steps: steps of the present attempt.
        redraws: failed attempts before it.
        status: `RUNNING`, or how it ended, a number of `Status`.
        trace: name -> [method.steps, ...], step by step, NaN ahead.
    """

    state: Any
    kept: Any
    stopping: Any
    steps: Array
    redraws: Array
    status: Array
    trace: dict[str, Array]


RUNNING = -1


class Layout(NamedTuple):
    """How the fits of a block lie: on one device or on several, on each a single one or cases x restarts.

    Attributes:
        single: a device holds one fit (not vectorized at all).
        devices: the leading axis of operators (if they have one), cases and fits is cut into as many equal parts.
    """

    single: bool
    devices: int = 1


def mesh(devices: int) -> Mesh:
    """The first devices of this process."""
    return Mesh(np.array(jax.local_devices()[:devices]), ("fits",))


def _over_fits(method: Method, one_fit: Callable, layout: Layout) -> Callable:
    """`one_fit(method, given, *fit)` -> the same over a block: `f(cases [cases], *fits [cases, restarts])`.

    The operator is one for all cases, or a batch of them, each of which serves equally many consecutive cases.
    """

    def one_case(operator, case, *fit):
        whole = Problem(operator, case.problem.measurements)
        problem, held = (whole, None) if case.parts is None else parts_of(whole, case.parts)
        given = Given(whole, problem, held, 1.0 if case.unit is None else case.unit)
        return one_fit(with_fields(method, case.swept, check=False), given, *fit)

    def of_one_operator(operator, cases, *fits):
        def restarts(case, *fits):
            return jax.vmap(partial(one_case, operator, case))(*fits)

        if not layout.single:
            return jax.vmap(restarts)(cases, *fits)
        outputs = one_case(operator, jax.tree.map(lambda x: x[0], cases), *jax.tree.map(lambda x: x[0, 0], fits))
        return jax.tree.map(lambda x: x[None, None], outputs)

    def on_one_device(operator, cases, *fits):
        if not isinstance(operator, Stack) or operator.size == 1:  # the same program
            return of_one_operator(one_of(operator), cases, *fits)
        grouped = jax.tree.map(lambda x: x.reshape(operator.size, -1, *x.shape[1:]), (cases, *fits))
        outputs = jax.vmap(of_one_operator)(operator.operator, *grouped)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)

    def block(cases, *fits):
        operator, measurements = cases.problem
        arguments = (operator, cases._replace(problem=Problem(None, measurements)), *fits)
        if layout.devices == 1:
            return on_one_device(*arguments)
        part = PartitionSpec("fits")
        specs = (part if isinstance(operator, Stack) else PartitionSpec(), *(part for _ in arguments[1:]))
        # Not one vectorized loop over all devices: each stops when its own fits have, and asks no other device.
        return jax.shard_map(on_one_device, mesh=mesh(layout.devices), in_specs=specs, out_specs=part, check_vma=False)(
            *arguments
        )

    return block


def _new_fit(method: Method, given: Given, key: Array, redraws: Array, record: dict) -> Fit:
    state = method.init(given.problem, jax.random.fold_in(key, redraws))
    held = None if given.held is None else that_choose(method, given.held.measurements)
    like = jax.eval_shape(method.image, state)
    image = jnp.zeros(like.shape, like.dtype)
    recorded = jax.eval_shape(partial(_recorded, record), image, state)
    told = method.told if held is None else (*method.told, HELD_OUT_LOSS)
    shapes = dict.fromkeys(told, ()) | {name: x.shape for name, x in recorded.items()}
    return Fit(
        state=state,
        kept=method.keeper.init(image),
        stopping=method.stopper.start(image, held),
        steps=jnp.zeros((), jnp.int32),
        redraws=redraws,
        status=jnp.full((), RUNNING, jnp.int32),
        trace={name: jnp.full((method.steps, *shape), jnp.nan, like.dtype) for name, shape in shapes.items()},
    )


def _recorded(record: dict, image: Array, state: Any) -> dict[str, Array]:
    """What the functions of `reconstruct(record=...)` make of an iterate."""
    return {name: jnp.asarray(function(image, state)) for name, function in record.items()}


@partial(jax.jit, static_argnames="layout")
def start(method, cases, keys, record, *, layout):
    """The fits at their start, [cases, restarts]."""
    redraws = jnp.zeros(keys.shape[:2], jnp.int32)
    return _over_fits(method, partial(_new_fit, record=record), layout)(cases, keys, redraws)


@partial(jax.jit, static_argnames="layout", donate_argnames="fits")
def advance(method, cases, keys, fits, length, max_redraws, record, *, layout):
    """At most `length` further steps of every fit that has not stopped."""

    def one_fit(method, given, key, fit):
        steps_key = jax.random.fold_in(jax.random.fold_in(key, fit.redraws), OF_STEPS)

        def running(carry):
            taken, fit = carry
            return (taken < length) & (fit.status == RUNNING)

        def step(carry):
            taken, fit = carry
            state, scalars = method.step(given.problem, fit.state, jax.random.fold_in(steps_key, fit.steps))
            image = method.image(state)
            return taken + 1, _watched(method, given, fit, state, image, scalars, max_redraws, record)

        return jax.lax.while_loop(running, step, (jnp.zeros((), jnp.int32), fit))[1]

    return _over_fits(method, one_fit, layout)(cases, keys, fits)


OF_STEPS = 2**32 - 1
"""Folded into a fit's key, from which its start is drawn, for the key of its steps: no start splits a key so often."""


def _watched(method, given, fit, state, image, scalars, max_redraws, record) -> Fit:
    """The fit after a step that led to this state: what its rules make of the iterate."""
    keep, residual = method.keeper, None
    if given.held is not None:
        residual = that_choose(method, residual_of(given.held, image))
        scalars = scalars | {HELD_OUT_LOSS: held_out_loss(residual)}
    seen = Iterate(fit.steps, method.steps, image, scalars, residual, given.unit, given.problem.measurements.size)
    stopping, stops, more = method.stopper.update(fit.stopping, seen)
    seen = seen._replace(scalars=scalars | more)
    kept = keep.update(fit.kept, seen)
    lost = method.failer.failed(given.problem, seen._replace(image=keep.image(kept, image)))
    converged, diverged = method.converged(state), method.diverged(state)
    # The last attempt goes on to its end even if it looks lost, unless there is nothing left to go on with.
    ends = converged | stops | seen.is_last
    exhausted = Status.OUT_OF_STEPS if method.has_tolerance else Status.FINISHED
    status = jnp.select(
        [diverged, lost & (ends | (fit.redraws < max_redraws)), converged, stops, seen.is_last],
        [Status.DIVERGED, Status.COLLAPSED, Status.CONVERGED, Status.STOPPED, exhausted],
        RUNNING,
    )
    told = seen.scalars | _recorded(record, image, state)
    trace = {name: values.at[fit.steps].set(told[name]) for name, values in fit.trace.items()}
    return Fit(state, kept, stopping, fit.steps + 1, fit.redraws, status.astype(jnp.int32), trace)


def to_redraw(fits: Fit, max_redraws: int) -> Array:
    """Which of the fits have failed and may be drawn anew, bool [cases, restarts]."""
    return (fits.status >= Status.DIVERGED) & (fits.redraws < max_redraws)


@partial(jax.jit, static_argnames="layout", donate_argnames="fits")
def redraw(method, cases, keys, fits, max_redraws, record, *, layout):
    """The fits, those that failed replaced by a new attempt."""

    def one_fit(method, given, key, fit):
        fresh = _new_fit(method, given, key, fit.redraws + 1, record)
        return jax.tree.map(partial(jnp.where, to_redraw(fit, max_redraws)), fresh, fit)

    return _over_fits(method, one_fit, layout)(cases, keys, fits)


@partial(jax.jit, static_argnames=("layout", "keep_params"))
def finish(method, cases, fits, *, layout, keep_params):
    """The outcomes of the fits, [cases, restarts, ...]."""

    def one_fit(method, given, fit):
        image = method.keeper.image(fit.kept, method.image(fit.state))
        solution = Solution(
            image=image,
            status=fit.status,
            measurement_loss=measurement_loss(given.whole.operator, given.whole.measurements, image),
            steps=fit.steps,
            restart=jnp.zeros((), jnp.int32),
            redraws=fit.redraws,
            unexplained=jnp.full((), jnp.nan, image.dtype),
            trace=fit.trace,
            aux=method.keeper.aux(fit.kept),
            params=method.params(fit.state) if keep_params else None,
        )
        if given.held is None:
            score = method.keeper.score(fit.kept, fit.state.loss)
            return Outcome(solution, score, None, solution.measurement_loss)
        residual = residual_of(given.held, image)
        fitted = measurement_loss(given.problem.operator, given.problem.measurements, image)
        score = held_out_loss(that_choose(method, residual))
        return Outcome(solution, score, that_tell(method, residual), fitted)

    return _over_fits(method, one_fit, layout)(cases, fits)


@jax.jit
def fit_keys(key, ids, restarts):
    """Keys [cases, restarts], of one key or of a key per case."""

    def fit_key(key, image, restart):
        return jax.random.fold_in(jax.random.fold_in(key, image), restart)

    over_restarts = jax.vmap(fit_key, in_axes=(None, None, 0))
    return jax.vmap(over_restarts, in_axes=(0 if key.ndim else None, 0, None))(key, ids, restarts)
