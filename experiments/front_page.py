"""Draws the pictures of README.md from what the benchmark's section `peers` has measured.

    python -m experiments.benchmark --sections=peers      a quarter of an hour
    python -m experiments.front_page                      seconds; writes into docs/

Each picture has a row of images for each of its cases, each with its PSNR and CPU seconds, the best one in bold. The
photographs are those of scikit-image that are CC0 or in the public domain.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from absl import flags
from PIL import Image

from csdip_jax.commands import launcher
from csdip_jax.commands.pictures import plt, save_figure, show, to_own_range
from csdip_jax.types import InputError
from experiments.benchmark import cases, peers
from experiments.benchmark.cases import Counts

PICTURES = {
    "few_measurements.png": ("retina",),
    "phase_retrieval.png": ("phase retrieval, m = n", "phase retrieval, m = n / 2"),
    "photograph.png": ("photograph",),
    "small.png": ("small", "small, magnitudes"),
}
"""File -> the cases that it shows, of those measured; `small` is what --quick measures."""
PANEL, TITLE, FONT = 2.9, 0.9, 12  # inches and points: five panels are 1600 pixels wide, which looks sharp at 800

COLOURS = 256
"""Of each picture: a page is to load fast, and no eye sees the difference."""


def main() -> None:
    workdir, folder = Path(flags.FLAGS.workdir), Path(flags.FLAGS.out)
    try:
        measured = json.loads((workdir / "peers.json").read_text())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{workdir / 'peers.json'}: {error}; run `python -m experiments.benchmark --sections=peers` first"
        ) from error
    for name, shown in PICTURES.items():
        rows = {case: measured["results"][case] for case in shown if case in measured["results"]}
        if rows:
            draw(folder / name, rows, workdir / "peers", Counts(**measured["counts"]))
            print(f"written {folder / name}")


def draw(path: Path, rows: Mapping[str, Mapping], images: Path, counts: Counts) -> None:
    """A row of panels per case.

    Args:
        path: of the picture.
        rows: case -> method -> what section `peers` measured.
        images: its folder.
        counts: its counts.
    """
    drawn = {case: panels(case, answers, counts) for case, answers in rows.items()}
    columns = max(map(len, drawn.values()))
    size = PANEL * columns, (PANEL + TITLE) * len(rows)
    figure, axes = plt.subplots(len(rows), columns, figsize=size, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)  # else the first line of the titles is cut
    for (case, labels), line in zip(drawn.items(), axes, strict=True):
        best = max((answer["psnr"] for label, answer in rows[case].items() if label in labels), default=None)
        for axis in line:
            axis.axis("off")
        for axis, (label, title) in zip(line, labels.items(), strict=False):
            image = 2 * np.load(peers.image_path(images, case, label)) - 1
            show(axis, to_own_range(image) if label == peers.ADJOINT else image)
            answer = rows[case].get(label)
            weight = "bold" if answer and answer["psnr"] == best else "normal"
            axis.set_title(title, fontsize=FONT, fontweight=weight)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(path, figure)
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def panels(case: str, answers: Mapping[str, Mapping], counts: Counts) -> dict[str, str]:
    """Label of each image -> what stands above it."""
    described = cases.PEER_CASES[case]
    kind, pixels = "|A x|" if described.magnitudes else "A x", int(np.prod(described.image_shape))
    titles = {peers.ORIGINAL: f"original\ny = {kind}, m = {described.num_measurements}\nof {pixels} values"}
    if described.magnitudes:
        titles[peers.ADJOINT] = "adjoint\nAᵀ y\n"
    for peer in peers.PEERS:
        label = peer.label(counts)
        if peer.is_pictured and label in answers:
            answer = answers[label]
            told = f"{answer['psnr']:.1f} dB, {answer['cpu_seconds']:.0f} CPU s"
            titles[label] = f"{peer.package}\n{peer.method}\n{told}"
    return titles


if __name__ == "__main__":
    flags.DEFINE_string("workdir", "runs/benchmark", "Where the benchmark has put what it measured.")
    flags.DEFINE_string("out", "docs", "Folder of the pictures.")
    launcher.run(main)
