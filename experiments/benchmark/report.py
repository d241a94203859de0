"""The benchmark's tables and its picture."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from experiments.benchmark.rounds import exponent
from experiments.pictures import plt, save_figure

TITLES = {
    "step": "step: value, gradient and RMSProp update of the network alone, ms per step (medians)",
    "fit": "fit: a whole CS-DIP step, dense A and total variation included, ms per step (medians)",
    "term": "term: value and gradient of ||A x - y||^2 alone, ms per image (medians), beside one image, A in float32",
    "fits": "fits: eight images through csdip_jax.reconstruct, seconds (medians)",
    "restarts": "restarts: four restarts on one dense A through csdip_jax.reconstruct, seconds (medians)",
    "sweep": "sweep: a fit within experiments.sweep and a single one by csdip_jax.reconstruct, seconds (medians)",
    "limits": "limits: what this machine can do, and what of it is done (medians)",
    "denoiser": "denoiser: a step of BM3D-AMP, and its two calls of the bm3d wheel alone, seconds (medians)",
    "size": "size: a CS-DIP step of a square image, m = n / 10 without a matrix, ns per pixel (medians)",
    "growth": "growth: the term by m of a dense A; reconstruct without a matrix by restarts and images (medians)",
    "start": "start: fresh processes, x-ray, seconds (medians)",
    "lasso": "lasso: Lasso-DCT of a photograph, alpha = 1e-5, to the objective where scikit-learn stops, s (medians)",
    "memory": "memory: a fresh process that draws a dense A and does a whole x-ray fit, MB (1e6 bytes)",
}


def table(section: str, results: Mapping) -> str:
    """The results of one section as text."""
    makers = {
        "step": _torch_rows,
        "fit": _torch_rows,
        "term": _term_rows,
        "fits": _fits_rows,
        "restarts": _restarts_rows,
        "sweep": _sweep_rows,
        "size": _size_rows,
        "growth": _growth_rows,
        "limits": _limits_rows,
        "start": _start_rows,
        "memory": _memory_rows,
        "lasso": _lasso_rows,
        "denoiser": _denoiser_rows,
    }
    rows = makers[section](results)
    return TITLES[section] + "\n" + _aligned(rows)


def _torch_rows(results: Mapping) -> list[Sequence[str]]:
    sides = list(next(iter(results.values()))["medians"])
    columns = [("", *sides, "best PyTorch", "best PyTorch / JAX", "its range", "target")]
    for name, result in results.items():
        times = [f"{result['medians'][side]:.4g}" for side in sides]
        columns.append((name, *times, result["best"], *_ratio(result), _target(result, ">=")))
    return list(zip(*columns, strict=True))


def _term_rows(results: Mapping) -> list[Sequence[str]]:
    rows = [("", "ms", "one image, float32", "ratio", "its range", "target")]
    for name, result in results.items():
        times = [f"{milliseconds:.1f}" for milliseconds in reversed(result["medians"].values())]
        rows.append((name, *times, *_ratio(result), _target(result, ">=")))
    return rows


def _seconds_rows(sides: Mapping[str, str], ratio: str, relation: str, results: Mapping) -> list[Sequence[str]]:
    """Two sides' seconds and their ratio; `sides`: side -> its column's head."""
    rows = [("", "steps", *sides.values(), ratio, "its range", "target")]
    for name, result in results.items():
        times = [f"{result['medians'][side]:.2f}" for side in sides]
        rows.append((name, str(result["steps"]), *times, *_ratio(result), _target(result, relation)))
    return rows


_fits_rows = partial(_seconds_rows, {"batch": "one batch", "singles": "one by one"}, "batch / singles", "<=")
_restarts_rows = partial(
    _seconds_rows, {"together": "together", "apart": "one at a time"}, "one at a time / together", ">="
)
_sweep_rows = partial(_seconds_rows, {"sweep": "in a sweep", "single": "alone"}, "alone / in a sweep", ">=")


def _limits_rows(results: Mapping) -> list[Sequence[str]]:
    rows = [("", "limit", "reached", "unit", "fraction", "its range")]
    for name, result in results.items():
        rates = [f"{rate:.1f}" for rate in result["medians"].values()]
        unit = {"flops": "GFLOP/s, of a square product", "bytes": "GB/s, of y = A x"}[result["unit"]]
        rows.append((name, *rates, unit, *_ratio(result)))
    return rows


def _denoiser_rows(results: Mapping) -> list[Sequence[str]]:
    rows = [("", "step", "wheel", "the wheel's share", "its range")]
    for name, result in results.items():
        rows.append((name, *(f"{seconds:.2f}" for seconds in result["medians"].values()), *_ratio(result)))
    return rows


def _size_rows(results: Mapping) -> list[Sequence[str]]:
    smallest = list(next(iter(results.values()))["medians"])[-1]
    rows = [("image", "ns", f"ns at {smallest}", "ratio", "its range", "target", "peak, MB")]
    for name, result in results.items():
        times = [f"{nanoseconds:.0f}" for nanoseconds in result["medians"].values()]
        rows.append((name, *times, *_ratio(result), _target(result, "<="), f"{result['peak'] / 1e6:.0f}"))
    for colours in {result["colours"]: None for result in results.values()}:
        medians = [result["medians"] for result in results.values() if result["colours"] == colours]
        per_pixel = {int(side) ** 2: value for values in medians for side, value in values.items()}
        power = exponent(list(per_pixel), [pixels * value for pixels, value in per_pixel.items()])
        rows.append((f"{colours}: a step takes n^{power:.2f}", *[""] * 6))
    return rows


def _growth_rows(results: Mapping) -> list[Sequence[str]]:
    rows = [("", "how many", "ms", "exponent")]
    for axis, result in results.items():
        for count, seconds in result["medians"].items():
            rows.append((axis, count, f"{1e3 * seconds:.1f}", ""))
        rows.append((axis, "", "", f"{result['exponent']:.2f}"))
    return rows


def _start_rows(results: Mapping) -> list[Sequence[str]]:
    rows = [("", "s", "range", "target")]
    for name, result in results.items():
        low, high = min(result["seconds"]), max(result["seconds"])
        rows.append((name, f"{result['median']:.2f}", f"{low:.2f} - {high:.2f}", _target(result, "<=")))
    return rows


def _lasso_rows(results: Mapping) -> list[Sequence[str]]:
    columns = [
        ("", "JAX, steps", "scikit-learn, passes", "objective", "its gap", "JAX, s", "scikit-learn, s")
        + ("scikit-learn / JAX", "its range", "target")
    ]
    for name, result in results.items():
        numbers = [str(result["steps"]), str(result["epochs"]), f"{result['objective']:.5g}", f"{result['gap']:.1e}"]
        numbers += [f"{result['medians'][side]:.2f}" for side in ("jax", "scikit-learn")]
        label = f"{name}, m = {result['num_measurements']}"
        columns.append((label, *numbers, *_ratio(result), _target(result, ">=")))
    return list(zip(*columns, strict=True))


def _memory_rows(results: Mapping) -> list[Sequence[str]]:
    rows = [("m", "A", "after import", "peak of drawing A", "peak of all", "peak of all - A", "target")]
    for m, result in results.items():
        sizes = [result[name] for name in ("matrix", "baseline", "measured", "peak")]
        sizes += [result["peak"] - result["matrix"], result["target"]]
        *shown, target = (f"{size / 1e6:.0f}" for size in sizes)
        rows.append((m, *shown, f"<= {target}"))
    return rows


def _ratio(result: Mapping) -> tuple[str, str]:
    return f"{result['ratio']:.2f}", f"{result['ratio_min']:.2f} - {result['ratio_max']:.2f}"


def _target(result: Mapping, relation: str) -> str:
    return f"{relation} {result['target']}" if "target" in result else "none set"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        )
        for row in rows
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def save_ratios(path: Path, results: Mapping[str, Mapping], caption: str) -> None:
    """Bars of the other side's time over JAX's; `results`: section -> network -> result of `rounds.compare`."""
    bars = [(section, name, result) for section, networks in results.items() for name, result in networks.items()]
    figure, axis = plt.subplots(figsize=(7, 1.5 + 0.35 * len(bars)))
    for i, (_, _, result) in enumerate(bars):
        below, above = result["ratio"] - result["ratio_min"], result["ratio_max"] - result["ratio"]
        axis.barh(i, result["ratio"], xerr=[[below], [above]], capsize=3, height=0.6, color="tab:blue")
        if "target" in result:
            label = None if axis.get_legend_handles_labels()[1] else "target"
            axis.vlines(result["target"], i - 0.4, i + 0.4, color="tab:red", label=label)
    axis.axvline(1, color="black", lw=0.8)
    axis.set_yticks(range(len(bars)), [f"{section}: {name}" for section, name, _ in bars], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("PyTorch (lasso: scikit-learn) / JAX, median and range of the rounds")
    axis.set_title(caption, fontsize=8)
    if axis.get_legend_handles_labels()[1]:
        axis.legend(fontsize=8)
    figure.tight_layout()
    save_figure(path, figure)
