"""The page and the Markdown as files."""

import base64
import io
import os
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from experiments.report import blocks, markdown, page, write
from experiments.report.markup import element
from experiments.report.plot import svg
from tests.conftest import REPOSITORY
from tests.experiments import commands
from tests.experiments.report_workdirs import make_item, make_run, row

EVIL = "<script>alert('x')</script>\"&"


class Tree(HTMLParser):
    """Checks that every tag is closed where it should be, keeps attributes and texts."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.texts, self.tags, self.rows = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("img", "meta"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "script" not in self.open and "style" not in self.open:
            self.texts.append(data)
            if "td" in self.open:
                self.rows[-1].append(data)


@pytest.fixture
def runs(tmp_path):
    rows = [
        row(image="fine", mse=0.001, seconds=9.0),
        row(image="bad", mse=0.5, seconds=1.0, converged=False),
        row(image="failed", mse=0.2, seconds=2.0, ok=False),
        row(image=EVIL, file="evil", mse=0.01, seconds=None, label="tv mu=<2>"),
    ]
    folder = tmp_path / "runs" / "a & <b>"
    make_run(folder, [one | {"image": one["image"].replace("/", "|")} for one in rows])
    make_item(tmp_path / "runs", "fig2", title=f"Figure {EVIL}", notes=[EVIL], sweep="a & <b>")
    return tmp_path / "runs"


def test_the_page_is_well_formed_and_needs_nothing_else(runs):
    _, path, _ = write.report(runs, None)
    text = path.read_text()
    tree = Tree(text)
    for name, value in tree.attributes:
        assert not re.search(r"https?:|file:|^//", value or ""), name
        if name == "src":
            png = base64.b64decode(value.removeprefix("data:image/png;base64,"))
            Image.open(io.BytesIO(png)).verify()
        if name == "href":
            assert ("id", value.removeprefix("#")) in tree.attributes and value[0] == "#"
    assert "link" not in tree.tags and "iframe" not in tree.tags
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", text)
    assert tree.tags.count("script") == 1 and tree.tags.count("b") == 8  # the labels of four images, twice


def test_names_are_shown_not_interpreted(runs):
    _, path, text = write.report(runs, None)
    tree = Tree(path.read_text())
    shown = "".join(tree.texts)
    for name in (f"Figure {EVIL}", EVIL.replace("/", "|"), "tv mu=<2>", "a & <b>"):
        assert name in shown
    assert "alert" not in "".join(value or "" for name, value in tree.attributes if name.startswith("on"))
    assert "<script" not in text.read_text() and "<b>" not in text.read_text()


def test_worst_and_slowest_cells_stand_on_top(runs):
    _, path, _ = write.report(runs, None)
    rows = [entries for entries in Tree(path.read_text()).rows if entries and entries[0] == "a & <b>"]
    images = [entries[1] for entries in rows]
    evil = EVIL.replace("/", "|")
    assert images == ["failed", "bad", evil, "fine", "fine", "failed", "bad", evil]
    assert "FAILED" in rows[0] and "not converged" in rows[1] and "resumed" in rows[2]


def test_numbers_sort_by_value_and_nothing_sorts_last():
    table = blocks.Table("", ["x"], [[blocks.Number("1e-05", 1e-5)], [blocks.Number("–", None)]], sortable=True)
    tree = Tree(page.RENDERERS[blocks.Table](table))
    assert [value for name, value in tree.attributes if name == "data-value"] == ["1e-05", ""]


def test_small_pictures_are_enlarged_pixel_by_pixel():
    def attributes(side):
        picture = blocks.Picture(b"", side, side, None)
        sheet = blocks.Sheet("x", [blocks.Strip("", [blocks.Thumb("tv", "", "", picture)])])
        tree = Tree(page.RENDERERS[blocks.Sheet](sheet))
        start = next(i for i, (name, _) in enumerate(tree.attributes) if name == "src")
        return dict(tree.attributes[start : start + 5])  # those of the img, and the caption's where it has fewer

    assert (attributes(28)["width"], attributes(28)["class"]) == ("140", "pixels")
    assert attributes(256)["width"] == str(page.SMALL) and attributes(256).get("class") != "pixels"


def test_a_second_report_is_the_same(runs):
    run = runs / "a & <b>"
    _, path, text = write.report(run, None)
    before = path.read_bytes(), text.read_bytes()
    write.report(run, None)  # the first one's files are no results of the run
    assert (path.read_bytes(), text.read_bytes()) == before


def test_the_markdown_says_the_same(runs, tmp_path):
    _, path, text = write.report(runs, tmp_path / "elsewhere" / "all.html")
    assert (path.name, text.name) == ("all.html", "all.md")
    content = text.read_text()
    assert "../runs/fig2.png" in content and "[all.html](all.html)" in content
    assert "| 100 | 0.0123 |" in content and "**FAILED**" in content
    assert content.index("| failed |") < content.index("| bad |")


def test_markdown_tables_of_very_many_rows_are_cut():
    rows = [[blocks.Number(str(i), i)] for i in range(markdown.ROWS + 5)]
    section = blocks.Section("s", "s", [blocks.Table("", ["i"], rows, sortable=True)])
    text = markdown.markdown(blocks.Document("d", [section]), REPOSITORY, "p.html")
    assert f"| {markdown.ROWS - 1} |" in text and f"| {markdown.ROWS} |" not in text and "5 further rows" in text


@pytest.mark.parametrize("kind", [kind for kind in page.RENDERERS if kind is not blocks.Folded])
def test_every_block_has_a_markdown_too(kind):
    examples = {
        blocks.Facts: blocks.Facts([("a", "b")]),
        blocks.Table: blocks.Table("c", ["a"], [["b"]]),
        blocks.Figure: blocks.Figure("t", blocks.Picture(b"", 1, 1, REPOSITORY / "x.png")),
        blocks.Sheet: blocks.Sheet("n", []),
        blocks.Plot: blocks.Plot("t", "x", "y", []),
        blocks.Link: blocks.Link("t", "a"),
    }
    block = examples.get(kind) or kind("text")
    text = markdown.markdown(blocks.Document("d", [blocks.Section("s", "s", [block])]), REPOSITORY, "p.html")
    assert kind in (blocks.Sheet, blocks.Plot) or len(text.split("## s")[1].strip()) > 0


def test_curves_stay_inside_their_axes():
    points = [(x, 100.0 / x) for x in np.geomspace(1, 1000, 20)]
    flat = blocks.Curve("flat", [(1.0, 2.0), (1000.0, 2.0)])
    tree = Tree(svg(blocks.Plot("t", "x", "y", [blocks.Curve("a", points), flat])))
    places = [value for name, value in tree.attributes if name == "points"]
    numbers = np.array([list(map(float, pair.split(","))) for value in places for pair in value.split()])
    assert (numbers >= 0).all() and (numbers <= [720, 320]).all()
    x = numbers[:20, 0]
    np.testing.assert_allclose(np.diff(x), np.diff(x).mean(), atol=0.11)  # even on a logarithmic axis
    Tree(svg(blocks.Plot("t", "x", "y", [flat])))


def test_text_is_escaped_unless_it_is_markup():
    assert element("p", "<", element("b", "&"), None, title='"', open=True, data_value=3, hidden=False) == (
        '<p title="&quot;" open data-value="3">&lt;<b>&amp;</b></p>'
    )


def test_the_command(runs):
    done = commands.run("report", f"--workdir={runs}")
    assert done.returncode == 0, done.stderr
    assert "1 item of the paper, 1 run, 4 reconstructions" in done.stdout and "report.html" in done.stdout
    assert (runs / "report.html").stat().st_size > 10_000 and (runs / "report.md").exists()
    assert "--workdir is missing" in commands.refused(commands.run("report"))


def test_names_that_are_no_text_are_printed(tmp_path):
    name = os.fsdecode(b"x\xff")
    (tmp_path / name).mkdir()
    make_run(tmp_path / name, [row(image="a\udcff")])
    shutil.copy(next(tmp_path.rglob("*.png")), tmp_path / name / f"{name}.png")
    (tmp_path / name / "y.png").write_bytes(b"no picture")
    done = commands.run_process("report", f"--workdir={tmp_path / name}")
    assert done.returncode == 0, done.stderr
    assert "y.png: no picture" in done.stdout and "x%FF.png" in (tmp_path / name / "report.md").read_text()
