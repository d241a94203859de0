"""A user's own files, and everything that may be wrong with them."""

import numpy as np
import pytest
import scipy.io

import csdip_jax as cs
from experiments import own_measurements as own

H, W = 12, 10
SHAPE = (H, W, 1)
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(0, 1, (H, W))
MATRIX = RNG.standard_normal((40, H * W)) / np.sqrt(40)
MASK = RNG.random((H, W)) < 0.4
MASK[H // 2, W // 2] = True


def residual(problem, image):
    return float(cs.operators.measurement_loss(*problem, np.asarray(image, np.float32)))


def to_signed(image):
    return (2 * image - 1).reshape(SHAPE)


def test_matrix_and_pixel_range():
    """y of an image in [0, 1] becomes the measurements of the same image in [-1, 1], and back."""
    result = own.with_matrix(MATRIX @ IMAGE.reshape(-1), MATRIX, SHAPE, (0.0, 1.0))
    assert residual(result.problem, to_signed(IMAGE)) < 1e-8
    np.testing.assert_allclose(result.to_user(to_signed(IMAGE))[..., 0], IMAGE, atol=1e-6)


def test_a_matrix_stored_narrowly_is_the_same_but_for_its_rounding():
    y = MATRIX @ IMAGE.reshape(-1)
    result = own.with_matrix(y, MATRIX, SHAPE, (0.0, 1.0), "float16")
    assert result.problem.operator.matrix.dtype == "float16"
    assert 0 < residual(result.problem, to_signed(IMAGE)) < 1e-6 * float(y @ y)


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
    options = {"centre": centre, "norm": norm} if told else {}
    result = own.with_mask(samples, mask, None, (0.0, 1.0), **options)
    assert residual(result.problem, to_signed(IMAGE)) < 1e-8
    assert len(result.notes) == (0 if told else 2)


def test_colour_kspace():
    image = np.stack([IMAGE, 1 - IMAGE, IMAGE**2], axis=-1)
    kspace = np.fft.fftshift(np.fft.fft2(image, axes=(0, 1)), axes=(0, 1))
    for samples in (kspace, kspace[MASK], kspace[MASK].T):
        result = own.with_mask(samples, MASK, (H, W, 3), (0.0, 1.0))
        assert residual(result.problem, 2 * image - 1) < 1e-7


def test_files(tmp_path):
    np.save(tmp_path / "a.npy", MATRIX)
    np.savez(tmp_path / "b.npz", A=MATRIX, y=IMAGE)
    np.savez(tmp_path / "one.npz", A=MATRIX)
    scipy.io.savemat(tmp_path / "c.mat", {"A": MATRIX, "y": IMAGE})
    for name in ("a.npy", "b.npz:A", "one.npz", "c.mat:A"):
        np.testing.assert_array_equal(own.read_array(str(tmp_path / name)), MATRIX)


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
    ],
)
def test_bad_files(name, message, tmp_path):
    np.savez(tmp_path / "b.npz", A=MATRIX, y=IMAGE)
    for text in ("text.npy", "text.mat", "text.csv"):
        (tmp_path / text).write_text("hello, this is no array")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(cs.InputError, match=message):
        own.read_array(str(tmp_path / name))


Y = MATRIX @ IMAGE.reshape(-1)
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
        (lambda: own.with_matrix(Y, MATRIX, SHAPE, (1, 1)), "--pixel_range=1,1: black and white must differ"),
        (lambda: own.with_mask(KSPACE.real, MASK, None, (0, 1)), "k-space samples, complex"),
        (lambda: own.with_mask(KSPACE, MASK * 0, None, (0, 1)), "the mask selects nothing: all 120 entries"),
        (lambda: own.with_mask(KSPACE, MASK[1:], None, (0, 1)), r"\(12, 10\) fit neither the grid \(11, 10\)"),
        (lambda: own.with_mask(KSPACE, MASK, (10, 12, 1), (0, 1)), "does not fit --image_shape=10,12,1"),
        (lambda: own.with_mask(broken(KSPACE, np.nan), MASK, None, (0, 1)), "measurements: 1 of .* NaN"),
        (lambda: own.with_mask(KSPACE, MASK, (H, W, 3), (0, 1)), "fit neither the grid"),
        (lambda: own.with_mask(KSPACE, MASK[0], None, (0, 1)), r"mask has shape \(10,\): it needs \[h, w\]"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(cs.InputError, match=message):
        call()
