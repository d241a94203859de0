"""What the measurements prove of a solution, in words: how much of them it explains, beside the noise, and what to try.

Nothing here says how good the image is: a fit that explains its measurements may be wrong all the same.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from csdip_jax.types import InputError, Solution

EXPLAINED, DOUBTFUL, EXPLAINED_WELL = 0.25, 0.1, 1e-3
"""Of `unexplained`: the largest of a solution that is called converged, which noise of 6 dB leaves of the true image;
from which on it is told that something may be wrong; and from which on it matters that a loss still falls."""
ABOVE_THE_NOISE, BELOW_THE_NOISE = 2.0, 0.25
"""Residuals, relative to the energy of the noise, that are too large and too small."""
FALLING = 0.5
"""Share by which a loss fell in the second half of the steps, that shows it to be far from its end. Fits of the paper's
digits, without noise, fall by 0 to 0.6 there, fits that have come to their noise by less than 0.3."""


def verdict(solution: Solution, noise_energy: float | None = None) -> str:
    """Says in one line how well the image explains its measurements, and what may be tried if it does not.

    The *contrast* of the measurements is what the best flat image leaves of them. A good verdict is no proof of a good
    image: with few measurements many images explain y. A bad one shows that something is wrong.

    Args:
        solution: of one problem, as `reconstruct` returns it.
        noise_energy: the expected `||noise||^2` of all measurements together, where it is known: m sigma^2 for m
            measurements with noise of standard deviation sigma each, or the `noise_variance` that `operators.measure`
            was given. It is compared with the loss of the image. None where it is not known.

    Returns:
        A line of text. With `noise_energy` it tells how many times the noise the image leaves unexplained: about 1 is
        right, much less is noise that was fitted, much more a fit that is not done or a wrong model.

    Raises:
        InputError: solutions of several problems, or a noise energy that is no number of at least 0.

    Example:
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> solution = cs.reconstruct(cs.methods.Tv((8, 8, 1)), problem, jax.random.key(1))
        >>> print(cs.verdict(solution))
        explains 99... % of the measurements' contrast
    """
    if np.ndim(solution.status):
        raise InputError(f"solutions of {len(solution.status)} problems: give verdict one of them")
    if noise_energy is not None and not (
        isinstance(noise_energy, (int, float, np.number)) and 0 <= noise_energy < math.inf
    ):
        raise InputError(f"noise_energy = {noise_energy!r}: it must be a number of at least 0, or None")
    times_noise = float(solution.measurement_loss) / noise_energy if noise_energy else None
    falls = falling(solution.trace["measurement_loss"])
    return in_words(bool(solution.ok), float(solution.unexplained), falls, times_noise)


def falling(trace: ArrayLike) -> float | None:
    """The share by which a loss fell in the second half of its steps, 0 where there are fewer than 20.

    None of a fit that stopped before the last of them, by its own rule.
    """
    trace = np.asarray(trace)
    tenth = len(trace) // 10
    if not np.isfinite(trace[-1]):
        return None
    if tenth < 2:
        return 0.0
    before, last = (float(np.median(part)) for part in (trace[5 * tenth : 6 * tenth], trace[-tenth:]))
    return 1 - last / before if last < before else 0.0


def in_words(
    ok: bool, unexplained: float, falling: float | None, times_noise: float | None = None, option: str = ""
) -> str:
    """See `verdict`; `option` is how a program's user takes more steps."""
    if not ok:
        return "every attempt collapsed or diverged"
    if math.isnan(unexplained):
        return "how much of the measurements it explains cannot be told"
    if _tells_nothing(unexplained, times_noise):
        return "a flat image explains the measurements to their noise: they tell of no contrast"
    words = [_explains(unexplained)]
    if times_noise is not None:
        words.append(f"leaves {times_noise:.2g} times the noise")
    if falling is not None and falling > FALLING and unexplained > EXPLAINED_WELL:
        words.append(f"its loss fell by {100 * falling:.0f} % in the second half of the steps")
    return ", ".join([*words, *filter(None, [advice(unexplained, falling, times_noise, option)])])


def advice(unexplained: float, falling: float | None, times_noise: float | None = None, option: str = "") -> str:
    """What may be tried of a fit that has not failed; nothing where it explains its measurements as it should."""
    if _tells_nothing(unexplained, times_noise):
        return ""
    steps = f" ({option})" if option else ""
    if unexplained > DOUBTFUL if times_noise is None else times_noise > ABOVE_THE_NOISE:
        more = "regularize less, or " if falling is None else f"take more steps{steps}, or "
        return f"{more}A (its order, its scale), the pixel range or the noise may be others than assumed"
    if times_noise is not None:
        below = times_noise < BELOW_THE_NOISE
        return "so it fits noise too: take fewer steps, or a larger weight of the regularization" if below else ""
    falls = falling is not None and falling > FALLING and unexplained > EXPLAINED_WELL
    return f"more steps explain more{steps}" if falls else ""


def _tells_nothing(unexplained: float, times_noise: float | None) -> bool:
    return times_noise is not None and times_noise <= ABOVE_THE_NOISE * unexplained


def in_short(unexplained: float, times_noise: float | None = None) -> str:
    """How well a fit explains its measurements, for a table: beside their noise where that is known."""
    if times_noise is not None and math.isfinite(times_noise):
        return f"leaves {times_noise:.2g} x noise"
    if math.isnan(unexplained):
        return "-"
    return f"explains {'nothing' if unexplained >= 1 else _percent(unexplained)}"


def _explains(unexplained: float) -> str:
    if unexplained >= 1:
        return "explains no more than a flat image does"
    return f"explains {_percent(unexplained)} of the measurements' contrast"


def _percent(unexplained: float) -> str:
    rest = 100 * unexplained
    if rest < 0.01:
        return f"all but {unexplained:.0e}" if unexplained else "all"
    digits = 0 if rest >= 1 else 1 - math.floor(math.log10(rest))
    return f"{100 - rest:.{digits}f} %"
