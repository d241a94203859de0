"""Runs what is missing, then tables and pictures of what the rules come to."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from csdip_jax.commands import pictures, tables
from csdip_jax.files import read_arrays, write_atomically
from csdip_jax.runs.workdir import Workdir, locked
from experiments.stopping.trials import Cell, Setup, traces
from experiments.stopping.watching import AVERAGE, ITERATE, NEVER, outcomes

GOAL = (0.3, 1.0)
"""Of the loss to the best iterate, in dB: its mean and its largest value."""
OF_RULE = ["rule", "keeps"]


def run(path: str, setup: Setup, images: dict[str, np.ndarray], cells: Sequence[Cell]) -> None:
    """Computes the fits that a folder does not have, prints and writes what all of them tell.

    Args:
        path: of the folder.
        setup: what the fits share.
        images: name -> image.
        cells: the fits.

    Raises:
        InputError: the folder holds a run with another setup.
    """
    workdir, lines = Workdir(path, setup._asdict()), []
    with locked(workdir.path):
        for cell in tqdm(cells, "fits"):
            trace = traces(workdir.path, cell, setup, images[cell.image])
            lines += [{**cell._asdict(), "file": cell.file, **line} for line in outcomes(trace)]
        _write(workdir.path, pd.DataFrame(lines))


def _write(folder: Path, lines: pd.DataFrame) -> None:
    text, (own, _) = report(lines), by_own_patience(lines)
    sheets = {"fits.csv": tables.as_csv(lines), "summary.csv": tables.as_csv(summary(lines))}
    for name, content in (sheets | {"stopping.md": text}).items():
        write_atomically(folder / name, lambda file, content=content: file.write(content.encode()))
    save_losses(folder / "losses.png", own)
    files = lines["file"].unique()
    shown = files[np.unique(np.linspace(0, max(0, len(files) - 3), 6).astype(int))]  # of all problems and noises
    save_curves(folder / "curves.png", {name: read_arrays(folder / "traces" / name) for name in shown}, own)
    print(f"{text}\nwritten to {folder}")


def summary(lines: pd.DataFrame) -> pd.DataFrame:
    """A line per rule and what it keeps, over all fits: losses in dB, and when it stops.

    Args:
        lines: as `outcomes` gives them, of all fits.
    """
    found = []
    for (rule, keeps), group in lines.groupby(OF_RULE, sort=False):
        loss, kind = group["loss"], group["loss of its kind"]
        meets = loss.mean() <= GOAL[0] and loss.max() <= GOAL[1]
        shown = [f"{x:.2f}" for x in (loss.mean(), loss.max(), kind.mean(), kind.max())]
        shown += [f"{100 * np.mean(loss > GOAL[1]):.0f}", f"{100 * group['stopped'].mean():.0f}"]
        found.append((rule, keeps, *shown, f"{group['steps'].mean():.0f}", "yes" if meets else "no"))
    heads = [
        "mean loss",
        "worst",
        "mean, own kind",
        "worst, own kind",
        "above 1 dB %",
        "stopped %",
        "steps",
        "goal met",
    ]
    return pd.DataFrame(found, columns=[*OF_RULE, *heads])


def by(lines: pd.DataFrame, heads: Sequence[str]) -> pd.DataFrame:
    """Mean and largest loss to the best iterate, a line per rule and what it keeps, a column per value of `heads`."""
    groups = lines.groupby([*OF_RULE, *heads], sort=False)["loss"]
    texts = groups.mean().map("{:.2f}".format) + " (" + groups.max().map("{:.2f}".format) + ")"
    frame = texts.reset_index()
    columns = frame[list(heads)].map(lambda x: f"{x:g} dB" if isinstance(x, float) else x).agg(", ".join, axis=1)
    return tables.crossed("rule, keeps", frame[OF_RULE].agg(", ".join, axis=1), columns, frame["loss"])


def by_own_patience(lines: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The lines of rules as they are, and those with another patience."""
    other = lines["rule"].str.contains(", patience ")
    return lines[~other], lines[other]


def report(lines: pd.DataFrame) -> str:
    """All tables, in Markdown."""
    own, others = by_own_patience(lines)
    fits = len(lines) // len(lines[OF_RULE].drop_duplicates())
    last = lines[(lines["rule"] == NEVER) & (lines["keeps"] == ITERATE)]["loss"]
    parts = [
        f"{fits} fits. Losses are the highest PSNR of any iterate of the fit less the PSNR of what the rule keeps, dB; "
        f"of the own kind, less than the best iterate or average, whichever it keeps. The last iterate is "
        f"{last.mean():.2f} dB below the best one, and more than 1 dB in {100 * np.mean(last > 1):.0f} % of the fits. "
        f"The goal is a mean of at most {GOAL[0]} dB, and none above {GOAL[1]:g} dB.",
        tables.as_markdown(summary(own)),
        "With other patiences:",
        tables.as_markdown(summary(others)),
        "Mean loss (worst):",
        *(tables.as_markdown(by(own, [head])) for head in ("problem", "noise", "network")),
    ]
    return "\n\n".join([*parts, ""])


def save_losses(path: Path, lines: pd.DataFrame) -> None:
    """Every fit's loss as a dot, by rule and what it keeps, and the means."""
    figure, axis = pictures.plt.subplots(figsize=(9, 4.5), layout="constrained")
    labels, jitter = [], np.random.default_rng(0)
    for place, (rule, group) in enumerate(lines.groupby(OF_RULE, sort=False)):
        labels.append("\n".join(rule))
        for colour, (network, fits) in zip(("C0", "C1"), group.groupby("network", sort=False), strict=False):
            spread = place + jitter.uniform(-0.25, 0.25, len(fits))
            axis.scatter(spread, fits["loss"], 8, colour, label=None if place else network)
        axis.plot([place - 0.35, place + 0.35], [group["loss"].mean()] * 2, "k")
    for at in (0, *GOAL):
        axis.axhline(at, color="0.6", lw=0.8, ls="-" if at == 0 else "--", zorder=0)
    axis.set_xticks(range(len(labels)), labels, rotation=60, fontsize=8)
    axis.set(ylabel="PSNR of the best iterate - of what is kept, dB", yscale="symlog")
    axis.set_title("a dot per fit; bars: means; dashed: the goal", fontsize=9)
    axis.legend()
    pictures.save_figure(path, figure)


def save_curves(path: Path, fits: dict[str, dict[str, np.ndarray]], lines: pd.DataFrame) -> None:
    """PSNR against steps of some fits, with what the rules keep where they stop.

    Args:
        path: of the picture.
        fits: file of a fit -> its traces.
        lines: as `outcomes` gives them, with the file of each.
    """
    figure, axes = pictures.plt.subplots(2, 3, figsize=(13, 7), layout="constrained", squeeze=False)
    for axis, (name, trace) in zip(axes.flat, fits.items(), strict=False):
        for kind, colour in ((ITERATE, "0.75"), (AVERAGE, "0.3")):
            axis.semilogx(
                np.arange(1, len(trace[f"{NEVER}: {kind}"]) + 1), trace[f"{NEVER}: {kind}"], color=colour, label=kind
            )
        of_fit = lines[(lines["file"] == name) & (lines["rule"] != NEVER)]
        for i, (rule, group) in enumerate(of_fit.groupby("rule", sort=False)):
            for _, line in group.iterrows():
                filled = f"C{i}" if line["keeps"] == AVERAGE else "none"
                label = rule if line["keeps"] == AVERAGE else None
                axis.plot(line["steps"], line["psnr"], "o", mec=f"C{i}", mfc=filled, label=label)
        axis.set_title(name.removesuffix(".npz"), fontsize=9)
        lowest = min(trace[f"{NEVER}: {ITERATE}"][-1], of_fit["psnr"].min())
        axis.set(xlabel="step", ylabel="PSNR, dB", ylim=(lowest - 3, of_fit["best of its kind"].max() + 1))
    axes[0, 0].legend(fontsize=8)
    pictures.save_figure(path, figure)
