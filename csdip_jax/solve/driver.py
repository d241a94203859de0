"""`reconstruct`: any method on one problem or a batch, with restarts, redraws, progress and checkpoints.

A *case* is one image under one setting of the method, a *fit* one restart of a case. Fits run in blocks (cases x
restarts) that share a compiled program, equally many on each device: as many as memory allows, but on a CPU one at a
time where a second would push the first out of the cache and no large matrix is shared. A block advances in chunks, a
`while_loop` on the device whose length the host chooses; between chunks the host shows progress, redraws failed
attempts, and saves a checkpoint once it has something to lose. True images never come here.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from tqdm import tqdm

from csdip_jax.checks import require_count, require_key, require_number
from csdip_jax.methods.base import Method
from csdip_jax.methods.best import Best
from csdip_jax.operators import Stack, form_of, one_of
from csdip_jax.solve import checkpoint as checkpoints
from csdip_jax.solve.blocks import Block, choose_restarts, cut_into_blocks, place, store_block, take_cases
from csdip_jax.solve.candidates import best_of_each
from csdip_jax.solve.fits import RUNNING, Case, Fit, advance, finish, fit_keys, redraw, start, to_redraw
from csdip_jax.solve.held_out import OF_HELD_OUT, draw, that_choose
from csdip_jax.solve.inputs import (
    checked_batch,
    checked_cases,
    checked_ids,
    checked_record,
    checked_share,
    num_cases,
    require_problem,
    require_pytree,
    split_swept,
)
from csdip_jax.solve.memory import Chunk, as_size, fitting_blocks
from csdip_jax.solve.normalise import Units, in_double, in_user_units, normalise
from csdip_jax.solve.own_rules import require_rules
from csdip_jax.solve.progress import progress_bar
from csdip_jax.solve.uncertainty import what_is_told
from csdip_jax.switches import without_switches
from csdip_jax.types import Array, InputError, Problem, Solution, Status

CHUNK_SECONDS = 2.0
FIRST_CHUNK = 10


@without_switches
def reconstruct(
    method: Method,
    problem: Problem,
    key: Array,
    *,
    image_ids: Sequence[int] | None = None,
    cases_per_operator: int = 1,
    fits_at_once: int | None = None,
    max_redraws: int = 3,
    progress: str | None = None,
    checkpoint: Path | str | None = None,
    keep_params: bool = False,
    pixel_range: tuple[float, float] | str | None = None,
    record: Mapping[str, Callable] | None = None,
    hold_out: float = 0.0,
    noise_variance: ArrayLike | None = None,
    seconds: float | None = None,
) -> Solution:
    """Reconstructs the image of a problem, or the images of a batch of problems, under one setting or several.

    A *case* is one image under one setting. Each case is fitted `method.restarts` times, from random starts; the
    restart with the lowest score by the rule that keeps is returned (for CS-DIP, the lowest measurement loss), or where
    measurements are held out, that whose image explains them best. An attempt that diverged, or that the method's rule
    `fail` gives up, is drawn anew with its next key. Only the measurements decide: no true image is looked at.

    Args:
        method: one of `csdip_jax.methods`, such as `cs.methods.CsDip.preset("paper", image_shape)`, or a `Method` of
            your own. Any of its numbers (weights, rates) may be an array [s], and its
            prior a stack of s: a sweep, one case per entry, in one vectorized program. A single problem is then solved
            under each of the s settings; a batch of problems has to have s of them, each with its setting.
        problem: one problem, or a batch with a leading axis on the measurements, and an `operators.Stack` where each
            image has an operator of its own (or that operator, with a leading axis on its arrays).
        key: random key, `jax.random.key(seed)`, or one per image of a batch. Restart r of image i draws from
            fold_in(fold_in(key, i), r), so an image's answer does not depend on what else is in the batch.
        image_ids: one stable integer per image, 0 to 2^32 - 1; by default 0, 1, ... (0 for a single problem).
        cases_per_operator: in a batch with several operators, how many consecutive measurements each of them made.
        fits_at_once: fits advanced together on a device by one vectorized program; by default as many as its memory
            allows, but on a CPU at most those of one image (all restarts, the whole sweep), and for a method that fills
            the cache by itself one, or up to four, as many as come out even, where they share a large matrix. Blocks of
            so many are shared out over the devices of this process.
        max_redraws: most redraws per restart; the attempt after the last is run to its end.
        progress: label of a progress bar with the loss, the time left and the memory that fits and operators take on a
            device (a line now and then where the output is no terminal); None for no bar.
        checkpoint: .npz file, rewritten every two to four seconds (less often where a step takes as long); if it
            exists, the run goes on from it. Remove it when the solution is safe.
        keep_params: whether the solution has `params`, the weights of a method that fits some, as `priors.fit` takes
            them. While the fits run, the weights of every restart are kept on the host.
        pixel_range: (black, white), the lowest and the highest value that a pixel may have, in your own units: the
            image comes out in them. None for (-1, 1), "auto" to estimate it from the measurements of a linear operator
            (see `estimate_pixel_range`). The unit of A does not matter, nor a common offset of its rows (docs: Units
            and ranges).
        record: name -> function of the iterate, or of (iterate, state of the method), that JAX can trace; what it gives
            step by step becomes a trace of that name. For study: this is where a true image may be looked at, and
            nothing else sees it. The iterate is [h, w, c] in the pixel range; nothing is recorded of the start. A
            `jax.tree_util.Partial` with arrays bound to it is not compiled anew for others of their shape.
        hold_out: share of the measurements, in [0, 1), drawn at random for each image, that no fit is given. They
            choose between restarts, rules see them ("held_out_loss", also a trace), and `Solution.aux` tells how good
            the image is. 0 for none, unless the method's rule that stops asks for some (`rules.HeldOut`).
        noise_variance: the variance of the whole noise vector in the units of y, as `operators.measure` takes it, to be
            taken off the estimated error, or one for each case; None where it is not known. The estimate then counts it
            as error.
        seconds: that the fits may take, compiling included; what runs then ends within about two seconds, as if it had
            taken all its steps. The image then depends on the machine. None for no limit.

    Returns:
        Solution, with a leading axis for a batch or a sweep; `ok` is False for an image whose every attempt failed. Its
        image is finite even then.

    Raises:
        InputError: measurements, operator or method do not fit each other, measurements or matrix not finite,
            measurements of pixels far from the pixel range, fits that do not fit into memory, or a checkpoint of
            another run.

    Warns:
        ReconstructionWarning: what is doubtful, and what to do about it.

    Example:
        >>> image_shape = (8, 8, 1)
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, image_shape)
        >>> y = cs.operators.measure(jax.random.key(1), operator, jnp.eye(8)[..., None])
        >>> method = cs.methods.Tv.preset("paper", image_shape)
        >>> solution = cs.reconstruct(method, cs.Problem(operator, y), jax.random.key(2))
        >>> solution.image.shape, bool(solution.ok)
        ((8, 8, 1), True)

        Two images at once, and the same image under three weights:

        >>> both = cs.reconstruct(method, cs.Problem(operator, jnp.stack([y, 2 * y])), jax.random.key(2))
        >>> sweep = dataclasses.replace(method, mu=jnp.asarray([16.0, 64.0, 256.0]))
        >>> swept = cs.reconstruct(sweep, cs.Problem(operator, y), jax.random.key(2))
        >>> both.image.shape, swept.image.shape
        ((2, 8, 8, 1), (3, 8, 8, 1))
    """
    if seconds is not None:
        require_number("seconds", seconds, strictly=True)
    if isinstance(method, Best):
        limited = method if seconds is None else dataclasses.replace(method, seconds=seconds)
        options = (image_ids, cases_per_operator, pixel_range, noise_variance, progress, checkpoint)
        return best_of_each(limited, problem, key, *options, reconstruct=reconstruct)
    deadline = None if seconds is None else time.perf_counter() + seconds
    job = prepare(method, problem, key, image_ids, cases_per_operator, fits_at_once, pixel_range, record, hold_out)
    noise = job.units.of_noise(0.0 if noise_variance is None else noise_variance, len(job.keys))
    options = (job.blocks, max_redraws, keep_params, checkpoints.described(job.record))
    fingerprint = "" if checkpoint is None else checkpoints.fingerprint(*job.content, *options)
    outcomes, finished, leaves = checkpoints.resume(checkpoint, fingerprint, partial(saved_leaves, job, keep_params))

    saved = time.perf_counter()
    total, memory = job.keys.size * job.method.steps, {"memory": as_size(job.chunk.bytes)}
    with progress_bar(total=total, desc=progress, disable=progress is None, unit="step", postfix=memory) as bar:
        for number, block in enumerate(job.blocks):
            if number < finished:
                continue
            arguments = job.arguments(block)
            fits = begun = begin(*arguments, job.record, leaves, block)
            for fits in advance_in_chunks(*arguments, begun, max_redraws, job.record, block.layout, deadline):
                if time.perf_counter() - saved >= CHUNK_SECONDS:  # less is not worth writing a file
                    checkpoints.save(checkpoint, fingerprint, outcomes, number, fits)
                    saved = time.perf_counter()
                _show(bar, fits, job, number)
            done = jax.device_get(finish(*arguments[:2], fits, layout=block.layout, keep_params=keep_params))
            outcomes = store_block(outcomes, jax.tree.leaves(done), block, job.keys.shape)
            leaves = None
        bar.update(bar.total - bar.n)
    outcomes = jax.tree.unflatten(jax.tree.structure(done), outcomes or ())
    solution = choose_restarts(outcomes.solution, outcomes.score)
    if outcomes.held_out is not None:
        told = what_is_told(outcomes, solution, job.cases, noise)
        solution = solution._replace(aux=solution.aux | told)
    solution = in_user_units(solution, job.units)
    return jax.tree.map(lambda x: jnp.asarray(x if job.batched else x[0]), solution)


def best(
    problem: Problem, key: Array, *, seconds: float | None = None, steps: int | None = None, **options
) -> Solution:
    """The best image that the methods at hand make together, with its error, from the measurements alone.

    Several methods are fitted to all but a share of the measurements, and weighed by these (`methods.Best`). It takes
    minutes where one method takes one.

    Args:
        problem: one, or a batch; the operator says the shape of its images.
        key: as for `reconstruct`.
        seconds: that each problem may take; None for no limit.
        steps: of the longest fit of a network; None for the default. With the same steps a run repeats bit for bit.
        options: those of `reconstruct` that are about the problem, not about one fit: `image_ids`,
            `cases_per_operator`, `pixel_range`, `noise_variance`, `progress`, `checkpoint`.

    Returns:
        A `Solution`, whose `aux` has the estimated error of the image ("estimated_mse" and its interval, where rows of
        A are random), its "standard_deviation" by pixel and the "weights" of the candidates.

    Raises:
        InputError: as `reconstruct`, or too few measurements.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 60, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> solution = cs.best(problem, jax.random.key(1), steps=20)
        >>> solution.aux["standard_deviation"].shape
        (8, 8, 1)
    """
    require_problem(problem)
    shape = getattr(form_of(problem.operator), "image_shape", None)
    if shape is None:
        raise InputError("the operator says no image_shape: give an operator, or Linear(fn, image_shape)")
    method = Best(shape) if steps is None else Best(shape, steps)
    return reconstruct(method, problem, key, seconds=seconds, **options)


class Job(NamedTuple):
    """What `reconstruct` is asked for, checked and cut into blocks.

    Attributes:
        method: with the first of its swept values.
        cases: a leading axis of cases.
        keys: [cases, restarts].
        blocks: of all fits.
        chunk: the program they share.
        batched: whether the solution has an axis of cases.
        units: those of the problem, which the cases are no longer in.
        record: name -> what is traced of (iterate, state).
    """

    method: Method
    cases: Case
    keys: Array
    blocks: list[Block]
    chunk: Chunk
    batched: bool
    units: Units
    record: dict[str, Callable]

    @property
    def content(self) -> tuple:
        """What a checkpoint has to agree with."""
        return self.method, self.cases, self.keys

    def arguments(self, block: Block) -> tuple[Method, Case, Array]:
        """Those of the compiled programs, each on its device."""
        keys = self.keys if block.is_whole(self.keys.shape) else self.keys[block.index]
        return self.method, take_cases(self.cases, block), place(keys, block.devices)


def prepare(
    method,
    problem,
    key,
    image_ids=None,
    cases_per_operator=1,
    fits_at_once=None,
    pixel_range=None,
    record=None,
    hold_out=0.0,
) -> Job:
    """See `reconstruct`."""
    require_key(key, several=True)
    if not isinstance(method, Method):
        raise InputError(f"method is a {type(method).__name__}: give one of csdip_jax.methods, or a subclass of Method")
    require_problem(problem)
    require_count("cases_per_operator", cases_per_operator)
    method.require_data()
    exact = in_double(problem.measurements)
    problem, batched = checked_batch(problem, method, cases_per_operator, pixel_range)
    ids = checked_ids(image_ids, key, images=problem.measurements.shape[0])
    problem, units = normalise(problem, pixel_range, exact)
    share = checked_share(hold_out, method)
    record = checked_record(record or {}, method, units.middle, units.half)
    method, swept = split_swept(method, problem.measurements.dtype)
    require_pytree(method)
    one = Problem(one_of(problem.operator), problem.measurements[0])
    # In a sweep of one image all settings hold out the same measurements.
    parts, seen = None, None
    if share:
        keys = fit_keys(key, jnp.asarray(ids, jnp.uint32), jnp.asarray([OF_HELD_OUT], jnp.uint32))[:, 0]
        parts = draw(problem.operator, share, keys)
        seen = that_choose(method, one.measurements.reshape(-1)[parts.held[0]])
    require_rules(method, one, seen)
    if swept and not batched:
        ids = ids * num_cases(swept)
        problem = problem._replace(measurements=jnp.repeat(problem.measurements, len(ids), axis=0))
        parts = jax.tree.map(lambda x: jnp.repeat(x, len(ids), axis=0), parts)
        key = jnp.repeat(key, len(ids), axis=0) if key.ndim else key
        cases_per_operator = len(ids)
    cases = checked_cases(problem, swept)._replace(parts=parts, unit=units.of_losses(len(ids), parts))
    keys = fit_keys(key, jnp.asarray(ids, jnp.uint32), jnp.arange(method.restarts))
    operator = problem.operator
    groups = (operator.size, cases_per_operator) if isinstance(operator, Stack) else (1, len(ids))
    cut = partial(cut_into_blocks, *groups, method.restarts, devices=jax.local_device_count())
    blocks, chunk = fitting_blocks(cut, method, cases, keys, record, cases_per_operator, fits_at_once)
    return Job(method, cases, keys, blocks, chunk, batched or bool(swept), units, record)


def begin(method, cases, keys, record: dict, leaves: list | None, block: Block) -> Fit:
    """The fits of a block at their start, or as a checkpoint left them."""
    fresh = partial(start, method, cases, keys, record, layout=block.layout)
    if leaves is None:
        return fresh()
    fits = jax.tree.unflatten(jax.tree.structure(jax.eval_shape(fresh)), map(jnp.asarray, leaves))
    return place(fits, block.devices)


def saved_leaves(job: Job, keep_params: bool, finished: int) -> tuple[list, list] | None:
    """Shapes and types of what a checkpoint holds after so many blocks: of all outcomes, and of the fits of the next.

    None where there is no next block.
    """
    if not 0 <= finished < len(job.blocks):
        return None
    block = job.blocks[finished]
    arguments = job.arguments(block)
    fits = jax.eval_shape(partial(start, *arguments, job.record, layout=block.layout))
    if not finished:
        return [], jax.tree.leaves(fits)
    done = jax.eval_shape(partial(finish, layout=block.layout, keep_params=keep_params), *arguments[:2], fits)
    outcomes = [jax.ShapeDtypeStruct(job.keys.shape + x.shape[2:], x.dtype) for x in jax.tree.leaves(done)]
    return outcomes, jax.tree.leaves(fits)


def advance_in_chunks(method, cases, keys, fits, max_redraws, record, layout, deadline=None) -> Iterator[Fit]:
    """The fits of a block after each chunk, until all have stopped, or at the deadline are stopped.

    None where they had stopped before, and a kill came between their last chunk and what was to be done with them.
    """
    if (np.asarray(fits.status) != RUNNING).all():
        return
    length = FIRST_CHUNK
    while True:
        began = time.perf_counter()
        fits = advance(method, cases, keys, fits, length, max_redraws, record, layout=layout)
        # Looked at on the host: reduced on the devices, it would make them talk to each other.
        flags = fits._replace(status=np.asarray(fits.status), redraws=np.asarray(fits.redraws))
        if to_redraw(flags, max_redraws).any():
            fits = redraw(method, cases, keys, fits, max_redraws, record, layout=layout)
            flags = flags._replace(status=np.asarray(fits.status))
        finished, elapsed = bool((flags.status != RUNNING).all()), time.perf_counter() - began
        if not finished and deadline is not None and time.perf_counter() >= deadline:
            exhausted = Status.OUT_OF_STEPS if method.has_tolerance else Status.FINISHED
            status = jnp.where(fits.status == RUNNING, jnp.int32(exhausted), fits.status)
            fits, finished = fits._replace(status=status), True
        yield fits
        if finished:
            return
        length = int(np.clip(length * CHUNK_SECONDS / elapsed, 1, method.steps))


def _show(bar: tqdm, fits: Fit, job: Job, blocks_before: int) -> None:
    steps, trace, redraws = map(np.asarray, (fits.steps, fits.trace["measurement_loss"], fits.redraws))
    if steps.min() > 0:
        last = np.take_along_axis(trace, steps[..., None] - 1, axis=-1)
        loss = f"{np.median(last):.3g}"
        bar.set_postfix(loss=loss, redraws=int(redraws.sum()), memory=as_size(job.chunk.bytes), refresh=False)
    bar.update(job.method.steps * blocks_before * steps.size + int(steps.sum()) - bar.n)
