"""Files with tables, Markdown and CSV, as blocks."""

import csv
import math
import re
from collections.abc import Sequence
from pathlib import Path

from experiments.report.blocks import Entry, Note, Number, Problem, Table, Text

CSV_ROWS = 500
RULE = re.compile(r"\|?(\s*:?-+:?\s*\|)+(\s*:?-+:?\s*)?")


def read(path: Path) -> list:
    """The blocks of an .md or a .csv; a Problem where it cannot be read."""
    try:
        text = path.read_text()
        return from_csv(text, path.name) if path.suffix == ".csv" else from_markdown(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return [Problem(f"{path}: {error}")]


def from_markdown(text: str) -> list:
    """Paragraphs, list items and tables; headings become paragraphs. Other Markdown stays as it is written."""
    blocks, lines = [], text.splitlines()
    at = 0
    while at < len(lines):
        line = lines[at].strip()
        if at + 1 < len(lines) and "|" in line and RULE.fullmatch(lines[at + 1].strip()):
            end = at + 2
            while end < len(lines) and "|" in lines[end]:
                end += 1
            blocks.append(_table(_row(line), [_row(row) for row in lines[at + 2 : end]]))
            at = end
            continue
        if line:
            blocks.append(Text(line.lstrip("#").strip()))
        at += 1
    return blocks


def _row(line: str) -> list[str]:
    line = line.strip().removeprefix("|")
    line = line[:-1] if line.endswith("|") and not line.endswith("\\|") else line
    return [entry.strip().replace("\\|", "|") for entry in re.split(r"(?<!\\)\|", line)]


def from_csv(text: str, name: str) -> list:
    """One table, without the lines that begin with #, cut after CSV_ROWS rows."""
    lines = list(csv.reader(line for line in text.splitlines() if not line.startswith("#")))
    if not lines:
        return [Note(f"{name} is empty.")]
    header, *rows = lines
    left_out = len(rows) - CSV_ROWS
    note = [Note(f"{left_out} further rows: see {name}.")] if left_out > 0 else []
    return [_table(header, rows[:CSV_ROWS], name), *note]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> Table:
    """Every row as long as the header."""
    width = len(header)
    filled = [[_entry(text) for text in [*row, *[""] * width][:width]] for row in rows]
    return Table(caption, list(header), filled)


def _entry(text: str) -> Entry:
    try:
        value = float(text)
    except ValueError:
        return text
    return Number(text, None if math.isnan(value) else value)
