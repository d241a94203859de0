"""The arm of the study that begins at a learned start, and the curves that show what it is worth."""

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.io import learned_starts
from csdip_jax.runs import saved
from experiments.learned_regularization import curves, study
from tests.experiments.learned_regularization.toy import CELL, config, draw, run

CHANGES = {"arms": "learned_start", "training_counts": (), "num_images": 1, "start_steps": 6}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned_start")
    draw(folder / "training", range(3))
    draw(folder / "test", [3])
    return folder, run(folder, folder / "run", **CHANGES)


def test_the_arm_takes_few_steps_from_the_start_that_is_saved(finished):
    _, cell = finished
    (row,) = [row for key, row in cell.rows.items() if key.stage == "test" and key.arm == "learned_start"]
    assert row.steps == 6 and row.ok
    start = learned_starts.load(
        cell.workdir.path / "priors" / f"{CELL}-learned_start-of-3.npz", cell.plan.method.generator
    )
    assert start.noise == 0.01 and {path.name for path in (cell.workdir.path / "priors").iterdir()} == {
        f"{CELL}-learned_start-of-3.npz"
    }
    table = (cell.workdir.path / "table.md").read_text()
    assert "learned_start: noise variance" in table and "off" not in table


def test_curves_are_of_the_same_fits_and_not_run_again(finished, monkeypatch):
    folder, cell = finished
    curves.write(cell.plan, cell.workdir)
    found = curves.traces(cell.plan, cell.workdir, cell.cell)
    rows = {key.arm: row for key, row in cell.rows.items() if key.stage == "test"}
    for label, arm in (("cold", "off"), ("learned start", "learned_start")):
        trace = np.load(saved.reconstruction(cell.workdir.path, rows[arm].file))["trace"]
        assert found[label]["mse"].shape == (1, len(trace))
    monkeypatch.setattr(curves.cs, "reconstruct", lambda *_, **__: pytest.fail("nothing is left to fit"))
    run(folder, cell.workdir.path, **CHANGES)
    curves.write(cell.plan, cell.workdir)
    assert (cell.workdir.path / f"curves-{CELL}.png").exists()


def test_what_a_table_of_curves_says():
    def curve(*errors):
        return {"mse": np.array([errors, errors])}

    table = curves.entries({"cold": curve(9, 3, 2, 1), "few": curve(9, 1.1), "learned": curve(1.01, 0.5)})
    assert table["steps"].tolist() == [4, 2, 2]
    np.testing.assert_allclose(table["ratio"], [1, 1.1, 0.5])
    np.testing.assert_array_equal(table["steps_to_the_first"], [4, np.nan, 1])


def test_steps_that_are_none_are_refused(finished):
    with pytest.raises(cs.InputError, match="start_steps = 0: it must be a whole number of at least 1"):
        study.plan(config(finished[0], **CHANGES | {"start_steps": 0}), None)
