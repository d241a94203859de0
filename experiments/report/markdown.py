"""The report as Markdown, to be read in a terminal or beside the results; pictures are links to their files."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from experiments.report import blocks as b

ROWS = 20  # of a sortable table; the page has them all


def markdown(document: b.Document, folder: Path, page: str) -> str:
    """The whole text.

    Args:
        document: what to say.
        folder: where the text will lie, which links are relative to.
        page: name of the HTML page beside it.
    """
    parts = [
        f"# {plain(document.title)}",
        f"With contact sheets and curves: [{plain(page)}]({quote(os.fsencode(page))})",
    ]
    for section in document.sections:
        badge = f" ({plain(section.badge)})" if section.badge else ""
        parts += [f'<a id="{section.anchor}"></a>', f"## {plain(section.title)}{badge}"]
        parts += _blocks(section.blocks, folder)
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """A text in which nothing is taken for Markdown or HTML; on one line."""
    text = re.sub(r"([\\`*_\[\]|])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _link(path: str) -> str:
    return quote(os.fsencode(path))  # names may hold bytes that are no text


def _blocks(blocks: Sequence, folder: Path) -> list[str]:
    return [text for block in blocks if (text := _block(block, folder))]


def _block(block, folder: Path) -> str:
    match block:
        case b.Text(text) | b.Note(text):
            return plain(text)
        case b.Problem(text):
            return f"**Problem:** {plain(text)}"
        case b.Code(text):
            return "\n".join(f"    {line}" for line in text.splitlines())
        case b.Link():
            return _entry(block)
        case b.Facts(pairs):
            return "\n".join(f"- {plain(name)}: {plain(value)}" for name, value in pairs)
        case b.Table():
            return _table(block)
        case b.Figure(title, picture):
            return f"![{plain(title)}]({_link(os.path.relpath(picture.path, folder))})"
        case b.Folded(title, inner, _):
            return "\n\n".join([f"**{plain(title)}**", *_blocks(inner, folder)])
        case b.Sheet() | b.Plot():  # the page has them
            return ""
    raise TypeError(f"no Markdown for {type(block).__name__}")


def _table(table: b.Table) -> str:
    numbers = [
        bool(table.rows) and all(isinstance(row[i], b.Number) for row in table.rows) for i in range(len(table.header))
    ]
    rows = table.rows[:ROWS] if table.sortable else table.rows
    lines = [f"**{plain(table.caption)}**", ""] if table.caption else []
    lines += [_line(map(plain, table.header)), "|" + "".join("---:|" if right else "---|" for right in numbers)]
    lines += [_line(map(_entry, row)) for row in rows]
    left_out = len(table.rows) - len(rows)
    return "\n".join([*lines, "", f"{left_out} further rows: see the page."] if left_out else lines)


def _line(entries) -> str:
    return f"| {' | '.join(entries)} |"


def _entry(entry: b.Entry) -> str:
    match entry:
        case b.Link(text, anchor):
            return f"[{plain(text)}](#{anchor})"
        case b.Flag(text):
            return f"**{plain(text)}**" if text else ""
        case b.Number(text, _):
            return plain(text)
    return plain(entry)
