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
import numpy as np
from jax.sharding import Mesh, PartitionSpec

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
    """`one_fit(method, problem, *fit)` -> the same over a block: `f(cases [cases], *fits [cases, restarts])`.

    The operator is one for all cases, or a batch of them, each of which serves equally many consecutive cases.
    """

    def one_case(operator, case, *fit):
        (_, measurements), swept = case
        return one_fit(dataclasses.replace(method, **swept), Problem(operator, measurements), *fit)

    def of_one_operator(operator, cases, *fits):
        def restarts(case, *fits):
            return jax.vmap(partial(one_case, operator, case))(*fits)

        if not layout.single:
            return jax.vmap(restarts)(cases, *fits)
        outputs = one_case(operator, jax.tree.map(lambda x: x[0], cases), *jax.tree.map(lambda x: x[0, 0], fits))
        return jax.tree.map(lambda x: x[None, None], outputs)

    def on_one_device(operator, cases, *fits):
        operators = operator.batch_size
        if operators is None:
            return of_one_operator(operator, cases, *fits)
        if operators == 1:  # the same program as of a shared one
            return of_one_operator(jax.tree.map(lambda x: x[0], operator), cases, *fits)
        grouped = jax.tree.map(lambda x: x.reshape(operators, -1, *x.shape[1:]), (cases, *fits))
        outputs = jax.vmap(of_one_operator)(operator, *grouped)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), outputs)

    def block(cases, *fits):
        (operator, measurements), swept = cases
        arguments = (operator, Case(Problem(None, measurements), swept), *fits)
        if layout.devices == 1:
            return on_one_device(*arguments)
        part = PartitionSpec("fits")
        specs = (PartitionSpec() if operator.batch_size is None else part, *(part for _ in arguments[1:]))
        # Not one vectorized loop over all devices: each stops when its own fits have, and asks no other device.
        return jax.shard_map(on_one_device, mesh=mesh(layout.devices), in_specs=specs, out_specs=part, check_vma=False)(
            *arguments
        )

    return block


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
    """Keys [cases, restarts], of one key or of a key per case."""

    def fit_key(key, image, restart):
        return jax.random.fold_in(jax.random.fold_in(key, image), restart)

    over_restarts = jax.vmap(fit_key, in_axes=(None, None, 0))
    return jax.vmap(over_restarts, in_axes=(0 if key.ndim else None, 0, None))(key, ids, restarts)
