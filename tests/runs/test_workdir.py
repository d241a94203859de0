"""A workdir knows its settings, its rows and who works in it."""

import fcntl
import json
import math
import os

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import files
from csdip_jax.io import lines
from csdip_jax.methods import METHODS
from csdip_jax.runs.workdir import Workdir, locked


def test_workdir_reopens_with_the_same_settings_only(tmp_path):
    settings = {"config": {"seed": 0, "num_images": 3, "csdip": {"steps": 5}}}
    Workdir(tmp_path / "run", settings, free=("num_images",)).append({"i": 0})
    more = {"config": {"seed": 0, "num_images": 9, "csdip": {"steps": 5}}}
    assert Workdir(tmp_path / "run", more, free=("num_images",)).rows == [{"i": 0}]
    other = {"config": {"seed": 0, "num_images": 3, "csdip": {"steps": 6}}}
    with pytest.raises(cs.InputError, match=r"other settings \(config.csdip.steps\)"):
        Workdir(tmp_path / "run", other, free=("num_images",))


@pytest.mark.parametrize("changed", ["images", "num_images_each", "num", "s", "Num_images", "num_images.each"])
def test_a_free_setting_is_known_by_its_whole_name(changed, tmp_path):
    """Wherever it stands; one whose name it holds, or is held by, is not free."""

    def settings(value):
        *outer, name = changed.split(".")
        return {"config": {outer[0]: {name: value}} if outer else {name: value}, "num_images": value}

    Workdir(tmp_path, settings(1), free=("num_images",))
    with pytest.raises(cs.InputError, match=rf"other settings \(config.{changed}\)"):
        Workdir(tmp_path, settings(2), free=("num_images",))
    Workdir(tmp_path, settings(2), free=("num_images", changed.split(".")[-1]))


def test_settings_that_come_or_go_or_change_their_kind_are_named(tmp_path):
    Workdir(tmp_path, {"a": 1, "b": {"c": None}, "d": (1, 2), "e": float("nan")})
    Workdir(tmp_path, {"a": 1, "b": {"c": None}, "d": [1, 2], "e": float("nan")})
    with pytest.raises(cs.InputError, match=r"\(a, b, d, e, f\)"):
        Workdir(tmp_path, {"b": {}, "d": (2, 1), "e": 0, "f": 0} | {"a": "1", "b": 1})


def test_workdir_says_what_made_it(tmp_path):
    Workdir(tmp_path, {})
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["versions"]["jax"] and saved["device"] and "git_commit" in saved


def test_a_second_run_in_the_same_folder_is_refused_and_leaves_it_alone(tmp_path):
    Workdir(tmp_path, {"a": 1}, free=("a",))
    before, being_written = (tmp_path / "config.json").read_text(), tmp_path / ".results.tmp"
    being_written.touch()
    (tmp_path / ".lock-7").touch()  # of another process of the run
    with locked(tmp_path), pytest.raises(cs.InputError, match="another process works in"):
        Workdir(tmp_path, {"a": 2}, free=("a",))
    assert (tmp_path / "config.json").read_text() == before and being_written.exists()
    with open(tmp_path / ".lock-7") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(cs.InputError, match="another process works in"), locked(tmp_path):
            pass


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_config_is_named(content, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(cs.InputError, match="config.json is damaged: remove it"):
        Workdir(tmp_path, {})


def test_workdir_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cs.InputError, match="cannot be used"):
        Workdir(tmp_path / "file", {})
    with pytest.raises(cs.InputError, match="cannot be used"):
        Workdir(tmp_path / "file" / "below", {})


OWN = [
    ".config.json.ab_d1234.tmp",
    ".checkpoint-a-tv.npz.abcd1234.tmp",
    "reconstructions/.a.npz.abcd1234.tmp",
    "originals/.a.png.abcd1234.tmp",
    "curves/.a.csv.abcd1234.tmp",
    *(f".{name}{swept}.abcd1234.tmp" for name in METHODS for swept in (".npy", ".png", "-mu=1e-05-steps=3.npy")),
]

OTHERS = [
    ".draft.tmp",
    ".notes.md.abcd1234.tmp",
    ".report.html.abcd1234.tmp",
    ".tvset.npy.abcd1234.tmp",
    ".my-tv.png.abcd1234.tmp",
    ".tv-draft.png.abcd1234.tmp",
    ".tv.md.abcd1234.tmp",
    "notes/.tv.npy.abcd1234.tmp",
    "config.json.abcd1234.tmp",
    ".config.json.abc.tmp",
    "reconstructions/.draft.tmp",
    "reconstructions/below/.a.npz.abcd1234.tmp",
    "notes/.config.json.abcd1234.tmp",
    "run/.config.json.abcd1234.tmp",
    "run/reconstructions/.a.npz.abcd1234.tmp",
    ".git.tmp/config",
    ".config.json.abcd5678.tmp/a folder",
    "weights/config.json",  # makes it a run of its own
    "weights/.a.npz.abcd1234.tmp",
]


def test_only_what_this_run_left_half_written_is_removed(tmp_path):
    for name in (*OWN, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("precious")
    Workdir(tmp_path, {})
    assert [name for name in OWN if (tmp_path / name).exists()] == []
    assert [name for name in OTHERS if not (tmp_path / name).exists()] == []


@pytest.mark.parametrize(
    "name", ["config.json", "checkpoint-a.npz", "reconstructions/a.npz", "originals/a.png", "csdip.npy", "tv-mu=3.png"]
)
def test_what_a_kill_leaves_of_a_write_goes_with_the_next_run(name, tmp_path, monkeypatch):
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(files.Path, "unlink", lambda *_, **__: None)  # nothing is tidied up by a dead process
        killed.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        files.write_atomically(tmp_path / name, lambda file: file.write(b"half"))
    assert list(tmp_path.rglob("*.tmp"))
    Workdir(tmp_path, {})
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float64(np.inf), (math.inf, [math.nan])])
def test_every_parser_reads_our_json(value, tmp_path):
    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    nothing = [None, [None]] if isinstance(value, tuple) else None
    files.write_json(tmp_path / "a.json", {"a": {"b": value}})
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse) == {"a": {"b": nothing}}
    workdir = Workdir(tmp_path, {"a": value})
    Workdir(tmp_path, {"a": value})  # the same settings
    workdir.append({"a": value, "list": [1.0, math.nan]})
    for name in ("config.json", "results.jsonl"):
        json.loads((tmp_path / name).read_text(), parse_constant=refuse)
    (row,) = workdir.rows
    np.testing.assert_array_equal(row["list"], [1.0, np.nan])


@pytest.mark.parametrize("depth", [101, 900, 100_000])
@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_nested_brackets_are_damage(bracket, depth, tmp_path):
    closing = {"[": "]"}.get(bracket, "}")
    text = bracket * depth + ("" if bracket == "[" else "1") + closing * depth
    (tmp_path / "results.jsonl").write_text(text + "\n")
    with pytest.raises(cs.InputError, match="line 1 is damaged"):
        lines.read_all_rows(tmp_path)
    (tmp_path / "config.json").write_text(f'{{"settings": {text}}}')
    with pytest.raises(cs.InputError, match="config.json is damaged: remove it"):
        Workdir(tmp_path, {})


@pytest.mark.parametrize("settings", ["null", "[]", "3", '"text"'])
def test_settings_that_are_none_are_damage(settings, tmp_path):
    (tmp_path / "config.json").write_text(f'{{"settings": {settings}}}')
    with pytest.raises(cs.InputError, match="config.json is damaged: remove it"):
        Workdir(tmp_path, {})


@pytest.mark.parametrize("name", [".lock-0", ".lock-3", "results.jsonl"])
@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
def test_nothing_is_written_through_a_link_or_into_a_pipe(name, kind, tmp_path):
    theirs = tmp_path / "theirs.txt"
    if kind != "link to nothing":
        theirs.write_text("no line end")
    run = tmp_path / "run"
    run.mkdir()
    os.mkfifo(run / name) if kind == "pipe" else (run / name).symlink_to(theirs)
    with pytest.raises(cs.InputError, match=f"{name} is (a symbolic link|no regular file).*: remove it$"):
        Workdir(run, {}).append({"a": 1})
    assert theirs.exists() == (kind != "link to nothing")
    assert kind == "link to nothing" or theirs.read_text() == "no line end"
