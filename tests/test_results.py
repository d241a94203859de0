"""Files survive kills; a workdir knows its settings."""

import errno
import fcntl
import json
import math
import os
import resource
import zipfile

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import results
from csdip_jax.methods import METHODS


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
    results.Workdir(tmp_path, {})
    assert [name for name in OWN if (tmp_path / name).exists()] == []
    assert [name for name in OTHERS if not (tmp_path / name).exists()] == []


@pytest.mark.parametrize(
    "name", ["config.json", "checkpoint-a.npz", "reconstructions/a.npz", "originals/a.png", "csdip.npy", "tv-mu=3.png"]
)
def test_what_a_kill_leaves_of_a_write_goes_with_the_next_run(name, tmp_path, monkeypatch):
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(results.Path, "unlink", lambda *_, **__: None)  # nothing is tidied up by a dead process
        killed.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        results.write_atomically(tmp_path / name, lambda file: file.write(b"half"))
    assert list(tmp_path.rglob("*.tmp"))
    results.Workdir(tmp_path, {})
    assert not list(tmp_path.rglob("*.tmp"))


IMAGE = np.linspace(-1, 1, 36).reshape(3, 4, 3)
EXPECTED = {"image": ("f", (3, None, 3)), "name": ("U", ())}


def write_whole(path):
    results.write_arrays(path, image=IMAGE, name="a")


def changed(change):
    def damage(path):
        content = bytearray(path.read_bytes())
        path.write_bytes(change(content) or content)

    return damage


def write_member(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("image.npy", content)


DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": changed(lambda content: content.clear()),
    "text": lambda path: path.write_text("no archive"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "an array": lambda path: (np.save(path.with_suffix(".npy"), IMAGE), path.with_suffix(".npy").rename(path)),
    "compressed": lambda path: np.savez_compressed(path, image=np.zeros((3, 400, 3)), name="a"),
    "an object": lambda path: np.savez(path, image=np.array([{}, None]), name="a"),
    "another kind": lambda path: np.savez(path, image=IMAGE.astype(int), name="a"),
    "another shape": lambda path: np.savez(path, image=IMAGE[0], name="a"),
    "another side": lambda path: np.savez(path, image=IMAGE[:2], name="a"),
    "several names": lambda path: np.savez(path, image=IMAGE, name=["a", "b"]),
    "an array is missing": lambda path: np.savez(path, name="a"),
    "no array inside": lambda path: write_member(path, b"\x93NUMPY"),
    "a huge array": lambda path: write_member(
        path, b"\x93NUMPY\x01\x00F\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}  \n"
    ),
    "zeros in the middle": changed(lambda content: content[:150] + bytes(60) + content[210:]),
    **{f"cut at {at}": changed(lambda content, at=at: content[: int(at * len(content))]) for at in (0.2, 0.6, 0.99)},
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_npz_is_whole_or_damaged(damage, tmp_path):
    path = tmp_path / "a.npz"
    write_whole(path)
    np.testing.assert_array_equal(results.read_arrays(path, **EXPECTED)["image"], IMAGE)
    assert results.is_whole(path, **EXPECTED)
    DAMAGES[damage](path)
    assert not results.is_whole(path, **EXPECTED)
    with pytest.raises(results.DamagedFile, match=r"a.npz is (damaged|missing).*makes it anew$") as caught:
        results.read_arrays(path, **EXPECTED)
    assert "\n" not in str(caught.value)


def test_a_single_bit_changes_no_number_in_silence(tmp_path):
    path = tmp_path / "a.npz"
    write_whole(path)
    content, noticed = path.read_bytes(), 0
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            saved = results.read_arrays(path, **EXPECTED)
        except results.DamagedFile:
            noticed += 1
        else:
            np.testing.assert_array_equal(saved["image"], IMAGE)
            assert str(saved["name"]) == "a"
    assert noticed > len(content) / 14


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float64(np.inf), (math.inf, [math.nan])])
def test_every_parser_reads_our_json(value, tmp_path):
    def refuse(text):
        raise AssertionError(f"{text} is no JSON")

    nothing = [None, [None]] if isinstance(value, tuple) else None
    results.write_json(tmp_path / "a.json", {"a": {"b": value}})
    assert json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse) == {"a": {"b": nothing}}
    workdir = results.Workdir(tmp_path, {"a": value})
    results.Workdir(tmp_path, {"a": value})  # the same settings
    workdir.append({"a": value, "list": [1.0, math.nan]})
    for name in ("config.json", "results.jsonl"):
        json.loads((tmp_path / name).read_text(), parse_constant=refuse)
    (row,) = workdir.rows
    np.testing.assert_array_equal(row["list"], [1.0, np.nan])


BAD_VALUES = ["null", "[]", "[1]", "{}", '{"a": "b"}', '"x/y"', '""', "true", "3", "3.5", "1" + "0" * 400, '"\\ud800"']
GOOD_VALUES = {
    results.NAME: set(),
    results.TEXT: {'"x/y"', '""', '"\\ud800"'},
    results.WHOLE: {"3"},
    results.NUMBER: {"3", "3.5"},
    results.NUMBER_OR_NULL: {"null", "3", "3.5"},
    results.FLAG: {"true"},
    results.LIST: {"[]", "[1]"},
    results.NUMBERS: {"{}"},
}


@pytest.mark.parametrize("kind", GOOD_VALUES, ids=lambda kind: kind.words)
def test_a_row_has_its_fields_and_they_are_of_their_kinds(kind, tmp_path):
    path = tmp_path / "results.jsonl"
    for value in BAD_VALUES:
        path.write_text(f'{{"a": 1, "b": {value}}}\n')
        if value in GOOD_VALUES[kind]:
            assert results.read_rows(path, {"b": kind})
            continue
        with pytest.raises(cs.InputError, match=r"line 1 is damaged, b = .* is not .*: remove it$") as caught:
            results.read_rows(path, {"b": kind})
        assert "\n" not in str(caught.value)
    for line in ('{"a": 1}', "[]", "3", "null"):
        path.write_text(f'{{"b": {min(GOOD_VALUES[kind], default=chr(34) + "x" + chr(34))}}}\n{line}\n')
        with pytest.raises(cs.InputError, match="line 2 is damaged, a row that is no fit's, without b: remove it"):
            results.read_rows(path, {"b": kind}, "fit")
        results.read_rows(path, {"b": kind._replace(optional=True)})


@pytest.mark.parametrize("depth", [101, 900, 100_000])
@pytest.mark.parametrize("bracket", ["[", '{"a":'])
def test_nested_brackets_are_damage(bracket, depth, tmp_path):
    closing = {"[": "]"}.get(bracket, "}")
    text = bracket * depth + ("" if bracket == "[" else "1") + closing * depth
    (tmp_path / "results.jsonl").write_text(text + "\n")
    with pytest.raises(cs.InputError, match="line 1 is damaged"):
        results.read_all_rows(tmp_path)
    (tmp_path / "config.json").write_text(f'{{"settings": {text}}}')
    with pytest.raises(cs.InputError, match="config.json is damaged: remove it"):
        results.Workdir(tmp_path, {})


@pytest.mark.parametrize("settings", ["null", "[]", "3", '"text"'])
def test_settings_that_are_none_are_damage(settings, tmp_path):
    (tmp_path / "config.json").write_text(f'{{"settings": {settings}}}')
    with pytest.raises(cs.InputError, match="config.json is damaged: remove it"):
        results.Workdir(tmp_path, {})


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
        results.Workdir(run, {}).append({"a": 1})
    assert theirs.exists() == (kind != "link to nothing")
    assert kind == "link to nothing" or theirs.read_text() == "no line end"


def test_rows_in_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "results.jsonl")
    with pytest.raises(cs.InputError, match="results.jsonl cannot be read .no regular file"):
        results.read_all_rows(tmp_path)


BIG_WRITERS = {
    "json": lambda path: results.write_json(path, list(range(3000))),
    "arrays": lambda path: results.write_arrays(path, a=np.zeros(3000)),
    "array": lambda path: results.write_array(path, np.zeros(3000)),
    "row": lambda path: results.append_row(path, {"a": list(range(3000))}),
}


@pytest.mark.parametrize("writer", BIG_WRITERS)
@pytest.mark.parametrize("code", results.DISK_FULL, ids=errno.errorcode.get)
def test_a_full_disk_is_one_line_that_names_the_file(writer, code, tmp_path, monkeypatch):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def full(_):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a"
    with monkeypatch.context() as disk:
        if code == errno.EFBIG:  # by the operating system itself
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        else:
            disk.setattr(os, "fsync", full)
        try:
            with pytest.raises(
                cs.InputError, match=rf"/a cannot be written .*{os.strerror(code)}.*same command goes on"
            ):
                BIG_WRITERS[writer](path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.glob(".*"))
    BIG_WRITERS[writer](path)  # with room again
    assert len(results.read_rows(path)) <= 2 if writer == "row" else path.stat().st_size > 3000


@pytest.mark.parametrize("content", [b"", b"a", b"abcdefg", b"\n", b"a\nb\n", b"a\nbcdefghij", b"abcdefghi\nj"])
@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_end_of_the_last_line_is_looked_for_from_the_end(content, block, tmp_path):
    (tmp_path / "a").write_bytes(content)
    with open(tmp_path / "a", "rb") as file:
        assert results._end_of_last_line(file, block) == content.rfind(b"\n") + 1


def test_a_row_is_appended_without_reading_the_others(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    os.truncate(path, 2**40)  # a hole: a terabyte to read, but no space on the disk
    with open(path, "ab") as file:
        file.write(b'\n{"half')
    results.append_row(path, {"b": 2})
    assert path.stat().st_size == 2**40 + len('\n{"b": 2}\n')
