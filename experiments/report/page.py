"""The report as one HTML page that needs nothing else: styles, script and pictures are inside."""

import base64
from collections.abc import Sequence
from pathlib import Path

from experiments.report import blocks as b
from experiments.report.markup import Markup, element, join
from experiments.report.plot import svg
from experiments.row_tables import FAILED

HERE = Path(__file__).parent
SMALL = 160  # pixels: pictures below are shown enlarged, pixel by pixel
SHORT = 28  # letters: an entry of a table that is not broken into lines
THUMB = 128  # pixels: width of what a small picture is enlarged to, about
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
VIEWER = """<dialog id="viewer" aria-label="Picture, enlarged">
<p><span id="viewer-title"></span> <button type="button" id="viewer-close">close</button></p>
<div><button type="button" id="viewer-previous" aria-label="previous">‹</button><img alt="">\
<button type="button" id="viewer-next" aria-label="next">›</button></div>
<p class="hint">Arrow keys: the pictures of the same sheet at the same place. Esc: close.</p>
</dialog>"""


def html(document: b.Document) -> str:
    """The whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", document.title),
        element("style", Markup((HERE / "page.css").read_text())),
    )
    links = [element("li", _anchor(section.title, section.anchor), _badge(section)) for section in document.sections]
    body = element(
        "body",
        element("nav", element("h2", "Contents"), element("ol", join(links)), aria_label="Contents"),
        element("main", element("h1", document.title), join(map(_section, document.sections))),
        Markup(VIEWER),
        element("script", Markup((HERE / "page.js").read_text())),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _anchor(text: str, anchor: str) -> Markup:
    return element("a", text, href=f"#{anchor}")


def _badge(section: b.Section) -> Markup | None:
    if not section.badge:
        return None
    return join([" ", element("span", section.badge, class_="flag failed" if FAILED in section.badge else "badge")])


def _section(section: b.Section) -> Markup:
    heading = element("h2", section.title, _badge(section))
    return element("section", heading, _blocks(section.blocks), id=section.anchor)


def _blocks(blocks: Sequence) -> Markup:
    return join([RENDERERS[type(block)](block) for block in blocks])


def _table(table: b.Table) -> Markup:
    """Numbers to the right; a column of numbers has its header there, too."""
    columns = list(zip(*table.rows, strict=True)) if table.rows else [[]] * len(table.header)
    header = [
        element(
            "th",
            element("button", name, type="button") if table.sortable and name else name,
            scope="col",
            class_="number" if any(isinstance(entry, b.Number) for entry in column) else None,
        )
        for name, column in zip(table.header, columns, strict=True)
    ]
    rows = [element("tr", *map(_entry, row)) for row in table.rows]
    inner = element(
        "table",
        element("caption", table.caption) if table.caption else None,
        element("thead", element("tr", *header)),
        element("tbody", *rows),
        class_="sortable" if table.sortable else None,
    )
    return element("div", inner, class_="wide")


def _entry(entry: b.Entry) -> Markup:
    if isinstance(entry, b.Number):
        return element("td", entry.text, class_="number", data_value="" if entry.value is None else repr(entry.value))
    if isinstance(entry, b.Link):
        return element("td", _anchor(entry.text, entry.anchor), class_="short" if len(entry.text) <= SHORT else None)
    if isinstance(entry, b.Flag):
        return element("td", _flag(entry.text))
    return element("td", entry, class_="short" if len(entry) <= SHORT else None)


def _flag(text: str) -> Markup | None:
    return element("span", text, class_="flag failed" if text == FAILED else "flag") if text else None


def _image(picture: b.Picture, description: str, width: int | None = None) -> Markup:
    """A picture that a click enlarges; `width` is the one shown, in CSS pixels."""
    small = max(picture.width, picture.height) < SMALL
    shown = width or picture.width
    image = element(
        "img",
        src=f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
        alt=description,
        width=shown,
        height=max(1, round(shown * picture.height / picture.width)),
        class_="pixels" if small else None,
    )
    return element("button", image, type="button", class_="zoom", title=f"{description}: enlarge")


def _figure(figure: b.Figure) -> Markup:
    return element("figure", _image(figure.picture, figure.title), element("figcaption", figure.title), class_="figure")


def _sheet(sheet: b.Sheet) -> Markup:
    strips = []
    for strip in sheet.strips:
        label = element("h4", strip.label) if strip.label else None
        strips.append(element("div", label, *(_thumb(sheet, strip, thumb) for thumb in strip.thumbs), class_="strip"))
    return element("section", element("h3", sheet.name), *strips, class_="sheet")


def _thumb(sheet: b.Sheet, strip: b.Strip, thumb: b.Thumb) -> Markup:
    width = thumb.picture.width
    width = width * max(1, round(THUMB / width)) if width < SMALL else SMALL
    facts = filter(None, (sheet.name, strip.label, thumb.label, thumb.detail, thumb.flag))
    return element(
        "figure",
        _image(thumb.picture, ", ".join(facts), width),
        element("figcaption", element("b", thumb.label), element("span", thumb.detail), _flag(thumb.flag)),
        style=f"width: {width}px",
        class_=None if not thumb.flag else "failed" if thumb.flag == FAILED else "doubtful",
    )


def _facts(facts: b.Facts) -> Markup:
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in facts.pairs]
    return element("dl", *pairs)


RENDERERS = {
    b.Text: lambda block: element("p", block.text),
    b.Note: lambda block: element("p", block.text, class_="note"),
    b.Problem: lambda block: element("p", block.text, class_="problem", role="alert"),
    b.Code: lambda block: element("pre", element("code", block.text)),
    b.Link: lambda block: element("p", _anchor(block.text, block.anchor)),
    b.Facts: _facts,
    b.Table: _table,
    b.Figure: _figure,
    b.Sheet: _sheet,
    b.Plot: svg,
    b.Folded: lambda block: element("details", element("summary", block.title), _blocks(block.blocks), open=block.open),
}
