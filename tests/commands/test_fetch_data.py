"""experiments.fetch_data against a server on this machine: resuming, checksums, offline, layout, crops."""

import contextlib
import functools
import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pooch
import pytest
from PIL import Image

from csdip_jax import data
from csdip_jax.commands import fetch_data
from csdip_jax.commands.fetch_data import FetchError
from csdip_jax.types import InputError
from tests.conftest import REPOSITORY

CONTENT = np.random.default_rng(0).integers(0, 256, 200_000).astype(np.uint8).tobytes()
CHECKSUM = "md5:" + hashlib.md5(CONTENT).hexdigest()
BLOCKS = 70_000 // 1024 * 1024
"""What is written of 70,000 bytes and a lost connection."""


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files` (path -> bytes) as `server.manner` says; `server.asked` lists (path, Range)."""

    def do_GET(self):
        self.protocol_version = "HTTP/1.1" if self.server.manner == "chunked" else "HTTP/1.0"
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append((self.path, wanted))
        if self.path not in server.files:
            self.send_error(404)
            return
        content, start = server.files[self.path], 0
        if wanted and server.manner != "no ranges":
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            claimed = start + 1 if server.manner == "wrong range" else start
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {claimed}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.manner in ("no length", "half", "endless", "chunked"):
            self.send_without_length(content)
            return
        self.send_header("Content-Length", str(len(content) - start))
        if server.manner == "gzip encoding":
            self.send_header("Content-Encoding", "x-gzip")
        self.end_headers()
        if server.manner == "trickle":
            self.trickle(content[start:])
            return
        self.wfile.write(content[start : start + 70_000] if server.manner == "cut short" else content[start:])

    def send_without_length(self, content):
        if self.server.manner == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.server.manner == "chunked":
            content = b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
        self.wfile.write(content[: len(content) // 2] if self.server.manner == "half" else content)
        with contextlib.suppress(OSError):  # of a client that has had enough
            while self.server.manner == "endless":
                self.wfile.write(content)

    def trickle(self, content):
        with contextlib.suppress(OSError):
            for first in range(0, len(content), 200):
                self.wfile.write(content[first : first + 200])
                time.sleep(0.02)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked, server.manner = {}, [], "ranges"
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def tries(monkeypatch):
    """How often a file is tried; without waits in between."""
    monkeypatch.setattr(fetch_data, "RETRIES", 0)
    monkeypatch.setattr(pooch.core, "time", types.SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def closed_url(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("manner", ["ranges", "no ranges", "no length", "chunked"])
def test_download_and_nothing_to_do_afterwards(server, tmp_path, manner):
    server.manner, server.files["/a.gz"] = manner, CONTENT
    for _ in range(2):
        fetch_data.download(server.url + "a.gz", tmp_path / "new" / "a.gz", CHECKSUM)
    assert (tmp_path / "new" / "a.gz").read_bytes() == CONTENT
    assert server.asked == [("/a.gz", None)]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.gz"]


@pytest.mark.parametrize(
    "manner, part, asked",
    [
        ("ranges", CONTENT[:123_456], ["bytes=123456-"]),
        ("no ranges", CONTENT[:123_456], ["bytes=123456-"]),
        ("wrong range", CONTENT[:123_456], ["bytes=123456-", None]),
        ("ranges", CONTENT, ["bytes=200000-", None]),
        ("ranges", CONTENT + b"too long", ["bytes=200008-", None]),
    ],
)
def test_an_earlier_part_is_used_or_replaced(server, tmp_path, manner, part, asked, monkeypatch):
    monkeypatch.setattr(fetch_data, "RETRIES", 1)
    server.manner, server.files["/a.gz"] = manner, CONTENT
    (tmp_path / "a.gz.part").write_bytes(part)
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == asked
    assert not (tmp_path / "a.gz.part").exists()


def test_a_lost_connection_keeps_its_part_and_the_next_call_goes_on(server, tmp_path):
    server.manner, server.files["/a.gz"] = "cut short", CONTENT
    for kept in (BLOCKS, 2 * BLOCKS):
        with pytest.raises(FetchError, match="run this again, it resumes") as caught:
            fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
        one_line(caught)
        assert (tmp_path / "a.gz.part").read_bytes() == CONTENT[:kept]
        assert not (tmp_path / "a.gz").exists()
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_a_lost_connection_is_made_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_data, "RETRIES", 2)
    server.manner, server.files["/a.gz"] = "cut short", CONTENT
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, f"bytes={BLOCKS}-", f"bytes={2 * BLOCKS}-"]


@pytest.mark.parametrize("manner", ["endless", "ranges"])
@pytest.mark.parametrize("checksum", [None, CHECKSUM])
def test_more_than_any_file_has_is_not_taken(server, tmp_path, manner, checksum, monkeypatch):
    monkeypatch.setattr(fetch_data, "MOST_BYTES", 150_000)
    server.manner, server.files["/a.gz"] = manner, CONTENT
    with pytest.raises(FetchError, match="a.gz: more than 150000 bytes, so it is not the file") as caught:
        fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", checksum)
    one_line(caught)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_never_comes_to_an_end_is_not_waited_for(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch_data, "MOST_SECONDS", 0.2)
    server.manner, server.files["/a.gz"] = "trickle", CONTENT
    began = time.monotonic()
    with pytest.raises(FetchError, match="not done after 0.2 s; run this again, it resumes") as caught:
        fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    one_line(caught)
    assert time.monotonic() - began < 3
    assert 0 < (tmp_path / "a.gz.part").stat().st_size < 10_000
    server.manner = "ranges"
    monkeypatch.undo()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_what_a_killed_download_left_is_removed(server, tmp_path):
    server.files["/a.gz"] = CONTENT
    (tmp_path / "tmpab_d1234").touch()
    others = {"tmpab_d1235": b"not empty", "tmp": b"", "tmpfile": b"", "tmpABCD1234": b""}
    for name, content in others.items():
        (tmp_path / name).write_bytes(content)
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    assert {path.name for path in tmp_path.iterdir()} == {"a.gz", *others}


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
def test_a_part_that_is_a_link_or_a_pipe_is_not_written_to(kind, server, tmp_path):
    server.files["/a.gz"], theirs, part = CONTENT, tmp_path / "theirs", tmp_path / "data" / "a.gz.part"
    part.parent.mkdir()
    if kind == "link":
        theirs.write_bytes(b"theirs")
    os.mkfifo(part) if kind == "pipe" else part.symlink_to(theirs)
    with pytest.raises(InputError, match="a.gz.part is (a symbolic link|no regular file).*: remove it$"):
        fetch_data.download(server.url + "a.gz", part.with_suffix(""), CHECKSUM)
    assert theirs.read_bytes() == b"theirs" if kind == "link" else not theirs.exists()


def test_bytes_are_kept_as_sent(server, tmp_path):
    packed = gzip.compress(CONTENT)
    server.manner, server.files["/a.gz"] = "gzip encoding", packed
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", None)
    assert (tmp_path / "a.gz").read_bytes() == packed


def test_wrong_checksum(server, tmp_path):
    server.files["/a.gz"] = CONTENT[:-1]
    with pytest.raises(FetchError, match="has not the checksum md5:.*run this again") as caught:
        fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    one_line(caught)
    assert list(tmp_path.iterdir()) == []  # what is wrong is not resumed either

    (tmp_path / "a.gz").write_bytes(b"an older file")
    server.files["/a.gz"] = CONTENT
    fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_offline_names_url_and_place(closed_url, tmp_path):
    path = tmp_path / "a.gz"
    with pytest.raises(FetchError) as caught:
        fetch_data.download(closed_url + "a.gz", path, CHECKSUM)
    for part in (closed_url + "a.gz", "no connection", f"download it by hand to {path}"):
        assert part in one_line(caught)

    path.write_bytes(b"by hand, but the wrong one")
    with pytest.raises(FetchError, match="a file with the wrong checksum lies now"):
        fetch_data.download(closed_url + "a.gz", path, CHECKSUM)
    path.write_bytes(CONTENT)
    fetch_data.download(closed_url + "a.gz", path, CHECKSUM)


def test_missing_at_its_source(server, tmp_path):
    with pytest.raises(FetchError, match="HTTP status 404"):
        fetch_data.download(server.url + "a.gz", tmp_path / "a.gz", CHECKSUM)


def test_mnist_layout_is_what_data_reads(server, tmp_path):
    header = np.array([0x00000803, 2, 28, 28], ">u4").tobytes()
    server.files = {"/" + name: name.encode() for name in fetch_data.MNIST_FILES}
    server.files["/t10k-images-idx3-ubyte.gz"] = gzip.compress(header + bytes(range(256)) * 6 + bytes(32))
    files = {path[1:]: "md5:" + hashlib.md5(content).hexdigest() for path, content in server.files.items()}
    fetch_data.fetch_mnist(tmp_path, server.url, files)
    assert sorted(path.name for path in (tmp_path / "mnist").iterdir()) == sorted(fetch_data.MNIST_FILES)
    assert data.load("mnist", tmp_path).shape == (2, 28, 28, 1)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()


def block_mean(pixels, factor):
    side = 512 // factor
    return pixels.reshape(side, factor, side, factor, *pixels.shape[2:]).mean((1, 3))


def stored(images):
    return np.rint((images + 1) * 127.5).squeeze()


@pytest.fixture
def xrays(server):
    """Three x-rays, one of them with three equal channels; and a call that fetches them."""
    rng = np.random.default_rng(1)
    names = ("CHNCXR_0001_0.png", "CHNCXR_0002_0.png", "CHNCXR_0400_1.png")
    shapes = ((600, 521), (513, 700), (512, 512))
    images = [rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes]
    pixels = dict(zip(names, images, strict=True))
    server.files = {"/" + name: png(each) for name, each in pixels.items()}
    server.files["/CHNCXR_0002_0.png"] = png(np.dstack([pixels["CHNCXR_0002_0.png"]] * 3))
    roles = dict(zip(names, ("lr_train", "test", "test"), strict=True))
    return pixels, functools.partial(fetch_data.fetch_xray, url=server.url, roles=roles)


def test_xray_crops_roles_and_manifest(server, xrays, tmp_path):
    pixels, fetch_them = xrays
    fetch_them(tmp_path)
    names, images = data.load_named("xray", tmp_path)
    assert names == ["CHNCXR_0002_0", "CHNCXR_0400_1"] and images.shape == (2, 256, 256, 1)
    crop = pixels["CHNCXR_0002_0.png"][0:512, 94:606]
    np.testing.assert_array_equal(stored(images[0]), np.rint(block_mean(crop, 2)))

    names, images = data.load_named("xray:lr_train", tmp_path)
    crop = pixels["CHNCXR_0001_0.png"][44:556, 4:516]
    assert names == ["CHNCXR_0001_0"]
    np.testing.assert_array_equal(stored(images[0]), np.rint(block_mean(crop, 2)))

    rows = {row["file"]: row for row in fetch_data.read_manifest(tmp_path / "xray")}
    row = rows["CHNCXR_0001_0.png"]
    assert (row["src_w"], row["src_h"], row["crop_x"], row["crop_y"]) == ("521", "600", "4", "44")
    assert row["source_sha256"] == hashlib.sha256(server.files["/CHNCXR_0001_0.png"]).hexdigest()


def test_xray_mends_what_is_missing_only(server, xrays, tmp_path):
    _, fetch_them = xrays
    fetch_them(tmp_path)
    originals = tmp_path / "originals" / "xray"
    before = {path: path.read_bytes() for path in (tmp_path / "xray").iterdir()}
    server.asked.clear()

    for path in originals.iterdir():
        path.unlink()
    fetch_them(tmp_path)  # the crops are intact, so the originals are not needed
    assert server.asked == []

    (tmp_path / "xray" / "CHNCXR_0400_1.png").write_bytes(b"damaged")
    fetch_them(tmp_path)
    assert {path: path.read_bytes() for path in (tmp_path / "xray").iterdir()} == before

    # Without a published checksum, the one of the first download guards the later ones.
    (tmp_path / "xray" / "CHNCXR_0400_1.png").unlink()
    (originals / "CHNCXR_0400_1.png").unlink()
    server.files["/CHNCXR_0400_1.png"] = png(np.zeros((512, 512), np.uint8))
    with pytest.raises(FetchError, match="has not the checksum sha256:"):
        fetch_them(tmp_path)


def test_an_interrupted_fetch_is_no_smaller_data_set(server, xrays, tmp_path):
    _, fetch_them = xrays
    last = server.files.pop("/CHNCXR_0001_0.png")
    with pytest.raises(FetchError, match="404"):
        fetch_them(tmp_path)
    assert not (tmp_path / "xray").exists()
    server.files["/CHNCXR_0001_0.png"] = last
    server.asked.clear()
    fetch_them(tmp_path)
    assert server.asked == [("/CHNCXR_0001_0.png", None)]


@pytest.mark.parametrize(
    "content, message",
    [
        (b"<html>moved</html>", "it was removed: run this again"),
        (png(np.zeros((400, 600), np.uint8)), "400x600, too small"),
        (png(np.zeros((600, 600), np.uint16)), "uint16, not uint8"),
    ],
)
def test_an_xray_that_cannot_be_used(server, xrays, tmp_path, content, message):
    _, fetch_them = xrays
    server.files["/CHNCXR_0400_1.png"] = content
    with pytest.raises(FetchError, match=message) as caught:
        fetch_them(tmp_path)
    one_line(caught)


@pytest.mark.parametrize("manner", ["half", "<html>please log in</html>", ""])
def test_what_is_no_picture_is_not_kept(manner, server, xrays, tmp_path):
    _, fetch_them = xrays
    whole = server.files["/CHNCXR_0400_1.png"]
    if manner != "half":
        server.files["/CHNCXR_0400_1.png"] = manner.encode()
    server.manner = "half" if manner == "half" else "ranges"
    with pytest.raises(FetchError, match="it was removed: run this again"):
        fetch_them(tmp_path)
    server.manner, server.files["/CHNCXR_0400_1.png"] = "ranges", whole
    fetch_them(tmp_path)
    assert data.load("xray", tmp_path).shape == (2, 256, 256, 1)


def test_what_macos_leaves_is_no_image_of_someone_else(xrays, tmp_path):
    _, fetch_them = xrays
    (tmp_path / "xray").mkdir()
    (tmp_path / "xray" / "._001.png").write_bytes(b"\0\5\26\7")
    fetch_them(tmp_path)
    assert data.load("xray", tmp_path).shape == (2, 256, 256, 1)


def test_crops_are_not_written_through_a_link(xrays, tmp_path):
    _, fetch_them = xrays
    fetch_them(tmp_path)
    (tmp_path / "theirs").write_bytes(b"theirs")
    for name in ("CHNCXR_0002_0.png", "manifest.csv.tmp"):
        (tmp_path / "xray" / name).unlink(missing_ok=True)
        (tmp_path / "xray" / name).symlink_to(tmp_path / "theirs")
    fetch_them(tmp_path)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert data.load("xray", tmp_path).shape == (2, 256, 256, 1)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"role,source_sha256\ntest,00\n", b"file\n" + b"x" * 200_000])
def test_a_manifest_that_is_not_ours_is_one_line(content, xrays, tmp_path):
    _, fetch_them = xrays
    (tmp_path / "xray").mkdir()
    (tmp_path / "xray" / "manifest.csv").write_bytes(content)
    with pytest.raises(
        InputError, match="manifest.csv: (not readable .*; save it|a row names no file; it needs)"
    ) as caught:
        fetch_them(tmp_path)
    one_line(caught)


def tar_of(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "nowhere"
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


ODD_ARCHIVES = {
    "no archive": b"x" * 5000,
    "cut off": tar_of(("a.ppm.gz", tarfile.REGTYPE, bytes(5000)))[:3000],
    "nothing in it": tar_of(),
    "nothing of ours": tar_of(("notes", tarfile.REGTYPE, b"a")),
    "no gzip": tar_of(("a.ppm.gz", tarfile.REGTYPE, b"a" * 100)),
    "half a gzip": tar_of(("a.ppm.gz", tarfile.REGTYPE, gzip.compress(CONTENT)[:900])),
    "no picture": tar_of(("a.ppm.gz", tarfile.REGTYPE, gzip.compress(b"a"))),
    "half a picture": tar_of(("a.ppm.gz", tarfile.REGTYPE, gzip.compress(b"P6\n700 605\n255\n" + bytes(99)))),
    "a huge picture": tar_of(("a.ppm.gz", tarfile.REGTYPE, gzip.compress(b"P6\n99999 99999\n255\n" + bytes(99)))),
    **{
        name: tar_of(("a.ppm.gz", kind, b""))
        for name, kind in {"link": tarfile.SYMTYPE, "hard link": tarfile.LNKTYPE, "folder": tarfile.DIRTYPE}.items()
    },
    "pipe": tar_of(("a.ppm.gz", tarfile.FIFOTYPE, b"")),
}


@pytest.mark.parametrize("archive", ODD_ARCHIVES)
def test_an_odd_archive_is_one_line(archive, server, tmp_path):
    server.files["/a.tar"] = content = ODD_ARCHIVES[archive]
    with pytest.raises(FetchError, match="a.tar is not the archive it should be .*: remove it, and run") as caught:
        fetch_data.fetch_retino(tmp_path, server.url + "a.tar", "sha256:" + hashlib.sha256(content).hexdigest())
    one_line(caught)


@pytest.mark.parametrize(
    "manifest",
    [None, "file,role,sha256_16\n001.png,test,00\n", "file,source_sha256\n001.png,00\n"],
)
def test_images_of_someone_else_are_left_alone(xrays, tmp_path, manifest):
    _, fetch_them = xrays
    (tmp_path / "xray").mkdir()
    (tmp_path / "xray" / "001.png").write_bytes(png(np.zeros((4, 4), np.uint8)))
    if manifest:
        (tmp_path / "xray" / "manifest.csv").write_text(manifest)
    with pytest.raises(FetchError, match="holds other images; choose another --data_dir"):
        fetch_them(tmp_path)


def test_retino(server, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (2, 605, 700, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, each in (("./im0002.ppm.gz", pixels[1]), ("./im0001.ppm.gz", pixels[0]), ("./notes", None)):
            content = b"" if each is None else gzip.compress(b"P6\n700 605\n255\n" + each.tobytes(), 1)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    server.files["/stare-images.tar"] = buffer.getvalue()
    checksum = "sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest()

    for _ in range(2):
        fetch_data.fetch_retino(tmp_path, server.url + "stare-images.tar", checksum)
    assert len(server.asked) == 1
    names, images = data.load_named("retino", tmp_path)
    assert names == ["im0001", "im0002"] and images.shape == (2, 128, 128, 3)
    np.testing.assert_array_equal(stored(images), np.rint([block_mean(p[46:558, 94:606], 4) for p in pixels]))


def test_seventy_xrays_in_two_roles():
    roles = fetch_data.shenzhen_roles()
    assert list(roles.values()).count("test") == 60 and list(roles.values()).count("lr_train") == 10
    for name in roles:
        number, tuberculosis = int(name[7:11]), int(name[12])
        assert 1 <= number <= 662 and tuberculosis == (number > 326) and name.endswith(".png")


@pytest.mark.parametrize("datasets, named", [(["mnits", "xray"], "'mnits'"), ([], "''")])
def test_unknown_data_set(tmp_path, datasets, named):
    message = f"unknown data set {named}; choose from mnist,xray,retino"
    with pytest.raises(FetchError, match=message) as caught:
        fetch_data.fetch(datasets, tmp_path)
    one_line(caught)


def test_a_data_dir_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with contextlib.chdir(tmp_path), pytest.raises(FetchError, match="choose another --data_dir") as caught:
        fetch_data.fetch(["mnist"], Path("file"))
    one_line(caught)


def test_the_command_ends_in_one_line_and_an_exit_code(tmp_path):
    command = [sys.executable, "-m", "experiments.fetch_data", "--dataset=mnits", f"--data_dir={tmp_path}"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.strip() == "error: unknown data set 'mnits'; choose from mnist,xray,retino"
