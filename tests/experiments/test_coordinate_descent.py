"""The comparison with scikit-learn's stopping rule, on one small photograph."""

import pytest

from tests.experiments.commands import refused, rows_of, run, run_process


def test_three_arms(tmp_path):
    pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra dev")
    options = ["--config.data=demo", "--config.num_images=1", "--config.image_shape=(12,12,1)"]
    options += ["--config.num_measurements=40", f"--workdir={tmp_path / 'run'}"]
    result = run("coordinate_descent", *options)
    assert result.returncode == 0, result.stderr
    assert "mean MSE of 1 images, m = 40" in result.stdout
    (row,) = rows_of(tmp_path / "run")
    assert 0 < row["low_first"] < row["shuffled"] < 2 and 0 < row["minimum"] < 2


def test_bad_input_of_a_process():
    options = ["--config.data=demo", "--config.num_images=1", "--config.methods=tv"]
    assert "methods = 'tv'" in refused(run_process("coordinate_descent", *options))
