"""Rows of results.jsonl for people: captions, and the tables that reconstruct and sweep print."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from csdip_jax.commands import tables
from csdip_jax.commands.estimates import estimate, over_images
from csdip_jax.commands.tables import number
from csdip_jax.methods import METHODS
from csdip_jax.runs.row import Row, stem
from csdip_jax.types import Status
from csdip_jax.verdict import Remedies

FAILED = "FAILED"


def measured(row: Row, seed: bool = False) -> str:
    """What a row's measurements are; its seed on request."""
    return f"{row.measurement}, m = {row.num_measurements}{_besides(row, seed)}"


def _besides(row: Row, seed: bool) -> str:
    """The noise, if there is any, and the seed on request."""
    noise = f", noise variance {row.noise_variance:g}" if row.noise_variance else ""
    return noise + (f", seed {row.seed}" if seed else "")


def several_seeds(rows: Collection[Row]) -> bool:
    """Whether the seed tells rows apart."""
    return len({row.seed for row in rows}) > 1


FLAGS = {Status.OUT_OF_STEPS: "not converged", Status.UNEXPLAINED: "unexplained", Status.STOPPED: "stopped early"}
"""How a fit ended, where that is more than as it should -> what a table says of it."""


def flag(row: Row) -> str:
    """What is wrong with a row, in a word."""
    if not row.ok:
        return FAILED
    if row.diverged:
        return "diverged"
    return "" if row.converged and row.status == Status.UNEXPLAINED else FLAGS.get(row.status, "")


def caption(row: Row) -> str:
    """What stands under a row's image."""
    errors = f"MSE {number(row.mse, '.4f')}, PSNR {decibels(row.psnr, row.data_range)}"
    return "\n".join(filter(None, [errors, ", ".join(filter(None, [row.in_short, flag(row)]))]))


def remedies(row: Row) -> Remedies:
    """What may be done about a row, with the options that do it: three times its steps, another regularization."""

    def option(words: str, name: str, value: float) -> str:
        return f"{words} (--config.{row.method}.{name}={value:.6g})" if value else ""

    general, recipe = Remedies(), METHODS.get(row.method)
    found = general._replace(more_steps=option(general.more_steps, "steps", 3 * row.steps))
    if recipe is None:
        return found
    # A method with a tolerance solves its problem: fewer steps are another answer by accident only.
    fewer = 0 if recipe.method.has_tolerance else row.steps // 3
    found = found._replace(fewer_steps=option(general.fewer_steps, "steps", fewer))
    knob = recipe.method.regularization
    if knob is None:
        return found._replace(regularize_more="", regularize_less="")
    value = row.swept.get(knob.field, row.more.get(knob.field))
    if not isinstance(value, (int, float)):
        return found
    usual = getattr(recipe.method, knob.field)
    return found._replace(
        regularize_more=option(general.regularize_more, knob.field, value * knob.more or usual),
        regularize_less=option(general.regularize_less, knob.field, value / knob.more),
    )


def ranked(rows: Sequence[Row]) -> str:
    """Rows of one scene from the best on, by their error, each with its PSNR; those that failed at the end."""
    texts = [f"{row.label} {decibels(row.psnr, row.data_range)}" for row in _by_error(rows)]
    return ", ".join([*texts, *(f"{row.label} {FAILED}" for row in rows if not row.ok)])


def best(rows: Sequence[Row]) -> Row | None:
    """The one of least error that did not fail; None where all did."""
    return next(iter(_by_error(rows)), None)


def _by_error(rows: Sequence[Row]) -> list[Row]:
    """Those that did not fail and have an error, the least one first."""
    return sorted((row for row in rows if row.ok and row.mse is not None), key=lambda row: row.mse or 0)


def decibels(psnr: float | None, data_range: float) -> str:
    """A PSNR, and what range it is of where that is not 2."""
    return f"{number(psnr, '.1f')} dB{of_range([data_range])}"


def estimated_psnr(row: Row, data_range: float) -> str:
    """What measurements that were held out tell of the error, with its interval of 90 %; nothing where they do not.

    Args:
        row: its estimated errors in the units of `data_range`, white less black.
        data_range: that PSNR is relative to.
    """
    errors = [row.aux.get(f"estimated_mse{end}") for end in ("", "_high", "_low")]
    if not all(error is not None and np.isfinite(error) for error in errors):
        return ""
    psnr, low, high = (10 * np.log10(data_range**2 / error) if error else np.inf for error in errors)
    return f"estimated PSNR {psnr:.1f} dB ({low:.1f} to {high:.1f})"


def of_range(data_ranges: Collection[float]) -> str:
    """What to add to a PSNR over these, the smallest and the largest; nothing where all are 2."""
    ends = dict.fromkeys(f"{value:.3g}" for value in (min(data_ranges), max(data_ranges)))
    return "" if list(ends) == ["2"] else f" of range {' to '.join(ends)}"


def counted_seconds(times: Iterable[tuple[float | None, bool]]) -> list[float]:
    """Of (seconds or None, whether with compiling): those without; those with it where there are no others."""
    timed = [(seconds, compiled) for seconds, compiled in times if pd.notna(seconds)]
    return [seconds for seconds, compiled in timed if not compiled] or [seconds for seconds, _ in timed]


def print_images(rows: Sequence[Row]) -> None:
    """A line per row, and the mean of each part and method over its images."""
    seed = several_seeds(rows)
    lines = [
        {
            "image": stem(row.part, row.image),
            "method": row.label,
            "measured": f"{row.measurement}{_besides(row, seed)}",
            "m": str(row.num_measurements),
            "MSE": number(row.mse, ".5f"),
            "PSNR": number(row.psnr, ".2f"),
            "of range": f"{row.data_range:.3g}",
            "SSIM": number(row.ssim, ".3f"),
            "verdict": row.in_short,
            "steps": str(row.steps),
            "seconds": number(row.seconds, ".1f", "resumed"),
            "": flag(row),
        }
        for row in rows
    ]
    ranges = of_range([row.data_range for row in rows])
    _print(pd.DataFrame(lines).drop(columns=[] if ranges else "of range"), left=("image", "method", "verdict"))
    _print_advice(rows)
    facts = [(row.part, measured(row, seed=True), row.label, row.mse) for row in rows]
    frame = pd.DataFrame(facts, columns=["part", "where", "label", "mse"])
    several = frame.groupby("part")["where"].nunique().max() > 1
    for (part, where, label), values in frame.groupby(["part", "where", "label"], sort=False)["mse"]:
        if len(values) > 1:
            mse = estimate(values)
            mean, error = number(mse.mean, ".5f"), number(mse.standard_error, ".5f")
            name = stem(part, label) + (f" ({where})" if several else "")
            print(f"mean MSE of {mse.count} images, {name}: {mean} +- {error} (1 standard error)")


def advice(row: Row) -> str:
    """What to try, with the option; nothing where all is well."""
    told = remedies(row)
    if row.advice() or not _out_of_steps(row):
        return row.advice(told)
    recipe = METHODS.get(row.method)
    needs = f"; it needs {recipe.needs}" if recipe is not None and recipe.needs else ""
    return f"{told.more_steps}, which may change the image{needs}"


def in_words(row: Row) -> str:
    """The verdict, with the options for what it advises."""
    told = row.in_words(remedies(row))
    return told if row.advice() or not _out_of_steps(row) else ", ".join(filter(None, [told, advice(row)]))


def _out_of_steps(row: Row) -> bool:
    return row.status == Status.OUT_OF_STEPS


def _print_advice(rows: Sequence[Row]) -> None:
    """What to try, with the fits that it is for: several may have the same."""
    fits: dict[str, list[Row]] = {}
    for row in rows:
        fits.setdefault(advice(row), []).append(row)
    for told, alike in fits.items():
        images = list(dict.fromkeys(stem(row.part, row.image) for row in alike))
        named = ", ".join(images[:3]) + (f" and {len(images) - 3} more" if len(images) > 3 else "")
        if told:
            print(f"{', '.join(dict.fromkeys(row.label for row in alike))} of {named}: {told.removeprefix('so ')}")


def print_means(rows: Sequence[Row]) -> None:
    """A line per part, measurement, noise and method: means over images; nothing of a share that has no rows yet."""
    if not rows:
        return
    same = ["part", "measurement", "num_measurements", "noise_variance", "label"]
    lines = []
    for (part, measurement, m, noise, label), places in pd.DataFrame(rows).groupby(same, sort=False).groups.items():
        group = [rows[place] for place in places]
        mse = over_images([row.image for row in group], [row.mse for row in group])
        width = f" +- {number(mse.half_width, '.5f')}" if mse.count > 1 else ""
        seconds = counted_seconds((row.seconds, row.compiled) for row in group)
        ranges, flags = of_range([row.data_range for row in group]), [flag(row) for row in group]
        notes = [f"PSNR{ranges}"] if ranges else []
        notes += [f"{flags.count(text)} {text}" for text in dict.fromkeys(flags) if text]
        lines.append(
            {
                "measured": f"{part} {measurement}".strip(),
                "m": str(m),
                "noise": f"{noise:g}",
                "method": label,
                "cells": str(len(group)),
                "mean MSE (95 %)": number(mse.mean, ".5f") + width,
                "PSNR": number(np.mean(np.array([row.psnr for row in group], float)), ".2f"),
                "seconds": f"{np.median(seconds):.2f}" if seconds else "resumed",
                "": "  ".join(notes),
            }
        )
    _print(pd.DataFrame(lines), left=("measured", "method", "mean MSE (95 %)"))


def _print(lines: pd.DataFrame, left: Collection[str]) -> None:
    """The table; its last column, what is to be noted, only where there is something."""
    print(tables.as_text(lines if lines[""].any() else lines.drop(columns=""), left=(*left, "")))
