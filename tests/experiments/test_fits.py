"""What is said of a finished fit: its row, its seconds, its warning."""

import itertools
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.files import write_arrays
from experiments import fits

VERDICTS = list(itertools.product([False, True], repeat=2))


def solution(**changes):
    """Every field another number."""
    fields = {"image": np.zeros((4, 4, 1)), "measurement_loss": np.float32(3.0), "steps": np.int32(7)}
    fields |= {"restart": np.int32(2), "redraws": np.int32(5), "ok": np.True_, "converged": np.True_}
    return cs.Solution(**fields | {"trace": np.arange(9.0), "unexplained": np.float32(0.0625)} | changes)


@pytest.mark.parametrize(("ok", "converged"), VERDICTS)
@pytest.mark.parametrize("y", [np.array([3.0, -4.0]), np.array([3.0 + 4.0j]), np.array([3, -4], np.int8)])
def test_the_facts_of_a_row(y, ok, converged):
    found = fits.facts(solution(ok=np.bool_(ok), converged=np.bool_(converged)), y, 1.5, 2.0)
    assert found == {
        "seconds": 1.5,
        "measurement_loss": 3.0,
        "relative_residual": pytest.approx(3 / 25),
        "unexplained": 0.0625,
        "falling": 0.0,
        "times_noise": 1.5,
        "steps": 7,
        "restart": 2,
        "redraws": 5,
        "ok": ok,
        "converged": converged,
    }


def test_measurements_of_zero_have_no_relative_residual_unless_they_are_met():
    assert fits.facts(solution(), np.zeros(3), None)["relative_residual"] is None
    assert fits.facts(solution(measurement_loss=np.float32(0)), np.zeros(3), None)["relative_residual"] == 0


def test_noise_that_is_none_or_not_known_is_not_compared_with():
    assert all(fits.facts(solution(), np.ones(3), None, noise)["times_noise"] is None for noise in (None, 0.0))


@pytest.mark.parametrize(("ok", "converged"), VERDICTS)
def test_a_fit_is_warned_of_once_and_by_its_reason(ok, converged, capsys):
    given = solution(ok=ok, converged=converged)
    fits.warn(fits.Fit("stem", "label", given, fits.facts(given, np.ones(3), None)), cs.methods.Tv)
    reason = "" if ok and converged else "not converged" if ok else "every attempt collapsed or diverged"
    shown = capsys.readouterr()
    expected = f"warning: stem: {reason}; allow it more steps\n" if reason else ""
    assert shown.out + shown.err == expected


ABSENT = object()
KNOWN = {"ok": True, "unexplained": 0.5, "falling": 0.9, "times_noise": 3.0}


@pytest.mark.parametrize("value", [ABSENT, None, np.nan, np.inf], ids=["absent", "null", "NaN", "infinite"])
@pytest.mark.parametrize("name", ["unexplained", "falling", "times_noise"])
def test_what_a_row_does_not_know_is_not_told(name, value):
    row = {key: held for key, held in (KNOWN | {name: value}).items() if held is not ABSENT}
    told, whole = fits.verdict_of(row), fits.verdict_of(KNOWN)
    assert "explains 50 %" in whole and "3 times the noise" in whole and "fell by 90 %" in whole
    if name == "unexplained":
        assert told == ""
    else:
        assert "explains 50 %" in told and ("3 times the noise" in told) == (name != "times_noise")
        assert ("fell by" in told) == (name != "falling")


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
    original = np.linspace(-1, 1, side * 9).reshape(side, 9, 1)
    found = fits.metrics(original + 0.5, original)
    assert set(found) == {"mse", "psnr", "data_range"} | ({"ssim"} if side > 6 else set())
    assert found["mse"] == pytest.approx(0.25)
    assert found["psnr"] == pytest.approx(10 * np.log10(4 / 0.25))


def test_what_is_saved_is_there_again(tmp_path):
    """The image in the user's units, the picture of the image in [-1, 1]."""
    fit = fits.Fit("a", "label", solution(image=np.full((4, 4, 1), -1.0)), {})
    fits.save(SimpleNamespace(path=tmp_path), fit, np.full((4, 4, 1), 300.0), {"adjoint": jnp.ones(3)})
    with np.load(fits.reconstruction(tmp_path, "a")) as saved:
        assert {name: float(saved[name].max()) for name in saved.files} == {"image": 300, "trace": 8, "adjoint": 1}


IMAGE = np.linspace(-1, 1, 36, dtype=np.float32).reshape(4, 9, 1)
RANGES = {"none": None, "bytes": (0, 255), "turned": (1.0, 0.0), "far": (1e6, 1e6 + 1), "small": (-1e-30, 1e-30)}


@pytest.mark.parametrize("pixel_range", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("kind", ["float32", "float64", ">f8"])
def test_an_image_is_read_in_signed_range_from_any_units(pixel_range, kind, tmp_path):
    """Also from files that are older than ranges, or have one of whole numbers."""
    arrays = fits.in_units(IMAGE, pixel_range)
    rounding = np.finfo(kind).eps * abs(arrays["image"]).max() / np.ptp(arrays["image"])
    arrays["image"] = arrays["image"].astype(kind)
    if pixel_range == (0, 255):
        arrays["pixel_range"] = np.array(pixel_range)
    write_arrays(tmp_path / "a.npz", **arrays, adjoint=IMAGE, trace=np.ones(3))
    saved = fits.load(tmp_path / "a.npz", IMAGE.shape, "trace", "adjoint")
    assert set(saved) == {"image", "adjoint", "trace"}
    np.testing.assert_allclose(saved["image"], IMAGE, rtol=0, atol=1e-6 + 2 * rounding)


DAMAGES = {
    "one end": {"pixel_range": np.ones(1)},
    "no contrast": {"pixel_range": np.ones(2)},
    "not finite": {"pixel_range": np.array([0, np.inf])},
    "sides": {"pixel_range": np.array([[0.0], [1.0]])},
    "text": {"pixel_range": np.array(["0", "1"])},
    "complex": {"pixel_range": np.array([0j, 1])},
    "many": {"pixel_range": np.zeros((40, 40))},
    "another shape": {"image": IMAGE[1:]},
    "whole numbers": {"image": IMAGE.astype(int)},
    "adjoint of another shape": {"adjoint": IMAGE[1:]},
    "trace of another kind": {"trace": np.array(["a"])},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_not_as_it_was_written_is_one_line(damage, tmp_path):
    path = tmp_path / "a.npz"
    whole = fits.in_units(IMAGE, (0, 255)) | {"adjoint": IMAGE, "trace": np.ones(3)}
    write_arrays(path, **whole)
    assert fits.is_whole(path, IMAGE.shape, "trace", "adjoint")
    write_arrays(path, **whole | DAMAGES[damage])
    assert not fits.is_whole(path, IMAGE.shape, "trace", "adjoint")
    with pytest.raises(cs.InputError, match=r"a\.npz is damaged .*: remove it, the same command") as caught:
        fits.load(path, IMAGE.shape, "trace", "adjoint")
    assert "\n" not in str(caught.value)
