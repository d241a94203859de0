"""What a report consists of, whatever it is written as: sections of texts, tables, figures and contact sheets."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Number(NamedTuple):
    """An entry of a table that sorts by its value; None, where there is none, comes last."""

    text: str
    value: float | None


class Link(NamedTuple):
    """An entry of a table, or a paragraph, that leads to a section of the report."""

    text: str
    anchor: str


class Flag(NamedTuple):
    """What is wrong with something, in a word; empty where nothing is."""

    text: str


Entry = str | Number | Link | Flag


class Text(NamedTuple):
    text: str


class Note(NamedTuple):
    """Something a reader should know of what stands beside it, such as what was left out."""

    text: str


class Problem(NamedTuple):
    """A file that cannot be used, and why."""

    text: str


class Code(NamedTuple):
    """A command."""

    text: str


class Facts(NamedTuple):
    pairs: Sequence[tuple[str, str]]


class Table(NamedTuple):
    """Rows under a header.

    Attributes:
        caption: what stands above it.
        header: names of the columns.
        rows: entries, as many as the header has.
        sortable: whether a reader may want it in another order.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Entry]]
    sortable: bool = False


class Picture(NamedTuple):
    """A .png: its bytes, its size in pixels, where it was read."""

    png: bytes
    width: int
    height: int
    path: Path


class Figure(NamedTuple):
    title: str
    picture: Picture


class Thumb(NamedTuple):
    """One picture of a contact sheet.

    Attributes:
        label: what it is, the method or "original".
        detail: what is known of it.
        flag: what is wrong with it.
        picture: pixels.
    """

    label: str
    detail: str
    flag: str
    picture: Picture


class Strip(NamedTuple):
    """The pictures of one measurement."""

    label: str
    thumbs: Sequence[Thumb]


class Sheet(NamedTuple):
    """One image: the original, and its reconstructions strip by strip."""

    name: str
    strips: Sequence[Strip]


class Curve(NamedTuple):
    """A line of a plot: (x, y) with x and y above 0, coloured by its label."""

    label: str
    points: Sequence[tuple[float, float]]


class Plot(NamedTuple):
    """Curves on two logarithmic axes."""

    title: str
    x: str
    y: str
    curves: Sequence[Curve]


class Folded(NamedTuple):
    """Blocks that a reader can open and close; closed at first, unless `open`."""

    title: str
    blocks: Sequence
    open: bool = False


class Section(NamedTuple):
    """A part of the report.

    Attributes:
        title: its heading.
        anchor: its name in links, of letters, digits and "-".
        blocks: what it consists of.
        badge: a word beside its heading.
    """

    title: str
    anchor: str
    blocks: Sequence
    badge: str = ""


class Document(NamedTuple):
    title: str
    sections: Sequence[Section]


def problems(blocks: Sequence) -> list[str]:
    """The texts of all Problems, those in folded blocks as well."""
    found = []
    for block in blocks:
        if isinstance(block, Problem):
            found.append(block.text)
        if isinstance(block, Folded):
            found += problems(block.blocks)
    return found
