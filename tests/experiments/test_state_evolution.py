"""State evolution beside a run, as the command does it."""

import json

import numpy as np

from tests.experiments.commands import refused, run, run_process


def test_prediction_and_run_agree_and_a_rerun_does_nothing(tmp_path):
    options = ["--config.methods=damp_tv", "--config.image_shape=(48,48,1)", "--config.num_measurements=800"]
    options += ["--config.damp_tv.steps=6"]
    options += ["--config.preset=reference", "--config.noise_variance=100"]  # whose noise counts in another way
    first = run("state_evolution", *options, f"--workdir={tmp_path / 'run'}")
    assert first.returncode == 0, first.stderr
    rows = (tmp_path / "run" / "results.jsonl").read_text()
    row = json.loads(rows)
    assert len(row["predicted"]) == 6 and row["method"] == "damp_tv"
    for name in ("estimated", "true"):
        np.testing.assert_allclose(row[name], row["predicted"], rtol=0.15)
    assert "largest departure of the true noise" in first.stdout
    assert (tmp_path / "run" / "state_evolution.png").stat().st_size > 10_000

    again = run("state_evolution", *options, f"--workdir={tmp_path / 'run'}")
    assert again.stdout == first.stdout and (tmp_path / "run" / "results.jsonl").read_text() == rows


def test_what_has_no_state_evolution_is_refused():
    assert "'tv' is not among" in refused(run_process("state_evolution", "--config.methods=tv"))
