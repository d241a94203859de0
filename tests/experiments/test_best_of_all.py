"""What experiments.best says of the rows of a run."""

import numpy as np
import pandas as pd
import pytest

from csdip_jax.runs.row import Row
from csdip_jax.types import InputError, Status
from experiments.best import comparing
from experiments.best.studies import KINDS, config_of


def row(method, mse, image="a", **aux):
    known = {"image": image, "operator": "gaussian", "count": 5, "noise_variance": 0.0, "status": Status.FINISHED}
    told = {"preset": "paper", "seed": 0, "steps": 1, "redraws": 0, "seconds": 2.0, "psnr": 10.0}
    return Row(file=f"{image}-{method}", label=method, method=method, mse=mse, aux=aux, **known, **told)


@pytest.fixture
def lines(monkeypatch):
    monkeypatch.setattr(comparing, "_pixels", lambda row, folder: {"covered": 0.9, "rank": 0.5})
    estimate = {"estimated_mse": 0.1, "estimated_mse_low": 0.05, "estimated_mse_high": 0.15, "weights_tv": 1.0}
    rows = [row("best", 0.1, **estimate), row("csdip", 0.2), row("tv", 0.4)]
    rows += [row("best", 0.2, "b", **estimate), row("csdip", 0.8), row("tv", 0.1), row("tv", 0.1, "b")]
    rows += [row("csdip", 0.8, "b"), row("csdip", 0.8, "without best")]
    return comparing.comparisons(rows[:1] + rows[1:3] + rows[3:4] + rows[6:], None).assign(kind="small")


def test_ratios_are_to_the_same_image(lines):
    """Worked out by hand: .1 / .2 and .2 / .8 of CS-DIP's, .1 / .2 and .2 / .1 of the lowest."""
    assert lines["image"].tolist() == ["a", "b"]
    np.testing.assert_allclose(lines["over_csdip"], [0.5, 0.25])
    np.testing.assert_allclose(lines["over_lowest"], [0.5, 2.0])
    assert lines["inside"].tolist() == [True, False] and lines["weights"].tolist() == ["tv 1.00", "tv 1.00"]


def test_the_summary_is_of_geometric_means(lines):
    (found,) = comparing.summary(lines).to_dict("records")
    np.testing.assert_allclose([found["over CS-DIP"], found["over the lowest"]], [np.sqrt(0.125), 1.0])
    assert found["worse than 1.05"] == 1 and found["inside %"] == 50 and found["images"] == 2


def test_seeds_are_compared_in_the_mean(lines):
    assert comparing.between_seeds(lines).empty
    other = pd.concat([lines, lines.assign(seed=1, psnr=lines["psnr"] + 0.2)])
    np.testing.assert_allclose(comparing.between_seeds(other)["difference"], 0.2)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_sweep(kind):
    config = config_of(kind, "gaussian", "data")
    assert "best" in config.methods and config.num_measurements == KINDS[kind].counts
    if not KINDS[kind].lines:
        with pytest.raises(InputError, match="no measurements by radial_fourier"):
            config_of(kind, "radial_fourier", "data")
