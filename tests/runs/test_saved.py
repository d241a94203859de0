"""A finished fit: its seconds, its warning, its files."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.files import write_arrays
from csdip_jax.runs import saved
from csdip_jax.runs.row import Status, facts
from tests.runs.test_row import ROW, solution

FAILED = "warning: stem: every attempt collapsed or diverged; take smaller steps, and look at A and y\n"


@pytest.mark.parametrize("status", Status)
def test_a_failed_fit_is_warned_of_at_once_all_else_by_the_tables(status, capsys):
    given = facts(solution(status=np.int32(status)), np.ones(3), None)
    saved.warn(dataclasses.replace(ROW, file="stem", **given), cs.methods.Tv)
    shown = capsys.readouterr()
    assert shown.out + shown.err == ("" if status < Status.DIVERGED else FAILED)


@pytest.mark.parametrize("cases", [None, 1, 4])
@pytest.mark.parametrize("resumed", [False, True])
def test_seconds_are_shared_by_the_cases_and_not_known_of_a_resumed_fit(cases, resumed, tmp_path, monkeypatch):
    clock, checkpoint = iter([10.0, 13.0]), tmp_path / "checkpoint.npz"
    if resumed:
        checkpoint.touch()
    given = solution()
    if cases:
        given = jax.tree.map(lambda x: np.stack([x + i for i in range(cases)]), given)
    monkeypatch.setattr(cs, "reconstruct", lambda *_, checkpoint: given)
    monkeypatch.setattr(saved, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found, seconds = saved.reconstructed(None, None, None, checkpoint)
    assert [int(one.steps) for one in found] == [7 + i for i in range(cases or 1)]
    assert seconds == (None if resumed else 3.0 / (cases or 1))


def test_what_is_saved_is_there_again(tmp_path):
    """The image in the user's units, the picture of the image in [-1, 1]."""
    fit = saved.Fit(solution(image=np.full((4, 4, 1), -1.0)), dataclasses.replace(ROW, file="a"))
    saved.save(SimpleNamespace(path=tmp_path), fit, np.full((4, 4, 1), 300.0), {"adjoint": jnp.ones(3)})
    with np.load(saved.reconstruction(tmp_path, "a")) as written:
        found = {name: float(written[name].max()) for name in written.files}
    assert found == {"image": 300, "trace": 8, "trace_objective": 9, "adjoint": 1} | {
        "aux_standard_deviation": 6,
        "aux_error": 0.5,
    }


IMAGE = np.linspace(-1, 1, 36, dtype=np.float32).reshape(4, 9, 1)
RANGES = {"none": None, "bytes": (0, 255), "turned": (1.0, 0.0), "far": (1e6, 1e6 + 1), "small": (-1e-30, 1e-30)}


@pytest.mark.parametrize("pixel_range", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("kind", ["float32", "float64", ">f8"])
def test_an_image_is_read_in_signed_range_from_any_units(pixel_range, kind, tmp_path):
    """Also from files that are older than ranges, or have one of whole numbers."""
    arrays = saved.in_units(IMAGE, pixel_range)
    rounding = np.finfo(kind).eps * abs(arrays["image"]).max() / np.ptp(arrays["image"])
    arrays["image"] = arrays["image"].astype(kind)
    if pixel_range == (0, 255):
        arrays["pixel_range"] = np.array(pixel_range)
    write_arrays(tmp_path / "a.npz", **arrays, adjoint=IMAGE, trace=np.ones(3))
    found = saved.load(tmp_path / "a.npz", IMAGE.shape, "trace", "adjoint")
    assert set(found) == {"image", "adjoint", "trace"}
    np.testing.assert_allclose(found["image"], IMAGE, rtol=0, atol=1e-6 + 2 * rounding)


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
    whole = saved.in_units(IMAGE, (0, 255)) | {"adjoint": IMAGE, "trace": np.ones(3)}
    write_arrays(path, **whole)
    assert saved.is_whole(path, IMAGE.shape, "trace", "adjoint")
    write_arrays(path, **whole | DAMAGES[damage])
    assert not saved.is_whole(path, IMAGE.shape, "trace", "adjoint")
    with pytest.raises(cs.InputError, match=r"a\.npz is damaged .*: remove it, the same command") as caught:
        saved.load(path, IMAGE.shape, "trace", "adjoint")
    assert "\n" not in str(caught.value)
