"""csdip_jax.data.sources: files by folder, glob or data set, their names, and which of them are taken."""

import gzip
import struct

import numpy as np
import pytest
import skimage.data
from PIL import Image

from csdip_jax import data
from csdip_jax.commands import fetch_data
from csdip_jax.data import sources
from csdip_jax.types import InputError
from tests.data.files import COLOUR8, GREY8, assert_refused, write_all


def test_folder_glob_and_file(tmp_path, monkeypatch):
    flat = {"b.png": 0, "a.png": 255, "c.png": 51}
    write_all(tmp_path, {file: np.full((4, 4), value, np.uint8) for file, value in flat.items()})
    write_all(tmp_path, {"inner/d.png": GREY8})
    (tmp_path / "notes.txt").write_text("not an image")
    names, images = data.load_named(tmp_path)
    assert names == ["a", "b", "c"] and images.shape == (3, 4, 4, 1)
    np.testing.assert_allclose(images[:, 0, 0, 0], [1, -1, -0.6], rtol=0, atol=1e-7)

    monkeypatch.chdir(tmp_path)
    assert data.load_named("[ab].png")[0] == ["a", "b"]
    assert data.load_named("**/d.png")[0] == ["d"]
    assert data.load_named("c.png")[0] == ["c"]


def test_names_do_not_depend_on_the_part_that_is_read(tmp_path):
    write_all(tmp_path, {f"{index}.png": np.full((2, 2), index, np.uint8) for index in range(5)})
    names, images = data.load_named(tmp_path)
    for first, num_images in ((0, 2), (3, None), (4, 1)):
        some_names, some_images = data.load_named(tmp_path, first=first, num_images=num_images)
        stop = None if num_images is None else first + num_images
        assert some_names == names[first:stop]
        np.testing.assert_array_equal(some_images, images[first:stop])


@pytest.mark.parametrize(
    "files, names",
    [
        (["x.npy", "x.png", "y.png"], ["x.npy", "x.png", "y"]),
        (["p/x.png", "q/x.png", "q/z.png"], ["p__x.png", "q__x.png", "z"]),
        (["p/x.npy", "p/x.png", "q/x.npy"], ["p__x.npy", "x.png", "q__x.npy"]),
    ],
)
def test_equal_stems_keep_suffix_and_folder(tmp_path, files, names):
    write_all(tmp_path, dict.fromkeys(files, GREY8))
    assert data.load_named(tmp_path / "**" / "*.*")[0] == names


def test_names_that_collide_all_the_same_are_refused(tmp_path):
    write_all(tmp_path, dict.fromkeys(["p/x.png", "q/x.png", "p__x.png.png"], GREY8))
    with pytest.raises(InputError, match="'p__x.png'; rename"):
        data.load(tmp_path / "**" / "*.png")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("._a.png", b"\0\5\26\7" * 20),
        (".DS_Store", b"\0\0\0\1Bud1"),
        (".a.png", b""),
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("desktop.ini", b"[.ShellClassInfo]"),
        ("a.png~", b""),
        ("a.png.part", b""),
    ],
)
def test_files_that_systems_leave_do_not_matter(tmp_path, file, content):
    """In a folder, a glob, or the folder of a data set, of which there may be one with nothing else."""
    write_all(tmp_path / "xray", {"a.png": GREY8})
    write_all(tmp_path / "retina", {"a.png": COLOUR8})
    (tmp_path / "retino").mkdir()
    for folder in ("xray", "retina", "retino"):
        if folder != "retino" or file.startswith("."):
            (tmp_path / folder / file).write_bytes(content)
    for source in (tmp_path / "xray", tmp_path / "xray" / "*", tmp_path / "xray" / "**", "xray", "retino"):
        assert data.load_named(source, tmp_path)[0] == ["a"]


def test_a_folder_of_files_of_another_kind_says_which(tmp_path):
    (tmp_path / "readme").write_text("scans")
    (tmp_path / "z.dcm").write_bytes(bytes(128) + b"DICM" + bytes(100))
    for source in (tmp_path, tmp_path / "*.dcm"):
        assert_refused(source, "z.dcm: not readable as an image: a DICOM file; save its pixels")


@pytest.mark.parametrize("source", [["a.png"], GREY8, 5, None, ("a.png", "b.png")], ids=repr)
def test_what_is_no_path_is_refused(source):
    assert_refused(source, f"source is a {type(source).__name__}: give the path of a file or folder")
    if source is not None:
        with pytest.raises(InputError, match=f"data_dir is a {type(source).__name__}: give the path"):
            data.load("xray", source)


def test_a_path_may_be_bytes_and_too_long(tmp_path):
    np.save(tmp_path / "a.npy", GREY8)
    assert data.load_named(bytes(tmp_path / "a.npy"))[0] == ["a"]
    assert_refused(tmp_path / ("a" * 5000), "cannot be read .*give another")


def test_images_of_different_shape(tmp_path):
    write_all(tmp_path, {"a.png": GREY8, "b.png": GREY8.T, "c.png": COLOUR8})
    with pytest.raises(InputError, match=r"a\.png is \(6, 5, 1\).*b\.png is \(5, 6, 1\).*image_shape="):
        data.load(tmp_path)
    assert data.load(tmp_path, image_shape=(4, 4, 1)).shape == (3, 4, 4, 1)


def test_sources_that_are_not_there(tmp_path):
    for source, message in (
        ("mnits", "neither a known name .mnist, xray, retino, demo."),
        (tmp_path / "none", "nor a folder, glob or file that exists"),
        (tmp_path, "none of the 0 files"),
        (tmp_path / "*.png", "none of the 0 files"),
    ):
        with pytest.raises(InputError, match=message):
            data.load(source)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="none of the 1 files"):
        data.load(tmp_path / "*.txt")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_images": 2}, "num_images=2.*1 images.*use 1 to 1"),
        ({"num_images": 0}, "num_images=0"),
        ({"num_images": 1.0}, "whole numbers"),
        ({"first": 1}, "first=1: .*use 0 to 0"),
        ({"first": -1}, "first=-1"),
    ],
)
def test_selections_that_are_refused(tmp_path, options, message):
    np.save(tmp_path / "a.npy", GREY8)
    assert_refused(tmp_path / "a.npy", message, **options)


def test_demo_needs_no_data():
    colour_names, colour = data.load_named("demo")
    assert colour_names[0] == "retina" and colour.shape == (len(colour_names), 128, 128, 3)
    grey_names, grey = data.load_named("demo", image_shape=(64, 64, 1), num_images=2)
    assert grey_names[0] == "camera" and grey.shape == (2, 64, 64, 1)
    block_means = skimage.data.camera().reshape(64, 8, 64, 8).mean((1, 3))
    np.testing.assert_allclose(grey[0, ..., 0], block_means / 127.5 - 1, rtol=0, atol=1e-6)


def idx(shape, magic=0x00000803, cut=0):
    pixels = np.arange(np.prod(shape)).astype(np.uint8).tobytes()
    content = struct.pack(">IIII", magic, *shape) + pixels
    return content[: len(content) - cut]


@pytest.mark.parametrize(
    "file, pack",
    [
        ("t10k-images-idx3-ubyte", bytes),
        ("mnist/t10k-images-idx3-ubyte", bytes),
        ("t10k-images-idx3-ubyte.gz", gzip.compress),
        ("mnist/t10k-images-idx3-ubyte.gz", gzip.compress),
        ("mnist/t10k-images-idx3-ubyte.gz", bytes),  # unpacked on its way, but not renamed
    ],
)
def test_mnist(tmp_path, file, pack):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(pack(idx((7, 4, 3))))
    names, images = data.load_named("mnist", tmp_path, first=2, num_images=2)
    assert names == ["mnist_test_00002", "mnist_test_00003"]
    expected = np.arange(24, 48).reshape(2, 4, 3, 1) / 127.5 - 1
    np.testing.assert_allclose(images, expected, rtol=0, atol=1e-6)


def test_mnist_as_jpeg(tmp_path):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx((3, 28, 28)))
    plain = np.arange(3 * 28 * 28).astype(np.uint8).reshape(3, 28, 28)
    for i, digit in enumerate(plain):
        Image.fromarray(digit).save(tmp_path / f"{i}.jpg", quality=75)
    names, images = data.load_named("mnist:jpeg", tmp_path)
    assert names == ["mnist_jpeg_00000", "mnist_jpeg_00001", "mnist_jpeg_00002"]
    np.testing.assert_array_equal(images, data.load(tmp_path / "*.jpg"))
    assert 1e-4 < np.mean((images - data.load("mnist", tmp_path)) ** 2) < 0.1


@pytest.mark.parametrize(
    "content, message",
    [
        (idx((7, 4, 3), magic=0x00000801), "starts with 0x00000801 not 0x00000803"),
        (idx((7, 4, 3), cut=5), "7 images of 4x3, it holds 79 pixels"),
        (idx((7, 4, 3)) + b"\0", "it holds 85 pixels"),
        (idx((7, 4, 3))[:9], "truncated within its header"),
        (b"", "no IDX file"),
        (gzip.compress(idx((7, 4, 3)), mtime=0)[:-9], "not readable"),  # the test's name has to be the same everywhere
        (b"\x1f\x8b no gzip", "not readable"),
    ],
)
def test_damaged_mnist(tmp_path, content, message):
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        data.load("mnist", tmp_path)
    assert caught.value.needs == "mnist" and "\n" not in str(caught.value)


def test_digits_that_unpack_without_end_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_MOST_BYTES", 10_000)
    for pack in (bytes, gzip.compress):
        (tmp_path / "t10k-images-idx3-ubyte").write_bytes(pack(idx((1, 28, 28)) + bytes(10_000)))
        with pytest.raises(InputError, match="holds more than 10000 bytes, no digits of MNIST"):
            data.load("mnist", tmp_path)


def test_manifest_gives_order_and_roles(tmp_path):
    write_all(tmp_path / "xray", {f"{n}.png": np.full((2, 2), i, np.uint8) for i, n in enumerate("abcd")})
    manifest = tmp_path / "xray" / "manifest.csv"
    assert data.load_named("xray", tmp_path)[0] == ["a", "b", "c", "d"]

    manifest.write_text("file,role\nd.png,test\nc.png,lr_train\na.png,test\n")
    names, images = data.load_named("xray", tmp_path)
    assert names == ["d", "a"]
    np.testing.assert_allclose(images[:, 0, 0, 0], [3 / 127.5 - 1, -1], rtol=0, atol=1e-7)
    assert data.load_named("xray:lr_train", tmp_path)[0] == ["c"]

    manifest.write_text("file,source\nb.png,somewhere\n")
    assert data.load_named("xray", tmp_path)[0] == ["b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_manifest_may_begin_with_the_mark_of_utf_8(tmp_path, encoding):
    write_all(tmp_path / "xray", {"é.png": GREY8, "b.png": GREY8})
    (tmp_path / "xray" / "manifest.csv").write_text("file,role\né.png,test\n", encoding=encoding)
    assert data.load_named("xray", tmp_path)[0] == ["é"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "save it as CSV in UTF-8"),
        ("file,role\né.png,test\n".encode("latin-1"), "save it as CSV in UTF-8"),
        ("file,role\na.png,test\n".encode("utf-16"), "save it as CSV in UTF-8"),
        (b"file,role\n" + b"a" * 200_000 + b",test\n", "field larger than field limit"),
        (b"file;role\na.png;test\n", "needs a column `file`, separated by commas"),
        (b"name,role,source_sha256\na.png,test,00\n", "needs a column `file`"),
        (b"file,role\n,test\n", "needs a column `file`"),
    ],
)
def test_a_manifest_that_is_none_is_one_line_for_who_reads_and_who_fetches(tmp_path, content, message):
    write_all(tmp_path / "xray", {"a.png": GREY8})
    (tmp_path / "xray" / "manifest.csv").write_bytes(content)
    for call in (lambda: data.load("xray", tmp_path), lambda: fetch_data.fetch(["xray"], tmp_path)):
        with pytest.raises(InputError, match=f"manifest.csv: .*{message}") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("folder", ["retino", "retina"])
def test_retino_has_two_folder_names(tmp_path, folder):
    write_all(tmp_path / folder, {"im0001.png": COLOUR8})
    assert data.load_named("retino", tmp_path)[0] == ["im0001"]


@pytest.mark.parametrize(
    "source, manifest, message",
    [
        ("xray", "file,role\na.png,test\nmissing.png,test\n", "names missing.png, which is missing"),
        ("xray:dev", "file,role\na.png,test\n", "role 'dev'; there is test"),
        ("xray", "name\na.png\n", "needs a column `file`"),
        ("xray", "file,role\n", "no image is of role 'test'; there is none"),
        ("xray:lr_train", None, "no manifest.csv to say"),
        ("mnist", None, "has no t10k-images-idx3-ubyte or .*; give the `data_dir` that has it, or fetch it"),
        ("mnist:dev", None, "the parts of MNIST are test, train, jpeg"),
        ("retino", None, "has no retino/.* or retina/.*; give the `data_dir`"),
    ],
)
def test_bad_data_dir(tmp_path, source, manifest, message):
    write_all(tmp_path / "xray", {"a.png": GREY8})
    if manifest is not None:
        (tmp_path / "xray" / "manifest.csv").write_text(manifest)
    with pytest.raises(InputError, match=message) as caught:
        data.load(source, tmp_path)
    assert "\n" not in str(caught.value)


def test_data_dir_is_needed_and_named(tmp_path):
    with pytest.raises(InputError, match="needs `data_dir`, the folder that has its xray/") as caught:
        data.load("xray")
    assert caught.value.needs == "xray"
    with pytest.raises(InputError, match="nowhere'.*give the `data_dir` that has it, or fetch it") as caught:
        data.load("xray", tmp_path / "nowhere")
    assert caught.value.needs == "xray"
    (tmp_path / "xray").mkdir()
    (tmp_path / "xray" / "readme.txt").write_text("")
    with pytest.raises(InputError, match="no image"):
        data.load("xray", tmp_path)


def test_real_mnist_is_in_official_order(real_data):
    names, images = data.load_named("mnist", real_data)
    assert images.shape == (10000, 28, 28, 1) and names[7] == "mnist_test_00007"
    with gzip.open(real_data / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    assert labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    # The labels are those of these images, in this order: the nearest class mean finds most of them.
    means = np.stack([images[labels == digit].mean(0).ravel() for digit in range(10)])
    flat = images.reshape(len(images), -1)
    nearest = (flat @ means.T - 0.5 * (means**2).sum(1)).argmax(1)
    assert (nearest == labels).mean() > 0.8


@pytest.mark.parametrize(
    "source, shape, first_name",
    [
        ("xray", (60, 256, 256, 1), "001_81089cb4"),
        ("xray:lr_train", (10, 256, 256, 1), "061_e53ea41a"),
        ("retino", (20, 128, 128, 3), "im0001"),
    ],
)
def test_real_images(source, shape, first_name, real_data):
    names, images = data.load_named(source, real_data)
    assert images.shape == shape and images.dtype == np.float32 and np.abs(images).max() <= 1
    assert names[0] == first_name and len(set(names)) == shape[0]
    folder = real_data / ("retina" if source == "retino" else "xray")
    stored = np.asarray(Image.open(folder / f"{names[-1]}.png"))
    np.testing.assert_array_equal(np.rint((images[-1] + 1) * 127.5).squeeze(), stored)
