"""What the report draws against what a run swept."""

from xml.etree import ElementTree

import pytest
from matplotlib.colors import to_hex

from csdip_jax.commands.report import cells, curves
from csdip_jax.methods import METHODS
from tests.commands.report_workdirs import own_row, row


def charts(rows):
    """Title -> chart."""
    frame, _, _ = cells.cells_of(rows)
    return {chart.title: chart for chart in curves.charts_of(frame)}


def captions(chart):
    return [caption for caption, _ in chart.panels]


def swept(mu, **fields):
    return row(swept={"mu": mu}, label=f"tv mu={mu:g}", **fields)


def test_each_axis_of_two_values_has_a_chart_and_no_other():
    rows = [
        make | {"mse": make["mse"] / m, "file": f"{m} {s} {seed} {make['label']}"}
        for m in (50, 1000)
        for s in (0.0, 10.0)
        for seed in (0, 1)
        for make in (
            swept(16.0, num_measurements=m, count=m, noise_variance=s, seed=seed),
            swept(64.0, num_measurements=m, count=m, noise_variance=s, seed=seed),
            row(method="csdip", label="csdip", num_measurements=m, count=m, noise_variance=s, seed=seed),
        )
    ]
    found = charts(rows)
    expected = ["number of measurements", "noise variance", "tv.mu", "seed"]
    assert list(found) == [f"MSE against {name}" for name in expected]
    assert captions(found["MSE against number of measurements"]) == [
        "Gaussian, no noise",
        "Gaussian, noise variance 10",
    ]
    assert captions(found["MSE against noise variance"]) == ["Gaussian, m = 50", "Gaussian, m = 1000"]
    assert len(captions(found["MSE against tv.mu"])) == 4
    assert list(found["MSE against tv.mu"].colours) == ["tv"]
    colours = found["MSE against seed"].colours
    assert list(colours) == ["tv mu=16", "tv mu=64", "csdip"] and len({*colours.values()}) == 3
    assert colours["csdip"] == to_hex(METHODS["csdip"].colour)
    assert not charts([row()])


def test_lines_and_other_counts_are_axes_of_their_own():
    rows = [row(operator="radial_fourier", count=n, num_measurements=15 * n, measurement=f"{n} lines") for n in (6, 10)]
    rows += [row(operator="blur", count=n, num_measurements=784, measurement=f"{n} blur") for n in (1, 2)]
    found = charts(rows)
    assert list(found) == [f"MSE against {name}" for name in ("blur width", "number of lines", "operator")]
    assert captions(found["MSE against number of lines"]) == ["radial lines"]


def test_without_a_true_image_the_residual_is_drawn():
    label = "tv mu={:g}".format
    found = charts([own_row(label=label(mu), swept={"mu": mu}, relative_residual=1 / mu) for mu in (16.0, 64.0)])
    assert list(found) == ["relative residual against tv.mu"]


def test_many_panels_and_curves_are_cut_and_it_is_said():
    rows = [
        swept(float(mu), num_measurements=m, count=m, noise_variance=s)
        for mu in range(1, curves.CURVES + 3)
        for m in range(10, 100, 10)
        for s in (0.0, 1.0)
    ]
    chart = charts(rows)["MSE against noise variance"]
    assert captions(chart)[0] == "Gaussian, m = 10" and captions(chart)[-1] == "Gaussian, m = 90"
    assert chart.notes == [f"{curves.PANELS} of 9 panels are shown.", "2 further curves are left out."]


@pytest.mark.parametrize("values", [(0.0, 1e-300), (1e-8, 1e8), (1.0, 1.0), (0.0, 0.0), (1.0, float("nan"), 1e30)])
@pytest.mark.parametrize("places", [(1, 2, 3), (10, 100, 100_000)])
def test_any_numbers_can_be_drawn(values, places):
    rows = [row(mse=mse, num_measurements=m) for mse, m in zip(values, places, strict=False)]
    (chart,) = charts(rows).values()
    (_, picture), *_ = chart.panels
    assert picture.type == "svg+xml" and ElementTree.fromstring(picture.data) is not None


def test_the_same_cells_give_the_same_picture():
    rows = [row(num_measurements=m, seed=seed, mse=seed / m) for m in (50, 100) for seed in (1, 2, 3)]
    assert charts(rows) == charts(rows)
