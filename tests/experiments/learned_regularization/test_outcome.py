"""The table: its arithmetic, what stands beside the numbers, and that it is the one of the rows."""

import dataclasses
import json
import re

import numpy as np
import pytest

from csdip_jax.runs.row import Status
from experiments import published
from experiments.learned_regularization import outcome
from experiments.learned_regularization.stages import CellRun, Key
from tests.experiments.learned_regularization.toy import CELL, NOISE
from tests.runs.test_row import ROW


def test_percent_decrease_by_hand():
    off, on = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.5, 1.0])
    decrease, half_width = outcome.percent_decrease(off, on)
    assert decrease == pytest.approx(50)
    residuals = on - 0.5 * off  # 0, 0.5, -0.5
    assert half_width == pytest.approx(100 * 4.30265 * np.std(residuals, ddof=1) / 2 / np.sqrt(3), rel=1e-5)
    assert outcome.percent_decrease(off, 0.7 * off) == pytest.approx((30, 0))
    assert np.isnan(outcome.percent_decrease(off[:1], on[:1])[1])


def test_the_interval_covers_what_it_should():
    """Drawn pairs with a known ratio of means: about 95 % of the intervals hold it."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        off = rng.uniform(0.5, 1.5, 8)
        decrease, half_width = outcome.percent_decrease(off, 0.8 * off * rng.uniform(0.7, 1.3, 8))
        covered.append(abs(decrease - 20) < half_width)
    assert 0.91 < np.mean(covered) < 0.98


def test_published_values_are_the_paper_s():
    values = published.percent_decreases()
    assert len(values) == 20 and values[1000.0, 500] == 37.4 and values[0.0, 8000] == 0.6
    assert json.dumps(sorted({noise for noise, _ in values})) == "[0.0, 10.0, 100.0, 1000.0]"


def test_the_table_is_that_of_the_rows(finished):
    plan, workdir, _ = finished
    rows = finished.rows
    off = np.array([rows[Key("test", "off", 0.0, name)].mse for name in plan.test])
    (entry,) = outcome.entries(plan, workdir).query("arm == 'warm_start of 3'").itertuples()
    on = np.array([rows[Key("test", "warm_start of 3", 0.0, name)].mse for name in plan.test])
    np.testing.assert_allclose(entry.decrease, 100 * (off.mean() - on.mean()) / off.mean())
    text = re.sub(" +", " ", (workdir.path / "table.md").read_text())
    assert f"| {NOISE:g} | {entry.decrease:.1f} +- {entry.half_width:.1f} |" in text  # a warm start has no weight
    for name in ("table.csv", "table.png", "choice.png", f"comparison-{CELL}.png"):
        assert (workdir.path / name).stat().st_size > 100


def test_what_the_table_says_beside_the_numbers(finished):
    plan, workdir, _ = finished
    table = outcome.entries(plan, workdir)
    entry = next(table.itertuples())
    assert table["published"].isna().all()  # 16 x 16 is not the paper's experiment
    assert outcome._cell_text(entry._replace(is_off=True, published=37.4)) == "off (37.4)"
    facts = {"decrease": 1.0, "half_width": 2.0, "published": np.nan, "is_off": False}
    assert outcome._cell_text(entry._replace(lr_weight=10.0, **facts)) == "1.0 +- 2.0 [10]"
    assert not outcome._unequal(ROW, ROW)
    for changes in ({"redraws": 1}, {"status": Status.COLLAPSED}):
        assert outcome._unequal(ROW, dataclasses.replace(ROW, **changes))
    assert "not paired: weights" in outcome.markdown(table[:1].assign(arm="weights", unequal=1), 2)


def test_a_choice_at_the_end_of_its_grid_is_told(finished, monkeypatch):
    plan, workdir, _ = finished
    for weight, told in ((max(plan.lr_weights("weights")), True), (0.0, False)):
        monkeypatch.setattr(CellRun, "chosen_weight", lambda self, reading, weight=weight: weight)
        assert any("the largest of its grid" in note for note in outcome._notes(plan, workdir)) == told
