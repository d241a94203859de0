"""Turns in rounds, and what their times say.

The speed of a shared machine drifts, so sides are compared within a round, where they follow each other closely, and
the median over the rounds is what counts.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from statistics import median

import numpy as np
from tqdm import tqdm

from csdip_jax.types import InputError
from experiments.benchmark.worker import Worker


def alternate(turns: Mapping[str, Callable[[], float]], rounds: int, label: str) -> dict[str, list[float]]:
    """Side -> what its turn returned in each round; all sides take one turn a round, in the order given."""
    results = {side: [] for side in turns}
    with tqdm(total=rounds * len(turns), desc=label, unit="turn", leave=False, disable=None) as bar:
        for _ in range(rounds):
            for side, turn in turns.items():
                bar.set_postfix_str(str(side))
                results[side].append(turn())
                bar.update()
    return results


def compare(times: Mapping[str, Sequence[float]], reference: str) -> dict:
    """The other sides against the reference.

    Args:
        times: side -> its times, round by round.
        reference: one of the sides.

    Returns:
        The medians; `best`, the other side with the lowest one; `ratio` = best / reference, the median of the
        rounds' ratios, and their range `ratio_min`, `ratio_max`.
    """
    medians = {side: median(values) for side, values in times.items()}
    best = min((side for side in times if side != reference), key=medians.get)
    ratios = [other / own for other, own in zip(times[best], times[reference], strict=True)]
    return {
        "medians": medians,
        "best": best,
        "ratio": median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def calls(worker: Worker, variants: Iterable[str]) -> dict[str, Callable[[], float]]:
    """Variant -> its turn, a single call; seconds."""
    return {variant: partial(worker.ask, "turn", variant=variant, warm_up=0, steps=1) for variant in variants}


def exponent(amounts: Sequence[float], times: Sequence[float]) -> float:
    """p of times ~ amounts^p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(amounts), np.log(times), 1)[0])


def require_agreement(label: str, ours: Mapping, theirs: Mapping[str, Mapping], tolerance: float = 1e-4) -> float:
    """The largest relative difference of {"loss", "gradient": entries} between us and any of the others.

    Raises:
        InputError: it is above the tolerance: the two sides do not compute the same thing.
    """
    largest = 0.0
    for side, answer in theirs.items():
        pairs = [("loss", ours["loss"], answer["loss"])]
        entries = zip(ours["gradient"], answer["gradient"], strict=True)
        pairs += [(f"gradient entry of kernel {i}", own, other) for i, (own, other) in enumerate(entries)]
        for what, own, other in pairs:
            difference = abs(own - other) / max(abs(own), abs(other), 1e-30)
            if not difference <= tolerance:  # NaN included
                raise InputError(
                    f"{label}: JAX and {side} do not compute the same, so their times cannot be compared: "
                    f"{what} {own:.7g} against {other:.7g}, allowed is a relative difference of {tolerance:g}"
                )
            largest = max(largest, difference)
    return largest


def milliseconds(worker: Worker, variant: str, warm_up: int, steps: int) -> float:
    """Of a step in a turn of the worker."""
    return 1000 * worker.ask("turn", variant=variant, warm_up=warm_up, steps=steps)
