"""What the report finds, and the numbers it makes of it."""

import json
import math
import os

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from csdip_jax.commands.report import cells, departures, embed, find, page
from csdip_jax.commands.report.departures import settings_of
from csdip_jax.files import write_arrays
from csdip_jax.io.lines import append_row
from csdip_jax.types import InputError
from experiments.configs import learned_regularization, theorem_check
from tests.commands.report_workdirs import make_item, make_run, row, settings
from tests.runs.test_row import STUDY, SWEEP


def frame(rows):
    """The cells of rows that can all be read."""
    found, others, problems = cells.cells_of(rows)
    assert not others and not problems
    return found


def test_means_are_over_images_with_students_interval():
    errors = np.random.default_rng(1).uniform(0.01, 0.1, (4, 3))  # images, seeds
    rows = [
        row(image=f"i{i}", seed=seed, mse=mse, psnr=10 * i + seed, seconds=float(i + seed), redraws=1)
        for (i, seed), mse in np.ndenumerate(errors)
    ]
    (line,) = cells.summarize(frame(rows)).itertuples()
    means = errors.mean(1)
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    np.testing.assert_allclose([line.mean_mse - line.half_width, line.mean_mse + line.half_width], [low, high])
    psnr, seconds = ([value for i in range(4) for value in (f * i, f * i + 1, f * i + 2)] for f in (10, 1))
    found = line.median_psnr, line.median_seconds, line.total_seconds
    assert found == (np.median(psnr), np.median(seconds), sum(seconds))
    assert (line.images, line.seeds, line.redraws) == (4, 3, 12)


def test_the_interval_of_a_single_image_is_over_its_seeds():
    errors = [0.01, 0.02, 0.05]
    (line,) = cells.summarize(frame([row(seed=seed, mse=mse) for seed, mse in enumerate(errors)])).itertuples()
    assert line.mean_mse == pytest.approx(np.mean(errors))
    assert line.half_width == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(errors))


def test_what_went_wrong_is_counted_and_what_is_no_number_left_out():
    rows = [
        row(image="a", mse=0.1),
        row(image="b", mse=0.3, ok=False),
        row(image="c", mse=float("nan"), ok=False, psnr=float("nan")),
        row(image="d", mse=0.2, converged=False, seconds=None),
    ]
    (line,) = cells.summarize(frame(rows)).itertuples()
    assert line.mean_mse == pytest.approx(0.2)
    assert (line.failed, line.unconverged, line.resumed, line.infinite, line.images) == (2, 1, 1, 1, 4)


def test_compiling_counts_in_the_median_only_where_all_contain_it():
    times = {"a": (9.0, True), "b": (1.0, False), "c": (3.0, False)}
    found = frame([row(image=name, seconds=s, compiled=compiled) for name, (s, compiled) in times.items()])
    (line,) = cells.summarize(found).itertuples()
    assert (line.median_seconds, line.total_seconds) == (2.0, 13.0)
    assert cells.summarize(found[:1]).median_seconds[0] == 9.0


def test_a_line_per_part_measurement_noise_and_label_in_their_order():
    rows = [
        row(num_measurements=m, noise_variance=noise, label=label)
        for label in ("tv mu=64", "tv mu=16")
        for m in (200, 50)
        for noise in (10.0, 0.0)
    ]
    found = [(line.measured, line.noise_variance, line.label) for line in cells.summarize(frame(rows)).itertuples()]
    expected = [(f"Gaussian, m = {m}", s, f"tv mu={mu}") for m in (50, 200) for s in (0.0, 10.0) for mu in (64, 16)]
    assert found == expected


def test_worst_and_slowest_come_first():
    facts = {"a": (0.1, 1.0), "b": (0.3, 5.0), "c": (0.001, 3.0), "d": (float("nan"), None), "e": (0.2, 4.0)}
    found = frame([row(image=name, mse=mse, seconds=s, ok=name != "c") for name, (mse, s) in facts.items()])
    assert "".join(cells.worst_first(found).image) == "cdbea"
    assert "".join(cells.slowest_first(found).image) == "becad"
    assert "".join(cells.worst_and_slowest(found, 4).image) == "cdbe"
    assert "".join(cells.worst_and_slowest(found, 5).image) == "cdbea"


def test_equally_bad_cells_keep_their_order():
    found = frame([row(image=name, mse=None if name in "ad" else 0.1, seconds=1.0) for name in "abcde"])
    assert "".join(cells.worst_first(found).image) == "bcead"
    assert "".join(cells.slowest_first(found).image) == "abcde"


def test_rows_of_every_experiment_become_cells():
    """Also of the first version of rows."""
    sweep = SWEEP | {"part": "grey", "image": "digit", "measurement": "Gaussian", "num_measurements": 100}
    before = {name: x for name, x in sweep.items() if name not in ("operator", "count", "file")} | {"label": "tv"}
    fourier = row(operator="radial_fourier", count=12, num_measurements=500, measurement="12 radial lines")
    study = STUDY | {"stage": "test", "arm": "weights", "stem": "m100-a", "num_measurements": 100}
    study |= {"swept": {"lr_weight": 0.1}}
    own = {"preset": "paper", "method": "tv", "label": "tv", "ok": True, "converged": True, "steps": 3, "seconds": 1.0}
    found, others, problems = cells.cells_of([before, fourier, study, own, {"section": "lemmas"}])
    assert list(found.file) == ["grey-digit-tv", fourier["file"], "m100-a", "tv"]
    assert list(found.measured[:3]) == ["Gaussian, m = 100", "12 radial lines, m = 500", "m = 100"]
    assert found.label[2] == "test, weights, lr_weight=0.1" and found.psnr[2] == pytest.approx(10 * np.log10(4 / 0.01))
    assert (found.measured[3], found.image[3]) == ("own measurements", "") and math.isnan(found.mse[3])
    assert others == 1 and not problems


def test_of_rows_of_one_cell_the_last_counts():
    assert list(frame([row(mse=0.5), row(mse=0.25)]).mse) == [0.25]


def test_rows_of_all_processes_are_read(tmp_path):
    folder = make_run(tmp_path / "run", [row(image="a")])
    (folder / "results-1.jsonl").write_text(json.dumps(row(image="b")) + "\n" + json.dumps(row(image="c"))[:40])
    (run,) = find.find(tmp_path).runs
    assert [one["image"] for one in run.rows] == ["b", "a"] and not run.problems


def test_departing_settings():
    settings_ = settings_of(settings(num_measurements=(25, 50), data="mnist", tv={"mu": 32.0}))
    assert settings_.base == "sweep"
    assert settings_.departing == {"num_measurements": "[25, 50]", "data": "mnist", "tv.mu": "32.0"}
    assert settings_.others["tv.beta"] == "null"


@pytest.mark.parametrize("module", [learned_regularization, theorem_check])
def test_each_experiment_departs_from_its_own_defaults(module, monkeypatch):
    monkeypatch.setitem(departures.BASES, module.__name__.rpartition(".")[2], module.get_config)
    config = module.get_config()
    config.seed = 7
    settings_ = settings_of({"settings": {"config": json.loads(json.dumps(config.to_dict())), "flags": {"sweep": "x"}}})
    assert settings_.base == module.__name__.rpartition(".")[2]
    assert settings_.departing == {"seed": "7", "sweep": "x"}


def test_settings_of_something_else_have_no_defaults():
    settings_ = settings_of({"settings": {"config": {"colour": "red"}, "seed": 3}})
    assert settings_ == (None, {"seed": "3"}, {"colour": "red"})


@pytest.mark.parametrize("config", [{}, {"settings": None}, {"settings": {"config": None, "flags": 3}}])
def test_settings_that_are_missing_or_odd(config):
    assert settings_of(config).departing == {}


def test_csv_tables_are_shown_as_they_are_written_without_empty_columns_and_cut(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('# comment\nm,name,none\n0.50,"a,b"\n1,NA,\n2,<i>,,3\n')
    table = page.read_csv(path)
    assert table.to_dict("list") == {"m": ["0.50", "1", "2"], "name": ["a,b", "NA", "<i>"]}
    path.write_text("m\n" + "".join(f"{m}\n" for m in range(page.CSV_ROWS + 3)))
    run = make_run(tmp_path / "run", [row()])
    path.rename(run / "x.csv")
    (run / "y.csv").write_text("# nothing else\n")
    (section,) = page.contents(find.find(run))["runs"]
    ((name, shown),) = section["tables"]
    assert (name, len(shown)) == ("x.csv", page.CSV_ROWS)
    assert section["notes"] == ["3 further rows: see x.csv.", "y.csv is empty."]


def test_markdown_beside_a_csv_has_its_paragraphs_shown_and_else_all(tmp_path):
    run = make_run(tmp_path, [row()])
    (run / "x.csv").write_text("a\n1\n")
    (run / "x.md").write_text("# Title\n\nPercent of\n| a |\n|---|\n| 1 |\n\n- A note.\n")
    (run / "y.md").write_text("# Title\n| a |\n")
    (section,) = page.contents(find.find(run))["runs"]
    assert section["notes"] == ["Title", "Percent of", "A note."]
    assert section["texts"] == [("y.md", "# Title\n| a |\n")]


def test_contact_sheets_keep_to_their_limit_and_say_so(tmp_path):
    rows = [row(image=f"i{i}", label=label) for i in range(5) for label in ("tv", "lasso_dct")]
    folder, found = make_run(tmp_path, rows), frame(rows)
    shown, notes, problems = embed.sheets_of(folder, found, embed.Budget(10**9))
    assert [sheet.name for sheet in shown] == [f"i{i}" for i in range(5)] and not notes and not problems
    labels = [[thumb.label for thumb in thumbs_of(sheet)] for sheet in shown]
    assert labels == [["original", "tv", "lasso_dct"]] * 5
    sizes = [len(thumb.picture.data) for sheet in shown for thumb in thumbs_of(sheet)]
    assert all(size < 2000 for size in sizes)

    for limit, whole in ((sum(sizes[:7]), 10**9), (10**9, sum(sizes[:7]))):
        cut, (note,), _ = embed.sheets_of(folder, found, embed.Budget(whole), limit)
        assert "2 of 5 images" in note
        assert sum(len(thumb.picture.data) for sheet in cut for thumb in thumbs_of(sheet)) <= sum(sizes[:7])


def thumbs_of(sheet):
    return [thumb for thumbs in sheet.strips.values() for thumb in thumbs]


def test_large_and_sixteen_bit_pictures_are_brought_to_size(tmp_path):
    Image.fromarray(np.full((600, 1200), 65535, np.uint16)).save(tmp_path / "large.png")
    picture = embed.thumb(tmp_path / "large.png")
    assert (picture.width, picture.height) == (embed.THUMB_SIDE, embed.THUMB_SIDE // 2)
    noise = np.random.default_rng(0).integers(0, 255, (900, 900, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    figure = embed.figure(tmp_path / "noise.png")
    assert len(figure.data) < 0.6 * (tmp_path / "noise.png").stat().st_size


def test_curves_take_labels_in_turn_and_stop_where_the_fit_did(tmp_path):
    rows = [row(image=f"i{i}", label=label) for label in ("tv", "csdip") for i in range(4)]
    folder = make_run(tmp_path, rows)
    losses, problems = embed.losses_of(folder, frame(rows), limit=3)
    assert list(losses.colours) == ["tv", "csdip"] and losses.left_out == 5 and not problems
    drawn = losses.picture.data.decode()
    assert [drawn.count(f"stroke: {colour}") for colour in losses.colours.values()] == [2, 1]
    trace = np.concatenate([np.geomspace(100, 1, 1000), np.full(500, np.nan)])
    points = embed.thinned(trace)
    assert points[0].tolist() == [1, 100] and points[-1].tolist() == [1000, 1]
    assert len(points) <= embed.POINTS and np.allclose(points[:, 1], trace[points[:, 0].astype(int) - 1])
    assert len(embed.thinned(np.full(3, np.nan))) == 0


def texts(said):
    """What the page says of problems."""
    return " ".join(said["problems"])


def test_what_is_broken_is_a_line_not_a_crash(tmp_path):
    good = make_run(tmp_path / "good", [row(image="a"), row(image="b")])
    (good / "reconstructions" / f"{row(image='a')['file']}.png").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
    (good / "reconstructions" / f"{row(image='b')['file']}.npz").write_bytes(b"PK half")
    (good / "chart.png").write_bytes(b"no picture")
    (good / "notes.md").write_bytes(b"\xff\xfe")
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "config.json").write_text('{"settings": {"conf')
    (bad / "results.jsonl").write_text(
        json.dumps(row(image="c", mse="much")) + "\n3\n" + json.dumps(row(image="d")) + "\n"
    )
    (bad / "results-1.jsonl").write_text("{half\n" + json.dumps(row()) + "\n")
    (tmp_path / "fig1a.json").write_text("{")
    make_item(tmp_path, "fig1b", sweep="nowhere", files={"png": "missing.png"})
    found = page.contents(find.find(tmp_path))
    for piece in (
        f"{row(image='a')['file']}.png: no picture",
        f"{row(image='b')['file']}.npz: no arrays",
        "chart.png: no picture",
        "notes.md",
        "bad/config.json",
        "results-1.jsonl",
        "row 1 cannot be read",
        "fig1a.json",
        "nowhere: missing",
        "missing.png: missing",
    ):
        assert piece in texts(found)
    (run,) = [run for run in found["runs"] if run["title"] == "bad"]
    assert len(run["summary"]) == 1  # of the row that can be read


def test_the_same_trouble_with_very_many_files_is_told_in_few_lines(tmp_path):
    folder = make_run(tmp_path, [row(image=f"i{i}") for i in range(30)])
    for path in folder.glob("reconstructions/*.png"):
        path.unlink()
    found = page.contents(find.find(tmp_path))
    assert len(found["runs"][0]["problems"]) == page.PROBLEMS + 1
    assert f"{30 - page.PROBLEMS} more" in texts(found)


def test_items_come_first_in_the_order_of_their_numbers_and_lead_to_their_run(tmp_path):
    make_run(tmp_path / "cpu" / "mnist", [row()])
    for name in ("fig10", "fig2", "table1", "fig1b"):
        make_item(tmp_path / "cpu", name, sweep="mnist")
    found = page.contents(find.find(tmp_path))
    badges = [item["badge"] for item in found["items"]]
    assert badges == ["fig1b, quick", "fig2, quick", "fig10, quick", "table1, quick"]
    item, (run,) = found["items"][0], found["runs"]
    assert (item["run"], run["badge"]) == (run["anchor"], "")
    assert item["table"].to_dict("list") == {"m": ["100"], "MSE +- 95 %": ["0.0123 +- 0.004"]}
    assert [table.to_dict("list") for _, table in item["tables"]] == [{"m": ["100"], "mse": ["0.0123"]}]
    assert len(item["figures"]) == 1
    assert item["notes"] == ["Toy images."]  # title, command and notes are not said twice


def test_an_items_files_are_not_shown_again_by_a_run_in_the_same_folder(tmp_path):
    make_item(make_run(tmp_path, [row()]), "fig2")
    (run,) = page.contents(find.find(tmp_path))["runs"]
    assert not run["figures"] + run["tables"] + run["texts"]


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
def test_nothing_to_report_is_refused_with_a_remedy(make, tmp_path):
    make(tmp_path / "runs")
    with pytest.raises(InputError, match=r"--workdir=.*runs.* name "):
        page.report(tmp_path / "runs", None)


def test_an_output_that_cannot_be_is_refused(tmp_path):
    make_run(tmp_path / "run", [row()])
    with pytest.raises(InputError, match=r"ends in \.html"):
        page.report(tmp_path, tmp_path / "report.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="choose another --output"):
        page.report(tmp_path, tmp_path / "file" / "report.html")


SECRET = "a stranger may not read this"
NAMES = ("../secret", "../../secret", "/etc/passwd", "x" * 5000, "a\0b", "\ud800", "loop", ".", "")


def whole_report(folder):
    """Page and Markdown, after what both say of problems."""
    found = page.contents(find.find(folder))
    return texts(found), page.html(found) + page.markdown(found, folder / "report.html")


@pytest.fixture
def beside(tmp_path):
    """A folder of results with a secret beside it, as text and as a picture."""
    folder = make_run(tmp_path / "runs" / "run", [row()])
    (folder / "loop").symlink_to("loop")
    for place in (tmp_path, tmp_path / "runs"):
        for suffix in (".md", ".csv", ".txt", ".json", ".jsonl"):
            (place / f"secret{suffix}").write_text(f'{{"a": "{SECRET}"}}\n')
        Image.fromarray(np.arange(100, dtype=np.uint8).reshape(10, 10)).save(place / "secret.png")
        write_arrays(place / "secret.npz", trace=np.geomspace(1, 1e-3, 50))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_what_an_item_or_a_row_names_outside_of_its_folder_is_not_shown(name, beside):
    files = {suffix: f"{name}.{suffix}" for suffix in ("png", "md", "csv", "pdf")} | {"txt": f"{name}.txt"}
    (beside / "x.json").write_text(json.dumps({"item": "x", "title": "t", "files": files, "sweep": name}))
    for image in ("../" * 2 + name, name):
        append_row(beside / "results.jsonl", row(image="i", file=image))
    said, shown = whole_report(beside)
    assert SECRET not in shown and "x.json names it" in said and len(said) < 40_000
    (run,) = page.contents(find.find(beside))["runs"]
    assert [sheet.name for sheet in run["sheets"]] == ["digit"]  # the one picture that is this run's


LINKED = ["results.jsonl", "results-1.jsonl", "config.json", "notes.md", "table.csv", "chart.png", "item.json"]


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("kind", ["link", "link to nothing", "loop", "pipe", "folder", "device"])
def test_links_out_pipes_and_folders_are_said_and_left_out(name, kind, beside):
    path = beside / name
    path.unlink(missing_ok=True)
    match kind:
        case "link":
            path.symlink_to(f"../secret{path.suffix}")
        case "link to nothing":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(name)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
    said, shown = whole_report(beside)
    assert SECRET not in shown
    assert kind == "folder" or name in said


@pytest.mark.parametrize("name", ["reconstructions", "originals"])
def test_a_folder_of_pictures_that_is_a_link_out_is_not_followed(name, beside):
    (beside / name).rename(beside.parent / name)
    (beside / name).symlink_to(beside.parent / name)
    said, _ = whole_report(beside)
    assert f"{name}/digit" in said and "lies outside of" in said


HUGE = "1" + "0" * 400
ODD_VALUES = ["null", "[]", '["a"]', "{}", '"x"', "true", "Infinity", "-Infinity", "NaN", HUGE, "-1e308", '"\\udcff"']


@pytest.mark.parametrize("field", sorted(row()))
def test_any_value_in_a_row_is_shown_or_said(field, tmp_path):
    make_run(tmp_path, [row(image="whole")])
    with open(tmp_path / "results.jsonl", "a") as file:
        for value in ODD_VALUES:
            text = json.dumps(row() | {field: "HERE"}).replace('"HERE"', value)
            file.write(f"{text}\n")
        file.write(json.dumps({name: value for name, value in row().items() if name != field}) + "\n")
    with np.errstate(all="ignore"):
        _, shown = whole_report(tmp_path)
    assert "whole" in shown


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"a,b\n" + b"x" * 200_000 + b",1\n"),
        ("a.csv", b"a,b\n1,\xff\n"),
        ("a.csv", b'"' + b"\n" * 10),
        ("a.csv", b"a\0b\n1,2\n"),
        ("a.csv", b"a,a,run,flag\n1,2,run,x\n"),
        ("a.md", b"\xff| a |\n|---|\n"),
        ("fig" + "1" * 200 + ".json", b'{"item": "fig' + b"1" * 5000 + b'", "title": "t", "files": {}}'),
        ("a.json", b"[" * 100_000),
        (
            "a.json",
            b'{"item": [], "title": {}, "files": {"png": ["a"]}, "notes": 3, "sweep": [1], "table": [1, ["a"]]}',
        ),
        ("a.json", b'{"item": "a", "title": "t", "files": {}, "table": [["a", "a"], ["1", 2, 3], []]}'),
        ("a.json", b'{"item": "a", "title": "t", "files": {}, "table": {"a": 1}}'),
        ("results-1.jsonl", b"[" * 100_000 + b"\n"),
        ("results-1.jsonl", b"\0\n"),
        ("config.json", b'{"settings": null, "versions": [], "device": {"a": NaN}}'),
        ("config.json", b'{"settings": ' + b"[" * 900 + b"]" * 900 + b"}"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_an_odd_file_is_shown_or_said(name, content, tmp_path):
    make_run(tmp_path, [row(image="whole")])
    (tmp_path / name).write_bytes(content)
    _, shown = whole_report(tmp_path)
    assert "whole" in shown


def test_an_exact_recovery_is_infinite_and_what_is_null_a_dash():
    rows = [row(psnr=None, mse=mse, seed=seed) for seed, mse in enumerate((0.0, None, 0.04))]
    rows += [row(psnr=None, mse=mse, data_range=0.0, seed=seed) for seed, mse in ((3, 0.04), (4, 0.0))]  # flat images
    assert list(cells.cell_table(frame(rows))["PSNR / dB"]) == ["inf", "–", "–", "–", "inf"]


def test_what_else_a_solution_says_in_a_number_has_a_column():
    rows = [row(image=name, aux=aux) for name, aux in {"a": {"spread": 0.25, "error": None}, "b": {}}.items()]
    shown = cells.cell_table(frame(rows))
    assert (list(shown["spread"]), list(shown["error"])) == (["0.25", "–"], ["–", "–"])
    assert "spread" not in cells.cell_table(frame(rows[1:]))
