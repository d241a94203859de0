"""Arrays from a user's own files, and everything that may be wrong with them."""

import io
import itertools
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import csdip_jax as cs
from csdip_jax.io.arrays import read_array
from tests.conftest import REPOSITORY

H, W = 12, 10
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0, 1, (H, W))
MATRIX = RNG.standard_normal((40, H * W)) / np.sqrt(40)
Y = MATRIX @ IMAGE.reshape(-1)
MASK = RNG.random((H, W)) < 0.4


def test_files(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    np.savez(tmp_path / "b.npz", A=MATRIX, y=IMAGE)
    np.savez(tmp_path / "one.npz", A=MATRIX)
    scipy.io.savemat(tmp_path / "c.mat", {"A": MATRIX, "y": IMAGE})
    for name in ("a.npy", "b.npz:A", "one.npz", "c.mat:A"):
        np.testing.assert_array_equal(read_array(str(tmp_path / name)), MATRIX)


@pytest.mark.parametrize("file", ["b.npz", "c.mat"])
@pytest.mark.parametrize("name", ["A", "y", "third"])
def test_the_array_that_is_named_is_read(file, name, tmp_path):
    """Wherever it stands among the others."""
    arrays = {"A": MATRIX, "y": IMAGE, "third": MASK.astype(float)}
    np.savez(tmp_path / "b.npz", **arrays)
    scipy.io.savemat(tmp_path / "c.mat", arrays)
    np.testing.assert_array_equal(read_array(f"{tmp_path / file}:{name}"), arrays[name])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.npy", "none.npy: no such file"),
        ("b.npz", r"b.npz holds A, y: choose one array with .*b.npz:name"),
        ("b.npz:z", "b.npz holds no 'z', only A, y"),
        ("text.npy", "not a readable .npy file"),
        ("text.mat", "not a readable .mat file"),
        ("objects.npy", "not a readable .npy file"),
        ("text.csv", "are read from .npy, .npz or .mat files"),
        ("none.npz", "none.npz holds nothing"),
        ("folder.npy", "a folder, pipe or device, not a file"),
        ("a" * 5000 + ".npy", "not a readable .npy file"),
        ("", "a folder, pipe or device, not a file"),
        ("hdf.h5", "read from .npy, .npz or .mat files, and this is an HDF5 file; .*h5py"),
        ("hdf.mat", "read from .npy, .npz or .mat files, and this is an HDF5 file; .*h5py"),
        ("new.mat", "and this is a MATLAB 7.3 file; save it with the option -v7"),
    ],
)
def test_bad_files(name, message, tmp_path):
    np.savez(tmp_path / "b.npz", A=MATRIX, y=IMAGE)
    for text in ("text.npy", "text.mat", "text.csv"):
        (tmp_path / text).write_text("hello, this is no array")
    np.savez(tmp_path / "none.npz")
    (tmp_path / "folder.npy").mkdir()
    for file, begins in (("hdf.h5", b""), ("hdf.mat", bytes(512)), ("new.mat", b"MATLAB 7.3 MAT-file".ljust(512))):
        (tmp_path / file).write_bytes(begins + b"\x89HDF\r\n\x1a\n" + bytes(1000))
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(cs.InputError, match=message):
        read_array(str(tmp_path / name))


SPARSE = scipy.sparse.random(6, 8, 0.3, "csr", random_state=0)
NUMBERS = np.arange(-24.0, 24).reshape(6, 8)
TYPES = ("f8", ">f8", ">f4", "<f2", "i8", ">i4", "i2", "u1", "?", "c16", ">c8", "g")


def written(path, array):
    """The array in a file of the kind that the suffix says."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, A=array)
    else:
        scipy.io.savemat(path, {"A": array}, do_compression=path.stem == "compressed")
    return path


@pytest.mark.parametrize("file", ["a.npy", "a.npz", "a.mat", "compressed.mat"])
def test_every_type_of_number_and_layout_is_read_in_the_machines_order(tmp_path, file):
    for dtype, layout in itertools.product(TYPES, (np.ascontiguousarray, np.asfortranarray)):
        if file.endswith("mat") and dtype == "g":
            continue  # MATLAB has no longer numbers than double
        array = layout(NUMBERS.astype(dtype))
        read = read_array(written(tmp_path / file, array))
        np.testing.assert_array_equal(read, array)
        assert read.dtype.isnative and read.dtype.kind in "biufc"


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "complex128"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_files_are_read_as_dense(tmp_path, form, dtype):
    sparse = (100 * SPARSE).astype(dtype)
    dense = sparse.toarray()
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.csr_array):
        scipy.sparse.save_npz(tmp_path / "a.npz", kind(sparse).asformat(form))
        np.testing.assert_array_equal(read_array(tmp_path / "a.npz"), dense)
    for compressed in (False, True):
        scipy.io.savemat(tmp_path / "a.mat", {"S": sparse.asformat(form), "y": Y}, do_compression=compressed)
        np.testing.assert_array_equal(read_array(f"{tmp_path}/a.mat:S"), dense)


@pytest.mark.parametrize("entries", [0, 1, 3, 7, 48])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16", "uint8", "complex128"])
def test_files_of_matlab_4_begin_as_they_like(tmp_path, dtype, entries):
    """Theirs are a type and a size, 02 00 00 00 of a sparse matrix, by which other files are known."""
    array = np.zeros(48, dtype)
    array[:entries] = np.arange(1, entries + 1)
    array = array.reshape(6, 8)
    for form in (np.asarray, scipy.sparse.csc_matrix, scipy.sparse.coo_matrix):
        scipy.io.savemat(tmp_path / "a.mat", {"A": form(array)}, format="4")
        np.testing.assert_array_equal(read_array(tmp_path / "a.mat"), array)


@pytest.mark.parametrize("suffix", ["npz", "mat"])
def test_sparse_matrix_mask_and_measurements_are_those_of_dense_ones(tmp_path, suffix):
    arrays = {"A": np.where(MATRIX > 0.1, MATRIX, 0), "mask": MASK, "k": np.where(MASK, np.fft.fft2(IMAGE), 0)}
    for name, array in arrays.items():
        sparse = scipy.sparse.csc_matrix(array)
        path = tmp_path / f"{name}.{suffix}"
        scipy.sparse.save_npz(path, sparse) if suffix == "npz" else scipy.io.savemat(path, {name: sparse})
        np.testing.assert_array_equal(read_array(path), array)


@pytest.mark.parametrize("file", ["a.npy", "a.npz", "a.mat"])
@pytest.mark.parametrize(
    "array",
    [
        np.array([{"a": 1}, [2]], dtype=object),
        np.array(["text"]),
        np.zeros(3, [("re", "f8"), ("im", "f8")]),
        np.array(["2020-01-01"], "M8[D]"),
    ],
    ids=["objects", "text", "structure", "dates"],
)
def test_what_is_no_array_of_numbers_is_one_line(tmp_path, file, array):
    if file == "a.mat" and array.dtype.kind == "M":
        pytest.skip("is not written")
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(cs.InputError, match=f"{file}: .*save an array of numbers") as caught:
        read_array(written(tmp_path / file, array))
    assert "\n" not in str(caught.value)


def test_one_array_is_chosen_whatever_the_others_are(tmp_path):
    others = {"text": "hello", "cell": np.array([MATRIX, "a"], object), "struct": {"a": MATRIX}, "logical": MASK}
    scipy.io.savemat(tmp_path / "a.mat", {"A": MATRIX, **others})
    np.savez(tmp_path / "a.npz", A=MATRIX, objects=np.array([{}], object))
    for file in ("a.mat", "a.npz"):
        np.testing.assert_array_equal(read_array(f"{tmp_path}/{file}:A"), MATRIX)
    np.testing.assert_array_equal(read_array(f"{tmp_path}/a.mat:logical"), MASK)
    for name in ("text", "cell", "struct"):
        with pytest.raises(cs.InputError, match=f"a.mat:{name}: holds .*save an array of numbers"):
            read_array(f"{tmp_path}/a.mat:{name}")


def test_the_content_says_what_a_file_is(tmp_path):
    for suffix, named in itertools.product((".npy", ".npz", ".mat"), (".npy", ".npz", ".mat", ".dat")):
        written(tmp_path / f"a{suffix}", MATRIX).rename(tmp_path / f"b{named}")
        np.testing.assert_array_equal(read_array(tmp_path / f"b{named}"), MATRIX)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", A=MATRIX, y=Y)
    np.testing.assert_array_equal(read_array("~/a.npz:A"), MATRIX)


def npy_header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


@pytest.mark.parametrize("size", [1000, 8 * 10**12 + 128])
def test_arrays_beyond_the_memory_are_one_line_before_it_is_taken(tmp_path, size):
    """The header of a file that holds less, or as much: in a file with a hole, an archive, or a sparse matrix."""
    (tmp_path / "a.npy").write_bytes(npy_header((10**12,)))
    os.truncate(tmp_path / "a.npy", size)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("A.npy", npy_header((10**15,)) + bytes(size % 10**6))
    empty = scipy.sparse.csr_matrix((10**3, 10**9))
    scipy.sparse.save_npz(tmp_path / "b.npz", empty)
    for file in ("a.npy", "a.npz", "b.npz"):
        with pytest.raises(cs.InputError, match=f"{file}: "):
            read_array(tmp_path / file)


def test_a_sparse_file_that_points_outside_is_one_line(tmp_path):
    parts = {name: getattr(SPARSE, name).copy() for name in ("data", "indices", "indptr")}
    for name, value in (("indices", 10**6), ("indices", -(10**6)), ("indptr", 10**6)):
        wrong = parts | {name: np.concatenate([parts[name][:-1], [value]])}
        np.savez(tmp_path / "a.npz", format=np.array(b"csr"), shape=SPARSE.shape, **wrong)
        with pytest.raises(cs.InputError, match="a.npz: not a readable .npz file"):
            read_array(tmp_path / "a.npz")


DAMAGED = """
import sys
import numpy as np
from csdip_jax.types import InputError
from csdip_jax.io.arrays import read_array

folder, count = sys.argv[1], int(sys.argv[2])
for i in range(count):
    for file in sys.argv[3:]:
        content = bytearray(open(f"{folder}/{file}", "rb").read())
        damage = np.random.default_rng(i)
        if i % 4:
            content[damage.integers(128, 200) if i % 2 else damage.integers(len(content))] ^= 1 << damage.integers(8)
        else:
            content = content[: damage.integers(len(content))]
        with open(f"{folder}/damaged-{file}", "wb") as damaged:
            damaged.write(content)
        try:
            read_array(f"{folder}/damaged-{file}:A")
        except InputError as error:
            assert "\\n" not in str(error)
print("no other error")
"""


def test_damage_is_one_line_and_never_another_error(tmp_path):
    """In a process of its own, which scipy ends where it follows a damaged tag."""
    files = ["a.npz", "sparse.mat", "a.mat", "compressed.mat", "complex.mat", "integer.mat"]
    arrays = {"sparse.mat": SPARSE.tocsc(), "complex.mat": 1j * NUMBERS, "integer.mat": NUMBERS.astype(int)}
    for file in files:
        written(tmp_path / file, arrays.get(file, NUMBERS))
    program = [sys.executable, "-c", DAMAGED, str(tmp_path), "60", *files]
    done = subprocess.run(program, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.stdout, done.returncode) == ("no other error\n", 0), done.stderr


@pytest.mark.parametrize("value", [[1, 2], MATRIX, 5, None], ids=["list", "array", "number", "None"])
def test_what_is_no_path_is_refused(value):
    with pytest.raises(cs.InputError, match=f"is a {type(value).__name__}: give the path"):
        read_array(value)
