"""What the measurements prove of a solution, in words: how much of them it explains, beside the noise, and what to try.

Nothing here says how good the image is: a fit that explains its measurements may be wrong all the same.
"""

import math
from typing import NamedTuple

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
GREW = 1.1
"""Times the loss of the first step, from which on a loss at the end is said to have grown."""


class Remedies(NamedTuple):
    """What may be done about a fit, in words. A program names its options; empty is what the method has not."""

    more_steps: str = "take more steps"
    fewer_steps: str = "take fewer steps"
    regularize_more: str = "regularize more"
    regularize_less: str = "regularize less"


IN_GENERAL = Remedies()


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

    Negative where it ended above that of the first step: -4 where it grew to five times. None of a fit that stopped
    before the last of them, by its own rule.
    """
    trace = np.asarray(trace)
    tenth = len(trace) // 10
    if not np.isfinite(trace[-1]):
        return None
    if tenth < 2:
        return 0.0
    before, last = (float(np.median(part)) for part in (trace[5 * tenth : 6 * tenth], trace[-tenth:]))
    if 0 < GREW * trace[0] < last:
        return 1 - last / float(trace[0])
    return 1 - last / before if last < before else 0.0


def in_words(
    ok: bool,
    unexplained: float,
    falling: float | None,
    times_noise: float | None = None,
    remedies: Remedies = IN_GENERAL,
) -> str:
    """See `verdict`."""
    if not ok:
        return "every attempt collapsed or diverged"
    if math.isnan(unexplained):
        return "how much of the measurements it explains cannot be told"
    if _tells_nothing(unexplained, times_noise):
        return "a flat image explains the measurements to their noise: they tell of no contrast"
    words = [_explains(unexplained)]
    if times_noise is not None:
        words.append(f"leaves {times_noise:.2g} times the noise")
    if falling is not None and diverged(unexplained, falling):
        words.append(f"it diverged: its loss grew to {1 - falling:.2g} times that of the first step")
    elif falling is not None and falling > FALLING and unexplained > EXPLAINED_WELL:
        words.append(f"its loss fell by {100 * falling:.0f} % in the second half of the steps")
    return ", ".join([*words, *filter(None, [advice(unexplained, falling, times_noise, remedies)])])


def advice(
    unexplained: float, falling: float | None, times_noise: float | None = None, remedies: Remedies = IN_GENERAL
) -> str:
    """What may be tried of a fit that has not failed; nothing where it explains its measurements as it should."""
    if _tells_nothing(unexplained, times_noise):
        return ""
    if unexplained > DOUBTFUL if times_noise is None else times_noise > ABOVE_THE_NOISE:
        tried = ["" if falling is None else remedies.more_steps, remedies.regularize_less]
        if diverged(unexplained, falling):
            tried = ["take smaller steps"]
        others = "A (its order, its scale), the pixel range or the noise may be others than assumed"
        return ", ".join([*filter(None, tried), "or " * any(tried) + others])
    if times_noise is not None:
        less = ", or ".join(filter(None, [remedies.fewer_steps, remedies.regularize_more]))
        return ": ".join(filter(None, ["so it fits noise too", less])) if times_noise < BELOW_THE_NOISE else ""
    falls = falling is not None and falling > FALLING and unexplained > EXPLAINED_WELL
    return f"{remedies.more_steps} to explain more" if falls and remedies.more_steps else ""


def diverged(unexplained: float, falling: float | None) -> bool:
    """Whether a loss that stayed finite grew, to above that of a flat image."""
    return falling is not None and falling < 0 and unexplained >= 1


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
