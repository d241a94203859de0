"""The exact recovery, on a smaller phantom, as the command does it."""

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.experiments.test_reconstruct import environment, refused


@pytest.mark.parametrize("option", ["--config.methods=lasso_dct", "--config.operator=gaussian", "--config.num_lines=0"])
def test_bad_input_is_one_line_and_leaves_nothing(option, tmp_path):
    command = [sys.executable, "-m", "experiments.phantom", option, f"--workdir={tmp_path / 'run'}"]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment(tmp_path), capture_output=True, text=True)
    refused(result)
    assert not (tmp_path / "run").exists()


def test_recovers_a_phantom_from_a_tenth_of_its_pixels(tmp_path):
    options = ["--config.image_shape=(64,64,1)", "--config.num_lines=14", f"--workdir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "experiments.phantom", *options]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment(tmp_path), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    row = json.loads((tmp_path / "run" / "results.jsonl").read_text())
    assert row["psnr"]["zero-filled"] < 20 and row["psnr"]["tv"] > 70
    assert (tmp_path / "run" / "phantom.png").stat().st_size > 10_000
    assert "converged" in result.stdout and "NOT" not in result.stdout
