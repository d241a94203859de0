"""From a folder to its report: the HTML page, and the Markdown beside it."""

import base64
import csv
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from csdip_jax.commands.report import cells, embed
from csdip_jax.commands.report.curves import charts_of
from csdip_jax.commands.report.departures import settings_of
from csdip_jax.commands.report.find import Findings, PaperItem, Run, find
from csdip_jax.commands.row_tables import FAILED
from csdip_jax.files import write_atomically
from csdip_jax.types import InputError

FIRST_CELLS = 10  # of the worst and of the slowest, at the end of the page
PROBLEMS = 8  # of one kind, lines
CELLS = 400  # of a run, in its table
CSV_ROWS = 500
SMALL = 160  # pixels: pictures below are shown enlarged, pixel by pixel
THUMB = 128  # pixels: width of what a small picture is enlarged to, about
NUMBER = re.compile(rf"|{cells.DASH}|resumed|[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\*?|[-+]?inf|nan", re.IGNORECASE)


def report(workdir: Path, output: Path | None) -> tuple[dict, Path, Path]:
    """Writes the page and, beside it, the Markdown.

    Args:
        workdir: folder of runs and items.
        output: of the page, <workdir>/report.html by default.

    Returns:
        What they say, see `contents`, and the paths of the page and the Markdown.

    Raises:
        InputError: nothing to report, or `output` is no .html that can be written.
    """
    output = workdir / "report.html" if output is None else output
    if output.suffix != ".html":
        raise InputError(f"--output={output}: name a file that ends in .html")
    text = output.with_suffix(".md")
    said = contents(find(workdir, own_files=[text]))
    try:
        for path, content in ((output, html(said)), (text, markdown(said, output))):
            # Names of files may hold bytes that are no text.
            write_atomically(path, lambda file, content=content: file.write(content.encode(errors="replace")))
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}): choose another --output") from error
    return said, output, text


def html(said: Mapping) -> str:
    """The whole page: styles, script and pictures are inside."""
    return _template().render(said, format="page.html.j2")


def markdown(said: Mapping, page: Path) -> str:
    """The same without contact sheets and curves, to lie beside the page: links are relative to its folder."""
    text = _template(plain, page.parent).render(said, format="page.md.j2", page=page)
    return re.sub(r"\n\s*\n", "\n\n", text).strip() + "\n"


def plain(text) -> Markup:
    """A text in which nothing is taken for Markdown or HTML, on one line; Markup stays as it is."""
    if isinstance(text, Markup):
        return text
    text = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(str(text).split()))
    return Markup(text.replace("&", "&amp;").replace("<", "&lt;"))


def _template(finalize: Callable | None = None, folder: Path = Path()) -> Template:
    """contents.j2, where every text that is no Markup is escaped, by `finalize` if given; links begin at `folder`."""

    def shown_width(picture):  # of a contact sheet's picture, in CSS pixels: a small one is enlarged by a whole factor
        return picture.width * max(1, round(THUMB / picture.width)) if picture.width < SMALL else SMALL

    settings = {"autoescape": True, "undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), finalize=finalize, **settings)
    environment.filters |= {
        "data_uri": lambda picture: f"data:image/{picture.type};base64,{base64.b64encode(picture.data).decode()}",
        "link": lambda path: Markup(quote(os.fsencode(os.path.relpath(path, folder)))),
        "numeric": lambda frame: [all(map(NUMBER.fullmatch, column)) for _, column in frame.items()],
        "shown_width": shown_width,
        "as_is": Markup,
        "cell_table": cells.cell_table,
        "summary_table": cells.summary_table,
        "outcome_table": cells.outcome_table,
        "pairs": lambda values: pd.DataFrame(values.items(), columns=["setting", "value"], dtype=object),
        "date": lambda seconds: f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC",
    }
    environment.tests |= {
        "small": lambda picture: picture.type == "png" and max(picture.width, picture.height) < SMALL,
        "mapping": lambda value: isinstance(value, dict),
    }
    environment.globals |= {"failed": FAILED, "zip": zip}
    return environment.get_template("contents.j2")


def contents(findings: Findings) -> dict:
    """What contents.j2 shows: title, what was found, problems, tables of the first cells, items, runs, their anchors.

    Figures are embedded first, contact sheets as far as there is room after them.
    """
    budget, root = embed.Budget(embed.PAGE_BYTES), findings.root
    titles = [str(run.path.relative_to(root)) if run.path != root else _name(root) for run in findings.runs]
    anchors = {title: f"run-{i}" for i, title in enumerate(titles)}
    frames = [cells.cells_of(run.rows) for run in findings.runs]
    items = [_item(item, f"item-{i}", findings, budget) for i, item in enumerate(findings.items)]
    files = [
        _files([file for file in run.files if file.name not in _drawn_again(frame)], budget)
        for run, (frame, _, _) in zip(findings.runs, frames, strict=True)
    ]
    runs = [
        _run(run, title, f"run-{i}", *frame, shown, budget)
        for i, (run, title, frame, shown) in enumerate(zip(findings.runs, titles, frames, files, strict=True))
    ]
    placed = [frame.assign(run=title) for title, (frame, _, _) in zip(titles, frames, strict=True) if len(frame)]
    every = pd.concat(placed, ignore_index=True) if placed else None
    found = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in (
            (len(items), "item of the paper", "items of the paper"),
            (len(runs), "run", "runs"),
            (sum(map(len, placed)), "reconstruction", "reconstructions"),
        )
        if count
    ]
    wrong = {} if every is None else every.flag[every.flag != ""].value_counts().to_dict()
    return {
        "title": f"Results in {_name(root)}",
        "found": f"{', '.join(found) or 'nothing that can be read'}, found under {root}."
        + "".join(f" {count} {flag}." for flag, count in wrong.items()),
        "overviewed": _overviewed(runs),
        "problems": [
            *findings.problems,
            *(f"{part['title']}: {problem}" for part in (*items, *runs) for problem in part["problems"]),
        ],
        "first_cells": [] if every is None else _first_cells(every),
        "items": items,
        "runs": runs,
        "anchors": anchors,
    }


def _name(folder: Path) -> str:
    return folder.resolve().name or str(folder)


def _overviewed(runs: Sequence[Mapping]) -> pd.DataFrame:
    """A line per run, which leads to it."""
    flagged = any(run["badge"] for run in runs)
    lines = [
        {"run": run["title"]}
        | ({"flag": run["badge"]} if flagged else {})
        | {"image": cells.imaged(run["cells"]), "what was run": run["asked"], "outcome": cells.outcome(run["cells"])}
        | {"cells": str(len(run["cells"]))}
        for run in runs
    ]
    return pd.DataFrame(lines, dtype=object)


def _first_cells(every: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The worst and the slowest cells, under their captions."""
    measured, tables = every[every.mse.notna() | (every.flag != "")], []
    for caption, ordered in (
        ("Worst cells", cells.worst_first(measured)),
        ("Slowest cells (* with compiling)", cells.slowest_first(every)),
    ):
        first = ordered[:FIRST_CELLS]
        of = f": the first {len(first)} of {len(ordered)}" if len(ordered) > len(first) else ""
        tables += [(caption + of, cells.cell_table(first))] if len(first) else []
    return tables


def _item(item: PaperItem, anchor: str, findings: Findings, budget: embed.Budget) -> dict:
    """An item with its figure and table, and the anchor of the run behind it."""
    shown = _files(item.files.values(), budget, (item.title, *item.notes, item.command))
    folders = {os.path.realpath(run.path): f"run-{i}" for i, run in enumerate(findings.runs)}
    inside = [(suffix, file) for suffix, file in item.files.items() if file.is_relative_to(findings.root)]
    return shown | {
        "table": _frame(item.table),
        "title": item.title,
        "anchor": anchor,
        "badge": ", ".join(filter(None, (item.name, item.scale))),
        "problems": [*item.problems, *shown["problems"]],
        "notes": [*shown["notes"], *item.notes],
        "command": item.command,
        "run": folders.get(item.sweep and os.path.realpath(item.sweep)),
        "paths": [(suffix, file.relative_to(findings.root)) for suffix, file in inside],
    }


def _run(
    run: Run, title: str, anchor: str, frame: pd.DataFrame, others: int, broken: list, files: dict, budget: embed.Budget
) -> dict:
    """A run with its settings, tables of its cells, contact sheets and curves."""
    failed = (frame.flag == FAILED).sum()
    badge = f"{failed} {FAILED}" if failed else ""
    section = run._asdict() | files | {"title": title, "anchor": anchor, "badge": badge}
    section |= {"settings": settings_of(run.config), "cells": frame, "others": others, "losses": None}
    section |= {"asked": cells.asked(frame), "charts": [], "has_truth": frame.mse.notna().any()}
    section["noisy"] = (frame.noise_variance > 0).any()
    problems = [*run.problems, *_few(broken), *files["problems"]]
    if len(frame):
        section["charts"] = charts_of(frame)
        section["summary"], section["table"] = cells.summarize(frame), cells.worst_and_slowest(frame, CELLS)
        section["sheets"], section["sheet_notes"], unseen = embed.sheets_of(run.path, frame, budget)
        problems += _few(unseen)
        if not any(name.startswith("loss") for name, _ in files["figures"]):
            section["losses"], unread = embed.losses_of(run.path, frame)
            problems += _few(unread)
    return section | {"problems": problems}


def _drawn_again(frame: pd.DataFrame) -> set[str]:
    """Names of the pictures of a user's own measurements, which contact sheets and curves show anyway."""
    own = frame.file[frame.num_measurements.isna()]
    return {f"{prefix}{file}.png" for file in own for prefix in ("", "loss-")}


def _few(problems: Sequence[str]) -> list[str]:
    """The first problems only, and how many there are more."""
    more = [f"... and {len(problems) - PROBLEMS} more of this kind"] if len(problems) > PROBLEMS else []
    return [*problems[:PROBLEMS], *more]


def _files(paths: Collection[Path], budget: embed.Budget, repeated: Sequence[str] = ()) -> dict:
    """Figures, tables and texts with their names; notes, and what cannot be read.

    Tables are read from .csv. Of a Markdown file beside one the paragraphs are notes, but those that are `repeated`.
    """
    shown = {"figures": [], "tables": [], "texts": [], "notes": [], "problems": []}
    for path in paths:
        try:
            if path.suffix == ".png":
                picture = embed.figure(path)
                if isinstance(picture, str):
                    shown["problems"].append(picture)
                elif budget.take(picture):
                    shown["figures"].append((path.name, picture))
                else:
                    size = f"{embed.PAGE_BYTES / embed.MEBIBYTE:.3g} MiB of pictures"
                    shown["notes"].append(f"{path} is left out: the page may have {size}.")
            elif path.suffix == ".csv":
                table = read_csv(path)
                if table.columns.empty:
                    shown["notes"].append(f"{path.name} is empty.")
                else:
                    shown["tables"].append((path.name, table[:CSV_ROWS]))
                if len(table) > CSV_ROWS:
                    shown["notes"].append(f"{len(table) - CSV_ROWS} further rows: see {path.name}.")
            elif path.suffix == ".md" and path.with_suffix(".csv") in paths:
                lines = [line.strip("# ").removeprefix("- ") for line in path.read_text().splitlines()]
                shown["notes"] += [line for line in lines if line and line[0] != "|" and not _is_said(line, repeated)]
            elif path.suffix == ".md":
                shown["texts"].append((path.name, path.read_text()))
        except (OSError, ValueError, csv.Error) as error:
            shown["problems"].append(f"{path}: {error}")
    return shown


def _is_said(line: str, repeated: Sequence[str]) -> bool:
    """Whether a line says one of these: alone, or as the command between backquotes."""
    return any(text and (line == text or f"`{text}`" in line) for text in repeated)


def read_csv(path: Path) -> pd.DataFrame:
    """The table of a .csv as texts, without lines that begin with # and columns in which nothing stands.

    Raises:
        OSError, ValueError, csv.Error: it cannot be read.
    """
    table = _frame([*csv.reader(line for line in path.read_text().splitlines() if not line.startswith("#"))] or [[]])
    return table.loc[:, (table != "").any().to_numpy() | table.empty]


def _frame(rows: Sequence[Sequence[str]]) -> pd.DataFrame:
    """A header and rows, each made as long as that."""
    width = len(rows[0])
    return pd.DataFrame([[*row, *[""] * width][:width] for row in rows[1:]], columns=rows[0], dtype=object)
