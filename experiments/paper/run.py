"""One item: what is missing is computed, then drawn and written."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from csdip_jax.io.files import write_atomically, write_json
from csdip_jax.types import InputError
from experiments import pictures, published
from experiments.configs import paper
from experiments.learned_regularization import report as study_report
from experiments.learned_regularization import study
from experiments.learned_regularization.stages import CellRun
from experiments.paper import curves, mask, points, reconstructions, runtime, tables, toy_decoder
from experiments.paper.items import DISPLAY, SWEEPS, Item
from experiments.reconstruct.table import flag
from experiments.sweep import run as sweep_run

NOT_INSTALLED = "BM3D-AMP is missing: its extra is not installed (pip install 'csdip_jax[bm3d]')."
FORMATS = ("png", "pdf")
WORKDIR = "runs/paper"
"""Where results lie by default."""


class Rendered(NamedTuple):
    """What an item looks like.

    Attributes:
        draw: (path, formats) -> None, writes the figure.
        csv, markdown: the numbers.
        notes: what a reader should know beside them.
        sweep: folder of the results, relative to the scale's; None if nothing was computed.
        seconds: that the rows took to compute, whenever that was.
    """

    draw: Callable[[Path, Sequence[str]], None]
    csv: str
    markdown: str
    notes: list[str]
    sweep: str | None
    seconds: float


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
    rendered.draw(path, FORMATS)
    notes = "".join(f"\n- {note}" for note in rendered.notes)
    again = command(item, scale, workdir, data_dir)
    text = f"# {item.title}\n\nScale `{scale}`: `{again}`\n\n{rendered.markdown}\n{notes}\n"
    for suffix, content in ((".csv", rendered.csv), (".md", text)):
        write_atomically(path.with_suffix(suffix), lambda file, content=content: file.write(content.encode()))
    description = {
        "item": item.name,
        "title": item.title,
        "scale": scale,
        "sweep": rendered.sweep,
        "files": {suffix: f"{item.name}.{suffix}" for suffix in (*FORMATS, "csv", "md")},
        "command": again,
        "seconds": round(rendered.seconds, 1),
        "notes": rendered.notes,
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
        data_dir = str(toy_decoder.folder_of(folder, config.image_shape)) if "csgm" in item.methods else None
    return sweep_run.sweep(config, folder / item.sweep, data_dir)


def _curve(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    rows = _swept(item, scale, folder, data_dir)
    known = published.values(item.published) if item.published and scale != "quick" else {}
    found = points.points(item, rows, known)
    lines = {points.place(item, row): row["count"] for row in rows} if SWEEPS[item.sweep].fourier else {}
    preset = rows[0]["preset"]

    def draw(path, formats):
        pictures.save_figure(path, curves.draw(item, found, preset, lines), formats)

    table = tables.curve_markdown(item, found)
    notes = [*_notes(item, scale, rows), *_troubles(item, found)]
    return Rendered(draw, tables.curve_csv(item, found, preset), table, notes, item.sweep, _seconds(rows))


def _runtime(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    rows = _swept(item, scale, folder, data_dir)
    known = published.values(item.published, "seconds") if scale != "quick" else {}
    table = runtime.medians(rows, item.methods, known)
    device = " and ".join(dict.fromkeys(row["device"] for row in rows))

    def draw(path, formats):
        pictures.save_figure(path, curves.draw_seconds(item, table, rows[0]["preset"], device), formats)

    notes = [f"Here: {device}.", runtime.NOTE, *_notes(item, scale, rows)]
    markdown = runtime.as_markdown(table)
    return Rendered(draw, runtime.as_csv(table, device), markdown, notes, item.sweep, _seconds(rows))


def _reconstructions(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    rows = _swept(item, scale, folder, data_dir)

    def draw(path, formats):
        pictures.save_figure(path, reconstructions.draw(item, folder / item.sweep, rows), formats)

    table = reconstructions.as_markdown(item, rows)
    flagged = [f"{DISPLAY[row['method']]} of {row['image']}: {flag(row)}" for row in rows if flag(row)]
    notes = [*_notes(item, scale, rows), *([f"Flagged: {'; '.join(flagged)}."] if flagged else [])]
    return Rendered(draw, reconstructions.as_csv(rows), table, notes, item.sweep, _seconds(rows))


def _learned_regularization(item: Item, scale: str, folder: Path, data_dir: str | None) -> Rendered:
    plan = study.plan(paper.config_of(item, scale), data_dir)
    workdir = study.open_workdir(plan, str(folder / item.name))
    for cell in plan.cells:
        CellRun(plan, workdir, cell).run()
    study_report.write(plan, workdir)
    table = study_report.entries(plan, workdir)

    def draw(path, formats):
        study_report.save_table(path, table, formats, item.title)

    text = study_report.as_text(plan, workdir, table)
    return Rendered(draw, study_report.as_csv(table), text, _notes(item, scale, []), item.name, _seconds(workdir.rows))


def _mask(item: Item, *_) -> Rendered:
    lines = SWEEPS["xray_fourier"].counts
    table = mask.rows(lines, published.coefficient_counts())

    def draw(path, formats):
        pictures.save_figure(path, mask.draw(item.title, lines), formats)

    notes = [f"Published: {published.read(item.published).source}"]
    return Rendered(draw, mask.as_csv(table), mask.as_markdown(table), notes, None, 0.0)


def _seconds(rows: Sequence[dict]) -> float:
    return sum(row.get("seconds") or 0.0 for row in rows)


def _notes(item: Item, scale: str, rows: Sequence[dict]) -> list[str]:
    """Where the numbers come from, ours and theirs, and what is missing."""
    notes = []
    if scale == "quick":
        notes.append("Toy images and few steps, to see that everything runs: not comparable with published numbers.")
        notes += [toy_decoder.NOTE] if "csgm" in item.methods else []
    elif item.published:
        notes.append(f"Published: {published.read(item.published).source}")
    if item.sweep:
        chosen, here = paper.methods_of(item, scale), paper.installed_methods(item, scale)
        left_out = [DISPLAY[method] for method in item.methods if method not in chosen]
        notes += [f"At this scale without {', '.join(left_out)}."] if left_out else []
        notes += [NOT_INSTALLED] if "bm3d_amp" in set(chosen) - set(here) else []
    if any(row["seconds"] is None for row in rows):
        notes.append("Cells that were interrupted and resumed have no time.")
    return notes


def _troubles(item: Item, found: Sequence[points.Point]) -> list[str]:
    """Fits that failed or did not converge; they are in the means."""
    notes = []
    for what, field in (("failed", "failed"), ("did not converge", "unconverged")):
        counts = [
            f"{DISPLAY[point.method]} at {point.x:g}: {getattr(point, field)} of {point.estimate.count}"
            for point in found
            if getattr(point, field)
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
