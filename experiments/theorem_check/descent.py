"""Theorem 4.1 itself: does the misfit stay below the bound, for which widths and which steps, and why not?"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from experiments.theorem_check import one_layer, theory
from experiments.theorem_check.claims import MEASURED, Claim, of_fits, over_widths, shares


def cells(config) -> list[dict]:
    """A cell for each size and width."""
    return [{"section": "descent", "pixels": n, "ratio": ratio} for n in config.num_pixels for ratio in config.ratios]


def measure(config, cell: dict, key, progress: str) -> dict:
    """Every seed with every step scale."""
    n, d = cell["pixels"], round(cell["ratio"] * cell["pixels"])
    target, scales = one_layer.random_target(key, n, config.dtype), sorted(set(config.step_scales))
    fits = one_layer.fit(config, key, n, d, target, scales, progress=progress)
    return {"width": d, "scales": scales} | one_layer.outcome(fits, config.max_steps)


def transition(shares: Mapping[float, float], share: float = 0.5) -> float:
    """The d / n from which a share of the seeds is exceeded for good, interpolated in log(d / n).

    NaN where that is not between two of the widths.
    """
    ratios = sorted(shares)
    below = [i for i, ratio in enumerate(ratios) if shares[ratio] < share]
    if not below or below[-1] + 1 == len(ratios):
        return float("nan")
    left, right = ratios[below[-1]], ratios[below[-1] + 1]
    weight = (share - shares[left]) / (shares[right] - shares[left])
    return left * (right / left) ** weight


STEP_NAMES = {theory.CERTIFIED_SCALE: " (certified)", 1.0: " (printed)"}


def claims(rows: Sequence[dict]) -> list[Claim]:
    """What the rows say of the bound, its rate, and the largest step."""
    fits = of_fits(rows)
    certified = fits[fits.scale == theory.CERTIFIED_SCALE]
    found = [bound_claim(group) for _, group in fits.groupby("scale")]
    if len(certified):
        found += [transition_claim(certified), rate_claim(certified)]
    return [*found, overshoot_claim(fits)]


def bound_claim(fits: pd.DataFrame) -> Claim:
    """The bound with one step scale: where it holds, and what became of the ReLUs at the largest width.

    The proof covers c <= 1/16, from its width on; the statement covers any c <= 1, "for d >= C n". Fits that were
    neither fitted nor stuck nor above the bound when max_steps was reached may leave it undecided.
    """
    scale, widest = fits.scale.iloc[0], fits[fits.ratio == fits.ratio.max()]
    name = f"Theorem 4.1, c = {scale:.3g}{STEP_NAMES.get(scale, '')}"
    measured = (
        f"at {fits.ratio.max():g} n {widest.fitted.mean():.0%} fitted in twice the bound's steps, "
        f"{widest.active.mean():.0%} of the ReLUs left on"
    )
    threshold = theory.WIDTH_THEOREM if scale <= theory.CERTIFIED_SCALE else None
    undecided = (fits.fitted == 0) & (fits.stuck == 0) & (fits.violated_at < 0)
    claim, best = (
        over_widths(name, shares(holds, fits.ratio), measured, threshold)
        for holds in (fits.held, fits.held | undecided)
    )
    if best.verdict != claim.verdict:
        claim = claim._replace(verdict=f"undecided at max_steps: {claim.verdict} or {best.verdict}")
    return claim


def transition_claim(fits: pd.DataFrame) -> Claim:
    """The width at which half of the seeds come through, for each n."""
    found = []
    for pixels, group in fits.groupby("pixels"):
        half = transition(shares(group.held, group.ratio))
        found.append(f"{half:.1f} n (n = {pixels})" if np.isfinite(half) else f"not in between (n = {pixels})")
    name = "Transition, c = 1/16: half of the seeds keep the bound"
    return Claim(name, "every n", MEASURED, f"from d = {', '.join(found)}")


def rate_claim(fits: pd.DataFrame) -> Claim:
    """The share of the misfit that a step takes off, over the certified one; of the fits that came through."""
    factors, texts = fits.rate / theory.certified_rate(theory.CERTIFIED_SCALE, fits.pixels, fits.width), []
    fitted = factors.notna()
    if not fitted.any():
        return Claim("Rate, c = 1/16", "every width", MEASURED, "nothing was fitted")
    for ratio, group in fits[fitted].groupby("ratio"):
        tried, of_width = int((fits.ratio == ratio).sum()), factors[group.index]
        largest = fits[fits.ratio == ratio].iloc[-1]
        of = "" if len(group) == tried else f"{len(group)} of {tried} fits, "
        expected = expected_factor(largest.pixels, largest.width)
        texts.append(f"{of_width.min():.2g} to {of_width.max():.2g} at {ratio:g} n ({of}large n: {expected:.3g})")
    held_at = shares(factors[fitted] >= 1, fits.ratio[fitted])
    return over_widths("Rate, c = 1/16: at least certified", held_at, "times " + ", ".join(texts), theory.WIDTH_THEOREM)


def expected_factor(pixels: int, width: int) -> float:
    """`theory.expected_rate` over the certified rate: 32 for d >> n."""
    return float(theory.expected_rate(1.0, pixels, width) / theory.certified_rate(1.0, pixels, width))


def overshoot_claim(fits: pd.DataFrame) -> Claim:
    """The step scale from which gradient descent overshoots along the largest singular value of J."""
    last = fits.groupby("ratio").last()
    at = [f"{theory.stable_scale(row.pixels, row.width):.2f} at {ratio:g} n" for ratio, row in last.iterrows()]
    return Claim("Overshooting: eta sigma_max^2 > 2", "every width", MEASURED, f"from c = {', '.join(at)}")
