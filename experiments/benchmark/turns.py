"""On which device sides take turns in rounds, and what their times say.

The speed of a shared machine drifts, so sides are compared within a round, where they follow each other closely, and
the median over the rounds is what counts.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import jax
import numpy as np
from tqdm import tqdm

from csdip_jax.types import InputError

PLATFORMS = {"cpu": "cpu", "gpu": "cuda,cpu"}
"""What is measured -> JAX's platforms; a GPU's programs may call back to the CPU."""


def choose(device: str) -> None:
    """Makes this process and the workers to come compute on `device`, one of PLATFORMS.

    Raises:
        InputError: JAX has no such device here.
    """
    # Several processes share a GPU: none may take its memory in advance.
    os.environ |= {"JAX_PLATFORMS": PLATFORMS[device], "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    jax.config.update("jax_platforms", PLATFORMS[device])
    try:
        found, reason = jax.default_backend(), ""
    except RuntimeError as error:
        found, reason = None, f" ({error})".splitlines()[0]
    if found != device:
        raise InputError(
            f"--device={device}: JAX finds none here{reason}: it needs NVIDIA's driver and "
            "requirements-cuda.txt; or take --device=cpu"
        )


def on_gpu() -> bool:
    """Whether this process and its workers compute on a GPU."""
    return jax.default_backend() == "gpu"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def tell(text: str) -> None:
    """Says what is being done; on stderr, since the stdout of a worker is its parent's."""
    print(text, file=sys.stderr, flush=True)


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
    spread = {"ratio": median(ratios), "ratio_min": min(ratios), "ratio_max": max(ratios)}
    return {"medians": medians, "best": best, **spread}


def exponent(amounts: Sequence[float], times: Sequence[float]) -> float:
    """p of times ~ amounts^p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(amounts), np.log(times), 1)[0])


def require_agreement(label: str, ours: Mapping, theirs: Mapping[str, Mapping], tolerance: float = 1e-4) -> float:
    """The largest relative difference of {"loss", "gradient": entries} between us and any of the others.

    Raises:
        InputError: it is above the tolerance: the two sides do not compute the same thing.
    """
    own, largest = np.array([ours["loss"], *ours["gradient"]]), 0.0
    for side, answer in theirs.items():
        other = np.array([answer["loss"], *answer["gradient"]])
        differences = abs(own - other) / np.maximum(1e-30, np.maximum(abs(own), abs(other)))
        worst = int(np.argmax(differences))  # NaN before all others
        if not differences[worst] <= tolerance:
            what = f"gradient entry of kernel {worst - 1}" if worst else "loss"
            raise InputError(
                f"{label}: JAX and {side} do not compute the same, so their times cannot be compared: "
                f"{what} {own[worst]:.7g} against {other[worst]:.7g}, allowed is a relative difference of {tolerance:g}"
            )
        largest = max(largest, float(differences[worst]))
    return largest
