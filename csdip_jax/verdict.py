"""What the measurements prove of a solution, in words: how much of them it explains, beside the noise, and what to try.

Nothing here says how good the image is: a fit that explains its measurements may be wrong all the same.
"""

import math

import numpy as np

from csdip_jax.types import InputError, Solution

EXPLAINED = 0.1
"""Largest `unexplained` of a solution that explains its measurements."""
FALLING, ABOVE_THE_NOISE, BELOW_THE_NOISE = 0.2, 2.0, 0.5
"""A loss that falls by so large a share in the last tenth of the steps is not at its end; and residuals, relative to
the energy of the noise, that are too large and too small."""


def verdict(solution: Solution, noise_energy: float | None = None) -> str:
    """In a line, how well one image explains its measurements and what may be tried.

    Args:
        solution: of one problem.
        noise_energy: E ||eta||^2 of the noise, where it is known: m sigma^2 of m measurements.

    Raises:
        InputError: solutions of several problems.

    Example:
        >>> print(csdip_jax.verdict(solution))
        explains 99.98 % of the measurements' contrast
    """
    if np.ndim(solution.ok):
        raise InputError(f"solutions of {len(solution.ok)} problems: give one of them to verdict")
    times_noise = float(solution.measurement_loss) / noise_energy if noise_energy else None
    return in_words(bool(solution.ok), float(solution.unexplained), falling(solution.trace), times_noise)


def falling(trace: np.ndarray) -> float:
    """The share by which a loss fell in the last tenth of its steps; NaN where there are fewer than 20."""
    trace = np.asarray(trace)
    trace = trace[np.isfinite(trace)]
    few = len(trace) // 50 + 1
    if len(trace) < 20 or not trace[-few:].any():
        return math.nan
    before = len(trace) - len(trace) // 10
    return float(1 - np.median(trace[-few:]) / np.median(trace[before - few : before]))


def in_words(ok: bool, unexplained: float, falling: float, times_noise: float | None) -> str:
    """See `verdict`."""
    if not ok:
        return "every attempt collapsed or diverged"
    explained = 100 * (1 - unexplained)
    digits = 0 if explained < 90 else min(4, 1 - math.floor(math.log10(max(100 - explained, 1e-4))))
    words = [f"explains {explained:.{digits}f} % of the measurements' contrast"]
    if unexplained >= 1:
        words = ["explains no more than a flat image does"]
    if times_noise is not None:
        words.append(f"leaves {times_noise:.2g} times the noise")
        if times_noise < BELOW_THE_NOISE:
            words.append("so it fits noise as well: fewer steps, or a larger weight of the regularization")
    unfinished = unexplained > EXPLAINED if times_noise is None else times_noise > ABOVE_THE_NOISE
    if falling > FALLING:
        words.append(f"the loss still fell by {100 * falling:.0f} % in the last tenth of the steps: try more")
    elif unfinished:
        words.append("the operator (its order, its scale), the pixel range or the noise may be others than assumed")
    return ", ".join(words)
