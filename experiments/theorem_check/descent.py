"""Theorem 4.1 itself: does the misfit stay below the bound, for which widths and which steps, and why not?"""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from csdip_jax import theory
from experiments.theorem_check import fits
from experiments.theorem_check.claims import MEASURED, Claim, over_widths
from experiments.theorem_check.rows import at_scale, by_ratio, curve_steps, outcome, shares, summary


def cells(config) -> list[dict]:
    return [{"section": "descent", "pixels": n, "ratio": ratio} for n in config.num_pixels for ratio in config.ratios]


def measure(config, cell: dict, key, progress) -> dict:
    """Every seed with every step scale."""
    n, d = cell["pixels"], round(cell["ratio"] * cell["pixels"])
    target, scales, batches = random_target(key, n, config.dtype), sorted(set(config.step_scales)), []
    for networks in fits.batches(config, key, n, d, target, progress):
        result = fits.fit(networks, target, scales, config.max_steps, progress=progress)
        batches.append(outcome(result, scales, n, d, config.max_steps))
    steps = curve_steps(config.max_steps)
    return {
        "width": d,
        "scales": scales,
        "steps": steps.tolist(),
        **summary(batches, config.num_seeds),
    }


def random_target(key, pixels: int, dtype):
    """y, of norm 1. The law of V does not change if R^n is turned, so no y is harder to fit than another."""
    target = jax.random.normal(jax.random.fold_in(key, 2**31), (pixels,), dtype)
    return target / np.linalg.norm(target)


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
    scales = rows[0]["scales"]
    found = [bound_claim(rows, column) for column in range(len(scales))]
    column = at_scale(rows, theory.CERTIFIED_SCALE)
    if column is not None:
        found += [transition_claim(rows, column), rate_claim(rows, column)]
    return found + [overshoot_claim(rows)]


def bound_claim(rows: Sequence[dict], column: int) -> Claim:
    """The bound with one step scale: where it holds, and what became of the ReLUs at the largest width.

    The proof covers c <= 1/16, from its width on; the statement covers any c <= 1, "for d >= C n".
    """
    scale, kept = rows[0]["scales"][column], shares(rows, column)
    widest = max(kept)
    group = by_ratio(rows)[widest]
    fitted, on = (np.mean([np.array(row[name])[:, column].mean() for row in group]) for name in ("fitted", "active"))
    name = f"Theorem 4.1, c = {scale:.3g}{STEP_NAMES.get(scale, '')}"
    measured = f"at {widest:g} n {fitted:.0%} fitted in twice the bound's steps, {on:.0%} of the ReLUs left on"
    threshold = theory.WIDTH_THEOREM if scale <= theory.CERTIFIED_SCALE else None
    claim = over_widths(name, kept, measured, threshold)
    undecided = shares(rows, column, undecided_fits)
    if any(undecided.values()):
        best = over_widths(name, {ratio: kept[ratio] + undecided[ratio] for ratio in kept}, measured, threshold)
        if best.verdict != claim.verdict:
            claim = claim._replace(verdict=f"undecided at max_steps: {claim.verdict} or {best.verdict}")
    return claim


def undecided_fits(row: dict) -> np.ndarray:
    """Neither fitted nor stuck nor above the bound when max_steps was reached, bool [seeds, scales]."""
    return ~np.array(row["fitted"]) & ~np.array(row["stuck"]) & (np.array(row["violated_at"]) < 0)


def transition_claim(rows: Sequence[dict], column: int) -> Claim:
    """The width at which half of the seeds come through, for each n."""
    found = []
    for pixels in sorted({row["pixels"] for row in rows}):
        group = [row for row in rows if row["pixels"] == pixels]
        half = transition(shares(group, column))
        found.append(f"{half:.1f} n (n = {pixels})" if np.isfinite(half) else f"not in between (n = {pixels})")
    name = "Transition, c = 1/16: half of the seeds keep the bound"
    return Claim(name, "every n", MEASURED, f"from d = {', '.join(found)}")


def rate_claim(rows: Sequence[dict], column: int) -> Claim:
    """The share of the misfit that a step takes off, over the certified one; of the fits that came through."""
    held_at, texts = {}, []
    for ratio, group in by_ratio(rows).items():
        certified = [theory.certified_rate(theory.CERTIFIED_SCALE, row["pixels"], row["width"]) for row in group]
        rates = [np.array(row["rate"])[:, column] / rate for row, rate in zip(group, certified, strict=True)]
        rates = np.concatenate(rates)
        fitted = rates[np.isfinite(rates)]
        if len(fitted):
            expected = expected_factor(group[-1]["pixels"], group[-1]["width"])
            held_at[ratio] = float((fitted >= 1).mean())
            of = "" if len(fitted) == len(rates) else f"{len(fitted)} of {len(rates)} fits, "
            texts.append(f"{fitted.min():.2g} to {fitted.max():.2g} at {ratio:g} n ({of}large n: {expected:.3g})")
    if not held_at:
        return Claim("Rate, c = 1/16", "every width", MEASURED, "nothing was fitted")
    return over_widths("Rate, c = 1/16: at least certified", held_at, "times " + ", ".join(texts), theory.WIDTH_THEOREM)


def expected_factor(pixels: int, width: int) -> float:
    """`theory.expected_rate` over the certified rate: 32 for d >> n."""
    return float(theory.expected_rate(1.0, pixels, width) / theory.certified_rate(1.0, pixels, width))


def overshoot_claim(rows: Sequence[dict]) -> Claim:
    """The step scale from which gradient descent overshoots along the largest singular value of J."""
    at = [f"{theory.stable_scale(g[-1]['pixels'], g[-1]['width']):.2f} at {r:g} n" for r, g in by_ratio(rows).items()]
    return Claim("Overshooting: eta sigma_max^2 > 2", "every width", MEASURED, f"from c = {', '.join(at)}")
