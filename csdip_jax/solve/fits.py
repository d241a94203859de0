"""The device side: fits, one or a vectorized block of them, as compiled programs.

Each program is compiled once per method, shapes and layout; the method's data fields, the length of a chunk and the
number of redraws are arguments of it.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from csdip_jax.methods.base import Method
from csdip_jax.operators import measurement_loss
from csdip_jax.types import Array, Problem


class Case(NamedTuple):
    """One image to reconstruct, under one setting of the method; a leading axis makes a batch.

    Attributes:
        problem: operator and measurements (in a batch the operator may be shared).
        swept: the method's fields that differ from case to case, name -> value (an array, or a pytree of them).
    """

    problem: Problem
    swept: dict[str, Any]


class Fit(NamedTuple):
    """One restart of one case, under way.

    Attributes:
        state: the method's.
        steps: steps of the present attempt.
        redraws: failed attempts before it.
        stopped: nothing more to do for the present attempt.
        failed: the method gave the present attempt up.
        trace: [method.steps] measurement loss per step, NaN ahead.
    """

    state: Any
    steps: Array
    redraws: Array
    stopped: Array
    failed: Array
    trace: Array


class Outcome(NamedTuple):
    """What is kept of a finished fit; the fields of `Solution` but for the choice of the restart."""

    image: Array
    measurement_loss: Array
    steps: Array
    redraws: Array
    ok: Array
    converged: Array
    trace: Array
    score: Array
    params: Any


class Layout(NamedTuple):
    """How the fits of a block lie: a single one (not vectorized at all), or cases x restarts.

    Attributes:
        single: the block holds one fit.
        operator_batched: each case has an operator of its own.
    """

    single: bool
    operator_batched: bool


def _over_fits(method: Method, one_fit: Callable, layout: Layout) -> Callable:
    """`one_fit(method, problem, *fit)` -> the same over a block: `f(cases [cases], *fits [cases, restarts])`."""
    operator_axis = 0 if layout.operator_batched else None

    def one_case(case, *fit):
        return one_fit(dataclasses.replace(method, **case.swept), case.problem, *fit)

    def block(cases, *fits):
        def restarts(case, *fits):
            return jax.vmap(partial(one_case, case))(*fits)

        return jax.vmap(restarts, in_axes=(Case(Problem(operator_axis, 0), 0), *(0 for _ in fits)))(cases, *fits)

    def single(cases, *fits):
        (operator, measurements), swept = cases
        if layout.operator_batched:
            operator = jax.tree.map(lambda x: x[0], operator)
        case = Case(Problem(operator, measurements[0]), jax.tree.map(lambda x: x[0], swept))
        outputs = one_case(case, *jax.tree.map(lambda x: x[0, 0], fits))
        return jax.tree.map(lambda x: x[None, None], outputs)

    return single if layout.single else block


def _new_fit(method: Method, problem: Problem, key: Array, redraws: Array) -> Fit:
    return Fit(
        state=method.init(problem, jax.random.fold_in(key, redraws)),
        steps=jnp.zeros((), jnp.int32),
        redraws=redraws,
        stopped=jnp.zeros((), bool),
        failed=jnp.zeros((), bool),
        trace=jnp.full((method.steps,), jnp.nan, jnp.finfo(problem.measurements.dtype).dtype),
    )


@partial(jax.jit, static_argnames="layout")
def start(method, cases, keys, *, layout):
    redraws = jnp.zeros(keys.shape[:2], jnp.int32)
    return _over_fits(method, _new_fit, layout)(cases, keys, redraws)


@partial(jax.jit, static_argnames="layout", donate_argnames="fits")
def advance(method, cases, fits, length, max_redraws, *, layout):
    """At most `length` further steps of every fit that has not stopped."""

    def one_fit(method, problem, fit):
        def running(carry):
            taken, fit = carry
            return (taken < length) & ~fit.stopped

        def step(carry):
            taken, fit = carry
            state, info = method.step(problem, fit.state)
            failed = method.failed(problem, state)
            # The last attempt goes on to its end even if it looks lost, unless there is nothing left to go on with.
            give_up = failed & ((fit.redraws < max_redraws) | ~jnp.isfinite(info.measurement_loss))
            return taken + 1, Fit(
                state=state,
                steps=fit.steps + 1,
                redraws=fit.redraws,
                stopped=method.done(state) | give_up,
                failed=failed,
                trace=fit.trace.at[fit.steps].set(info.measurement_loss),
            )

        return jax.lax.while_loop(running, step, (jnp.zeros((), jnp.int32), fit))[1]

    return _over_fits(method, one_fit, layout)(cases, fits)


def to_redraw(fits: Fit, max_redraws: int) -> Array:
    return fits.stopped & fits.failed & (fits.redraws < max_redraws)


@partial(jax.jit, static_argnames="layout", donate_argnames="fits")
def redraw(method, cases, keys, fits, max_redraws, *, layout):
    """The fits, those that stopped as failed replaced by a new attempt."""

    def one_fit(method, problem, key, fit):
        fresh = _new_fit(method, problem, key, fit.redraws + 1)
        return jax.tree.map(partial(jnp.where, to_redraw(fit, max_redraws)), fresh, fit)

    return _over_fits(method, one_fit, layout)(cases, keys, fits)


@partial(jax.jit, static_argnames=("layout", "keep_params"))
def finish(method, cases, fits, *, layout, keep_params):
    def one_fit(method, problem, fit):
        image = method.image(fit.state)
        return Outcome(
            image=image,
            measurement_loss=measurement_loss(*problem, image),
            steps=fit.steps,
            redraws=fit.redraws,
            ok=~fit.failed,
            converged=method.converged(fit.state) & ~fit.failed,
            trace=fit.trace,
            score=method.score(fit.state),
            params=method.params(fit.state) if keep_params else None,
        )

    return _over_fits(method, one_fit, layout)(cases, fits)


@jax.jit
def fit_keys(key, ids, restarts):
    """Keys [cases, restarts]."""

    def fit_key(image, restart):
        return jax.random.fold_in(jax.random.fold_in(key, image), restart)

    return jax.vmap(jax.vmap(fit_key, in_axes=(None, 0)), in_axes=(0, None))(ids, restarts)
