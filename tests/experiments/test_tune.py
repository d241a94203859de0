"""The choice of a setting, by hand; the whole path on two photographs."""

import csv
from dataclasses import replace

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.commands import settings
from csdip_jax.commands.configs import sweep
from csdip_jax.runs.plan import programs
from csdip_jax.types import InputError
from experiments import tune
from experiments.configs import tuning
from tests.methods.toys import ITERATED
from tests.runs.test_row import ROW

SETTINGS = [{"alpha": 1e-6}, {"alpha": 1e-5}, {"alpha": 1e-4}]


def grid(errors, preset=1):
    return tune.Grid("lasso_dct", SETTINGS[: len(errors)], ["m = 1", "m = 2"], np.array(errors), preset)


def test_the_lowest_geometric_mean_is_chosen():
    # By sums the last would win, 1.1 against 1.22 and 2: its small gain at the large errors hides a loss of ten times.
    chosen = grid([[1.9, 0.1], [1.2, 0.02], [1.0, 0.1]])
    assert chosen.chosen == 1 and not chosen.at_an_end
    assert tune.verdict(chosen) == "lasso_dct: alpha = 1e-05, the preset's"


def test_an_end_of_the_grid_and_the_gain_over_the_preset_are_told():
    text = tune.verdict(grid([[1.0, 1.0], [0.8, 0.8], [0.2, 0.8]]))
    assert "alpha = 0.0001; MSE 0.500 of the preset's (alpha = 1e-05)" in text and "alpha at an end" in text
    assert "preset" not in tune.verdict(grid([[1.0, 1.0], [2.0, 2.0]], preset=None))


@pytest.mark.parametrize(("preset", "expected"), [("paper", 0), ("reference", 1)])
def test_the_preset_is_that_of_the_run(preset, expected):
    """Of its name and its shape of images; none where the grid has not its value."""
    config = tuning.get_config("csdip,demo")
    config.preset, config.image_shape = preset, (256, 256, 1)
    presets = tune.presets_of(programs(settings.studies(config, None)))

    def found(*weights):
        row = replace(ROW, method="csdip", num_measurements=9, noise_variance=0.0, mse=1.0)
        return tune.grids([replace(row, swept={"tv_weight": weight}) for weight in weights], presets)[0].preset

    assert found(0.01, 0.05) == expected and found(0.3, 0.4) is None


def test_rows_are_averaged_over_images():
    row = replace(ROW, measurement="Gaussian", noise_variance=0.0)
    rows = [
        replace(row, num_measurements=m, swept={"mu": mu}, mse=m * mu * image)
        for m in (10, 20)
        for mu in (1.0, 2.0)
        for image in (1.0, 3.0)
    ]
    (found,) = tune.grids(rows, {"tv": cs.methods.Tv.preset("paper", (8, 8, 1))})
    np.testing.assert_allclose(found.errors, [[20, 40], [40, 80]])
    assert found.measurements == ["Gaussian, m = 10, noise 0", "Gaussian, m = 20, noise 0"]


def test_the_whole_path(tmp_path, capsys):
    config = tuning.get_config("lasso_dct,demo")
    config.image_shape, config.num_measurements, config.lasso_dct.steps = (16, 16, 1), (60,), 50
    (found,) = tune.tune(config, tmp_path, None)
    shown = capsys.readouterr().out
    assert tune.verdict(found) in shown and tune.verdict(found) in (tmp_path / "tuning.md").read_text()
    rows = list(csv.DictReader((tmp_path / "tuning.csv").read_text().splitlines()))
    assert [float(row["mean_mse"]) for row in rows] == pytest.approx(list(found.errors.ravel()), rel=1e-5)
    assert (tmp_path / "tuning.png").stat().st_size > 1000


@pytest.mark.parametrize("method", ITERATED)
@pytest.mark.parametrize("images", tuning.IMAGES)
def test_every_configuration_is_a_grid_around_the_preset(method, images):
    config = tuning.get_config(f"{method},{images}")
    assert config.methods == method and all(entry.startswith(f"{method}.") for entry in config.grids)


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match="'radon' is none of"):
        tuning.get_config("radon,mnist")
    with pytest.raises(InputError, match="grids is empty"):
        tune.tune(sweep.get_config(), tmp_path, None)
