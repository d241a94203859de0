"""The scripts of examples/, at toy size, in a folder of their own."""

import importlib.util
import math

import matplotlib.pyplot as plt
import pytest

from tests.commands.typed import refused, run_process
from tests.conftest import REPOSITORY

SCRIPTS = sorted((REPOSITORY / "examples").glob("*.py"))
CLAIMS = {
    "coordinate_descent": lambda found: 0 < found["low frequencies first"] < found["columns shuffled"] < 2,
    "deepinv_physics": lambda found: found["tv"] > found["pseudo-inverse"],
    "first_reconstruction": lambda found: found["csdip"] > found["A^T y"] + 10,
    "held_out": lambda found: found["low"] < found["held out"] < found["high"],
    "own_measurements": lambda found: min(found.values()) > 25,
    "own_operator": lambda found: found["tv"] > found["a picture"] + 3,
    "phantom": lambda found: found["zero-filled"] < 20 and found["tv"] > 70,
    "restarts_and_sweeps": lambda found: found["best mu"] - found["chosen mu"] < 1,
    "state_evolution": lambda found: max(found.values()) < 0.15,
    "single_pixel": lambda found: found["tv"] > 15,
}
"""Of some: whether its numbers are what it is there to show."""


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_an_example_shows_what_it_claims(path, tmp_path, monkeypatch, capsys):
    if path.stem == "coordinate_descent":
        pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra dev")
    if path.stem == "deepinv_physics":
        pytest.importorskip("deepinv", reason="needs deepinv, of the extra peers")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main(quick=True)
    plt.close("all")
    assert found and all(map(math.isfinite, found.values())), found
    assert CLAIMS.get(path.stem, bool)(found), found
    assert (tmp_path / f"{path.stem}.png").stat().st_size > 5_000
    assert f"picture: {path.stem}.png" in capsys.readouterr().out
    assert f"python examples/{path.name}" in module.__doc__


def test_the_commands_that_they_were_say_so():
    told = refused(run_process("phantom", "--config.num_lines=15"))
    assert told.endswith("experiments.phantom is an example now, without flags: python examples/phantom.py")
