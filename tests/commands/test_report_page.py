"""The page and the Markdown as files."""

import base64
import io
import os
import re
import shutil
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from csdip_jax.commands.report import find, page
from csdip_jax.files import write_arrays
from tests.commands import typed as commands
from tests.commands.report_workdirs import make_item, make_run, own_row, row

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


def svg_of(content):
    return ElementTree.fromstring(base64.b64decode(content))


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
    _, path, _ = page.report(runs, None)
    text = path.read_text()
    tree = Tree(text)
    for name, value in tree.attributes:
        assert not re.search(r"https?:|file:|^//", value or ""), name
        if name == "src":
            kind, _, content = value.partition(";base64,")
            assert kind in ("data:image/png", "data:image/svg+xml")
            if kind.endswith("png"):
                Image.open(io.BytesIO(base64.b64decode(content))).verify()
            else:
                assert {"svg", "path"} <= {element.tag.rpartition("}")[2] for element in svg_of(content).iter()}
        if name == "href":
            assert ("id", value.removeprefix("#")) in tree.attributes and value[0] == "#"
    assert "link" not in tree.tags and "iframe" not in tree.tags
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", text)
    assert tree.tags.count("script") == 1 and tree.tags.count("b") == 8  # the labels of four images, twice


def test_names_are_shown_not_interpreted(runs):
    _, path, text = page.report(runs, None)
    tree = Tree(path.read_text())
    shown = "".join(tree.texts)
    for name in (f"Figure {EVIL}", EVIL.replace("/", "|"), "tv mu=<2>", "a & <b>"):
        assert name in shown
    assert "alert" not in "".join(value or "" for name, value in tree.attributes if name.startswith("on"))
    assert "<script" not in text.read_text() and "<b>" not in text.read_text()


def test_the_summary_comes_first_and_the_worst_cells_last(runs):
    make_run(runs / "b", [row(num_measurements=m, count=m, mse=1 / m) for m in (50, 100)])
    _, path, text = page.report(runs, None)
    parts = ["what was run", "Summary", "MSE against number of measurements", "Reconstructions", "Measurement loss"]
    parts += ["cells, the worst first", "All other settings", ">Versions", "Worst cells"]
    of_run = path.read_text().partition('<section id="run-1">')[2]
    places = [of_run.index(name) for name in parts]
    assert places == sorted(places)
    order = [text.read_text().index(name) for name in ("Overview", "**Runs**", "Figure", "**Summary**", "Worst cells")]
    assert order == sorted(order)


def test_a_table_of_a_telephone_says_of_each_number_what_it_is(runs):
    """There a row is a card without headings; see page.css."""
    _, path, _ = page.report(runs, None)
    tree = Tree(path.read_text())
    assert tree.tags.count("td") == sum(name == "data-name" for name, _ in tree.attributes) > 50
    assert "content: attr(data-name)" in path.read_text()


def test_the_overview_tells_runs_apart_by_image_and_result(tmp_path):
    make_run(tmp_path / "a", [row(mse=0.02, psnr=23.0), row(mse=0.01, psnr=26.0, method="csdip", label="csdip")])
    make_run(tmp_path / "b", [row(image="one", psnr=20.0), row(image="two", psnr=22.0), row(ok=False, psnr=30.0)])
    make_run(tmp_path / "c", [own_row(label="tv", times_noise=1.1)])
    make_run(tmp_path / "d", [row(ok=False)])
    make_run(tmp_path / "e", [])
    shown = page.contents(find.find(tmp_path))["overviewed"]
    assert list(shown.image) == ["digit", "one and 2 more", "", "digit", ""]
    assert list(shown.outcome)[:2] == ["best: csdip, 26.0 dB", "tv, 21.0 dB"]
    assert list(shown.outcome)[3:] == ["tv: FAILED", ""]
    assert shown.outcome[2].startswith("tv: ") and "1.1" in shown.outcome[2]


def test_what_there_is_none_of_is_not_counted(tmp_path):
    rows = [
        row(image=name, num_measurements=m, noise_variance=s) for name in "ab" for m in (50, 100) for s in (0.0, 1.0)
    ]
    make_run(tmp_path, [*rows, row(image="c", ok=False), row(image="d", converged=False)])
    said = page.contents(find.find(tmp_path))
    assert said["found"].startswith("1 run, 10 reconstructions, found under")
    assert said["found"].endswith("1 FAILED. 1 not converged.")
    (run,) = said["runs"]
    expected = "1 method (tv), 4 images, 2 numbers of measurements, 2 noise variances, preset paper"
    assert run["asked"] == expected and run["noisy"]
    assert "noise is N(0, s / m)" in page.html(said)


def test_without_a_true_image_verdicts_stand_where_the_means_would(tmp_path):
    make_run(tmp_path, [own_row(label=name, times_noise=1.1) for name in ("tv", "lasso_dct")])
    for name in ("tv.png", "loss-tv.png", "tv-aux.png"):
        shutil.copy(tmp_path / "reconstructions" / "tv.png", tmp_path / name)
    said, path, text = page.report(tmp_path, None)
    assert [name for name, _ in said["runs"][0]["figures"]] == ["tv-aux.png"]  # the others are in sheets and curves
    for shown in (path.read_text(), text.read_text()):
        assert "leaves 1.1 times the noise" in shown and "no true image" in shown and "mean MSE" not in shown


def test_worst_and_slowest_cells_are_listed(runs):
    _, path, _ = page.report(runs, None)
    rows = [entries for entries in Tree(path.read_text()).rows if entries and entries[0] == "a & <b>"]
    images = [entries[1] for entries in rows]
    evil = EVIL.replace("/", "|")
    assert images == ["failed", "bad", evil, "fine", "fine", "failed", "bad", evil]
    assert "FAILED" in rows[0] and "not converged" in rows[1] and "resumed" in rows[2]


def test_columns_of_numbers_stand_to_the_right_and_sort_as_such(runs):
    _, path, text = page.report(runs, None)
    headers = re.findall(r'<th scope="col"( class="number")?><button type="button">(.*?)</button>', path.read_text())
    found = {name: bool(number) for number, name in headers}
    expected = {"run": False, "image": False, "method": False, "flag": False, "measured": False, "MSE": True}
    assert expected | {"seconds": True, "median seconds": True, "failed": True} == {
        name: found[name] for name in (*expected, "seconds", "median seconds", "failed")
    }
    assert "|---|---|---|---|---|---:|---:|---:|---:|---:|" in text.read_text()


@pytest.mark.parametrize(("side", "shown", "is_pixels"), [(28, 140, True), (256, page.SMALL, False)])
def test_small_pictures_are_enlarged_pixel_by_pixel(side, shown, is_pixels, tmp_path):
    make_run(tmp_path, [row()], side=side)
    text = page.html(page.contents(find.find(tmp_path)))
    images = re.findall(
        r'<img src="data:image/png[^"]*" alt="[^"]*" width="(\d+)" height="(\d+)"( class="pixels")?>', text
    )
    assert images == [(str(shown), str(shown), ' class="pixels"' * is_pixels)] * 2


def test_a_second_report_is_the_same(runs):
    run = runs / "a & <b>"
    _, path, text = page.report(run, None)
    before = path.read_bytes(), text.read_bytes()
    page.report(run, None)  # the first one's files are no results of the run
    assert (path.read_bytes(), text.read_bytes()) == before
    assert not page.contents(find.find(runs))["runs"][0]["texts"]  # nor of a folder above


def test_the_markdown_says_the_same(runs, tmp_path):
    _, path, text = page.report(runs, tmp_path / "elsewhere" / "all.html")
    assert (path.name, text.name) == ("all.html", "all.md")
    content = text.read_text()
    assert "../runs/fig2.png" in content and "[all.html](all.html)" in content
    assert "| 100 | 0.0123 |" in content and "| 100 | 0.0123 +- 0.004 |" in content and "**FAILED**" in content
    assert content.index("| failed |") < content.index("| bad |")


def test_markdown_tables_of_very_many_rows_are_cut(tmp_path):
    make_run(tmp_path, [row(image=f"i{i}", mse=1 - i / 100) for i in range(25)])
    _, path, text = page.report(tmp_path, None)
    content = text.read_text()
    assert "| i19 |" in content and "| i20 |" not in content and "5 further rows" in content
    assert '<td class="short" data-name="image">i20</td>' in path.read_text()


def test_curves_of_any_numbers_are_drawn(tmp_path):
    traces = [
        np.full(30, 2.0),
        np.geomspace(1e-300, 1e300, 500),
        np.array([1.0, 1.0]),
        np.array([0.0, 1.0]),
        np.ones((2, 2)),
    ]
    rows = [row(image=f"i{i}", label=f"$_{i}$ <") for i in range(len(traces))]
    make_run(tmp_path, rows)
    for one, trace in zip(rows, traces, strict=True):
        write_arrays(tmp_path / "reconstructions" / f"{one['file']}.npz", trace=trace)
    said, path, _ = page.report(tmp_path, None)
    assert not said["problems"] and list(said["runs"][0]["losses"].colours) == [f"$_{i}$ <" for i in (0, 1, 2, 4)]
    assert "$_0$ &lt;" in path.read_text()


def test_the_command(runs):
    done = commands.run("report", f"--workdir={runs}")
    assert done.returncode == 0, done.stderr
    assert "1 item of the paper, 1 run, 4 reconstructions" in done.stdout and "report.html" in done.stdout
    assert (runs / "report.html").stat().st_size > 10_000 and (runs / "report.md").exists()
    assert "--workdir is missing" in commands.refused(commands.run("report", "--output=a.html"))


def test_names_that_are_no_text_are_printed(tmp_path):
    name = os.fsdecode(b"x\xff")
    (tmp_path / name).mkdir()
    make_run(tmp_path / name, [row(image="a\udcff")])
    shutil.copy(next(tmp_path.rglob("*.png")), tmp_path / name / f"{name}.png")
    (tmp_path / name / "y.png").write_bytes(b"no picture")
    done = commands.run_process("report", f"--workdir={tmp_path / name}")
    assert done.returncode == 0, done.stderr
    assert "y.png: no picture" in done.stdout and "x%FF.png" in (tmp_path / name / "report.md").read_text()
