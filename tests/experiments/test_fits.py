"""What is said of a finished fit: its row, its seconds, its warning."""

import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from experiments import fits

VERDICTS = list(itertools.product([False, True], repeat=2))


def solution(**changes):
    """Every field another number."""
    fields = {"image": np.zeros((4, 4, 1)), "measurement_loss": np.float32(3.0), "steps": np.int32(7)}
    fields |= {"restart": np.int32(2), "redraws": np.int32(5), "ok": np.True_, "converged": np.True_}
    return cs.Solution(**fields | {"trace": np.arange(9.0)} | changes)


@pytest.mark.parametrize(("ok", "converged"), VERDICTS)
@pytest.mark.parametrize("y", [np.array([3.0, -4.0]), np.array([3.0 + 4.0j]), np.array([3, -4], np.int8)])
def test_the_facts_of_a_row(y, ok, converged):
    found = fits.facts(solution(ok=np.bool_(ok), converged=np.bool_(converged)), y, 1.5)
    assert found == {
        "seconds": 1.5,
        "measurement_loss": 3.0,
        "relative_residual": pytest.approx(3 / 25),
        "steps": 7,
        "restart": 2,
        "redraws": 5,
        "ok": ok,
        "converged": converged,
    }


def test_measurements_of_zero_have_no_relative_residual():
    assert fits.facts(solution(), np.zeros(3), None)["relative_residual"] is None


@pytest.mark.parametrize(("ok", "converged"), VERDICTS)
def test_a_fit_is_warned_of_once_and_by_its_reason(ok, converged, capsys):
    fits.warn(fits.Fit("stem", "label", solution(ok=ok, converged=converged), {}), cs.methods.Tv)
    reason = "" if ok and converged else "not converged" if ok else "every attempt collapsed or diverged"
    shown = capsys.readouterr()
    expected = f"warning: stem: {reason}; allow it more steps\n" if reason else ""
    assert shown.out + shown.err == expected


@pytest.mark.parametrize("cases", [None, 1, 4])
@pytest.mark.parametrize("resumed", [False, True])
def test_seconds_are_shared_by_the_cases_and_not_known_of_a_resumed_fit(cases, resumed, tmp_path, monkeypatch):
    clock, checkpoint = iter([10.0, 13.0]), tmp_path / "checkpoint.npz"
    if resumed:
        checkpoint.touch()
    given = solution()
    if cases:
        given = cs.Solution(*(None if x is None else np.stack([x + i for i in range(cases)]) for x in given))
    monkeypatch.setattr(cs, "reconstruct", lambda *_, checkpoint: given)
    monkeypatch.setattr(fits, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found, seconds = fits.reconstructed(None, None, None, checkpoint)
    assert [int(one.steps) for one in found] == [7 + i for i in range(cases or 1)]
    assert seconds == (None if resumed else 3.0 / (cases or 1))


@pytest.mark.parametrize("side", [6, 7])
def test_metrics_are_those_that_an_image_of_its_size_has(side):
    a, b = np.zeros((side, 9, 1)), np.full((side, 9, 1), 0.5)
    found = fits.metrics(a, b)
    assert set(found) == ({"mse", "psnr"} if side < 7 else {"mse", "psnr", "ssim"}) and found["mse"] == 0.25
    assert found["psnr"] == pytest.approx(10 * np.log10(4 / 0.25))


def test_what_is_saved_is_there_again(tmp_path):
    """The image in the user's units, the picture of the image in [-1, 1]."""
    fit = fits.Fit("a", "label", solution(image=np.full((4, 4, 1), -1.0)), {})
    fits.save(SimpleNamespace(path=tmp_path), fit, np.full((4, 4, 1), 300.0), {"adjoint": jnp.ones(3)})
    with np.load(fits.reconstruction(tmp_path, "a")) as saved:
        assert {name: float(saved[name].max()) for name in saved.files} == {"image": 300, "trace": 8, "adjoint": 1}
