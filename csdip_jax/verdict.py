"""What the measurements prove of a solution, in words: how much of them it explains, beside the noise, and what to try.

Nothing here says how good the image is: a fit that explains its measurements may be wrong all the same.
"""

import math

import numpy as np

from csdip_jax.types import InputError, Solution

EXPLAINED, DOUBTFUL = 0.25, 0.1
"""Largest `unexplained` of a solution that is called converged, which noise of 6 dB leaves of the true image; and from
which on it is told that something may be wrong."""
ABOVE_THE_NOISE, BELOW_THE_NOISE = 2.0, 0.25
"""Residuals, relative to the energy of the noise, that are too large and too small."""
FALLING = 0.5
"""Share by which a loss fell in the second half of the steps, that shows it to be far from its end. Fits of the paper's
digits, without noise, fall by 0 to 0.6 there, fits that have come to their noise by less than 0.3."""


def verdict(solution: Solution, noise_energy: float | None = None) -> str:
    """In a line, how well the image explains its measurements, and what may be tried.

    Args:
        solution: of one problem.
        noise_energy: E ||eta||^2 of the noise where it is known, m sigma^2 of m measurements.

    Raises:
        InputError: solutions of several problems.

    Example:
        >>> print(csdip_jax.verdict(solution))
        explains 99.98 % of the measurements' contrast
    """
    if np.ndim(solution.ok):
        raise InputError(f"solutions of {len(solution.ok)} problems: give verdict one of them")
    times_noise = float(solution.measurement_loss) / noise_energy if noise_energy else None
    return in_words(bool(solution.ok), float(solution.unexplained), falling(solution.trace), times_noise)


def falling(trace: np.ndarray) -> float:
    """The share by which a loss fell in the second half of its steps; 0 where there are fewer than 20."""
    trace = np.asarray(trace)
    trace = trace[np.isfinite(trace)]
    tenth = len(trace) // 10
    if tenth < 2:
        return 0.0
    before, last = (float(np.median(part)) for part in (trace[5 * tenth : 6 * tenth], trace[-tenth:]))
    return 1 - last / before if last < before else 0.0


def in_words(ok: bool, unexplained: float, falling: float, times_noise: float | None = None) -> str:
    """See `verdict`."""
    if not ok:
        return "every attempt collapsed or diverged"
    rest = 100 * unexplained
    digits = 0 if rest >= 1 else min(4, 1 - math.floor(math.log10(max(rest, 1e-4))))
    words = [f"explains {100 - rest:.{digits}f} % of the measurements' contrast"]
    if unexplained >= 1:
        words = ["explains no more than a flat image does"]
    if times_noise is not None:
        words.append(f"leaves {times_noise:.2g} times the noise")
    too_much = unexplained > DOUBTFUL if times_noise is None else times_noise > ABOVE_THE_NOISE
    if falling > FALLING and (too_much or times_noise is None):
        words.append(f"its loss fell by {100 * falling:.0f} % in the second half of the steps: more steps explain more")
    elif too_much:
        words.append("take more steps, or A (its order, its scale), pixel range or noise are others than assumed")
    elif times_noise is not None and times_noise < BELOW_THE_NOISE:
        words.append("so it fits noise too: take fewer steps, or a larger weight of the regularization")
    return ", ".join(words)
