"""The published values as the files of experiments/reference have them."""

import math

import pytest

from experiments import published
from experiments.configs.paper_items import ITEMS, PUBLISHED_AS


def test_bars_become_standard_errors():
    values = published.values("fig4a_mnist_mse")
    assert values["csdip", 100] == (0.0216, 0.003)
    assert values["csgm", 75] == (0.041, 0.003)  # drawn as two standard errors
    assert len(values) == 12


def test_values_without_a_bar_have_no_standard_error():
    value, error = published.values("fig1b_mnist_mse")["lasso_dct", 50]
    assert value == 0.3574 and math.isnan(error)
    assert published.values("table2_runtime_seconds", "seconds")["csdip", 8000].value == 29.9


def test_every_file_says_what_it_is():
    for path in published.FOLDER.glob("*.csv"):
        source, table = published.read(path.stem)
        assert len(source) > 60 and "#" not in source and len(table)
        assert table.drop(columns="bar", errors="ignore").notna().all(axis=None)


@pytest.mark.parametrize("item", [item for item in ITEMS.values() if item.kind == "curve" and item.published])
def test_every_curve_finds_its_values(item):
    """Under the names and at the places of the item."""
    known = published.values(item.published)
    for method in item.methods:
        algorithm = PUBLISHED_AS.get(method, method)
        theirs = {m for name, m in known if name == algorithm}
        missing = {"fig3a": {"bm3d_amp", "tv", "lasso_dct"}, "fig4a": {"lasso_dct"}}.get(item.name, set())
        assert bool(theirs) == (method not in missing) and theirs <= set(item.counts)


def test_no_file_is_left_unused():
    of_the_paper = {item.published for item in ITEMS.values() if item.published}
    assert {path.stem for path in published.FOLDER.glob("*.csv")} == of_the_paper | {"phase_retrieval_mnist"}


def test_coefficients_of_radial_lines():
    assert published.coefficient_counts() == {3: 381, 5: 634, 10: 1260, 20: 2500}
