"""THE row: what is said of a solution, written and read again, also of earlier versions."""

import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.io.lines import append_row, read_rows
from csdip_jax.methods import METHODS
from csdip_jax.runs.row import ADDED, FIELDS, VERSION, Row, Status, code_of, errors, facts, weight_of
from tests.methods.toys import ITERATED


def solution(**changes):
    """Every field another number."""
    fields = {"image": np.zeros((4, 4, 1)), "measurement_loss": np.float32(3.0), "steps": np.int32(7)}
    fields |= {"restart": np.int32(2), "redraws": np.int32(5), "status": np.int32(Status.FINISHED)}
    fields |= {"trace": {"measurement_loss": np.arange(9.0), "objective": np.arange(9.0) + 1}}
    fields |= {"aux": {"standard_deviation": np.full((4, 4, 1), 6.0), "error": np.float32(0.5)}}
    return cs.Solution(**fields | {"unexplained": np.float32(0.0625)} | changes)


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("y", [np.array([3.0, -4.0]), np.array([3.0 + 4.0j]), np.array([3, -4], np.int8)])
def test_the_facts_of_a_row(y, status):
    found = facts(solution(status=np.int32(status)), y, 1.5, 2.0)
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
        "status": status,
        "aux": {"error": 0.5},
    }


def test_measurements_of_zero_have_no_relative_residual_unless_they_are_met():
    assert facts(solution(), np.zeros(3), None)["relative_residual"] is None
    assert facts(solution(measurement_loss=np.float32(0)), np.zeros(3), None)["relative_residual"] == 0


def test_noise_that_is_none_or_not_known_is_not_compared_with():
    assert all(facts(solution(), np.ones(3), None, noise)["times_noise"] is None for noise in (None, 0.0))


ROW = Row(
    file="a-tv",
    label="tv mu=3",
    method="tv",
    preset="paper",
    seed=0,
    status=Status.FINISHED,
    steps=5,
    redraws=0,
    seconds=1.5,
    image="a",
    swept={"mu": 3.0},
    mse=0.25,
    psnr=12.0,
    aux={"deviation": 0.5},
    more={"stage": "test", "loss": 2.0},
)
KNOWN = {"unexplained": 0.5, "falling": 0.9, "times_noise": 3.0}


@pytest.mark.parametrize("value", [None, np.nan, np.inf], ids=["null", "NaN", "infinite"])
@pytest.mark.parametrize("name", KNOWN)
def test_what_a_row_does_not_know_is_not_told(name, value):
    whole = dataclasses.replace(ROW, **KNOWN).verdict
    told = dataclasses.replace(ROW, **KNOWN | {name: value}).verdict
    assert "explains 50 %" in whole and "3 times the noise" in whole and "fell by 90 %" in whole
    if name == "unexplained":
        assert told == ""
    else:
        assert "explains 50 %" in told and ("3 times the noise" in told) == (name != "times_noise")
        assert ("fell by" in told) == (name != "falling")


@pytest.mark.parametrize("side", [6, 7])
def test_metrics_are_those_that_an_image_of_its_size_has(side):
    original = np.linspace(-1, 1, side * 9).reshape(side, 9, 1)
    found = errors(original + 0.5, original)
    assert set(found) == {"mse", "psnr", "data_range"} | ({"ssim"} if side > 6 else set())
    assert found["mse"] == pytest.approx(0.25)
    assert found["psnr"] == pytest.approx(10 * np.log10(4 / 0.25))


def line_of(row) -> dict:
    return json.loads(json.dumps(row.as_json()))


def test_a_row_is_read_as_it_was_written(tmp_path):
    append_row(tmp_path / "results.jsonl", ROW.as_json())
    assert read_rows(tmp_path / "results.jsonl", Row.read) == [ROW]


def test_null_is_none_but_for_the_psnr_of_an_exact_image(tmp_path):
    for mse in (0.0, math.nan):
        append_row(tmp_path / "results.jsonl", dataclasses.replace(ROW, mse=mse, psnr=math.inf).as_json())
    exact, failed = read_rows(tmp_path / "results.jsonl", Row.read)
    assert exact.psnr == math.inf and (failed.mse, failed.psnr) == (None, None)


@pytest.mark.parametrize("status", Status)
def test_ok_and_converged_are_those_of_the_status(status):
    row = dataclasses.replace(ROW, status=status)
    assert row.ok == (status not in (Status.DIVERGED, Status.COLLAPSED))
    assert row.converged == (status in (Status.CONVERGED, Status.STOPPED, Status.FINISHED))


@pytest.mark.parametrize(("times_noise", "explained"), [(None, False), (1.4, True), (2.0, True), (2.1, False)])
def test_the_noise_decides_what_is_unexplained_where_it_is_known(times_noise, explained):
    row = dataclasses.replace(ROW, status=Status.UNEXPLAINED, unexplained=0.35, falling=0.0, times_noise=times_noise)
    assert row.converged == row.explained == explained and bool(row.advice()) != explained
    assert dataclasses.replace(row, status=Status.FINISHED).explained
    assert not dataclasses.replace(row, status=Status.OUT_OF_STEPS).converged


@pytest.mark.parametrize(
    ("falling_by", "unexplained", "diverged"), [(-3, 2.0, True), (-3, 0.5, False), (0.0, 2.0, False)]
)
def test_a_finite_loss_that_grew_is_called_diverged(falling_by, unexplained, diverged):
    row = dataclasses.replace(ROW, status=Status.UNEXPLAINED, unexplained=unexplained, falling=falling_by)
    assert row.diverged == diverged and ("take smaller steps" in row.verdict) == diverged


@pytest.mark.parametrize("name", ITERATED)
def test_the_weight_that_regularizes_is_a_setting_and_kept_in_the_row(name):
    method = METHODS[name].method
    field, more = method.regularization
    assert field in METHODS[name].settings and more > 0 != more - 1
    told = weight_of(SimpleNamespace(regularization=method.regularization, **{field: np.float32(0.5)}), {})
    assert told == {field: 0.5} and weight_of(method, {field: 3.0}) == {field: 3.0}
    assert weight_of(cs.methods.Method, {}) == {}


@pytest.mark.parametrize("field", FIELDS)
def test_a_row_without_a_field_or_with_one_of_another_kind_is_named(field, tmp_path):
    row, path = line_of(ROW), tmp_path / "results.jsonl"
    bad = {"missing": {name: row[name] for name in row if name != field}}
    bad |= {f"{value}": row | {field: value} for value in (None, [1], {"a": [1]}, 10**400, "x" * 300, "Finished")}
    for how, changed in bad.items():
        path.write_text(json.dumps(changed) + "\n")
        if how != "missing" and FIELDS[field].holds(changed[field]):
            read_rows(path, Row.read)
            continue
        with pytest.raises(cs.InputError, match=f"line 1 is damaged, .*{field}.*: remove it$"):
            read_rows(path, Row.read)


@pytest.mark.parametrize("version", [0, VERSION + 1, "2", None, 1.5])
def test_a_version_that_is_not_known_is_refused(version, tmp_path):
    (tmp_path / "results.jsonl").write_text(json.dumps(line_of(ROW) | {"version": version}) + "\n")
    with pytest.raises(cs.InputError, match="line 1 is damaged, version = .* of a newer csdip_jax: remove it"):
        read_rows(tmp_path / "results.jsonl", Row.read)


# As the first version wrote them.
FIT = {"method": "tv", "label": "tv mu=3", "swept": {"mu": 3.0}, "seconds": 1.5, "steps": 5, "redraws": 0}
FIT |= {"ok": True, "converged": False}
SWEEP = FIT | dict.fromkeys(("part", "image", "image_digest", "operator", "measurement", "preset", "device"), "a")
SWEEP |= {"file": "a-tv", "count": 9, "num_measurements": 9, "seed": 0, "noise_variance": 0.0, "mse": 0.1, "psnr": 16.0}
SWEEP |= {"compiled": True}
STUDY = FIT | dict.fromkeys(("cell", "stage", "arm", "image", "image_digest"), "a")
STUDY |= {"stem": "a-off", "lr_weight": 3.0, "num_measurements": 9, "noise_variance": 0.0, "mse": 0.01}
LATER = {"unexplained": 0.5, "measurement_loss": 3.0, "ssim": 0.5, "data_range": 1.0, "trained_digest": "01"}


def read(line) -> Row:
    return Row.read(json.loads(json.dumps(line)))


@pytest.mark.parametrize("more", [{}, LATER])
def test_rows_of_version_1_are_read(more):
    of_sweep, own, of_study = read(SWEEP | more), read(FIT | more), read(STUDY | {"held_out_loss": 2.0} | more)
    for row in (of_sweep, own, of_study):
        assert row.status == (Status.UNEXPLAINED if more else Status.OUT_OF_STEPS) and row.swept == {"mu": 3.0}
        assert row.unexplained == more.get("unexplained") and row.data_range == more.get("data_range", 2.0)
    assert (own.file, own.method, own.image, own.mse) == ("tv-mu=3", "tv", "", None)
    assert (of_sweep.psnr, of_sweep.seed, of_sweep.compiled) == (16.0, 0, True)
    assert (of_sweep.file, of_study.file) == ("a-tv", "a-off")
    assert more or of_study.psnr == pytest.approx(10 * math.log10(4 / 0.01))
    assert of_study.more == {"cell": "a", "stage": "a", "arm": "a", "held_out_loss": 2.0}


@pytest.mark.parametrize(
    ("ok", "converged", "loss", "status"),
    [
        (True, True, 1.0, Status.CONVERGED),
        (True, False, 1.0, Status.OUT_OF_STEPS),
        (False, False, 1.0, Status.COLLAPSED),
        (False, True, None, Status.DIVERGED),
    ],
)
def test_how_a_fit_of_version_1_ended(ok, converged, loss, status):
    row = read(SWEEP | {"ok": ok, "converged": converged, "measurement_loss": loss})
    assert row.status == status and row.ok == ok


@pytest.mark.parametrize("field", sorted(SWEEP.keys() - ADDED - {"image", "file", "psnr"}))
def test_a_row_of_version_1_without_a_field_is_damaged(field):
    with pytest.raises(ValueError, match=f"a row that is no reconstruction's, without {field}"):
        read({name: value for name, value in SWEEP.items() if name != field})


def test_a_method_and_an_operator_of_one_name_keep_their_code_apart(monkeypatch):
    for known, one, code in ((cs.methods.METHODS, "tv", "a"), (cs.operators.OPERATORS, "gaussian", "b")):
        monkeypatch.setitem(known, "mine", dataclasses.replace(known[one], code=code))
    assert code_of("mine", "mine") == {"code of method mine": "a", "code of operator mine": "b"}
