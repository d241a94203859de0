"""What the rows of a section say about a claim."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

PASS, FAIL, BELOW, MEASURED = "pass", "FAIL", "below threshold", "measured"

PER_FIT = ("violated_at", "fitted", "stuck", "rate", "active")


class Claim(NamedTuple):
    """A statement of the paper, and what became of it.

    Attributes:
        name: of the statement.
        where: at which sizes.
        verdict: pass, FAIL, "below threshold" (the statement does not reach so far down), or "measured" (none was
            made).
        measured: what was found, in words and numbers.
    """

    name: str
    where: str
    verdict: str
    measured: str


def verdict(holds: bool) -> str:
    """In a word."""
    return PASS if holds else FAIL


def over_widths(
    name: str, shares: Mapping[float, float], measured: str, threshold: float | None = None, size: str = "n"
) -> Claim:
    """A statement about high probability that was tried at several d / n.

    Args:
        name: of the statement.
        shares: d / n -> share of the seeds for which it holds.
        measured: what else was found.
        threshold: the d / n from which it is proved; None where it only says "for large d / n", so that holding for
            every seed from some width on is a pass. Below its threshold a statement gets no tick.
        size: what d is counted in.
    """
    ratios = sorted(shares)
    failing = [ratio for ratio in ratios if shares[ratio] < 1]
    holding = [ratio for ratio in ratios if not failing or ratio > failing[-1]]
    since = f"from d = {holding[0]:g} {size}" if failing and holding else ""
    if threshold is not None and ratios[-1] < threshold:
        found = f"holds {since}".rstrip() if holding else "does not hold"
        text = f"{BELOW} ({threshold:.4g} {size}), {found}"
    else:
        proved = [ratio for ratio in ratios if threshold is None or ratio >= threshold]
        ok = bool(holding) if threshold is None else all(shares[ratio] == 1 for ratio in proved)
        text = f"{PASS} {since}".rstrip() if ok else FAIL
    where = f"d = {ratios[0]:g} {size}" + (f" to {ratios[-1]:g} {size}" if len(ratios) > 1 else "")
    partly = ", ".join(f"{shares[ratio]:.0%} at {ratio:g}" for ratio in failing if shares[ratio] > 0)
    return Claim(name, where, text, "; ".join(filter(None, [partly and f"holds for {partly} {size}", measured])))


def of_fits(rows: Sequence[dict]) -> pd.DataFrame:
    """A line per seed and step scale of some rows: their cell, `scale`, PER_FIT, and whether the bound `held`.

    It held if it did so at every step until the target was fitted.
    """
    parts = []
    for row in rows:
        of_cell = {name: value for name, value in row.items() if np.ndim(value) == 0 and name != "curve"}
        each = {name: np.array(row[name], float).ravel() for name in PER_FIT}
        parts.append(pd.DataFrame({"scale": np.tile(row["scales"], len(row["fitted"]))} | each).assign(**of_cell))
    fits = pd.concat(parts, ignore_index=True)
    return fits.assign(held=(fits.fitted == 1) & (fits.violated_at < 0))


def shares(holds: pd.Series, ratios: pd.Series) -> dict[float, float]:
    """d / n -> share of the fits for which something holds."""
    return holds.groupby(ratios).mean().to_dict()
