"""A user's own measurements with their matrix or mask, and everything that may be wrong with them."""

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.io import measurements as own

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
    assert own.with_matrix(Y, MATRIX, SHAPE, None).notes[-1] == "pixel range -1 to 1 taken; `pixel_range` sets it"


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


def test_measurements_keep_their_precision_where_jax_has_it(x64):
    assert own.with_matrix(Y, MATRIX, SHAPE, (-1.0, 1.0)).problem.measurements.dtype == "float64"
    assert own.with_mask(KSPACE, MASK, None, (0, 1)).problem.measurements.dtype == "complex128"


def test_measurements_beyond_float32_are_told_in_one_line():
    with pytest.raises(cs.InputError, match="measurements: 40 of 40 entries are above the range of float32"):
        own.with_matrix(1e60 * Y, MATRIX, SHAPE, (-1.0, 1.0))


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
    options = {"dc": centre, "norm": norm, "origin": "corner"} if told else {}
    result = own.with_mask(samples, mask, None, (0.0, 1.0), **options)
    assert residual(result.problem, IMAGE) < 1e-8
    assert [name for name in ("dc", "norm", "origin") if any(f"; `{name}` " in note for note in result.notes)] == (
        [] if told else ["dc", "norm", "origin"]
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_order_of_samples_that_are_no_list_is_noted(order):
    grid = np.fft.fft2(IMAGE, norm="ortho")
    for samples in (grid, grid[..., None]):
        notes = " ".join(own.with_mask(samples, MASK, None, (0, 1), order=order).notes)
        assert f"`order={order!r}` is not needed: these samples are a whole grid" in notes
        assert "`order=" not in " ".join(own.with_mask(samples, MASK, None, (0, 1)).notes)
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
        assert ["`order='F'`" in note for note in told] == [True] * hinted
        assert any("column by column as in MATLAB" in note for note in told) == (hinted and stored.flags.f_contiguous)
        assert not own.with_matrix(y, stored, shape, (-1, 1), order="C").notes
    with pytest.raises(cs.InputError, match="columns"):
        own.with_matrix(y, matrix, (5, 3, 1), (-1, 1), order="F")


KSPACE = np.fft.fftshift(np.fft.fft2(IMAGE))


def broken(array, value):
    array = array.copy()
    array.reshape(-1)[np.flatnonzero(MASK)[0] if array.shape == MASK.shape else 0] = value
    return array


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: own.with_matrix(Y[:-1], MATRIX, SHAPE, (-1, 1)), r"\(39,\) do not fit a matrix of shape \(40, 120\)"),
        (lambda: own.with_matrix(Y, MATRIX.T, SHAPE, (-1, 1)), r"a matrix of shape \(120, 40\): transpose it$"),
        (lambda: own.with_matrix(Y, MATRIX, None, (-1, 1)), r"`image_shape=\(h, w, c\)` is needed .* n = 120"),
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
        (lambda: own.with_mask(KSPACE, MASK, (10, 12, 1), (0, 1)), r"does not fit `image_shape=\(10, 12, 1\)`"),
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


def test_rounding_is_no_phase():
    for phase, told in ((3e-18, False), (0.3, True)):
        result = own.with_mask(KSPACE * np.exp(1j * phase), MASK, None, (0, 1))
        assert any("constant phase" in note for note in result.notes) == told
