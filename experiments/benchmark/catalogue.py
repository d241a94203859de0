"""The sections: how each is measured, what it needs, its table; and the picture of those beside other packages."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from csdip_jax.commands import tables
from csdip_jax.commands.pictures import plt, save_figure
from csdip_jax.types import InputError
from experiments.benchmark import one_process, peers, several_processes
from experiments.benchmark.cases import Counts
from experiments.benchmark.turns import exponent

PYTORCH, SKLEARN, BM3D = ("torch", "PyTorch"), ("sklearn", "scikit-learn"), ("bm3d", "the bm3d wheel")


class Section(NamedTuple):
    """A section of the benchmark.

    Attributes:
        function: measures it; of `one_process` or `several_processes`. Its docstring is the title of the table.
        frame: its results as a table of texts, whose first column names the rows.
        needs: package that it needs beside ours, and its name.
        compared: whether its ratios to another package are drawn.
        keeps_images: whether it gets a folder to put images into. It then runs only where it is asked for.
    """

    function: Callable[..., dict]
    frame: Callable[[Mapping], pd.DataFrame]
    needs: tuple[str, str] | None = None
    compared: bool = False
    keeps_images: bool = False

    def measure(self, counts: Counts, folder: Path | None = None) -> dict:
        """What it measures, with a fresh process for what one process can measure."""
        name = self.function.__name__
        if self.keeps_images:
            return self.function(counts, folder)
        return several_processes.alone(name, counts) if name in one_process.SECTIONS else self.function(counts)


def by_default() -> list[str]:
    """The sections that run where none is named."""
    return [name for name, section in SECTIONS.items() if not section.keeps_images]


def require_packages(names: Sequence[str]) -> None:
    """Refuses the sections that cannot run."""
    alone = [name for name in by_default() if not SECTIONS[name].needs]
    for package, called in dict(SECTIONS[name].needs for name in names if SECTIONS[name].needs).items():
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{called}, to compare with, is not installed: run `python -m pip install -e '.[bench]'`, "
                f"or measure JAX alone with --sections={','.join(alone)}"
            )


def table(name: str, results: Mapping) -> str:
    """The results of one section as text."""
    frame = SECTIONS[name].frame(results)
    title = SECTIONS[name].function.__doc__.splitlines()[0].removesuffix(".")
    return f"{name}: {title}\n{tables.as_text(frame, left=frame.columns[:1])}"


def _ratio(result: Mapping, label: str, relation: str | None = None) -> dict[str, str]:
    """The ratio's cells, and that of its target, if one may be set."""
    cells = {label: f"{result['ratio']:.2f}", "its range": f"{result['ratio_min']:.2f} - {result['ratio_max']:.2f}"}
    return cells | (
        {"target": f"{relation} {result['target']}" if "target" in result else "none set"} if relation else {}
    )


def _pairs(heads: Sequence[str], form: str, label: str, relation: str | None, results: Mapping) -> pd.DataFrame:
    """Two sides, whose columns are headed so, and their ratio."""
    rows = []
    for name, result in results.items():
        row = {"": name} | ({"steps": str(result["steps"])} if "steps" in result else {})
        row |= {head: f"{value:{form}}" for head, value in zip(heads, result["medians"].values(), strict=True)}
        if "unit" in result:
            row["unit"] = {"flops": "GFLOP/s, of a square product", "bytes": "GB/s, of y = A x"}[result["unit"]]
        rows.append(row | _ratio(result, label, relation))
    return pd.DataFrame(rows)


def _sizes(results: Mapping) -> pd.DataFrame:
    smallest = list(next(iter(results.values()))["medians"])[-1]
    frame = _pairs(("ns", f"ns at {smallest}"), ".0f", "ratio", "<=", results).rename(columns={"": "image"})
    frame["peak, MB"] = [f"{result['peak'] / 1e6:.0f}" for result in results.values()]
    powers = []
    for colours in {result["colours"]: None for result in results.values()}:
        medians = [result["medians"] for result in results.values() if result["colours"] == colours]
        per_pixel = {int(side) ** 2: value for values in medians for side, value in values.items()}
        power = exponent(list(per_pixel), [pixels * value for pixels, value in per_pixel.items()])
        powers.append({"image": f"{colours}: a step takes n^{power:.2f}"})
    return pd.concat([frame, pd.DataFrame(powers)]).fillna("")


def _beside_torch(results: Mapping) -> pd.DataFrame:
    columns = {}
    for name, result in results.items():
        column = {side: f"{milliseconds:.4g}" for side, milliseconds in result["medians"].items()}
        columns[name] = column | {"best PyTorch": result["best"], **_ratio(result, "best PyTorch / JAX", ">=")}
    return pd.DataFrame(columns).rename_axis("").reset_index()


def _beside_sklearn(results: Mapping) -> pd.DataFrame:
    columns = {}
    for name, result in results.items():
        column = {"JAX, steps": str(result["steps"]), "scikit-learn, passes": str(result["epochs"])}
        column |= {"objective": f"{result['objective']:.5g}", "its gap": f"{result['gap']:.1e}"}
        jax, sklearn = (result["medians"][side] for side in ("jax", "scikit-learn"))
        column |= {"JAX, s": f"{jax:.2f}", "scikit-learn, s": f"{sklearn:.2f}"}
        columns[f"{name}, m = {result['num_measurements']}"] = column | _ratio(result, "scikit-learn / JAX", ">=")
    return pd.DataFrame(columns).rename_axis("").reset_index()


def _growth(results: Mapping) -> pd.DataFrame:
    rows = []
    for axis, result in results.items():
        rows += [{"": axis, "how many": n, "ms": f"{1e3 * seconds:.1f}"} for n, seconds in result["medians"].items()]
        rows.append({"": axis, "exponent": f"{result['exponent']:.2f}"})
    return pd.DataFrame(rows).fillna("")


def _starts(results: Mapping) -> pd.DataFrame:
    rows = []
    for name, result in results.items():
        spread = f"{min(result['seconds']):.2f} - {max(result['seconds']):.2f}"
        rows.append({"": name, "s": f"{result['median']:.2f}", "range": spread, "target": f"<= {result['target']}"})
    return pd.DataFrame(rows)


def _memory(results: Mapping) -> pd.DataFrame:
    heads = {"matrix": "A", "baseline": "after import", "measured": "peak of drawing A", "peak": "peak of all"}
    frame = pd.DataFrame.from_dict(results, orient="index").rename(columns=heads)
    frame["peak of all - A"] = frame["peak of all"] - frame["A"]
    shown = frame[[*heads.values(), "peak of all - A", "target"]].map(lambda size: f"{size / 1e6:.0f}")
    shown["target"] = "<= " + shown["target"]
    return shown.rename_axis("m").reset_index()


SECTIONS = {
    "step": Section(several_processes.step, _beside_torch, PYTORCH, compared=True),
    "term": Section(one_process.term, partial(_pairs, ("ms", "one image, float32"), ".1f", "ratio", ">=")),
    "fits": Section(one_process.fits, partial(_pairs, ("one batch", "one by one"), ".2f", "batch / singles", "<=")),
    "restarts": Section(
        one_process.restarts,
        partial(_pairs, ("together", "one at a time"), ".2f", "one at a time / together", ">="),
    ),
    "sweep": Section(one_process.sweep, partial(_pairs, ("in a sweep", "alone"), ".2f", "alone / in a sweep", ">=")),
    "size": Section(several_processes.size, _sizes),
    "growth": Section(one_process.growth, _growth),
    "limits": Section(one_process.limits, partial(_pairs, ("limit", "reached"), ".1f", "fraction", None)),
    "start": Section(several_processes.start, _starts),
    "memory": Section(several_processes.memory, _memory),
    "fit": Section(several_processes.fit, _beside_torch, PYTORCH, compared=True),
    "lasso": Section(several_processes.lasso, _beside_sklearn, SKLEARN, compared=True),
    "denoiser": Section(
        one_process.denoiser, partial(_pairs, ("step", "wheel"), ".2f", "the wheel's share", None), BM3D
    ),
    "peers": Section(peers.peers, peers.frame, keeps_images=True),
}


def save_ratios(path: Path, results: Mapping[str, Mapping], caption: str) -> None:
    """Bars of the other side's time over JAX's; `results`: section -> network -> result of `turns.compare`."""
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
