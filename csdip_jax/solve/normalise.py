"""The problem in the units that the methods' settings are meant for, and its solution back in the user's.

Weights, rates and tolerances suit pixels in [-1, 1] and an A as the paper has it: columns of norm 1, and flat images
measured as any others. Any other problem is brought there first (docs: Units and ranges): A is divided by its gain, the
one measurement of a flat image that stands out (the mean that rows of 0 and 1 share) gets the weight of the others, and
y = A x becomes one of u = (x - middle) / half. A problem that is there already is left as it is, to the last bit.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from csdip_jax.methods.base import Method
from csdip_jax.methods.lasso import spectral_norm
from csdip_jax.operators import (
    Dense,
    LinearOperator,
    Normalised,
    NormalisedFunction,
    Operator,
    RowOperator,
    Stack,
    form_of,
    measurement_loss,
    squared_norm,
)
from csdip_jax.operators.base import PROBES
from csdip_jax.solve.held_out import Parts
from csdip_jax.solve.inputs import checked_batch, middle_and_half
from csdip_jax.types import Array, EndsOfRangeWarning, InputError, Problem, ReconstructionWarning, Solution, Status
from csdip_jax.verdict import EXPLAINED

GAIN_TOLERANCE = 0.03
"""A gain that differs from 1 by less, and by what the draw of a Gaussian A makes of it, is 1."""
STANDS_OUT, LEAST_OTHERS = 5.0, 4.0
"""Flat images stand out by so many standard errors of a random A, unless all else is below so many roundings of A."""
SURE = 3e-5
"""Probability of a mean that is refused though it lies in the range, per channel."""
LEAST_FLAT = 1e-3
"""||A 1|| relative to ||A||_F, 1 for a random A, from which on y tells the mean pixel."""
FAR_OUT, DIGITS = 0.1, 1e-4
"""So far beyond the range, in halves of it, no mean and no contrast of pixels may lie; and a range that is narrower
than this, relative to its middle, leaves single precision too few digits."""
SMALLEST_SIZE, SMALL_CONTRAST, FLAT, OF_FLAT = 1e-3, 0.02, 1e-5, 1e-2
"""Root mean squares, of half a pixel range: of pixels around its middle, which then are of another unit; of what they
differ from their mean by, which makes the range doubtful; relative to their mean: rounding; and what a flat image may
be off by."""
LARGE_SPREAD = 2.0
"""Of pixels around their mean, in halves of the range, under rows that measure every image alike: 1 at most, but for
noise."""
AT_THE_END, OF_A_CHANNEL, OF_WHITE = 0.999, 0.8, 0.1
"""A pixel beyond the first (in [-1, 1]) lies at the end of the range. Noted from the second, a share of a channel at
either end, or the third, a share of the image at its white end, on."""
FLAT_IMAGES, BEYOND = 9, 3.0
"""Of functions that are not linear: flat images in the range; and how much larger y may be than what they make."""


class Units(NamedTuple):
    """The way back from pixels in [-1, 1] and normalised measurements.

    Attributes:
        problem: as the user gave it, batched.
        middle, half: of the pixel range.
        scales: of normalised measurements to the user's, one per image.
        flat_loss: of each image, normalised: ||y - A x||^2 of the best flat image, but at least that of an image whose
            contrast is `FLAT`.
        untouched: whether nothing was changed.
    """

    problem: Problem
    middle: float
    half: float
    scales: np.ndarray
    flat_loss: np.ndarray
    untouched: bool

    def of_losses(self, cases: int, parts: Parts | None) -> Array:
        """What normalised measurement losses are multiplied by, [cases]: see `Case.unit`."""
        missing = 1 if parts is None else 1 + parts.held.shape[-1] / parts.kept.shape[-1]
        dtype = jnp.finfo(self.problem.measurements.dtype).dtype
        return jnp.asarray(np.square(np.resize(self.scales, cases)) * missing, dtype)

    def of_noise(self, noise_variance: ArrayLike, cases: int) -> np.ndarray:
        """The variance of one normalised measurement's noise, [cases], of that of the whole noise vector of one y."""
        values = np.asarray(noise_variance, float)
        if values.shape not in ((), (cases,)) or not (np.isfinite(values) & (values >= 0)).all():
            raise InputError(f"noise_variance = {noise_variance}: give a number of at least 0, or one per case")
        return values / self.problem.measurements[0].size / np.square(np.resize(self.scales, cases))


class Look(NamedTuple):
    """What is to be known of a linear operator.

    Attributes:
        gain: see `LinearOperator.gain`.
        frobenius: ||A||_F.
        flat_norm: ||A 1||, 1 the image of ones.
        direction: u = A 1 / ||A 1||, like y.
        flat: A of an image that is 1 in one channel and 0 in the others, [c, m].
    """

    gain: Array
    frobenius: Array
    flat_norm: Array
    direction: Array
    flat: Array


def normalise(
    problem: Problem, pixel_range: tuple[float, float] | str | None = None, exact: np.ndarray | None = None
) -> tuple[Problem, Units]:
    """A batch of problems in the methods' units.

    Args:
        problem: checked; a leading axis of images on the measurements.
        exact: the measurements before they were rounded to single precision, see `in_double`.
        pixel_range: (black, white) of the images in the user's units; None for (-1, 1), "auto" to estimate it.

    Raises:
        InputError: a pixel range that is none, measurements of pixels of quite another range, an A that measures
            nothing.
    """
    auto = isinstance(pixel_range, str) and pixel_range == "auto"
    middle, half = middle_and_half(None if auto else pixel_range)
    if abs(half) < DIGITS * abs(middle) and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        told = (
            f"a pixel_range of {middle - half:.10g} to {middle + half:.10g} leaves single precision too few digits: "
            "take the offset off, or set JAX_ENABLE_X64=1"
        )
        warnings.warn(told, ReconstructionWarning, stacklevel=5)
    if isinstance(form_of(problem.operator), LinearOperator):
        return _linear(problem, middle, half, auto, problem.measurements if exact is None else exact)
    if auto:
        raise InputError("pixel_range = 'auto' is for linear operators: give (black, white)")
    return _function(problem, middle, half)


def in_double(measurements: Any) -> np.ndarray | None:
    """A user's measurements in double precision, since a large offset may be taken off them; None where JAX holds them.

    Whether they are measurements at all is `checked_batch`'s to say.
    """
    if isinstance(measurements, jax.Array):
        return None
    try:
        values = np.asarray(measurements)
        return values.astype(np.result_type(values, np.float64)) if values.dtype.kind in "biufc" else None
    except (TypeError, ValueError):
        return None


def estimate_pixel_range(problem: Problem) -> tuple[float, float]:
    """Guesses the range (black, white) that the pixels lie in from their measurements; look at it before you trust it.

    Their means are those of the flat image that explains y best, their spread follows from what it leaves; the range is
    three of these on both sides. `reconstruct` takes it for pixel_range="auto".

    Args:
        problem: one problem, or a batch, which gets one range, of a linear operator.

    Returns:
        (black, white), in the units of the pixels that were measured.

    Raises:
        InputError: the operator is not linear, measures nothing or does not tell the mean pixel; measurements that do
            not fit it.

    Example:
        >>> patterns = np.random.default_rng(0).integers(0, 2, (50, 64))
        >>> counts = patterns @ np.linspace(100, 200, 64)
        >>> black, white = cs.estimate_pixel_range(cs.Problem(cs.operators.Dense(patterns, (8, 8, 1)), counts))
        >>> black < 100 < 200 < white
        True
    """
    if not isinstance(problem, Problem) or not isinstance(form_of(problem.operator), LinearOperator):
        raise InputError("a pixel range can be estimated for Problem(operator, measurements) with a linear operator")
    _, units = normalise(checked_batch(problem, Method(problem.operator.image_shape))[0], "auto")
    return units.middle - units.half, units.middle + units.half


def _linear(problem: Problem, middle: float, half: float, auto: bool, exact: ArrayLike) -> tuple[Problem, Units]:
    operator, y = problem
    look = _of_each(_look, operator)
    balance = _balance(operator, look)
    served = np.arange(len(y)) * len(look.gain) // len(y)  # the operator of each image
    measured = balance.normalise(np.asarray(exact).reshape(len(y), -1), served)
    flat = np.stack([balance.normalise(x, served) for x in np.moveaxis(look.flat[served], 1, 0)], 1)
    size = balance.size[served]
    fits = [_flat_fit(*each) for each in zip(measured, flat, LEAST_FLAT * size, strict=True)]
    means, errors, losses = (np.stack(part) for part in zip(*fits, strict=True))
    if auto:
        middle, half = _estimated(means, np.sqrt(losses) / size)
    means = np.where(np.isnan(means), middle, means)
    operator = balance.operator(operator)
    means, errors, losses = (means - middle) / half, errors / abs(half), losses / half**2
    spreads = np.sqrt(losses) / size
    contrast = spreads > FLAT * abs(middle / half + means).max(-1)  # as the user's pixels have it
    _require_range(operator, means, errors, spreads, contrast, losses, (middle, half))
    units = Units(
        problem=problem,
        middle=middle,
        half=half,
        scales=balance.gain[served] * abs(half),
        flat_loss=np.maximum(losses, (np.where(contrast, FLAT, OF_FLAT) * size) ** 2),
        untouched=operator is problem.operator and (middle, half) == (0, 1),
    )
    if units.untouched:
        return problem, units
    measured = (measured - middle * flat.sum(1)) / half
    return Problem(operator, jnp.asarray(measured.reshape(y.shape), y.dtype)), units


class Balance(NamedTuple):
    """What A and y become: C A / gain and C y / gain, see `Normalised`; one of each per operator.

    Attributes:
        gain, weight, direction: of `Normalised`; a weight of 1 leaves everything.
        size: ||C A / gain||_F.
    """

    gain: np.ndarray
    weight: np.ndarray
    direction: np.ndarray
    size: np.ndarray

    def normalise(self, y: np.ndarray, served: np.ndarray) -> np.ndarray:
        """C y / gain of measurements [b, m], each by its operator, in double precision."""
        y = y.astype(np.result_type(y.dtype, np.float64))
        u = self.direction[served].reshape(y.shape).astype(y.dtype)
        along = np.sum(u.conj() * y, -1, keepdims=True)
        return (y - (1 - self.weight[served, None]) * along * u) / self.gain[served, None]

    def operator(self, operator: LinearOperator | Stack) -> LinearOperator | Stack:
        """C A / gain; A itself where that is A."""
        stands_out = (self.weight != 1).any()
        if not stands_out and (self.gain == 1).all():
            return operator
        numbers = (self.gain, self.weight, self.direction, self.of_ones) if stands_out else (self.gain,)
        if isinstance(operator, Stack):
            return Stack(_normalised(operator.operator, *map(jnp.asarray, numbers)))
        return _normalised(operator, *(jnp.asarray(x[0]) for x in numbers))

    @property
    def of_ones(self) -> np.ndarray:
        """C 1, in double precision where so little is left of it."""
        u = self.direction.astype(np.result_type(self.direction, np.float64)).reshape(len(self.gain), -1)
        return (1 - (1 - self.weight[:, None]) * u * u.conj().sum(-1, keepdims=True)).reshape(self.direction.shape)


def _of_each(function: Callable, operator: Operator | Stack, *arrays: Array) -> Any:
    """`function` of each operator and its entry of the arrays, with a leading axis, in NumPy's arrays."""
    if isinstance(operator, Stack):
        return jax.tree.map(np.asarray, jax.vmap(function)(operator.operator, *arrays))
    return jax.tree.map(lambda x: np.asarray(x)[None], function(operator, *(x[0] for x in arrays)))


def _balance(operator: LinearOperator | Stack, look: Look) -> Balance:
    """Raises InputError for an A that measures nothing."""
    m, n = look.direction[0].size, math.prod(operator.image_shape)
    others = look.frobenius
    # Of a random A ||A 1|| is ||A||_F in the mean; where it is not, and only then, the rest of A is looked at.
    expected = others * math.sqrt(1 + STANDS_OUT * math.sqrt(2 / m))
    stands_out = (look.flat_norm > expected) & (not form_of(operator).is_balanced)
    if stands_out.any():
        others = _of_each(_others, operator, look.direction)
        rounded = stands_out & (others <= LEAST_OTHERS * np.finfo(look.flat.dtype).eps * look.frobenius)
        if rounded.any() and m > 1:
            raise InputError(
                "the rows of A differ by less than rounding beside what they share: take that offset off A and y, or "
                "set JAX_ENABLE_X64=1"
            )
        stands_out &= ~rounded
    gain = np.where(stands_out, others / math.sqrt(n), look.gain)
    if not (np.isfinite(gain) & (gain > 0)).all():
        raise InputError(
            "the operator makes 0 of every image, or numbers that float32 does not hold: it measures nothing; choose "
            "another unit"
        )
    gain = np.where(abs(gain - 1) < GAIN_TOLERANCE + 2.5 * math.sqrt(2 / (m * n)), 1.0, gain)
    return Balance(
        gain=gain,
        weight=np.where(stands_out, others / np.where(stands_out, look.flat_norm, 1), 1.0),
        direction=np.asarray(look.direction),
        size=np.where(stands_out, math.sqrt(n), look.frobenius / gain),
    )


def _normalised(
    operator: LinearOperator,
    gain: Array,
    weight: Array | None = None,
    direction: Array | None = None,
    of_ones: Array | None = None,
) -> LinearOperator:
    """`Normalised`; of a matrix whose flat images stand out another matrix, which keeps the digits that these cost."""
    if weight is None or direction is None or of_ones is None or type(operator) is not Dense or operator.is_narrow:
        return Normalised(operator, gain, weight, direction)

    def balanced(matrix, gain, weight, u, of_ones):
        mean = matrix.mean(0)  # of the rows; what is left of them is small, and so is the rounding of its products
        rest = matrix - mean
        return (rest - (1 - weight) * u[:, None] * (u.conj() @ rest) + of_ones[:, None] * mean) / gain

    arrays = (x.astype(operator.matrix.dtype) for x in (gain, weight, direction, of_ones))
    several = jax.vmap(balanced) if gain.ndim else balanced
    return Dense(jax.jit(several)(operator.matrix, *arrays), operator.image_shape)


@jax.jit
def _look(operator: LinearOperator) -> Look:
    """Compiled here, though that is the business of `fits.py`: it is looked at before there are any."""
    h, w, c = operator.image_shape
    flat = jax.lax.map(operator.forward, jnp.broadcast_to(jnp.eye(c)[:, None, None, :], (c, h, w, c)))
    ones = flat.sum(0)
    largest = jnp.maximum(jnp.abs(ones).max(), jnp.finfo(jnp.float32).tiny)
    norm = largest * jnp.sqrt(squared_norm(ones / largest))
    direction = ones / jnp.maximum(norm, jnp.finfo(jnp.float32).tiny)
    frobenius = operator.frobenius_norm()
    return Look(operator.gain(frobenius), frobenius, norm, direction, flat.reshape(c, -1))


@jax.jit
def _others(operator: LinearOperator, direction: Array) -> Array:
    """||(I - u u^H) A||_F."""
    return operator.frobenius_norm(direction)


def _flat_fit(y: np.ndarray, flat: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The flat image that explains y best: a level for each channel, by how much it may be off, and ||y - A x||^2.

    Args:
        y: [m].
        flat: A of each channel's flat image of 1, [c, m].
        least: norm of what tells a level; below, it is NaN and may be off by anything.
    """
    y, columns = (np.concatenate([np.real(x), np.imag(x)], -1) if np.iscomplexobj(x) else x for x in (y, flat))
    told = np.linalg.norm(columns, axis=-1) > least
    inverse = np.linalg.pinv(columns[told].T, rcond=1e-6)
    levels, errors = np.full(len(columns), np.nan), np.full(len(columns), np.inf)
    levels[told] = inverse @ y
    loss = float(np.sum(np.square(y - levels[told] @ columns[told])))
    freedom = len(y) - told.sum()
    if freedom > 0:  # of rows as random ones: Student's distribution of so many degrees
        errors[told] = stdtrit(freedom, 1 - SURE) * np.sqrt(np.sum(np.square(inverse), -1) * loss / freedom)
    return levels, errors, loss


def _estimated(means: np.ndarray, spreads: np.ndarray) -> tuple[float, float]:
    """Middle and half of a range that holds the pixels: three standard deviations on both sides of their means."""
    if np.isnan(means).any():
        raise InputError("the measurements do not tell the mean pixel: give pixel_range=(black, white)")
    reach = 3 * spreads[:, None]
    low, high = float((means - reach).min()), float((means + reach).max())
    return (low + high) / 2, (high - low) / 2 or 1.0


def _require_range(operator, means, errors, spreads, contrast, losses, given) -> None:
    """Raises InputError where the mean pixel lies outside of the range, or pixels are of a far smaller unit.

    Warns where their contrast is larger than the range, or hardly uses it, which noise or an unusual A may feign.

    Args:
        operator: A, normalised.
        means, errors: of the channels of each image, [b, c], in [-1, 1] if the range is right; see `_flat_fit`.
        spreads: of the pixels around them, [b], estimated as if A measured every image alike.
        contrast: whether these are more than rounding, [b].
        losses: ||y - A x||^2 of the flat images with these means, [b].
        given: middle and half of the range, to tell it by.
    """
    middle, half = given
    black, white = middle - half, middle + half
    sizes = np.sqrt(np.mean(np.square(means), -1) + np.square(spreads))
    other_unit = ((sizes > 0) & (sizes < SMALLEST_SIZE)) | (abs(means) > 1 + FAR_OUT + errors).any(-1)
    n, m = math.prod(operator.image_shape), operator.measurements_like.size
    large = np.sqrt(losses / n) > 1 + FAR_OUT
    is_rows = isinstance(form_of(operator), RowOperator)
    for i in np.flatnonzero(large | (spreads > LARGE_SPREAD)):
        norm = float(_norm(_operator_of(operator, i, len(means))))
        alike = is_rows and norm < 1.5 * (1 + math.sqrt(n / m))  # as random rows measure
        large[i] = np.sqrt(losses[i] / n) > (1 + FAR_OUT) * norm or (alike and spreads[i] > LARGE_SPREAD)
    if (other_unit | large).any():
        levels, reach = means[other_unit | large], 2 * spreads[other_unit | large, None]
        low, high = sorted((middle + half * (levels - reach).min(), middle + half * (levels + reach).max()))
        told = (
            f"the measurements are of pixels of about {low:.3g} to {high:.3g}, not of {black:g} to {white:g}: "
            "give `pixel_range=black,white`, the lowest and highest pixel value there may be, or auto for an estimate"
        )
        if other_unit.any():
            raise InputError(told)
        warnings.warn(told, ReconstructionWarning, stacklevel=7)
    dim = contrast & (spreads < SMALL_CONTRAST) & ~other_unit
    if dim.any():
        told = (
            f"the pixels seem to fill about {200 * spreads[dim].max():.1g} % of the range {black:g} to {white:g}: a "
            "narrower pixel_range gives a better image"
        )
        warnings.warn(told, ReconstructionWarning, stacklevel=7)


def _function(problem: Problem, middle: float, half: float) -> tuple[Problem, Units]:
    """Of a function that is not linear: the gain of its derivative at a random image."""
    function, y = problem
    gain, same, flat = _of_each(lambda one: _look_at_function(one, middle, half), function)
    if not (np.isfinite(gain) & (gain > 0)).all():
        raise InputError("the operator's derivative is 0 or not finite at a random image: it cannot be fitted")
    if same.any() and abs(middle) < abs(half):
        warnings.warn(
            "the measurements are the same for an image and its negative, and the image may come back as that: "
            "give a pixel_range of one sign, (0, 1) for example",
            ReconstructionWarning,
            stacklevel=6,
        )
    n = math.prod(function.image_shape)
    measured = np.asarray(y).reshape(len(y), -1)
    served = np.arange(len(y)) * len(gain) // len(y)  # the function of each image
    within = np.maximum(np.linalg.norm(flat, axis=-1).max(-1), gain * math.sqrt(n))
    if (np.linalg.norm(measured, axis=-1) > BEYOND * within[served]).any():
        told = (
            f"the measurements are far larger than those of images of pixels from {middle - half:g} to "
            f"{middle + half:g}: give `pixel_range=black,white`, the lowest and highest pixel value there may be"
        )
        warnings.warn(told, ReconstructionWarning, stacklevel=6)
    losses = np.array([_least_loss(*pair) for pair in zip(measured, flat[served], strict=True)])
    gain = np.where(abs(gain - 1) < GAIN_TOLERANCE + 2.5 * math.sqrt(2 / (PROBES * flat.shape[-1])), 1, gain)
    losses /= gain[served] ** 2
    units = Units(
        problem=problem,
        middle=middle,
        half=half,
        scales=gain[served],
        flat_loss=np.maximum(losses, FLAT**2 * n),
        untouched=(gain == 1).all() and (middle, half) == (0, 1),
    )
    if units.untouched:
        return problem, units
    real = jnp.finfo(y.dtype).dtype
    measured = y / jnp.asarray(gain[served], real).reshape(-1, *[1] * (y.ndim - 1))
    numbers = (jnp.asarray(np.broadcast_to(x, gain.shape), real) for x in (gain, middle, half))
    if isinstance(function, Stack):
        return Problem(Stack(NormalisedFunction(function.operator, *numbers)), measured), units
    return Problem(NormalisedFunction(function, *(x[0] for x in numbers)), measured), units


@jax.jit
def _look_at_function(function: Operator, middle, half) -> tuple[Array, Array, Array]:
    """The gain of u -> f(middle + half u), whether f(x) = f(-x), and f of flat images [levels, ...]."""

    def of_range(image):
        return function.forward(middle + half * image)

    key_image, key_probes = jax.random.split(jax.random.key(0))
    image = jax.random.uniform(key_image, function.image_shape, minval=-1.0)

    def energy(key):
        signs = jax.random.rademacher(key, image.shape, image.dtype)
        return squared_norm(jax.jvp(of_range, (image,), (signs,))[1])

    gain = jnp.sqrt(jnp.mean(jax.lax.map(energy, jax.random.split(key_probes, PROBES))) / image.size)
    plain, negative = function.forward(half * image), function.forward(-half * image)
    same = squared_norm(plain - negative) <= 1e-8 * squared_norm(plain)
    levels = jnp.linspace(-1, 1, FLAT_IMAGES)
    flat = jax.lax.map(lambda level: of_range(jnp.full(image.shape, level)), levels)
    return gain, same, flat.reshape(FLAT_IMAGES, -1)


def _least_loss(y: np.ndarray, flat: np.ndarray) -> float:
    """||y - f(x)||^2 of the best flat image, f taken to be straight between flat images [levels, m]."""
    steps = np.diff(flat, axis=0)
    along = np.sum(np.real(steps.conj() * (y - flat[:-1])), -1) / np.maximum(np.sum(abs(steps) ** 2, -1), 1e-30)
    between = flat[:-1] + np.clip(along, 0, 1)[:, None] * steps
    losses = np.sum(abs(y - between) ** 2, -1)
    return float(np.nanmin(losses)) if np.isfinite(losses).any() else float(np.sum(abs(y) ** 2))


def in_user_units(solution: Solution, units: Units) -> Solution:
    """A solution with a leading axis of cases, as numpy arrays, in the user's units and with `unexplained`.

    One that ended well and leaves more than `EXPLAINED` unexplained is called so.
    """
    cases, real = len(solution.image), solution.image.dtype
    unexplained = solution.measurement_loss / np.resize(units.flat_loss, cases)
    doubtful = ~(unexplained <= EXPLAINED) & (solution.status < Status.OUT_OF_STEPS)
    status = np.where(doubtful, np.asarray(Status.UNEXPLAINED, solution.status.dtype), solution.status)
    solution = solution._replace(status=status, unexplained=unexplained.astype(real))
    _note_ends(np.asarray(solution.image))
    if units.untouched:
        return solution
    image = (units.middle + units.half * solution.image.astype(np.float64)).astype(real)
    operator, y = units.problem
    images = np.arange(cases) * len(y) // cases
    losses = [_loss(_operator_of(operator, i, len(y)), y[i], x) for i, x in zip(images, image, strict=True)]
    squares = np.square(np.resize(units.scales, cases))
    trace = {name: (x * squares[:, None]).astype(real) if name in LOSSES else x for name, x in solution.trace.items()}
    factors: dict[str, Any] = dict.fromkeys(solution.maps, abs(units.half)) | dict.fromkeys(ERRORS, units.half**2)
    factors["held_out_error"] = squares
    aux = {name: (x * factors.get(name, 1)).astype(x.dtype) for name, x in solution.aux.items()}
    return solution._replace(image=image, measurement_loss=np.asarray(losses, real), trace=trace, aux=aux)


LOSSES = ("measurement_loss", "held_out_loss", "average_held_out_loss", "held_out_score")
"""Traces that are in the unit of y, squared."""

ERRORS = ("estimated_mse", "estimated_mse_interval")
"""Of `Solution.aux`, in the unit of pixels, squared."""


def _operator_of(operator: Operator | Stack, image: int | np.integer, images: int) -> Operator:
    """The one that serves this of so many images."""
    return operator.take(image * operator.size // images) if isinstance(operator, Stack) else operator


_loss = jax.jit(measurement_loss)
_norm = jax.jit(lambda operator: spectral_norm(operator, jax.random.key(0)))


def ends_note(image: np.ndarray) -> str | None:
    """A line where many pixels of an image in [-1, 1], [h, w, c], lie at the ends of the range."""
    either, white = float((abs(image) > AT_THE_END).mean((0, 1)).max()), float((image > AT_THE_END).mean())
    if either <= OF_A_CHANNEL and white <= OF_WHITE:
        return None
    return (
        f"{100 * either:.0f} % of the pixels of a channel lie at the ends of the pixel range: right for black and "
        "white, else widen `pixel_range`, or give csdip room beyond it by `csdip.room=1.3`"
    )


def _note_ends(images: np.ndarray) -> None:
    for i, image in enumerate(images):
        note = ends_note(image)
        if note:
            which = f"image {i}: " if len(images) > 1 else ""
            warnings.warn(which + note, EndsOfRangeWarning, stacklevel=5)
