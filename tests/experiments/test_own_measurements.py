"""A user's own files, and everything that may be wrong with them."""

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
from experiments import own_measurements as own
from tests.conftest import REPOSITORY

H, W = 12, 10
SHAPE = (H, W, 1)
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0, 1, (H, W))
MATRIX = RNG.standard_normal((40, H * W)) / np.sqrt(40)
Y = MATRIX @ IMAGE.reshape(-1)
MASK = RNG.random((H, W)) < 0.4
MASK[H // 2, W // 2] = True


def residual(problem, image):
    return float(cs.operators.measurement_loss(*problem, np.reshape(image, problem.operator.image_shape)))


def to_signed(image):
    return (2 * image - 1).reshape(SHAPE)


def test_matrix_and_pixel_range():
    """The problem stays in the user's units; its range is given, estimated, or said to be -1 to 1."""
    result = own.with_matrix(Y, MATRIX, SHAPE, (0.0, 1.0))
    assert residual(result.problem, IMAGE) < 1e-8 and result.pixel_range == (0, 1) and len(result.notes) == 1
    estimated = own.with_matrix(Y, MATRIX, SHAPE, "auto")
    low, high = estimated.pixel_range
    assert -1 < low < IMAGE.min() and IMAGE.max() < high < 2 and "estimated" in estimated.notes[-1]
    assert own.with_matrix(Y, MATRIX, SHAPE, None).notes[-1] == "pixel range -1 to 1 taken; --pixel_range sets it"


def test_a_matrix_stored_narrowly_is_the_same_but_for_its_rounding():
    y = MATRIX @ IMAGE.reshape(-1)
    result = own.with_matrix(y, MATRIX, SHAPE, (0.0, 1.0), "float16")
    assert result.problem.operator.matrix.dtype == "float16"
    assert 0 < residual(result.problem, IMAGE) < 1e-6 * float(y @ y)


def test_a_matrix_in_float64_is_not_rounded(x64):
    """Nor measurements of whole numbers wrapped; and more of them than pixels are taken."""
    result = own.with_matrix(np.full(120, 3 * 10**9), MATRIX.T.astype(float) / 3, (40, 1, 1), (-1.0, 1.0), "float64")
    np.testing.assert_array_equal(result.problem.operator.matrix, MATRIX.T.astype(float) / 3)
    np.testing.assert_array_equal(result.problem.measurements, np.full(120, 3e9))


@pytest.mark.parametrize("shape", [(40,), (40, 1), (1, 40)])
def test_a_column_or_a_row_of_measurements(shape):
    y = (MATRIX @ to_signed(IMAGE).reshape(-1)).reshape(shape)
    assert residual(own.with_matrix(y, MATRIX, SHAPE, (-1.0, 1.0)).problem, to_signed(IMAGE)) < 1e-8


@pytest.mark.parametrize("norm", ["ortho", "backward"])
@pytest.mark.parametrize("centre", ["centre", "corner"])
@pytest.mark.parametrize("whole_grid", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_kspace_by_any_convention(norm, centre, whole_grid, told):
    kspace, mask = np.fft.fft2(IMAGE, norm=norm), MASK.copy()
    if centre == "centre":
        kspace = np.fft.fftshift(kspace)
    else:
        mask = np.fft.ifftshift(mask)
    samples = np.where(mask, kspace, 0) if whole_grid else kspace[mask]
    options = {"centre": centre, "norm": norm, "origin": "corner"} if told else {}
    result = own.with_mask(samples, mask, None, (0.0, 1.0), **options)
    assert residual(result.problem, IMAGE) < 1e-8
    assert [flag for flag in ("--dc", "--norm", "--origin") if any(f"; {flag} " in note for note in result.notes)] == (
        [] if told else ["--dc", "--norm", "--origin"]
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_order_of_samples_that_are_no_list_is_noted(order):
    grid = np.fft.fft2(IMAGE, norm="ortho")
    for samples in (grid, grid[..., None]):
        notes = " ".join(own.with_mask(samples, MASK, None, (0, 1), order=order).notes)
        assert f"--order={order} is not needed: these samples are a whole grid" in notes
        assert "--order" not in " ".join(own.with_mask(samples, MASK, None, (0, 1)).notes)
    assert "not needed" not in " ".join(own.with_mask(grid[MASK != 0], MASK, None, (0, 1), order=order).notes)


def test_colour_kspace():
    image = np.stack([IMAGE, 1 - IMAGE, IMAGE**2], axis=-1)
    kspace = np.fft.fftshift(np.fft.fft2(image, axes=(0, 1)), axes=(0, 1))
    for samples in (kspace, kspace[MASK], kspace[MASK].T):
        result = own.with_mask(samples, MASK, (H, W, 3), (0.0, 1.0))
        assert residual(result.problem, image) < 1e-7


@pytest.mark.parametrize("shape", [(4, 3, 1), (3, 4, 1), (3, 2, 3), (1, 6, 1)])
def test_pixels_counted_column_by_column(shape):
    """x(:) of MATLAB: order F gives the image of the same matrix with its columns in numpy's order, or a hint."""
    rng = np.random.default_rng(0)
    matrix, image = rng.standard_normal((6, np.prod(shape))), rng.uniform(-1, 1, shape)
    y = matrix @ image.reshape(-1, order="F")
    for stored in (np.asfortranarray(matrix), np.ascontiguousarray(matrix)):
        result = own.with_matrix(y, stored, shape, (-1, 1), order="F")
        assert residual(result.problem, image) < 1e-9 and not result.notes
        hinted = sum(side > 1 for side in shape) > 1  # else there is one order only
        told = own.with_matrix(y, stored, shape, (-1, 1)).notes
        assert ["--order=F" in note for note in told] == [True] * hinted
        assert any("column by column as in MATLAB" in note for note in told) == (hinted and stored.flags.f_contiguous)
        assert not own.with_matrix(y, stored, shape, (-1, 1), order="C").notes
    with pytest.raises(cs.InputError, match="columns"):
        own.with_matrix(y, matrix, (5, 3, 1), (-1, 1), order="F")


def test_files(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    np.savez(tmp_path / "b.npz", A=MATRIX, y=IMAGE)
    np.savez(tmp_path / "one.npz", A=MATRIX)
    scipy.io.savemat(tmp_path / "c.mat", {"A": MATRIX, "y": IMAGE})
    for name in ("a.npy", "b.npz:A", "one.npz", "c.mat:A"):
        np.testing.assert_array_equal(own.read_array(str(tmp_path / name)), MATRIX)


@pytest.mark.parametrize("file", ["b.npz", "c.mat"])
@pytest.mark.parametrize("name", ["A", "y", "third"])
def test_the_array_that_is_named_is_read(file, name, tmp_path):
    """Wherever it stands among the others."""
    arrays = {"A": MATRIX, "y": IMAGE, "third": MASK.astype(float)}
    np.savez(tmp_path / "b.npz", **arrays)
    scipy.io.savemat(tmp_path / "c.mat", arrays)
    np.testing.assert_array_equal(own.read_array(f"{tmp_path / file}:{name}"), arrays[name])


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
        own.read_array(str(tmp_path / name))


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
        read = own.read_array(written(tmp_path / file, array))
        np.testing.assert_array_equal(read, array)
        assert read.dtype.isnative and read.dtype.kind in "biufc"


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "complex128"])
@pytest.mark.parametrize("form", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_files_are_read_as_dense(tmp_path, form, dtype):
    sparse = (100 * SPARSE).astype(dtype)
    dense = sparse.toarray()
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.csr_array):
        scipy.sparse.save_npz(tmp_path / "a.npz", kind(sparse).asformat(form))
        np.testing.assert_array_equal(own.read_array(tmp_path / "a.npz"), dense)
    for compressed in (False, True):
        scipy.io.savemat(tmp_path / "a.mat", {"S": sparse.asformat(form), "y": Y}, do_compression=compressed)
        np.testing.assert_array_equal(own.read_array(f"{tmp_path}/a.mat:S"), dense)


@pytest.mark.parametrize("entries", [0, 1, 3, 7, 48])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16", "uint8", "complex128"])
def test_files_of_matlab_4_begin_as_they_like(tmp_path, dtype, entries):
    """Theirs are a type and a size, 02 00 00 00 of a sparse matrix, by which other files are known."""
    array = np.zeros(48, dtype)
    array[:entries] = np.arange(1, entries + 1)
    array = array.reshape(6, 8)
    for form in (np.asarray, scipy.sparse.csc_matrix, scipy.sparse.coo_matrix):
        scipy.io.savemat(tmp_path / "a.mat", {"A": form(array)}, format="4")
        np.testing.assert_array_equal(own.read_array(tmp_path / "a.mat"), array)


@pytest.mark.parametrize("suffix", ["npz", "mat"])
def test_sparse_matrix_mask_and_measurements_are_those_of_dense_ones(tmp_path, suffix):
    arrays = {"A": np.where(MATRIX > 0.1, MATRIX, 0), "mask": MASK, "k": np.where(MASK, np.fft.fft2(IMAGE), 0)}
    for name, array in arrays.items():
        sparse = scipy.sparse.csc_matrix(array)
        path = tmp_path / f"{name}.{suffix}"
        scipy.sparse.save_npz(path, sparse) if suffix == "npz" else scipy.io.savemat(path, {name: sparse})
        np.testing.assert_array_equal(own.read_array(path), array)


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
        own.read_array(written(tmp_path / file, array))
    assert "\n" not in str(caught.value)


def test_one_array_is_chosen_whatever_the_others_are(tmp_path):
    others = {"text": "hello", "cell": np.array([MATRIX, "a"], object), "struct": {"a": MATRIX}, "logical": MASK}
    scipy.io.savemat(tmp_path / "a.mat", {"A": MATRIX, **others})
    np.savez(tmp_path / "a.npz", A=MATRIX, objects=np.array([{}], object))
    for file in ("a.mat", "a.npz"):
        np.testing.assert_array_equal(own.read_array(f"{tmp_path}/{file}:A"), MATRIX)
    np.testing.assert_array_equal(own.read_array(f"{tmp_path}/a.mat:logical"), MASK)
    for name in ("text", "cell", "struct"):
        with pytest.raises(cs.InputError, match=f"a.mat:{name}: holds .*save an array of numbers"):
            own.read_array(f"{tmp_path}/a.mat:{name}")


def test_the_content_says_what_a_file_is(tmp_path):
    for suffix, named in itertools.product((".npy", ".npz", ".mat"), (".npy", ".npz", ".mat", ".dat")):
        written(tmp_path / f"a{suffix}", MATRIX).rename(tmp_path / f"b{named}")
        np.testing.assert_array_equal(own.read_array(tmp_path / f"b{named}"), MATRIX)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "a.npz", A=MATRIX, y=Y)
    np.testing.assert_array_equal(own.read_array("~/a.npz:A"), MATRIX)


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
            own.read_array(tmp_path / file)


def test_a_sparse_file_that_points_outside_is_one_line(tmp_path):
    parts = {name: getattr(SPARSE, name).copy() for name in ("data", "indices", "indptr")}
    for name, value in (("indices", 10**6), ("indices", -(10**6)), ("indptr", 10**6)):
        wrong = parts | {name: np.concatenate([parts[name][:-1], [value]])}
        np.savez(tmp_path / "a.npz", format=np.array(b"csr"), shape=SPARSE.shape, **wrong)
        with pytest.raises(cs.InputError, match="a.npz: not a readable .npz file"):
            own.read_array(tmp_path / "a.npz")


DAMAGED = """
import sys
import numpy as np
from csdip_jax.types import InputError
from experiments import own_measurements

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
            own_measurements.read_array(f"{folder}/damaged-{file}:A")
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
        own.read_array(value)


KSPACE = np.fft.fftshift(np.fft.fft2(IMAGE))


def broken(array, value):
    array = array.copy()
    array.reshape(-1)[np.flatnonzero(MASK)[0] if array.shape == MASK.shape else 0] = value
    return array


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: own.with_matrix(Y[:-1], MATRIX, SHAPE, (-1, 1)), r"\(39,\) do not fit a matrix of shape \(40, 120\)"),
        (lambda: own.with_matrix(Y, MATRIX, None, (-1, 1)), "--image_shape=h,w,c is needed .* n = 120"),
        (lambda: own.with_matrix(Y, MATRIX, (12, 11, 1), (-1, 1)), "needs .* n = 132 columns"),
        (lambda: own.with_matrix(Y, MATRIX[0], SHAPE, (-1, 1)), "needs two axes"),
        (lambda: own.with_matrix(broken(Y, np.nan), MATRIX, SHAPE, (-1, 1)), "measurements: 1 of 40 entries are NaN"),
        (
            lambda: own.with_matrix(Y, broken(MATRIX, np.inf), SHAPE, (-1, 1)),
            "matrix: 1 of 4800 entries are NaN or inf",
        ),
        (lambda: own.with_matrix(np.array(["a"]), MATRIX, SHAPE, (-1, 1)), "dtype <U1: it needs numbers"),
        (lambda: own.with_matrix(np.ones(0), MATRIX, SHAPE, (-1, 1)), "measurements is empty"),
        (lambda: own.with_matrix(Y, MATRIX, SHAPE, (1, 1)), r"pixel_range=\(1, 1\): give two different finite numbers"),
        (lambda: own.with_mask(KSPACE.real, MASK, None, (0, 1)), "k-space samples, complex"),
        (lambda: own.with_mask(KSPACE, MASK * 0, None, (0, 1)), "the mask selects nothing: all 120 entries"),
        (lambda: own.with_mask(KSPACE, MASK[1:], None, (0, 1)), r"\(12, 10\) fit neither the grid \(11, 10\)"),
        (lambda: own.with_mask(KSPACE, MASK, (10, 12, 1), (0, 1)), "does not fit --image_shape=10,12,1"),
        (lambda: own.with_mask(broken(KSPACE, np.nan), MASK, None, (0, 1)), "measurements: 1 of .* NaN"),
        (lambda: own.with_mask(KSPACE, MASK, (H, W, 3), (0, 1)), "fit neither the grid"),
        (
            lambda: own.with_mask(KSPACE, MASK[0, 1:], None, (0, 1)),
            r"mask has shape \(9,\): it needs \[h, w\], or \[w\]",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(cs.InputError, match=message):
        call()
