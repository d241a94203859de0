"""The comparison with scikit-learn's stopping rule, on one small photograph."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


def test_three_arms(tmp_path):
    pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra dev")
    command = [sys.executable, "-m", "experiments.coordinate_descent", "--config.data=demo", "--config.num_images=1"]
    command += ["--config.image_shape=(12,12,1)", "--config.num_measurements=40", f"--workdir={tmp_path / 'run'}"]
    environment = os.environ | {"MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "mean MSE of 1 images, m = 40" in result.stdout
    (row,) = map(json.loads, (tmp_path / "run" / "results.jsonl").read_text().splitlines())
    assert 0 < row["low_first"] < row["shuffled"] < 2 and 0 < row["minimum"] < 2
