"""The exact recovery, on a smaller phantom, as the command does it."""

import json
import subprocess
import sys

from tests.conftest import REPOSITORY
from tests.experiments.test_reconstruct import environment


def test_recovers_a_phantom_from_a_tenth_of_its_pixels(tmp_path):
    options = ["--config.image_shape=(64,64,1)", "--config.num_lines=14", f"--workdir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "experiments.phantom", *options]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment(tmp_path), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    row = json.loads((tmp_path / "run" / "results.jsonl").read_text())
    assert row["psnr"]["zero-filled"] < 20 and row["psnr"]["tv"] > 70
    assert (tmp_path / "run" / "phantom.png").stat().st_size > 10_000
    assert "converged" in result.stdout and "NOT" not in result.stdout
