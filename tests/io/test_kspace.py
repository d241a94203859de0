"""What samples of k-space tell of themselves: a complex or a centred image, scale, order and pixels."""

import numpy as np
import pytest
import skimage.data

import csdip_jax as cs
from csdip_jax.io import kspace, measurements as own
from csdip_jax.operators.fourier import radial_mask

ROWS, COLUMNS = np.mgrid[-1:1:64j, -1:1:66j]
BOX = np.zeros((64, 66))
BOX[12:52, 20:44], BOX[20:30, 26:38], BOX[8:12, 16:48] = 0.6, 1, 0.3
STARS = np.zeros((64, 66))
STARS.flat[[500, 1300, 1999, 2500, 3100, 3900]] = 1, 0.8, 0.6, 0.9, 0.5, 0.7
PHOTOGRAPH = skimage.data.camera()[::8, ::8] / 255.0
IMAGES = {
    "box": BOX,
    "off centre": np.roll(BOX, (5, -8), (0, 1)),
    "disc": np.exp(-((4 * np.hypot(ROWS, COLUMNS)) ** 4)),
    "black on white": 1.0 - (np.hypot(ROWS, COLUMNS) < 0.5),
    "photograph": PHOTOGRAPH,
    "odd sides": PHOTOGRAPH[:63, :61],
    "odd box": BOX[1:, 1:],
}
SMOOTH = 1 + 2 * COLUMNS + ROWS**2


def masks_of(shape):
    """Centred masks: columns, single samples, radial lines, everything; the centre is measured fully."""
    rng, (h, w) = np.random.default_rng(0), shape
    columns = np.broadcast_to((rng.random(w) < 0.4) | (abs(np.arange(w) - w // 2) < 5), shape)
    single = rng.random(shape) < 0.4
    single[h // 2 - 3 : h // 2 + 3, w // 2 - 3 : w // 2 + 3] = True
    half = np.fft.ifftshift(radial_mask(16, shape))
    half[0, 0] = True
    return {
        "columns": columns,
        "single": single,
        "radial": np.fft.fftshift(half | kspace.mirrored(half)),
        "all": np.ones(shape, bool),
    }


def samples_of(image, mask, norm="ortho", origin="corner", noise=0.0):
    """Masked, DC in the centre; noise: its energy as a part of the image's."""
    rng = np.random.default_rng(1)
    samples = np.fft.fft2(np.fft.ifftshift(image) if origin == "centre" else image, norm=norm)
    error = rng.standard_normal((2, *image.shape)) * np.sqrt(noise * (abs(samples) ** 2).mean() / 2)
    return np.fft.fftshift(samples + error[0] + 1j * error[1]) * mask


def unexplained(result, image):
    """Part of the measurements' energy that the image does not explain."""
    operator, measurements = result.problem
    grid = np.fft.fft2(np.reshape(image, operator.image_shape), axes=(0, 1), norm="ortho")
    grid = grid.reshape(-1, operator.image_shape[2])
    residual = grid[np.asarray(operator.indices)].T.reshape(-1) - np.asarray(measurements)
    return (abs(residual) ** 2).sum() / (abs(np.asarray(measurements)) ** 2).sum()


@pytest.mark.parametrize("origin", ["corner", "centre"])
@pytest.mark.parametrize("name", IMAGES)
def test_the_image_comes_in_its_natural_place(name, origin):
    image = IMAGES[name]
    for kind, mask in masks_of(image.shape).items():
        samples = samples_of(image, mask, origin=origin)
        told = own.with_mask(samples, mask, None, (0, 1), origin=origin)
        assert unexplained(told, image) < 1e-10
        assert not any("origin" in note for note in told.notes)
        guessed = own.with_mask(samples, mask, None, (0, 1))
        (note,) = (note for note in guessed.notes if "origin" in note)
        if "cannot be told" in note:
            assert "in the corner" in note and (name, kind) in {("black on white", "radial"), ("box", "radial")}, kind
        else:
            assert unexplained(guessed, image) < 1e-10, (kind, note)


@pytest.mark.parametrize("image", [STARS * 0 + 0.5, np.random.default_rng(2).random((64, 66))], ids=["flat", "noise"])
def test_where_nothing_tells_the_corner_is_taken_and_said(image):
    for origin in ("corner", "centre"):
        result = own.with_mask(samples_of(image, True, origin=origin), np.ones(image.shape), None, (0, 1))
        assert any("cannot be told from the samples, taken to lie in the corner" in note for note in result.notes)


@pytest.mark.parametrize("kind", ["columns", "single", "radial", "all"])
def test_a_complex_image_is_refused_and_a_noisy_real_one_is_not(kind):
    for image in (BOX, PHOTOGRAPH, BOX + 10, 2 * PHOTOGRAPH - 1, STARS):
        mask = masks_of(image.shape)[kind]
        for noise in (1e-4, 1e-2, 0.1, 1.0):
            result = own.with_mask(samples_of(image, mask, noise=noise), mask, None, (-1, 11), dc="centre")
            assert not any("contradict" in note or "phase" in note for note in result.notes)
        if image is STARS and kind in ("single", "radial"):
            continue  # flat in k-space and scattered in the zero-filled image, as noise is
        phase = SMOOTH[: image.shape[0], : image.shape[1]]
        samples = samples_of((image - image.min()) * np.exp(1j * phase), mask, noise=1e-2)
        with pytest.raises(cs.InputError, match=r"contradict a real image by \d+ % .* `force_real=True`"):
            own.with_mask(samples, mask, None, (0, 1))
        forced = own.with_mask(samples, mask, None, (0, 1), force_real=True, norm="ortho")
        assert any("contradict" in note for note in forced.notes)


def test_what_noise_and_a_slight_phase_leave_is_a_note():
    mask = np.ones(BOX.shape)
    slight = own.with_mask(samples_of(PHOTOGRAPH * np.exp(0.2j * COLUMNS[:, :64]), True), mask[:, :64], None, (0, 1))
    assert any("contradict a real image by" in note and "a real image is fitted" in note for note in slight.notes)
    noisy = own.with_mask(samples_of(BOX, True, noise=0.3), mask, None, (0, 1))
    assert any("taken for noise" in note for note in noisy.notes)


@pytest.mark.parametrize("phase", [-3, -1.2, 0.01, 0.5, 2, np.pi, np.pi / 2, -np.pi / 2])
def test_a_constant_phase_is_taken_out(phase):
    for kind, mask in masks_of(BOX.shape).items():
        result = own.with_mask(samples_of(BOX * np.exp(1j * phase), mask), mask, None, (0, 1), origin="corner")
        assert unexplained(result, BOX) < 1e-10, kind
        assert any("constant phase" in note for note in result.notes)
    signed = own.with_mask(samples_of(BOX - 1, True), np.ones(BOX.shape), None, (-1, 1), origin="corner")
    assert unexplained(signed, BOX - 1) < 1e-10  # a dark image is no bright one turned by pi


def test_zeros_that_the_mask_claims_to_be_measured_are_noted():
    mask = masks_of(BOX.shape)["single"]
    claimed = own.with_mask(samples_of(BOX, mask), np.ones(BOX.shape), None, (0, 1), force_real=True)
    assert any("are exactly 0: were they measured?" in note for note in claimed.notes)
    told = own.with_mask(samples_of(BOX, mask), mask, None, (0, 1))
    assert not any("exactly 0" in note for note in told.notes)


def test_a_mask_in_the_other_convention_than_the_grid_is_noted():
    mask = np.zeros(BOX.shape, bool)
    mask[20:45, 20:46] = True
    shifted = own.with_mask(samples_of(BOX, True), np.fft.ifftshift(mask), None, (0, 1), force_real=True)
    assert any("leaves out the largest sample" in note for note in shifted.notes)
    assert not any("leaves out" in note for note in own.with_mask(samples_of(BOX, True), mask, None, (0, 1)).notes)


def test_an_image_that_is_imaginary_to_the_last_bit():
    """i times a real one: S, what a real image would have, is exactly 0."""
    for kind, mask in masks_of(BOX.shape).items():
        for i in (1j, -1j):
            result = own.with_mask(i * samples_of(BOX, mask), mask, None, (0, 1), origin="corner")
            assert unexplained(result, BOX) < 1e-10, kind


def test_half_a_plane_cannot_be_checked_and_says_so():
    mask = radial_mask(16, BOX.shape)
    for with_dc in (False, True):
        mask[32, 33] = with_dc
        result = own.with_mask(samples_of(BOX, mask), mask, None, (0, 1), dc="centre", norm="ortho")
        assert any("a real image is assumed, and cannot be checked" in note for note in result.notes)


@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
@pytest.mark.parametrize("kind", ["columns", "single", "radial", "all"])
def test_the_scale_is_the_one_that_fits_the_range(kind, norm):
    images = {
        "stars": STARS,
        "box": BOX,
        "dark": 0.12 * PHOTOGRAPH,
        "bright": 0.8 + 0.2 * PHOTOGRAPH,
        "smooth": np.cos(ROWS),
    }
    for name, image in images.items():
        mask = masks_of(image.shape)[kind]
        for white in (1, 255, 1e-3):
            samples = white * samples_of(image, mask, norm, noise=0.01 if white == 255 else 0)
            result = own.with_mask(samples, mask, None, (0, white), origin="corner")
            assert any(f"norm={norm!r}" in note for note in result.notes), (name, result.notes)
            assert unexplained(result, white * image) < (0.1 if white == 255 else 1e-9)


@pytest.mark.parametrize("norm", ["ortho", "backward", "forward"])
def test_the_peaks_of_noise_do_not_change_the_scale(norm):
    mask = np.ones(PHOTOGRAPH.shape)
    result = own.with_mask(samples_of(PHOTOGRAPH, mask, norm, noise=1.0), mask, None, (0, 1))
    assert any(f"norm={norm!r}" in note for note in result.notes)


def test_the_mean_pixel_is_right_whatever_the_mask():
    rng = np.random.default_rng(0)
    for density in (0.03, 0.3, 1):
        mask = rng.random(BOX.shape) < density
        mask[0, 0] = True
        image = kspace.zero_filled(np.fft.fft2(BOX + 7, norm="ortho")[..., None] * mask[..., None], mask)
        np.testing.assert_allclose(image.mean(), BOX.mean() + 7)


@pytest.mark.parametrize("scale", [255, 65535, 1e6, 1e-5])
@pytest.mark.parametrize("image", [BOX, STARS, PHOTOGRAPH], ids=["box", "stars", "photograph"])
def test_pixels_that_are_not_of_minus_one_to_one_are_named(image, scale):
    mask = masks_of(image.shape)["single"]
    samples = samples_of(scale * image, mask)
    for norm in ("auto", "ortho"):
        with pytest.raises(cs.InputError, match="pixels of about .* not of -1 to 1: give `pixel_range=") as refusal:
            own.with_mask(samples, mask, None, None, norm=norm)
        black, white = map(float, str(refusal.value).split("`pixel_range=(")[1].split(")")[0].split(","))
        assert abs(black) < scale and 0.5 * scale < white < 2 * scale
    result = own.with_mask(samples, mask, None, "auto", norm="ortho", origin="corner")
    black, white = result.pixel_range
    assert black <= 0 and 0.75 * scale < white < 2.5 * scale and unexplained(result, scale * image) < 1e-10
    assert any("estimated" in note for note in result.notes)


def test_a_range_taken_or_given_in_vain_is_said():
    samples, mask = samples_of(BOX, True), np.ones(BOX.shape)
    taken = own.with_mask(samples, mask, None, None)
    assert any("pixel range -1 to 1 taken, pixels of about" in note for note in taken.notes)
    for pixel_range, words in (((0, 0.3), "beyond the range"), ((0, 100), "a small part of the range")):
        result = own.with_mask(samples, mask, None, pixel_range, norm="ortho")
        assert any(words in note for note in result.notes)
    with pytest.raises(cs.InputError, match="leaves out DC"):
        mask[32, 33] = 0
        own.with_mask(samples, mask, None, "auto")


@pytest.mark.parametrize("shape", [(64, 66, 1), (64, 66, 3)])
def test_samples_counted_column_by_column(shape):
    """K(mask) of MATLAB, as [k], [k, 1], [k, c] or [c, k]."""
    image = np.stack([BOX, BOX**2, BOX / 2][: shape[2]], -1)
    mask = masks_of(BOX.shape)["single"]
    samples = np.stack([samples_of(image[..., i], mask).T[mask.T] for i in range(shape[2])])
    for given in (samples, samples.T):
        told = own.with_mask(given, mask, shape, (0, 1), origin="corner", order="F")
        assert unexplained(told, image) < 1e-10 and not any("`order=" in note for note in told.notes)
        with pytest.raises(cs.InputError, match="`dc` or `order` is wrong"):
            own.with_mask(given, mask, shape, (0, 1))
    stored = np.asfortranarray(mask)
    rows = own.with_mask(samples_of(BOX, mask)[mask], stored, None, (0, 1))
    assert any("`order='F'`" in note for note in rows.notes)
    whole = own.with_mask(np.asfortranarray(samples_of(BOX, mask)), stored, None, (0, 1))
    assert not any("`order=" in note for note in whole.notes)  # its order does not matter


@pytest.mark.parametrize("kind", [np.complex64, ">c8", ">c16", np.clongdouble])
@pytest.mark.parametrize("mask_kind", [bool, np.uint8, ">f4", np.int64])
def test_types_and_layouts(kind, mask_kind):
    mask = masks_of(BOX.shape)["single"]
    samples = np.where(mask, samples_of(BOX, mask), np.nan)  # unmeasured entries may be anything
    for given in (
        samples,
        samples[None],
        samples[None, None],
        samples[..., None],
        np.asfortranarray(samples),
        samples[mask],
    ):
        result = own.with_mask(given.astype(kind), mask.astype(mask_kind), None, (0, 1), origin="corner")
        assert unexplained(result, BOX) < 1e-10 and result.problem.measurements.dtype == "complex64"


@pytest.mark.parametrize("shape", [(66,), (1, 66), (1, 66, 1), (1, 1, 1, 66, 1), (64, 1)])
def test_a_line_of_the_mask_stands_for_all(shape):
    rng = np.random.default_rng(0)
    line = rng.random(shape) < 0.5
    line.reshape(-1)[28:38] = True
    mask = np.broadcast_to(line if shape == (64, 1) else line.reshape(1, -1), BOX.shape)
    result = own.with_mask(samples_of(BOX, mask), line, None, (0, 1), origin="corner")
    assert result.problem.operator.indices.size == mask.sum() and unexplained(result, BOX) < 1e-10
    assert any("taken for every" in note for note in result.notes)


GRID, MASK = samples_of(BOX, masks_of(BOX.shape)["single"]), masks_of(BOX.shape)["single"]


@pytest.mark.parametrize(
    ("samples", "mask", "message"),
    [
        (
            np.stack([GRID] * 8),
            MASK,
            r"\(8, 64, 66\): k-space of several coils is not read yet: give one coil's \[h, w\]",
        ),
        (np.stack([GRID] * 3), MASK, "several coils"),
        (np.stack([GRID] * 4)[None], MASK, "several coils"),
        (np.stack([GRID] * 4, -1), MASK, "several coils"),
        (np.stack([GRID[MASK]] * 4), MASK, "several coils"),
        (np.stack([GRID] * 8), MASK[0], "several coils"),
        (np.stack([GRID.real, GRID.imag], -1), MASK, r"complex: join real and imaginary part, a\[..., 0\] \+ 1j"),
        (GRID, MASK * np.nan, "mask: 4224 of 4224 entries are NaN"),
        (GRID, MASK * 1j, "mask has dtype complex128: it needs booleans or real numbers"),
        (GRID, MASK[:, 0], r"mask has shape \(64,\): it needs \[h, w\], or \[w\]"),
        (GRID[MASK], MASK[0], "beside a whole grid or `image_shape`"),
        (GRID, np.stack([MASK] * 2), r"mask has shape \(2, 64, 66\): it needs \[h, w\]"),
        (GRID * 1e60, MASK, "give `pixel_range="),
    ],
)
def test_refusals(samples, mask, message):
    with pytest.raises(cs.InputError, match=message):
        own.with_mask(samples, mask, None, (0, 1))
