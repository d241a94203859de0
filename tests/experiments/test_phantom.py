"""The exact recovery, on a smaller phantom, as the command does it."""

import json

import pytest

from tests.experiments.commands import refused, run, run_process


@pytest.mark.parametrize("option", ["--config.methods=lasso_dct", "--config.operator=gaussian", "--config.num_lines=0"])
def test_bad_input_is_one_line_and_leaves_nothing(option, tmp_path):
    refused(run("phantom", option, f"--workdir={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists()


def test_bad_input_of_a_process():
    assert "num_lines = 0" in refused(run_process("phantom", "--config.num_lines=0"))


def test_recovers_a_phantom_from_a_tenth_of_its_pixels(tmp_path):
    options = ["--config.image_shape=(64,64,1)", "--config.num_lines=14", f"--workdir={tmp_path / 'run'}"]
    result = run("phantom", *options)
    assert result.returncode == 0, result.stderr
    row = json.loads((tmp_path / "run" / "results.jsonl").read_text())
    assert row["psnr"]["zero-filled"] < 20 and row["psnr"]["tv"] > 70
    assert (tmp_path / "run" / "phantom.png").stat().st_size > 10_000
    assert "converged" in result.stdout and "NOT" not in result.stdout
