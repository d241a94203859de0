"""Files survive kills; a workdir knows its settings."""

import fcntl
import json

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
