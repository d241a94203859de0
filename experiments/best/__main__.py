"""How good `best` is beside the paper's methods, how well it knows its error, and how much its runs differ.

    python -m experiments.best --kinds=small                                        minutes, on a dependency's images
    python -m experiments.best --kinds=retina --counts=2000 --noises=0 --data_dir=data
    python -m experiments.best --kinds=retina,xray,digits --data_dir=data --workdir=runs/best      many hours
    python -m experiments.best --kinds=digits --seeds=0,1 --data_dir=data           how much two runs differ

A rerun computes only what is missing, and tells of all that there is. Written are <workdir>/best.csv, a line per image
and measurement, best.md, its summary, and best.png: the estimated error against the true one, and the ratios.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from absl import flags

from csdip_jax.commands import launcher, pictures, tables
from csdip_jax.commands.sweep import computing
from csdip_jax.files import write_atomically
from csdip_jax.types import InputError
from experiments.best import comparing
from experiments.best.studies import KINDS, config_of

_KINDS = flags.DEFINE_list("kinds", ["small"], f"Of images: {', '.join(KINDS)}.")
_OPERATORS = flags.DEFINE_list("operators", ["gaussian"], "gaussian, radial_fourier.")
_COUNTS = flags.DEFINE_list("counts", None, "Numbers of measurements or lines; default: those of the kind.")
_NOISES = flags.DEFINE_list("noises", None, "Noise variances; default: those of the kind.")
_SEEDS = flags.DEFINE_list("seeds", ["0"], "Of operators, noise and fits.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", None, "How many; default: those of the kind.")
_FIRST_IMAGE = flags.DEFINE_integer("first_image", None, "Index of the first one taken.")
_METHODS = flags.DEFINE_string("methods", None, "Default: best and the paper's.")
_STEPS = flags.DEFINE_integer("steps", None, "The budget of best.")
_WORKDIR = flags.DEFINE_string("workdir", "runs/best", "Folder of the results.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see csdip data).")


def main() -> None:
    unknown = sorted({*_KINDS.value} - {*KINDS})
    if unknown:
        raise InputError(f"unknown kind {unknown[0]!r} in --kinds: choose from {', '.join(KINDS)}")
    folder, found = Path(_WORKDIR.value), []
    for name in _KINDS.value:
        for operator in _OPERATORS.value:
            config = config_of(name, operator, _DATA_DIR.value, **_changes(operator))
            if _STEPS.value is not None:
                config.best.steps = _STEPS.value
            place = folder / f"{name}-{operator}"
            rows = computing.sweep(config, place, _DATA_DIR.value)
            found.append(comparing.comparisons(rows, place).assign(kind=name))
    lines = pd.concat(found, ignore_index=True)
    write_atomically(folder / "best.csv", lambda file: file.write(tables.as_csv(lines).encode()))
    summary = comparing.summary(lines)
    shown = summary.map(lambda value: f"{value:.3g}" if isinstance(value, float) else str(value))
    text = [tables.as_markdown(shown), _in_words(lines)]
    seeds = comparing.between_seeds(lines)
    if len(seeds):
        text.append(tables.as_markdown(seeds.map(lambda x: f"{x:.4g}" if isinstance(x, float) else str(x))))
    print("\n\n".join(text))
    write_atomically(folder / "best.md", lambda file: file.write("\n\n".join([*text, ""]).encode()))
    _draw(folder / "best.png", lines)
    print(f"written {folder / 'best.csv'}, best.md and best.png")


def _changes(operator: str) -> dict:
    """Of the configuration, by flags."""
    counts = None if _COUNTS.value is None else tuple(map(int, _COUNTS.value))
    return {
        "num_lines" if operator == "radial_fourier" else "num_measurements": counts,
        "noise_variance": None if _NOISES.value is None else tuple(map(float, _NOISES.value)),
        "seed": tuple(map(int, _SEEDS.value)),
        "num_images": _NUM_IMAGES.value,
        "first_image": _FIRST_IMAGE.value,
        "methods": _METHODS.value,
    }


def _in_words(lines: pd.DataFrame) -> str:
    """The claims, as comparing over all images."""

    def mean(name):
        return np.exp(np.log(lines[name].dropna()).mean())

    worse = int((lines["over_lowest"] > comparing.WORSE).sum())
    told = lines["inside"].dropna().astype(float)
    return "\n".join(
        [
            f"geometric mean of best's MSE over {len(lines)} cases: {mean('over_csdip'):.3f} of CS-DIP's, "
            f"{mean('over_lowest'):.3f} of the lowest on that image; worse than {comparing.WORSE} of it on {worse}",
            f"true MSE inside the 90 % interval: {100 * told.mean():.0f} % of {len(told)} cases; pixels inside theirs: "
            f"{100 * lines['covered'].mean():.0f} %; rank correlation of spread and error: {lines['rank'].mean():.2f}",
        ]
    )


def _draw(path: Path, lines: pd.DataFrame) -> None:
    """Estimated against true error with intervals, and the ratios to the lowest of the others."""
    figure, (left, right) = pictures.plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    known = lines.dropna(subset=["estimated"])
    for kind, group in known.groupby("kind", sort=False):
        widths = [group["estimated"] - group["low"], group["high"] - group["estimated"]]
        left.errorbar(group["best"], group["estimated"], yerr=np.maximum(widths, 0), fmt="o", ms=3, lw=0.8, label=kind)
    if len(known):
        ends = [known["best"].min(), known["best"].max()]
        left.plot(ends, ends, "k", lw=0.8)
        left.set(xscale="log", yscale="log")
        left.legend()
    left.set(xlabel="true MSE", ylabel="estimated MSE, 90 % interval")
    for i, (kind, group) in enumerate(lines.groupby("kind", sort=False)):
        right.plot(np.full(len(group), i), group["over_lowest"], "o", ms=3, label=kind)
    right.axhline(1, color="k", lw=0.8)
    right.set_xticks(range(lines["kind"].nunique()), lines["kind"].unique())
    right.set(ylabel="MSE of best / the lowest of the paper's methods", yscale="log")
    pictures.save_figure(path, figure)


if __name__ == "__main__":
    launcher.run(main)
