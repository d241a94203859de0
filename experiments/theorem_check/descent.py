"""Theorem 4.1 itself: does the misfit stay below the bound, for which widths and which steps, and why not?"""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from csdip_jax import theory
from experiments.theorem_check import fits
from experiments.theorem_check.claims import MEASURED, Claim, over_widths

CURVE_POINTS = 80


def cells(config) -> list[dict]:
    return [{"section": "descent", "pixels": n, "ratio": ratio} for n in config.num_pixels for ratio in config.ratios]


def measure(config, cell: dict, key, progress) -> dict:
    """Every seed with every step scale."""
    n, d = cell["pixels"], round(cell["ratio"] * cell["pixels"])
    target = random_target(key, n, config.dtype)
    batches = []
    for seeds in fits.seed_batches(config.num_seeds, n * d, target.dtype, config.memory):
        networks = fits.draw(key, seeds, n, d, target)
        result = fits.fit(networks, target, config.step_scales, config.max_steps, progress=progress)
        batches.append(outcome(result, config.step_scales, n, d, config.max_steps))
    steps = curve_steps(config.max_steps)
    return {
        "width": d,
        "scales": list(config.step_scales),
        "steps": steps.tolist(),
        **summary(batches, config.num_seeds),
    }


def random_target(key, pixels: int, dtype):
    """y, of norm 1. The law of V does not change if R^n is turned, so no y is harder to fit than another."""
    target = jax.random.normal(jax.random.fold_in(key, 2**31), (pixels,), dtype)
    return target / np.linalg.norm(target)


def curve_steps(max_steps: int) -> np.ndarray:
    """The steps at which curves are kept: all of the first ones, then ever fewer."""
    return np.unique(np.geomspace(1, max_steps, CURVE_POINTS).astype(int)) - 1


def outcome(result: fits.Fits, scales, pixels: int, width: int, max_steps: int) -> dict[str, np.ndarray]:
    """What is kept of each fit, [seeds, scales, ...]."""
    traces = result.traces
    at = np.minimum(curve_steps(max_steps), len(traces.misfit) - 1)
    return {
        "violated_at": fits.first_violation(result, scales, pixels, width),
        "fitted": result.fitted,
        "stuck": result.stuck,
        "rate": fits.measured_rate(traces.misfit, fits.tolerance_of(traces.misfit.dtype)),
        "curve": np.moveaxis(traces.misfit[at], 0, -1),
        **{name: getattr(traces, name)[-1] for name in ("misfit", "distance", "active", "switched")},
    }


def summary(batches: Sequence[dict], seeds: int) -> dict:
    """JSON-able: [seeds][scales] for each number, and the lowest, median and highest misfit, [scales][curve steps]."""
    joined = {name: np.concatenate([batch[name] for batch in batches])[:seeds] for name in batches[0]}
    curve = joined.pop("curve")
    return {
        **{name: values.tolist() for name, values in joined.items()},
        "curve": {
            name: np.quantile(curve, q, axis=0).tolist() for name, q in (("low", 0), ("median", 0.5), ("high", 1))
        },
    }


def held(row: dict) -> np.ndarray:
    """Where the bound held at every step until the target was fitted, bool [seeds, scales]."""
    return np.array(row["fitted"]) & (np.array(row["violated_at"]) < 0)


def at_scale(rows: Sequence[dict], scale: float) -> int | None:
    """Index of c in the rows, None where it was not asked for."""
    scales = rows[0]["scales"]
    return scales.index(scale) if scale in scales else None


def by_ratio(rows: Sequence[dict]) -> dict[float, list[dict]]:
    return {ratio: [row for row in rows if row["ratio"] == ratio] for ratio in sorted({row["ratio"] for row in rows})}


def shares(rows: Sequence[dict], column: int) -> dict[float, float]:
    """d / n -> share of the seeds (of all n) for which the bound held, with the step scale of a column."""
    return {
        ratio: float(np.concatenate([held(row)[:, column] for row in group]).mean())
        for ratio, group in by_ratio(rows).items()
    }


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
    """The bound with one step scale: where it holds, and what became of the ReLUs where it does not."""
    scale = rows[0]["scales"][column]
    fitted, undecided = (
        {
            ratio: float(np.concatenate([values(row)[:, column] for row in group]).mean())
            for ratio, group in by_ratio(rows).items()
        }
        for values in (lambda row: np.array(row["fitted"]), undecided_fits)
    )
    widest = max(fitted)
    on = np.mean([np.array(row["active"])[:, column].mean() for row in by_ratio(rows)[widest]])
    measured = f"at {widest:g} n {fitted[widest]:.0%} fitted in twice the bound's steps, {on:.0%} of the ReLUs left on"
    if any(undecided.values()):
        measured += "; not decided at max_steps: " + ", ".join(f"{s:.0%} at {r:g} n" for r, s in undecided.items() if s)
    name = f"Theorem 4.1, c = {scale:.3g}{STEP_NAMES.get(scale, '')}"
    return over_widths(name, shares(rows, column), measured)


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
        factors = [
            np.array(row["rate"])[:, column]
            / theory.certified_rate(rows[0]["scales"][column], row["pixels"], row["width"])
            for row in group
        ]
        factors = np.concatenate(factors)
        factors = factors[np.isfinite(factors)]
        if len(factors):
            expected = expected_factor(group[-1]["pixels"], group[-1]["width"])
            held_at[ratio] = float((factors >= 1).mean())
            texts.append(f"{factors.min():.2g} to {factors.max():.2g} at {ratio:g} n (large n: {expected:.3g})")
    if not held_at:
        return Claim("Rate, c = 1/16", "every width", MEASURED, "nothing was fitted")
    return over_widths("Rate, c = 1/16: at least certified", held_at, "times " + ", ".join(texts))


def expected_factor(pixels: int, width: int) -> float:
    """`theory.expected_rate` over the certified rate: 32 for d >> n."""
    return float(theory.expected_rate(1.0, pixels, width) / theory.certified_rate(1.0, pixels, width))


def overshoot_claim(rows: Sequence[dict]) -> Claim:
    """The step scale from which gradient descent overshoots along the largest singular value of J."""
    at = [f"{theory.stable_scale(g[-1]['pixels'], g[-1]['width']):.2f} at {r:g} n" for r, g in by_ratio(rows).items()]
    return Claim("Overshooting: eta sigma_max^2 > 2", "every width", MEASURED, f"from c = {', '.join(at)}")
