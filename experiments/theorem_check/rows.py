"""What is kept of the fits of a cell, as a row of results.jsonl, and looked up in such rows."""

from collections.abc import Callable, Sequence

import numpy as np

from experiments.theorem_check import fits

CURVE_POINTS = 80


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


def shares(rows: Sequence[dict], column: int, which: Callable = held) -> dict[float, float]:
    """d / n -> share of the seeds (of all n) for which the bound held, with the step scale of a column."""
    return {
        ratio: float(np.concatenate([which(row)[:, column] for row in group]).mean())
        for ratio, group in by_ratio(rows).items()
    }
