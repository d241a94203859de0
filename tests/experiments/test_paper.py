"""Tables and figures from rows that are made up, so that every number in them is known."""

import csv
import json
import math
import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import stats

import csdip_jax as cs
from csdip_jax.commands import estimates, pictures
from csdip_jax.commands.tables import as_csv, as_markdown
from csdip_jax.files import write_arrays
from csdip_jax.runs.row import Row, Status
from experiments import published
from experiments.configs import paper as config
from experiments.configs.paper_items import COLUMNS, ITEMS, SWEEPS, item_of
from experiments.paper import drawings, numbers, rendering

LEVEL = {"csdip": 0.02, "bm3d_amp": 0.1, "tv": 0.08, "lasso_dct": 0.2, "csgm": 0.04}


def made_up_rows(item, images=4, scale="cpu"):
    """MSE (1 + image / 10) LEVEL 100 / count (1 + noise), 3 seconds plus 10 for the first image."""
    rows = []
    for method in item.methods:
        for count in config.counts_of(item, scale):
            for noise in item.noises:
                for image in range(images):
                    row = Row(
                        file=f"image_{image}-{method}",
                        image=f"image_{image}",
                        method=method,
                        label=method,
                        count=count,
                        num_measurements=127 * count + 1 if SWEEPS[item.sweep].fourier else count,
                        measurement="Gaussian",
                        noise_variance=noise,
                        preset="paper",
                        seed=0,
                        steps=9,
                        redraws=0,
                        status=Status.FINISHED,
                        mse=LEVEL[method] * (1 + image / 10) * 100 / count * (1 + noise),
                        psnr=20.0 + image,
                        seconds=3.0 + image + 10.0 * (image == 0),
                        compiled=image == 0,
                        device="an abacus",
                    )
                    rows.append(row)
    return rows


def known_of(item):
    return published.values(item.published) if item.published else {}


def found_points(name, **changes):
    item = ITEMS[name]
    rows = [replace(row, **changes) for row in made_up_rows(item)]
    return item, numbers.points(item, rows, known_of(item))


def unpadded(frame):
    """The Markdown without the spaces that align its columns."""
    return re.sub(" +", " ", as_markdown(frame))


# Estimates


def test_an_interval_by_hand_and_by_scipy():
    values = [1.0, 2.0, 3.0, 6.0]
    found = estimates.estimate(values)
    error = math.sqrt((4 + 1 + 0 + 9) / 3 / 4)
    np.testing.assert_allclose([found.mean, found.standard_error], [3.0, error])
    np.testing.assert_allclose(found.half_width, 3.182446 * error, rtol=1e-6)  # t(0.975, 3)
    low, high = stats.t.interval(0.95, 3, loc=3.0, scale=stats.sem(values))
    np.testing.assert_allclose([3.0 - found.half_width, 3.0 + found.half_width], [low, high])


@pytest.mark.parametrize("images", [1, 2, 3, 5])
def test_seeds_of_an_image_count_as_one(images):
    """In whatever order, and however many each image has; those of a single image are all there is to count."""
    rng = np.random.default_rng(images)
    names = [f"image {i}" for i in range(images) for _ in range(2 + i)]
    values = rng.normal(np.repeat(np.arange(images), [2 + i for i in range(images)]))
    order = rng.permutation(len(names))
    found = estimates.over_images([names[i] for i in order], values[order])
    means = [values[[name == f"image {i}" for name in names]].mean() for i in range(images)]
    expected = estimates.estimate(values if images == 1 else means)
    assert found == pytest.approx(expected) and found.count == (2 if images == 1 else images)


def test_one_image_has_no_interval():
    found = estimates.estimate([0.5])
    assert found.mean == 0.5 and found.count == 1
    assert math.isnan(found.standard_error) and math.isnan(found.half_width)


def test_intervals_cover_what_they_should():
    rng = np.random.default_rng(0)
    found = [estimates.estimate(rng.normal(5, 2, 6)) for _ in range(1000)]
    assert 0.93 < np.mean([abs(one.mean - 5) < one.half_width for one in found]) < 0.97


def test_difference_in_standard_errors_by_hand():
    ours = estimates.Estimate(0.03, 0.003, 0.006, 20)
    np.testing.assert_allclose(published.difference(ours, published.Value(0.02, 0.004)), 2.0)  # 0.01 / 0.005
    assert math.isnan(published.difference(ours, published.Value(0.02)))


# Items and their configurations


def test_the_items_are_those_of_the_paper():
    assert set(ITEMS) == {"fig1a", "fig1b", "fig2", "table1", "fig3a", "fig3b", "fig4a", "fig4b", "table2"} | {
        f"fig{number}" for number in range(5, 15)
    }
    assert all(item.name == name and item.kind in rendering.RENDERERS for name, item in ITEMS.items())


@pytest.mark.parametrize("scale", config.SCALES)
def test_every_item_has_a_configuration(scale):
    shared = {}
    for item in ITEMS.values():
        if item.kind == "mask":
            with pytest.raises(cs.InputError, match="computes nothing"):
                config.config_of(item, scale)
            continue
        found = config.get_config(f"{item.name},{scale}")
        if item.kind == "learned_regularization":
            assert "lr_weights" in found
            continue
        assert (found.data == "demo") == (scale == "quick")
        axes = ("num_images", "operator", "num_measurements", "num_lines", "noise_variance", "methods")
        fixed = {name: value for name, value in found.to_dict().items() if name not in axes}
        assert shared.setdefault(item.sweep, fixed) == fixed  # one folder takes all items of a sweep


def test_the_paper_s_settings():
    mnist = config.get_config("fig1b,paper")
    assert (mnist.data, mnist.num_images, mnist.num_measurements) == ("mnist:jpeg", 100, (25, 35, 50, 75, 100, 200))
    noise = config.get_config("fig4b,paper")
    assert (noise.num_measurements, noise.noise_variance) == ((2000,), (0.0, 10.0, 100.0, 1000.0))
    lines = config.get_config("fig3b,paper")
    assert (lines.operator, lines.num_lines, lines.num_measurements) == (("radial_fourier",), (3, 5, 10, 20), ())
    assert config.get_config("fig2,paper").num_images == COLUMNS


def test_quick_keeps_the_ends_of_a_grid():
    assert config.counts_of(ITEMS["fig1a"], "quick") == config.QUICK_COUNTS["xray"]
    assert config.counts_of(ITEMS["fig5"], "quick") == config.QUICK_COUNTS["xray"][:1]
    assert config.counts_of(ITEMS["fig6"], "quick") == config.QUICK_COUNTS["xray"][1:]


@pytest.mark.parametrize(
    ("selection", "message"),
    [("fig99,cpu", "unknown item 'fig99'"), ("fig1b,huge", "unknown scale 'huge'"), ("fig1b", "write paper.py:<item>")],
)
def test_a_bad_selection_is_refused(selection, message):
    with pytest.raises(cs.InputError, match=message):
        config.get_config(selection)


# Points and tables


def test_points_by_hand():
    item, found = found_points("fig4a")
    assert list(found["method"]) == [m for m in ("csdip", "csgm", "lasso_dct") for _ in range(6)]
    (point,) = found.query("method == 'csgm' and x == 100").itertuples()
    mean, error = 0.04 * 1.15, 0.04 * np.std([0, 0.1, 0.2, 0.3], ddof=1) / 2
    np.testing.assert_allclose((point.mse, point.standard_error), (mean, error))
    np.testing.assert_allclose(point.difference_in_standard_errors, (mean - 0.039) / np.hypot(error, 0.003))
    assert found[["published", "difference_in_standard_errors"]].iloc[-1].isna().all()  # none published of Lasso there


def test_failures_are_counted_and_kept():
    item = ITEMS["fig4a"]
    rows = made_up_rows(item)
    rows[0] = replace(rows[0], status=Status.COLLAPSED, mse=2.0)
    rows[1] = replace(rows[1], status=Status.OUT_OF_STEPS)
    first = numbers.points(item, rows, {})[:1]
    assert first[["failed", "not_converged", "images"]].iloc[0].tolist() == [1, 1, 4]
    assert first["mse"].item() > 0.5
    notes = rendering._troubles(first)
    assert notes[0].startswith("Images on which a fit failed, included in the means: CS-DIP at 25: 1 of 4")
    assert "did not converge" in notes[1]


def test_the_csv_has_every_number():
    item, found = found_points("fig1b")
    rows = list(csv.DictReader(as_csv(found).splitlines()))
    assert len(rows) == 24 and list(rows[0])[:3] == ["method", "preset", "x"] and numbers.axis_name(item) == "m"
    row = next(row for row in rows if (row["method"], row["x"]) == ("tv", "75"))
    assert row["preset"] == "paper" and row["images"] == "4"
    np.testing.assert_allclose(float(row["mse"]), 0.08 * 1.15 * 100 / 75, rtol=1e-5)
    np.testing.assert_allclose([float(row["published"]), float(row["published_standard_error"])], [0.12241, 0.00552])
    np.testing.assert_allclose(float(row["over_csdip"]), 4.0)
    np.testing.assert_allclose(float(row["published_over_csdip"]), 0.12241 / 0.04059, rtol=1e-5)
    without_bar = next(row for row in rows if (row["method"], row["x"]) == ("lasso_dct", "50"))
    assert without_bar["published"] == "0.3574" and without_bar["difference_in_standard_errors"] == ""


def test_the_markdown_stands_ours_beside_theirs():
    item, found = found_points("fig4a")
    lines = unpadded(numbers.curve_table(item, found)).splitlines()
    assert len(lines) == 2 + 18 and len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 25 | CS-DIP | 0.092 +- 0.016 | 4 | 1 | 0.29 +- 0.014 |")
    assert "published" not in unpadded(numbers.curve_table(*found_points("fig3b")))


# Seconds


def test_seconds_without_the_compilation():
    item = ITEMS["table2"]
    rows = made_up_rows(item)
    rows[-1] = replace(rows[-1], seconds=None)
    table = numbers.seconds(rows, item.methods, published.values("table2_runtime_seconds", "seconds"))
    what = ["method", "m", "seconds", "images", "contains_compilation", "published_seconds"]
    assert table[what].iloc[0].tolist() == ["csdip", 1000, 5.0, 3, False, 15.6]  # of 13, 4, 5, 6
    assert table[what].iloc[-1].tolist() == ["lasso_dct", 8000, 4.5, 2, False, 96.4]  # of 13, 4, 5, resumed
    assert table["mse"][0] == pytest.approx(0.0023)
    rows[1] = replace(rows[1], seconds=13.0, compiled=True)  # of the batch of the first, as on an accelerator
    assert numbers.seconds(rows, item.methods, {})[what].iloc[0].tolist()[2:5] == [5.5, 2, False]
    single = numbers.seconds(rows[:1], item.methods, {})
    assert single[what].iloc[0].tolist()[:5] == ["csdip", 1000, 13.0, 1, True]
    assert single["mse"].tolist() == [rows[0].mse] and single["published_seconds"].isna().all()
    assert "| TV (TVAL3's problem) | 5 (13.8) |" in unpadded(numbers.seconds_table(table))
    assert "| CS-DIP | 13* |" in unpadded(numbers.seconds_table(single))


# Figures


def test_axes_and_legend_of_a_curve():
    item, found = found_points("fig1b")
    figure = drawings.curve(item, found.assign(preset="reference"))
    (axis,) = figure.axes
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in axis.get_xticklabels()] == ["25", "35", "50", "75", "100", "200"]
    assert "measurements" in axis.get_xlabel() and "MSE" in axis.get_ylabel()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "CS-DIP, preset reference" in legend and "CS-DIP, published" in legend and len(legend) == 8
    left, right = axis.get_xlim()
    assert 20 < left < 25 and 200 < right < 250
    low, high = axis.get_ylim()
    assert 0 < low < 0.0023 and high > 0.8 * 1.15  # from the least published value to the largest of ours
    plt.close(figure)


def test_fits_that_failed_are_hollow():
    item, found = found_points("fig4b")
    found.loc[0, "failed"] = 1
    figure = drawings.curve(item, found)
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[found["x"][0]], []]
    assert hollow[1].get_label() == "hollow: fits among them failed"
    plt.close(figure)


def test_intervals_are_drawn_as_long_as_they_are():
    item, found = found_points("fig4b")
    figure = drawings.curve(item, found)
    (axis,) = figure.axes
    assert axis.get_xscale() == "symlog" and "noise variance" in axis.get_xlabel()
    bars = axis.containers[0].lines[2][0].get_segments()
    mean, half_width = found.loc[0, ["mse", "half_width_95"]]
    np.testing.assert_allclose([bars[0][0][1], bars[0][1][1]], [mean - half_width, mean + half_width])
    plt.close(figure)


def test_a_fourier_axis_counts_coefficients_and_names_lines():
    item, found = found_points("fig3b")
    assert sorted(found["x"].unique()) == [127 * lines for lines in (3, 5, 10, 20)]
    figure = drawings.curve(item, found, {127 * lines: lines for lines in (3, 5, 10, 20)})
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels[0] == "381\n(3 lines)" and "coefficients" in figure.axes[0].get_xlabel()
    plt.close(figure)


def test_the_mask_counts_as_the_paper_does():
    table = numbers.coefficients((3, 5, 10, 20), published.coefficient_counts())
    assert (table["coefficients"] == table["published_coefficients"]).all()
    figure = drawings.mask("title", {3: 381, 5: 634})
    pixels = figure.axes[0].images[0].get_array()
    assert pixels.sum() == 763 and pixels[128, 128]  # the full mask, DC included
    mirrored = np.roll(pixels[::-1, ::-1], 1, axis=(0, 1))
    np.testing.assert_array_equal(pixels, mirrored)
    plt.close(figure)


def write_images(folder, rows):
    """Originals of grey 0, reconstructions of a grey of their own."""
    for row in rows:
        write_arrays(folder / "originals" / f"{row.image}.npz", image=np.zeros((8, 8, 1)))
        grey = np.full((8, 8, 1), LEVEL[row.method])
        write_arrays(folder / "reconstructions" / f"{row.file}.npz", image=grey)


def test_reconstructions_have_a_row_per_method_and_a_column_per_image(tmp_path):
    item = ITEMS["fig8"]
    rows = made_up_rows(item)
    rows[2] = replace(rows[2], status=Status.COLLAPSED)
    write_images(tmp_path, rows)
    figure = drawings.reconstructions(item, tmp_path, rows)
    assert figure.get_suptitle().endswith("Gaussian, m = 75; under each: MSE, PSNR")
    axes = np.array(figure.axes).reshape(5, 4)
    assert [axis.get_ylabel() for axis in axes[:, 0]] == [
        *("original", "CS-DIP", "BM3D-AMP", "TV\n(TVAL3's problem)", "Lasso-DCT")
    ]
    np.testing.assert_allclose(axes[2, 3].images[0].get_array(), 0.55)  # grey 0.1 of [-1, 1]
    assert "FAILED" in axes[1, 2].get_xlabel() and axes[1, 1].get_xlabel() == "0.0293, 21.0 dB"
    plt.close(figure)
    lines = unpadded(numbers.cells_table(item, rows)).splitlines()
    assert len(lines) == 6 and lines[2].startswith("| image_0 | 0.02667 |")


def test_long_titles_are_wrapped(tmp_path):
    item = ITEMS["fig11"]._replace(title="Figure 11: reconstructions, retinopathy, m = 500 (toy images instead)")
    rows = [row for row in made_up_rows(item) if row.image in ("image_0", "image_1")]
    write_images(tmp_path, rows)
    figure = drawings.reconstructions(item, tmp_path, rows)
    figure.draw_without_rendering()
    extent = figure._suptitle.get_window_extent()
    assert extent.x0 > 0 and extent.x1 < figure.bbox.width
    plt.close(figure)


# The whole of an item, from made up rows


@pytest.fixture
def made_up_sweep(monkeypatch):
    """Instead of computing: the rows that the configuration asks for, and their files."""
    asked = []

    def sweep(settings, workdir, data_dir, *, curves=False):
        asked.append((settings, workdir, data_dir))
        rows = made_up_rows(item_of(monkeypatch.item))
        write_images(workdir, rows)
        return rows

    monkeypatch.setattr(rendering.computing, "sweep", sweep)
    return asked


@pytest.mark.parametrize("name", ["fig1b", "fig4b", "fig2", "table2", "fig13", "fig14"])
def test_what_an_item_writes(name, made_up_sweep, monkeypatch, tmp_path, capsys):
    monkeypatch.item = name
    item = ITEMS[name]
    rendering.run(item, "cpu", tmp_path, "some/data")
    folder = tmp_path / "cpu"
    for suffix, head in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        content = (folder / f"{name}.{suffix}").read_bytes()
        assert content.startswith(head) and len(content) > 4000
    description = json.loads((folder / f"{name}.json").read_text())
    assert description["item"] == name and description["scale"] == "cpu"
    ends = {"fig2": ", m = 2000", "fig4b": ", m = 2000", "fig14": ", 10 radial Fourier lines"}
    assert description["title"] == item.title + ends.get(name, "")
    assert description["sweep"] == item.sweep and set(description["files"]) == {"png", "pdf", "csv", "md"}
    assert all((folder / file).exists() for file in description["files"].values())
    options = f"--item={name} --scale=cpu --data_dir=some/data --workdir={tmp_path}"
    assert description["command"] == f"python -m experiments.paper {options}"
    text = (folder / f"{name}.md").read_text()
    assert text in capsys.readouterr().out
    assert (item.published is None) or "Published: " in text
    if item.sweep:
        ((settings, workdir, data_dir),) = made_up_sweep
        assert workdir == folder / item.sweep and data_dir == "some/data"
        assert description["seconds"] == sum(row.seconds for row in made_up_rows(item))
        assert len((folder / f"{name}.csv").read_text().splitlines()) > 3


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    item, found = found_points("fig4a")
    for name in ("first", "second"):
        pictures.save_figure(tmp_path / f"{name}.png", drawings.curve(item, found), rendering.FORMATS)
    for suffix in rendering.FORMATS:
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("first", "second"))
        assert first == second


def test_a_missing_extra_is_told(monkeypatch):
    item = ITEMS["fig1b"]
    assert not any("missing" in note for note in rendering._notes(item, "cpu", made_up_rows(item)))
    monkeypatch.setattr(
        config.default, "installed", lambda *names: ",".join(name for name in names if name != "bm3d_amp")
    )
    assert any("BM3D-AMP is missing" in note for note in rendering._notes(item, "cpu", made_up_rows(item)))


def test_what_quick_leaves_out_is_told():
    notes = rendering._notes(ITEMS["fig3a"], "quick", [])
    assert "At this scale without BM3D-AMP, TV (TVAL3's problem)." in notes
    assert not any("At this scale" in note for note in rendering._notes(ITEMS["fig3a"], "cpu", []))
