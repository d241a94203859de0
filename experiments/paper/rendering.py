"""One item: what is missing is computed, then drawn and written."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pandas as pd

from csdip_jax.commands import pictures
from csdip_jax.commands.row_tables import flag
from csdip_jax.commands.sweep import computing
from csdip_jax.commands.tables import as_csv, as_markdown
from csdip_jax.files import write_atomically, write_json
from csdip_jax.generators import VAE
from csdip_jax.io import vae_weights
from csdip_jax.methods import METHODS
from csdip_jax.runs.row import Row
from csdip_jax.types import InputError
from experiments import published
from experiments.configs import paper
from experiments.configs.paper_items import SWEEPS, Item
from experiments.learned_regularization import outcome, study
from experiments.learned_regularization.stages import CellRun
from experiments.paper import drawings, numbers

TOY_DECODER = "CSGM's decoder has random weights at this scale: its numbers mean nothing."
FORMATS = ("png", "pdf")
WORKDIR = "runs/paper"
"""Where results lie by default."""


class Rendered(NamedTuple):
    """What an item looks like.

    Attributes:
        figure: of matplotlib.
        numbers: what its CSV holds.
        table: the numbers for people; as Markdown where they are several tables.
        notes: what a reader should know beside them.
        rows: of the fits behind it; none where nothing is computed.
    """

    figure: Any
    numbers: pd.DataFrame
    table: pd.DataFrame | str
    notes: list[str]
    rows: Sequence[Row] = ()


def run(item: Item, scale: str, workdir: Path, data_dir: str | None) -> None:
    """Computes and writes <workdir>/<scale>/<item>.{png,pdf,csv,md,json}; prints the table."""
    item = item._replace(title=title_of(item, scale))
    folder = workdir / scale
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"workdir {workdir} cannot be used: {error}; choose another --workdir") from error
    rendered = RENDERERS[item.kind](item, scale, folder, data_dir)
    path = folder / f"{item.name}.png"
    pictures.save_figure(path, rendered.figure, FORMATS)
    notes = "".join(f"\n- {note}" for note in rendered.notes)
    again = command(item, scale, workdir, data_dir)
    table = rendered.table
    markdown = table if isinstance(table, str) else as_markdown(table)
    text = f"# {item.title}\n\nScale `{scale}`: `{again}`\n\n{markdown}\n{notes}\n"
    for suffix, content in ((".csv", as_csv(rendered.numbers)), (".md", text)):
        write_atomically(path.with_suffix(suffix), lambda file, content=content: file.write(content.encode()))
    description = {
        "item": item.name,
        "title": item.title,
        "scale": scale,
        "sweep": (item.sweep or item.name) if rendered.rows else None,
        "files": {suffix: f"{item.name}.{suffix}" for suffix in (*FORMATS, "csv", "md")},
        "command": again,
        "seconds": round(sum((row.seconds or 0.0 for row in rendered.rows), 0.0), 1),
        "notes": rendered.notes,
        "table": None if isinstance(table, str) else [[*table.columns], *table.to_numpy().tolist()],
    }
    write_json(path.with_suffix(".json"), description)
    print(f"\n{text}\nfigure and numbers: {path.with_suffix('')}.{{{','.join((*FORMATS, 'csv', 'md'))}}}")


def title_of(item: Item, scale: str) -> str:
    """The item's title, with what it shows at this scale."""
    title = item.title
    if item.kind == "reconstructions" or item.axis != "count":  # of one number of measurements
        (count,) = paper.counts_of(item, scale)
        title += f", {count} radial Fourier lines" if SWEEPS[item.sweep].fourier else f", m = {count}"
    return f"{title} (toy images instead)" if scale == "quick" and item.kind != "mask" else title


def command(item: Item, scale: str, workdir: Path, data_dir: str | None) -> str:
    """What writes this item again, from the same cells."""
    options = [f"--item={item.name}", f"--scale={scale}"]
    options += [f"--data_dir={data_dir}"] if data_dir else []
    options += [f"--workdir={workdir}"] if workdir != Path(WORKDIR) else []
    return shlex.join(["python", "-m", "experiments.paper", *options])


def _swept(item: Item, scale: str, folder: Path, data_dir: str | None) -> list[dict]:
    """The rows of the item's cells."""
    config = paper.config_of(item, scale)
    if scale == "quick":
        data_dir = str(toy_decoder(folder, config.image_shape)) if "csgm" in item.methods else None
    return computing.sweep(config, folder / item.sweep, data_dir)


def toy_decoder(parent: Path, image_shape: tuple[int, int, int]) -> Path:
    """A folder with random weights of a decoder for CSGM, where no VAE has been trained: it reconstructs nothing."""
    path = parent / "toy_decoder" / f"{vae_weights.DEFAULT}.msgpack"
    if not path.exists():
        latent = 4
        params = VAE(image_shape, (16,), latent).init(jax.random.key(0), jnp.zeros(image_shape), jnp.zeros(latent))
        vae_weights.save(path, params, {"trained": False})
    return path.parent


def _published(item: Item, scale: str, column: str = "mse") -> numbers.Published:
    """The item's published values, where they can be compared with."""
    return published.values(item.published, column) if item.published and scale != "quick" else {}


def _curve(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    rows = _swept(item, scale, folder, data_dir)
    points = numbers.points(item, rows, _published(item, scale))
    lines = {numbers.place(item, row): row.count for row in rows} if SWEEPS[item.sweep].fourier else {}
    return Rendered(
        drawings.curve(item, points, lines),
        points.rename(columns={"x": numbers.axis_name(item)}),
        numbers.curve_table(item, points),
        [*_notes(item, scale, rows), *_troubles(points)],
        rows,
    )


def _runtime(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    rows = _swept(item, scale, folder, data_dir)
    times = numbers.seconds(rows, item.methods, _published(item, scale, "seconds"))
    return Rendered(
        drawings.seconds(item, times, rows[0].preset),
        times,
        numbers.seconds_table(times),
        [f"Here: {numbers.device(rows)}.", numbers.SECONDS_NOTE, *_notes(item, scale, rows)],
        rows,
    )


def _reconstructions(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    rows = _swept(item, scale, folder, data_dir)
    flagged = [f"{METHODS[row.method].label} of {row.image}: {flag(row)}" for row in rows if flag(row)]
    return Rendered(
        drawings.reconstructions(item, folder / item.sweep, rows),
        numbers.cells(rows),
        numbers.cells_table(item, rows),
        [*_notes(item, scale, rows), *([f"Flagged: {'; '.join(flagged)}."] if flagged else [])],
        rows,
    )


def _learned_regularization(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    plan = study.plan(paper.config_of(item, scale), data_dir)
    workdir = study.open_workdir(plan, str(folder / item.name))
    for cell in plan.cells:
        CellRun(plan, workdir, cell).run()
    entries = outcome.write(plan, workdir)
    return Rendered(
        outcome.draw_decreases(entries, item.title),
        entries,
        outcome.as_text(plan, workdir, entries),
        _notes(item, scale, []),
        workdir.rows,
    )


def _mask(item: Item, *_) -> Rendered:
    counts = numbers.coefficients(SWEEPS["xray_fourier"].counts, published.coefficient_counts())
    return Rendered(
        drawings.mask(item.title, dict(zip(counts["lines"], counts["coefficients"], strict=True))),
        counts,
        counts.rename(columns={"published_coefficients": "published"}).astype(str),
        [f"Published: {published.read(item.published).source}"],
    )


def _notes(item: Item, scale: str, rows: Sequence[Row]) -> list[str]:
    """Where the numbers come from, ours and theirs, and what is missing."""
    notes = []
    if scale == "quick":
        notes.append("Toy images and few steps, to see that everything runs: not comparable with published numbers.")
        notes += [TOY_DECODER] if "csgm" in item.methods else []
    elif item.published:
        notes.append(f"Published: {published.read(item.published).source}")
    if item.sweep:
        chosen, here = paper.methods_of(item, scale), paper.installed_methods(item, scale)
        left_out = [METHODS[method].label for method in item.methods if method not in chosen]
        notes += [f"At this scale without {', '.join(left_out)}."] if left_out else []
        for recipe in (METHODS[method] for method in chosen if method not in here):
            extra = f"its extra is not installed (pip install 'csdip_jax[{recipe.extra}]')"
            notes.append(f"{recipe.label} is missing: {extra}.")
    if any(row.seconds is None for row in rows):
        notes.append("Cells that were interrupted and resumed have no time.")
    return notes


def _troubles(points: pd.DataFrame) -> list[str]:
    """Fits that failed or did not converge; they are in the means."""
    notes = []
    for what, column in (("failed", "failed"), ("did not converge", "not_converged")):
        counts = [
            f"{METHODS[point['method']].label} at {point['x']:g}: {point[column]} of {point['images']}"
            for point in points[points[column] > 0].to_dict("records")
        ]
        if counts:
            notes.append(f"Images on which a fit {what}, included in the means: {'; '.join(counts)}.")
    return notes


RENDERERS = {
    "curve": _curve,
    "runtime": _runtime,
    "reconstructions": _reconstructions,
    "learned_regularization": _learned_regularization,
    "mask": _mask,
}
