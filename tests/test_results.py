"""Files survive kills; a workdir knows its settings."""

import fcntl
import json
import os

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import results


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.json"
    results.write_json(path, {"a": 1})

    def broken(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results.write_atomically(path, broken)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


WRITERS = {
    "json": lambda path, i: results.write_json(path, {"i": i}),
    "npz": lambda path, i: results.write_arrays(path, i=np.full(1000, i)),
    "npy": lambda path, i: results.write_array(path, np.full(1000, i)),
    "bytes": lambda path, i: results.write_atomically(path, lambda file: file.write(b"%d" % i)),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_is_never_seen_half_written(kind, tmp_path, monkeypatch):
    """Who reads the old one meanwhile reads it to its end, and a kill before the renaming leaves it."""
    path, write = tmp_path / "a", WRITERS[kind]
    write(path, 1)
    old = path.read_bytes()
    with open(path, "rb") as reader:
        write(path, 2)
        assert reader.read() == old != path.read_bytes()

    def die(*_):
        raise KeyboardInterrupt

    for name in ("fsync", "replace"):
        write(path, 1)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, name, die)
            write(path, 2)
        assert path.read_bytes() == old and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_is_written_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """In whole: what a power cut leaves of a file that was renamed first is nothing."""
    done, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(os.fstat(handle).st_size) or sync(handle))
    monkeypatch.setattr(os, "replace", lambda *names: done.append("renamed") or replace(*names))
    results.write_atomically(tmp_path / "a", lambda file: file.write(b"0123456789"))
    assert done == [10, "renamed"]
    results.append_row(tmp_path / "rows.jsonl", {"i": 0})
    assert done[2:] == [len('{"i": 0}\n')]


def test_arrays_there_and_back(tmp_path):
    results.write_arrays(tmp_path / "new" / "a.npz", x=np.arange(3))
    with np.load(tmp_path / "new" / "a.npz") as saved:
        np.testing.assert_array_equal(saved["x"], [0, 1, 2])


def test_an_unfinished_row_is_dropped(tmp_path):
    path = tmp_path / "results.jsonl"
    assert results.read_rows(path) == []
    results.append_row(path, {"i": 0})
    with open(path, "a") as file:
        file.write('{"i": 1, "mse": 0.')  # killed while writing
    assert results.read_rows(path) == [{"i": 0}]
    results.append_row(path, {"i": 2})
    assert results.read_rows(path) == [{"i": 0}, {"i": 2}]


def test_workdir_reopens_with_the_same_settings_only(tmp_path):
    settings = {"config": {"seed": 0, "num_images": 3, "csdip": {"steps": 5}}}
    results.Workdir(tmp_path / "run", settings, free=("num_images",)).append({"i": 0})
    more = {"config": {"seed": 0, "num_images": 9, "csdip": {"steps": 5}}}
    assert results.Workdir(tmp_path / "run", more, free=("num_images",)).rows == [{"i": 0}]
    other = {"config": {"seed": 0, "num_images": 3, "csdip": {"steps": 6}}}
    with pytest.raises(cs.InputError, match=r"other settings \(config.csdip.steps\)"):
        results.Workdir(tmp_path / "run", other, free=("num_images",))


@pytest.mark.parametrize("changed", ["images", "num_images_each", "num", "s", "Num_images", "num_images.each"])
def test_a_free_setting_is_known_by_its_whole_name(changed, tmp_path):
    """Wherever it stands; one whose name it holds, or is held by, is not free."""

    def settings(value):
        *outer, name = changed.split(".")
        return {"config": {outer[0]: {name: value}} if outer else {name: value}, "num_images": value}

    results.Workdir(tmp_path, settings(1), free=("num_images",))
    with pytest.raises(cs.InputError, match=rf"other settings \(config.{changed}\)"):
        results.Workdir(tmp_path, settings(2), free=("num_images",))
    results.Workdir(tmp_path, settings(2), free=("num_images", changed.split(".")[-1]))


def test_settings_that_come_or_go_or_change_their_kind_are_named(tmp_path):
    results.Workdir(tmp_path, {"a": 1, "b": {"c": None}, "d": (1, 2), "e": float("nan")})
    results.Workdir(tmp_path, {"a": 1, "b": {"c": None}, "d": [1, 2], "e": float("nan")})
    with pytest.raises(cs.InputError, match=r"\(a, b, d, e, f\)"):
        results.Workdir(tmp_path, {"b": {}, "d": (2, 1), "e": 0, "f": 0} | {"a": "1", "b": 1})


def test_rows_of_several_processes_in_their_order(tmp_path):
    for name, i in (("results-1.jsonl", 2), ("results.jsonl", 0), ("results.jsonl", 1), ("results-1.jsonl", 3)):
        results.append_row(tmp_path / name, {"i": i})
    (tmp_path / "notes.jsonl").write_text('{"i": 9}\n')
    assert sorted(row["i"] for row in results.read_all_rows(tmp_path)) == [0, 1, 2, 3]
    assert [row["i"] for row in results.read_rows(tmp_path / "results.jsonl")] == [0, 1]


def test_a_digest_changes_with_whatever_is_digested():
    a = np.arange(6.0).reshape(2, 3)
    others = [a.T, a.reshape(3, 2), a[::-1], a + 0.5, a.astype(np.float32), a.view(np.int64)]
    digests = [results.content_digest(*arrays) for arrays in [(a,), (a, a), (), *((other,) for other in others)]]
    digests += [results.content_digest(a, text=text) for text in ("a", "b")]
    assert len(set(digests)) == len(digests)
    assert results.content_digest(np.asfortranarray(a)) == digests[0]


def test_workdir_says_what_made_it(tmp_path):
    results.Workdir(tmp_path, {})
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["versions"]["jax"] and saved["device"] and "git_commit" in saved


def test_a_second_run_in_the_same_folder_is_refused_and_leaves_it_alone(tmp_path):
    results.Workdir(tmp_path, {"a": 1}, free=("a",))
    before, being_written = (tmp_path / "config.json").read_text(), tmp_path / ".results.tmp"
    being_written.touch()
    (tmp_path / ".lock-7").touch()  # of another process of the run
    with results.locked(tmp_path), pytest.raises(cs.InputError, match="another process works in"):
        results.Workdir(tmp_path, {"a": 2}, free=("a",))
    assert (tmp_path / "config.json").read_text() == before and being_written.exists()
    with open(tmp_path / ".lock-7") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with pytest.raises(cs.InputError, match="another process works in"), results.locked(tmp_path):
            pass


def test_a_damaged_row_is_named(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"i": 0}\n{"i":\n')
    with pytest.raises(cs.InputError, match="results.jsonl, line 2 is damaged"):
        results.read_all_rows(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"a": 1}\n\xff\xfe\n')
    with pytest.raises(cs.InputError, match="line 2 is damaged .*: remove that line"):
        results.read_rows(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff"])
def test_a_damaged_config_is_named(content, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(cs.InputError, match="config.json is damaged: remove it"):
        results.Workdir(tmp_path, {})


def test_workdir_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(cs.InputError, match="cannot be used"):
        results.Workdir(tmp_path / "file", {})
    with pytest.raises(cs.InputError, match="cannot be used"):
        results.Workdir(tmp_path / "file" / "below", {})
