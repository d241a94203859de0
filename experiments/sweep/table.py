"""The rows of a sweep as a table: a line per part, measurement, noise and method, the mean over images."""

from collections.abc import Iterable, Sequence

import numpy as np

from experiments.estimates import over_images
from experiments.reconstruct import table


def print_table(rows: Sequence[dict]) -> None:
    groups = {}
    for row in rows:
        where = (row["part"], row["measurement"], row["num_measurements"], row["noise_variance"])
        groups.setdefault((*where, row["label"]), []).append(row)
    width = max([14, *(len(label) for *_, label in groups)])
    columns = f"{'measured':>18} {'m':>6} {'noise':>7} {'method':{width}} {'cells':>5}"
    print(columns, f" {'mean MSE (95 %)':20}   PSNR  seconds")
    for (part, measurement, m, noise, label), group in groups.items():
        where = f"{f'{part} {measurement}':>18} {m:6d} {noise:7g} {label:{width}} {len(group):5d}"
        of_range = table.of_range([table.data_range(row) for row in group])
        notes = [f"PSNR{of_range}"] if of_range else []
        print("  ".join([where, _summary(group), *notes, *_flags(group)]))


def _summary(group: Sequence[dict]) -> str:
    mse = over_images([row["image"] for row in group], [row["mse"] for row in group])
    error = table.number(mse.mean, ".5f")
    error += f" +- {table.number(mse.half_width, '.5f')}" if mse.count > 1 else ""
    seconds = counted_seconds((row["seconds"], row["compiled"]) for row in group)
    time = f"{np.median(seconds):8.2f}" if seconds else f"{'resumed':>8}"
    psnr = np.mean([table.psnr_of(row) for row in group])
    return f"{error:20} {table.number(psnr, '.2f'):>6} {time}"


def counted_seconds(times: Iterable[tuple[float | None, bool]]) -> list[float]:
    """Of (seconds or None, whether with compiling): those without; those with it where there are no others."""
    timed = [(seconds, compiled) for seconds, compiled in times if seconds is not None]
    return [seconds for seconds, compiled in timed if not compiled] or [seconds for seconds, _ in timed]


def _flags(group: Sequence[dict]) -> list[str]:
    """What is wrong with how many of them."""
    found = [table.flag(row) for row in group]
    return [f"{found.count(flag)} {flag}" for flag in dict.fromkeys(found) if flag]
