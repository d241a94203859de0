"""What the rows of a run say of `best`: how it compares, whether its error is what it says, and what it costs."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm, spearmanr

from csdip_jax.runs import saved
from csdip_jax.runs.row import Row
from experiments.best.studies import RIVALS

LEVEL = 0.9
WORSE = 1.05
"""Of the lowest error of the others, beyond which `best` lost."""


def comparisons(rows: Sequence[Row], folder: Path) -> pd.DataFrame:
    """A line per scene that `best` and CS-DIP have been through.

    Its columns: where it was measured, the errors, `over_csdip` and `over_lowest`, the ratios of `best`'s error to
    CS-DIP's and to the lowest of the paper's methods on that very image; `estimated`, `low`, `high` and `inside`, what
    `best` says of its own error; `covered`, the share of pixels that lie within their interval of 90 %, and `rank`,
    Spearman's correlation of spread and error over the pixels; `weights` in words.
    """
    scenes: dict[tuple, dict[str, Row]] = {}
    for row in rows:
        where = (row.image, row.operator, row.count, row.noise_variance, row.seed)
        scenes.setdefault(where, {})[row.method] = row
    found = []
    for (image, operator, count, noise, seed), fits in scenes.items():
        best = fits.get("best")
        if best is None or best.mse is None:
            continue
        others = {name: fits[name].mse for name in RIVALS if name in fits and fits[name].mse is not None}
        line = {"image": image, "operator": operator, "count": count, "noise": noise, "seed": seed, "best": best.mse}
        line |= {name: others.get(name, np.nan) for name in RIVALS}
        line |= {
            "over_csdip": best.mse / others["csdip"] if "csdip" in others else np.nan,
            "over_lowest": best.mse / min(others.values()) if others else np.nan,
            "psnr": best.psnr,
            "seconds": best.seconds,
            "weights": _weights(best),
        }
        found.append(line | _known(best) | _pixels(best, folder))
    return pd.DataFrame(found)


def _weights(row: Row) -> str:
    """Those that count, the largest first."""
    weights = {name.removeprefix("weights_"): value for name, value in row.aux.items() if name.startswith("weights_")}
    named = sorted(weights.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{name} {value:.2f}" for name, value in named if value >= 0.005)


def _known(row: Row) -> dict[str, float]:
    names = {"estimated": "estimated_mse", "low": "estimated_mse_low", "high": "estimated_mse_high"}
    told = {name: row.aux.get(key, np.nan) for name, key in names.items()}
    inside = told["low"] <= row.mse <= told["high"] if np.isfinite(told["estimated"]) else np.nan
    return told | {"inside": inside}


def _pixels(row: Row, folder: Path) -> dict[str, float]:
    """Coverage and rank correlation of a fit's standard deviations."""
    arrays = saved.load(saved.reconstruction(folder, row.file))
    spread = saved.maps(arrays).get("standard_deviation")
    truth = saved.load(saved.original(folder, row.part, row.image))["image"]
    if spread is None or not np.isfinite(spread).all():
        return {"covered": np.nan, "rank": np.nan}
    error = np.abs(arrays["image"] - truth)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a map that is constant
        rank = float(spearmanr(spread.ravel(), error.ravel()).statistic)
    return {"covered": float(np.mean(error <= norm.ppf((1 + LEVEL) / 2) * spread)), "rank": rank}


def summary(lines: pd.DataFrame, by: Sequence[str] = ("kind", "operator", "count", "noise")) -> pd.DataFrame:
    """A line per group: geometric means of the ratios, how often `best` lost, coverage, and seconds."""

    def of_group(group: pd.DataFrame) -> pd.Series:
        return pd.Series(
            {
                "images": len(group),
                "best": np.exp(np.log(group["best"]).mean()),
                "over CS-DIP": np.exp(np.log(group["over_csdip"]).mean()),
                "over the lowest": np.exp(np.log(group["over_lowest"]).mean()),
                f"worse than {WORSE}": int((group["over_lowest"] > WORSE).sum()),
                "inside %": 100 * group["inside"].astype(float).mean(),
                "pixels covered %": 100 * group["covered"].mean(),
                "rank": group["rank"].mean(),
                "seconds": group["seconds"].astype(float).median(),
            }
        )

    return lines.groupby([*by], sort=False).apply(of_group, include_groups=False).reset_index()


def between_seeds(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean PSNR of each seed by kind and measurement: how much runs differ; empty with one seed."""
    if lines["seed"].nunique() < 2:
        return pd.DataFrame()
    wide = lines.pivot_table(index=["kind", "operator", "count", "noise"], columns="seed", values="psnr")
    return wide.assign(difference=wide.max(axis=1) - wide.min(axis=1)).reset_index()
