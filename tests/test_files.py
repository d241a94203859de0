"""Files survive kills, and what is damaged is noticed."""

import errno
import json
import os
import resource
import zipfile

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import files
from csdip_jax.io import lines


def test_atomic_write_leaves_the_old_file_when_it_fails(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"a": 1})

    def broken(file):
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_atomically(path, broken)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


WRITERS = {
    "json": lambda path, i: files.write_json(path, {"i": i}),
    "npz": lambda path, i: files.write_arrays(path, i=np.full(1000, i)),
    "npy": lambda path, i: files.write_array(path, np.full(1000, i)),
    "bytes": lambda path, i: files.write_atomically(path, lambda file: file.write(b"%d" % i)),
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
    files.write_atomically(tmp_path / "a", lambda file: file.write(b"0123456789"))
    assert done == [10, "renamed"]
    lines.append_row(tmp_path / "rows.jsonl", {"i": 0})
    assert done[2:] == [len('{"i": 0}\n')]


def test_arrays_there_and_back(tmp_path):
    files.write_arrays(tmp_path / "new" / "a.npz", x=np.arange(3))
    with np.load(tmp_path / "new" / "a.npz") as saved:
        np.testing.assert_array_equal(saved["x"], [0, 1, 2])


def test_a_digest_changes_with_whatever_is_digested():
    a = np.arange(6.0).reshape(2, 3)
    others = [a.T, a.reshape(3, 2), a[::-1], a + 0.5, a.astype(np.float32), a.view(np.int64)]
    digests = [files.content_digest(*arrays) for arrays in [(a,), (a, a), (), *((other,) for other in others)]]
    digests += [files.content_digest(a, text=text) for text in ("a", "b")]
    assert len(set(digests)) == len(digests)
    assert files.content_digest(np.asfortranarray(a)) == digests[0]


IMAGE = np.linspace(-1, 1, 36).reshape(3, 4, 3)

EXPECTED = {"image": ("f", (3, None, 3)), "name": ("U", ())}


def write_whole(path):
    files.write_arrays(path, image=IMAGE, name="a")


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
    np.testing.assert_array_equal(files.read_arrays(path, **EXPECTED)["image"], IMAGE)
    assert files.is_whole(path, **EXPECTED)
    DAMAGES[damage](path)
    assert not files.is_whole(path, **EXPECTED)
    with pytest.raises(files.DamagedFile, match=r"a.npz is (damaged|missing).*makes it anew$") as caught:
        files.read_arrays(path, **EXPECTED)
    assert "\n" not in str(caught.value)


def test_a_single_bit_changes_no_number_in_silence(tmp_path):
    path = tmp_path / "a.npz"
    write_whole(path)
    content, noticed = path.read_bytes(), 0
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            saved = files.read_arrays(path, **EXPECTED)
        except files.DamagedFile:
            noticed += 1
        else:
            np.testing.assert_array_equal(saved["image"], IMAGE)
            assert str(saved["name"]) == "a"
    assert noticed > len(content) / 14


BIG_WRITERS = {
    "json": lambda path: files.write_json(path, list(range(3000))),
    "arrays": lambda path: files.write_arrays(path, a=np.zeros(3000)),
    "array": lambda path: files.write_array(path, np.zeros(3000)),
    "row": lambda path: lines.append_row(path, {"a": list(range(3000))}),
}


@pytest.mark.parametrize("writer", BIG_WRITERS)
@pytest.mark.parametrize("code", files.DISK_FULL, ids=errno.errorcode.get)
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
    assert len(lines.read_rows(path)) <= 2 if writer == "row" else path.stat().st_size > 3000
