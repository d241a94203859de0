"""`reconstruct`: any method on one problem or a batch, with restarts, redraws, progress and checkpoints.

A *fit* is one restart of one image. Fits run in blocks (images x restarts) that share a compiled program: one fit
at a time on a CPU, where a second would only push the first out of the cache, as many as memory allows elsewhere. A
block advances in chunks, a `while_loop` on the device whose length the host chooses; between chunks the host shows
progress, redraws failed attempts, and saves a checkpoint. True images never come here.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from csdip_jax.methods.base import Method
from csdip_jax.operators import as_operator, measurement_loss
from csdip_jax.results import write_arrays
from csdip_jax.types import Array, InputError, Problem, Solution

CHUNK_SECONDS = 2.0
FIRST_CHUNK = 10


class Fit(NamedTuple):
    """One restart of one image, under way.

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
    trace: Array
    score: Array


def reconstruct(
    method: Method,
    problem: Problem,
    key: Array,
    *,
    image_ids: Sequence[int] | None = None,
    fits_at_once: int | None = None,
    max_redraws: int = 3,
    progress: str | None = None,
    checkpoint: Path | str | None = None,
) -> Solution:
    """Reconstructs the image of a problem, or the images of a batch of problems.

    Each image is fitted `method.restarts` times; the restart with the lowest `method.score` is returned. An attempt
    that the method gives up (for CS-DIP: a collapsed or diverged fit) is drawn anew with its next key.

    Args:
        method: one of `csdip_jax.methods`.
        problem: one problem, or a batch with a leading axis on the measurements, and on the operator's arrays where
            each image has an operator of its own.
        key: random key, `jax.random.key(...)`. Restart r of image i draws from fold_in(fold_in(key, i), r), so an
            image's answer does not depend on what else is in the batch.
        image_ids: one stable integer per image, by default 0, 1, ... (0 for a single problem).
        fits_at_once: fits advanced together by one vectorized program; by default 1 on a CPU, else as many as memory
            allows.
        max_redraws: most redraws per restart; the attempt after the last is run to its end.
        progress: label of a progress bar with the loss and the time left; None for no bar.
        checkpoint: .npz file, rewritten after every chunk (about two seconds); if it exists, the run goes on from it.
            Remove it when the solution is safe.

    Returns:
        Solution; `ok` is False for an image whose every attempt failed. Its image is finite even then.

    Raises:
        InputError: measurements, operator or method do not fit each other, measurements or matrix not finite, or a
            checkpoint of another run.
    """
    problem, batched = _checked(problem, method)
    images = problem.measurements.shape[0]
    ids = list(range(images)) if image_ids is None else list(image_ids)
    if len(ids) != images:
        raise InputError(f"{len(ids)} image_ids for {images} images: give one per image")
    keys = _fit_keys(key, jnp.asarray(ids, jnp.uint32), jnp.arange(method.restarts))
    operator_batched = problem.operator.batch_size is not None
    fits_at_once = fits_at_once or _default_fits_at_once(method, problem, keys, operator_batched)
    blocks = _blocks(images, method.restarts, fits_at_once)
    fingerprint = _fingerprint(method, problem, keys, blocks, max_redraws)
    outcomes, finished, leaves = _resume(checkpoint, fingerprint)

    with tqdm(total=keys.size * method.steps, desc=progress, disable=progress is None, unit="step") as bar:
        for number, (rows, columns) in enumerate(blocks):
            if number < finished:
                continue
            arguments = (method, _take_images(problem, rows, operator_batched), keys[rows][:, columns])
            layout = Layout(single=rows.size * columns.size == 1, operator_batched=operator_batched)
            chunks = _advance_in_chunks(*arguments, _begin(*arguments, leaves, layout), max_redraws, layout)
            for fits in chunks:
                _save(checkpoint, fingerprint, outcomes, number, fits)
                _show(bar, fits, method.steps * number * rows.size * columns.size)
            block_outcome = jax.device_get(_finish(*arguments[:2], fits, layout=layout))
            outcomes = _store(outcomes, block_outcome, rows, columns, keys.shape)
            leaves = None
        bar.update(bar.total - bar.n)
    solution = _choose(outcomes)
    return solution if batched else jax.tree.map(lambda x: x[0], solution)


# --- the device side: one fit, vectorized by `_over_fits`, compiled once per method, shape and layout


class Layout(NamedTuple):
    """How the fits of a block lie: a single one (not vectorized at all), or images x restarts.

    Attributes:
        single: the block holds one fit.
        operator_batched: each image has an operator of its own.
    """

    single: bool
    operator_batched: bool


def _over_fits(one_fit: Callable, layout: Layout) -> Callable:
    """`one_fit(problem, *fit)` -> the same over a block: problems [images], the rest [images, restarts]."""
    operator_axis = 0 if layout.operator_batched else None

    def block(problem, *fits):
        def restarts(problem, *fits):
            return jax.vmap(partial(one_fit, problem))(*fits)

        return jax.vmap(restarts, in_axes=(Problem(operator_axis, 0), *(0 for _ in fits)))(problem, *fits)

    def single(problem, *fits):
        operator, measurements = problem
        if layout.operator_batched:
            operator = jax.tree.map(lambda x: x[0], operator)
        outputs = one_fit(Problem(operator, measurements[0]), *jax.tree.map(lambda x: x[0, 0], fits))
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
def _start(method, problem, keys, *, layout):
    redraws = jnp.zeros(keys.shape[:2], jnp.int32)
    return _over_fits(partial(_new_fit, method), layout)(problem, keys, redraws)


@partial(jax.jit, static_argnames="layout", donate_argnames="fits")
def _advance(method, problem, fits, length, max_redraws, *, layout):
    """At most `length` further steps of every fit that has not stopped."""

    def one_fit(problem, fit):
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

    return _over_fits(one_fit, layout)(problem, fits)


def _to_redraw(fits: Fit, max_redraws: int) -> Array:
    return fits.stopped & fits.failed & (fits.redraws < max_redraws)


@partial(jax.jit, static_argnames="layout", donate_argnames="fits")
def _redraw(method, problem, keys, fits, max_redraws, *, layout):
    """The fits, those that stopped as failed replaced by a new attempt."""

    def one_fit(problem, key, fit):
        fresh = _new_fit(method, problem, key, fit.redraws + 1)
        return jax.tree.map(partial(jnp.where, _to_redraw(fit, max_redraws)), fresh, fit)

    return _over_fits(one_fit, layout)(problem, keys, fits)


@partial(jax.jit, static_argnames="layout")
def _finish(method, problem, fits, *, layout):
    def one_fit(problem, fit):
        image = method.image(fit.state)
        loss = measurement_loss(*problem, image)
        return Outcome(image, loss, fit.steps, fit.redraws, ~fit.failed, fit.trace, method.score(fit.state))

    return _over_fits(one_fit, layout)(problem, fits)


# --- the host side: blocks, chunks, checkpoints, the choice of the restart


def _checked(problem: Problem, method: Method) -> tuple[Problem, bool]:
    """The problem as a batch (an axis added where it was single), and whether it was one."""
    operator = as_operator(problem.operator, method.image_shape)
    measurements = jnp.asarray(problem.measurements)
    expected = operator.measurements_like
    if not jnp.issubdtype(measurements.dtype, jnp.inexact):
        measurements = measurements.astype(jnp.float32)
    if jnp.iscomplexobj(measurements) and not jnp.issubdtype(expected.dtype, jnp.complexfloating):
        raise InputError(f"measurements are {measurements.dtype}, but the operator's are {expected.dtype}")
    batched = measurements.ndim == len(expected.shape) + 1
    if measurements.shape[batched:] != expected.shape:
        raise InputError(
            f"measurements of shape {measurements.shape} do not fit the operator: "
            f"it makes {expected.shape} per image of shape {operator.image_shape}"
        )
    if operator.batch_size is not None and (not batched or operator.batch_size != measurements.shape[0]):
        raise InputError(
            f"{operator.batch_size} operators for measurements of shape {measurements.shape}: "
            "the leading axes (one per image) must agree"
        )
    _require_finite(measurements, "measurements")
    for leaf in jax.tree.leaves(operator):
        _require_finite(leaf, "operator")
    return Problem(operator, measurements if batched else measurements[None]), batched


def _require_finite(array: Array, name: str) -> None:
    if jnp.issubdtype(array.dtype, jnp.inexact):
        bad = int(_count_non_finite(array))
        if bad:
            raise InputError(f"{name}: {bad} of {array.size} entries are NaN or infinite; remove or replace them")


@jax.jit  # fused: a matrix is looked through without a second array of its size
def _count_non_finite(array):
    return jnp.sum(~jnp.isfinite(array))


@jax.jit
def _fit_keys(key, ids, restarts):
    """Keys [images, restarts]."""

    def fit_key(image, restart):
        return jax.random.fold_in(jax.random.fold_in(key, image), restart)

    return jax.vmap(jax.vmap(fit_key, in_axes=(None, 0)), in_axes=(0, None))(ids, restarts)


def _blocks(images: int, restarts: int, fits_at_once: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(image indices, restart indices) of each block, all of one size: the last ones repeat a fit to fill up."""
    if fits_at_once < 1:
        raise InputError(f"fits_at_once = {fits_at_once}: it must be at least 1")

    def cut(count, size):
        return [np.minimum(np.arange(first, first + size), count - 1) for first in range(0, count, size)]

    columns = min(restarts, fits_at_once)
    rows = min(images, max(1, fits_at_once // restarts))
    return [(row, column) for row in cut(images, rows) for column in cut(restarts, columns)]


def _default_fits_at_once(method, problem, keys, operator_batched) -> int:
    device = jax.local_devices()[0]
    memory = device.memory_stats() if device.platform != "cpu" else None
    if memory is None:
        return 1
    layout = Layout(single=True, operator_batched=operator_batched)
    one = (method, _take_images(problem, np.zeros(1, int), operator_batched))
    fits = jax.eval_shape(partial(_start, layout=layout), *one, keys[:1, :1])
    needed = _advance.lower(*one, fits, 1, 0, layout=layout).compile().memory_analysis()
    return _fits_in(memory["bytes_limit"] - memory["bytes_in_use"], needed.temp_size_in_bytes + _bytes_of(fits))


def _bytes_of(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _fits_in(free_bytes: int, bytes_per_fit: int) -> int:
    """Fits that fit into memory, a fifth of it left for what the compiler does not count."""
    return max(1, int(0.8 * free_bytes) // max(1, bytes_per_fit))


def _take_images(problem: Problem, rows: np.ndarray, operator_batched: bool) -> Problem:
    if len(problem.measurements) == 1:
        return problem
    operator = jax.tree.map(lambda x: x[rows], problem.operator) if operator_batched else problem.operator
    return Problem(operator, problem.measurements[rows])


def _begin(method, problem, keys, leaves: list | None, layout) -> Fit:
    """The fits of a block at their start, or as a checkpoint left them."""
    start = partial(_start, method, problem, keys, layout=layout)
    if leaves is None:
        return start()
    return jax.tree.unflatten(jax.tree.structure(jax.eval_shape(start)), map(jnp.asarray, leaves))


def _advance_in_chunks(method, problem, keys, fits, max_redraws, layout) -> Iterator[Fit]:
    """The fits of a block after each chunk, until all have stopped."""
    length = FIRST_CHUNK
    while True:
        began = time.perf_counter()
        fits = _advance(method, problem, fits, length, max_redraws, layout=layout)
        if _to_redraw(fits, max_redraws).any():
            fits = _redraw(method, problem, keys, fits, max_redraws, layout=layout)
        finished = bool(fits.stopped.all())
        yield fits
        if finished:
            return
        elapsed = time.perf_counter() - began
        length = int(np.clip(length * CHUNK_SECONDS / elapsed, 1, method.steps))


def _show(bar: tqdm, fits: Fit, steps_before: int) -> None:
    steps, trace = np.asarray(fits.steps), np.asarray(fits.trace)
    if steps.min() > 0:
        last = np.take_along_axis(trace, steps[..., None] - 1, axis=-1)
        bar.set_postfix(loss=f"{np.median(last):.3g}", redraws=int(fits.redraws.sum()), refresh=False)
    bar.update(steps_before + int(steps.sum()) - bar.n)


def _store(outcomes: Outcome | None, block: Outcome, rows, columns, shape: tuple[int, int]) -> Outcome:
    """The outcomes of all fits, [images, restarts, ...], with those of one more block."""
    if outcomes is None:
        outcomes = jax.tree.map(lambda x: np.zeros(shape + x.shape[2:], x.dtype), block)
    for everything, part in zip(outcomes, block, strict=True):
        everything[rows[:, None], columns] = part
    return outcomes


def _choose(outcomes: Outcome) -> Solution:
    """The restart with the lowest score for each image; one that failed only where all did."""
    score = np.where(np.isfinite(outcomes.score), outcomes.score, np.inf)
    restart = np.lexsort((score, ~outcomes.ok), axis=1)[:, 0]
    best = jax.tree.map(lambda x: jnp.asarray(x[np.arange(len(restart)), restart]), outcomes)
    return Solution(
        image=best.image,
        measurement_loss=best.measurement_loss,
        steps=best.steps,
        restart=jnp.asarray(restart),
        redraws=jnp.asarray(outcomes.redraws.sum(axis=1)),
        ok=best.ok,
        trace=best.trace,
    )


def _fingerprint(method, problem, keys, blocks, max_redraws) -> str:
    """Changes with whatever makes a checkpoint useless for a run."""
    digest = hashlib.sha256(repr((method, type(problem.operator), blocks, max_redraws)).encode())
    digest.update(np.asarray(problem.measurements).tobytes())
    digest.update(np.asarray(jax.random.key_data(keys)).tobytes())
    return digest.hexdigest()


def _save(path, fingerprint: str, outcomes: Outcome | None, finished: int, fits: Fit) -> None:
    if path is None:
        return
    arrays = {f"fits_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(jax.device_get(fits)))}
    if outcomes is not None:
        arrays |= {f"outcomes_{name}": value for name, value in outcomes._asdict().items()}
    write_arrays(path, fingerprint=fingerprint, finished=finished, **arrays)


def _resume(path, fingerprint: str) -> tuple[Outcome | None, int, list | None]:
    """(outcomes, finished blocks, leaves of the fits under way) of a checkpoint; nothing where there is none."""
    if path is None or not Path(path).exists():
        return None, 0, None
    with np.load(path) as saved:
        if str(saved["fingerprint"]) != fingerprint:
            raise InputError(f"checkpoint {path} belongs to another run: remove it or choose another path")
        leaves = [saved[f"fits_{i}"] for i in range(sum(name.startswith("fits_") for name in saved.files))]
        names = [name for name in Outcome._fields if f"outcomes_{name}" in saved.files]
        outcomes = Outcome(**{name: saved[f"outcomes_{name}"] for name in names}) if names else None
        return outcomes, int(saved["finished"]), leaves
