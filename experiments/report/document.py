"""From what was found to what the report says, in its order."""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from experiments.report import cell_tables, curves, embed, sheets, tables
from experiments.report.blocks import (
    Code,
    Document,
    Facts,
    Figure,
    Folded,
    Link,
    Note,
    Picture,
    Problem,
    Section,
    Table,
    Text,
    problems,
)
from experiments.report.cells import Cell, cells_of, slowest_first, worst_first
from experiments.report.departures import settings_of
from experiments.report.find import Findings, PaperItem, Run, unusable
from experiments.report.summary import summarize
from experiments.row_tables import FAILED

FIRST_CELLS = 10  # of the worst and of the slowest, on top of the page
PROBLEMS = 8  # of one kind, lines
RUN_ANCHOR = "run-{}"


def build(findings: Findings) -> Document:
    """Overview, items, runs; figures are embedded first, contact sheets as far as there is room after them."""
    page = embed.Budget(embed.PAGE_BYTES)
    anchors = {os.path.realpath(run.path): RUN_ANCHOR.format(i) for i, run in enumerate(findings.runs)}
    cells = [cells_of(run.rows) for run in findings.runs]
    items = [_item(item, f"item-{i}", anchors, page, findings.root) for i, item in enumerate(findings.items)]
    figures = [_figures(run.figures, page) for run in findings.runs]
    runs = [
        _run(run, RUN_ANCHOR.format(i), *read, drawn, page, findings.root)
        for i, (run, read, drawn) in enumerate(zip(findings.runs, cells, figures, strict=True))
    ]
    overview = _overview(findings, [found for found, _, _ in cells], [*items, *runs])
    return Document(f"Results in {_name(findings.root.resolve())}", [overview, *items, *runs])


def _name(path: Path) -> str:
    return path.name or str(path)


def _overview(findings: Findings, cells: Sequence[Sequence[Cell]], sections: Sequence[Section]) -> Section:
    counts = [
        (len(findings.items), "item of the paper", "items of the paper"),
        (len(findings.runs), "run", "runs"),
        (sum(map(len, cells)), "reconstruction", "reconstructions"),
    ]
    found = ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts)
    blocks = [Text(f"{found}, found under {findings.root}.")]
    blocks += [Problem(text) for text in findings.problems]
    for section in sections:
        blocks += [Problem(f"{section.title}: {text}") for text in problems(section.blocks)]
    placed = [
        (cell, _title(run, findings.root), RUN_ANCHOR.format(i))
        for i, (run, group) in enumerate(zip(findings.runs, cells, strict=True))
        for cell in group
    ]
    where = {id(cell): Link(title, anchor) for cell, title, anchor in placed}
    every = [cell for cell, _, _ in placed]
    measured = [cell for cell in every if cell.mse is not None or cell.flag]
    for caption, ordered in (
        ("Worst cells", worst_first(measured)),
        ("Slowest cells (* with compiling)", slowest_first(every)),
    ):
        first = ordered[:FIRST_CELLS]
        if first:
            of = f"{caption}: the first {len(first)} of {len(ordered)}" if len(ordered) > len(first) else caption
            blocks.append(cell_tables.table(of, first, [where[id(cell)] for cell in first]))
    return Section("Overview", "overview", blocks)


def _item(item: PaperItem, anchor: str, anchors: Mapping[str, str], page: embed.Budget, root: Path) -> Section:
    """Figure and table first, then how they came about."""
    blocks = [Problem(text) for text in item.problems]
    if "png" in item.files:
        blocks += _figures([item.files["png"]], page)
    if "md" in item.files:
        blocks += [block for block in tables.read(item.files["md"]) if not _repeats(block, item)]
    blocks += [Note(note) for note in item.notes]
    if item.command:
        blocks.append(Code(item.command))
    if item.sweep is not None and os.path.realpath(item.sweep) in anchors:
        blocks.append(
            Link("The run behind it: settings, cells, reconstructions", anchors[os.path.realpath(item.sweep)])
        )
    if "csv" in item.files:
        blocks.append(Folded(f"{item.files['csv'].name}: the numbers", tables.read(item.files["csv"])))
    files = [(suffix, str(file.relative_to(root))) for suffix, file in item.files.items() if file.is_relative_to(root)]
    if files:
        blocks.append(Folded("Files", [Facts(files)]))
    return Section(item.title, anchor, blocks, ", ".join(filter(None, (item.name, item.scale))))


def _repeats(block, item: PaperItem) -> bool:
    """Whether a paragraph of the item's Markdown says what the section says anyway: title, command, notes."""
    if not isinstance(block, Text):
        return False
    text = block.text.removeprefix("- ")
    return text in (item.title, *item.notes) or bool(item.command and item.command in text)


def _title(run: Run, root: Path) -> str:
    relative = run.path.relative_to(root)
    return _name(root.resolve()) if relative == Path() else str(relative)


def _run(
    run: Run,
    anchor: str,
    cells: Sequence[Cell],
    others: int,
    broken: Sequence[str],
    figures: Sequence,
    page: embed.Budget,
    root: Path,
) -> Section:
    """Settings, summary, tables, figures, cells, contact sheets, curves."""
    blocks = [*map(Problem, run.problems), *_few_problems([*map(Problem, broken)])]
    blocks += _provenance(run, cells, others)
    if cells:
        blocks += cell_tables.summary(summarize(cells))
    for path in run.tables:
        has_markdown = path.suffix == ".csv" and path.with_suffix(".md") in run.tables
        read = tables.read(path)
        blocks += [Folded(path.name, read)] if has_markdown else read
    blocks += figures
    if cells:
        blocks.append(cell_tables.folded(cells))
        shown = _few_problems(sheets.sheets_of(run.path, cells, page))
        blocks.append(Folded("Reconstructions", shown, open=True))
    if not any(path.name.startswith("loss") for path in run.figures):
        blocks += _few_problems(curves.plot_of(run.path, cells))
    return Section(_title(run, root), anchor, blocks, _badge(cells))


def _few_problems(blocks: Sequence) -> list:
    """The blocks with the first problems only, and how many there are more."""
    found = [block for block in blocks if isinstance(block, Problem)]
    more = [Problem(f"... and {len(found) - PROBLEMS} more of this kind")] if len(found) > PROBLEMS else []
    shown = [block for block in blocks if not isinstance(block, Problem)]
    return [*shown, *found[:PROBLEMS], *more]


def _badge(cells: Sequence[Cell]) -> str:
    failed = sum(cell.flag == FAILED for cell in cells)
    return f"{failed} {FAILED}" if failed else ""


def _provenance(run: Run, cells: Sequence[Cell], others: int) -> list:
    settings = settings_of(run.config)
    facts = [("rows", f"{len(cells)} reconstructions" + (f", {others} of another kind" if others else ""))]
    if run.unfinished:
        facts.append(("under way", f"{run.unfinished} checkpoints of fits that run or were interrupted"))
    facts += [("device", str(run.config["device"]))] if run.config.get("device") else []
    facts += [("commit", _commit(run.config))] if run.config.get("git_commit") else []
    written = [file.stat().st_mtime for file in run.path.glob("results*.jsonl") if not unusable(file, run.path)]
    if written:
        facts.append(("last row", f"{datetime.fromtimestamp(max(written), UTC):%Y-%m-%d %H:%M} UTC"))
    blocks = [Facts(facts)]
    if settings.departing:
        of = "Settings of the last command"
        of += f", where they are not those of experiments/configs/{settings.base}.py" if settings.base else ""
        blocks.append(Table(of, ["setting", "value"], [list(pair) for pair in settings.departing.items()]))
    if settings.others:
        folded = Table("", ["setting", "value"], [list(pair) for pair in settings.others.items()])
        blocks.append(Folded("All other settings" if settings.base else "Settings", [folded]))
    versions = run.config.get("versions")
    if isinstance(versions, dict):
        blocks.append(Folded("Versions", [Facts([(str(name), str(value)) for name, value in versions.items()])]))
    return blocks


def _commit(config: Mapping) -> str:
    return f"{str(config['git_commit'])[:12]}{' with uncommitted changes' if config.get('git_dirty') else ''}"


def _figures(paths: Sequence[Path], page: embed.Budget) -> list:
    blocks = []
    for path in paths:
        picture = embed.figure(path)
        if isinstance(picture, Picture):
            fits = page.take(picture)
            size = f"the page may have {embed.PAGE_BYTES / sheets.MEBIBYTE:.3g} MiB of pictures"
            blocks.append(Figure(path.name, picture) if fits else Note(f"{path} is left out: {size}."))
        else:
            blocks.append(picture)
    return blocks
