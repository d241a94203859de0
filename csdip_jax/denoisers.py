"""Denoisers: functions (image, sigma) -> image that estimate x* from x* + sigma e, e white Gaussian noise.

Images are [h, w, c], meant for x* in [-1, 1]; the noisy image may reach beyond. `tv` and `wavelet` are JAX through and
through; `bm3d` is the project's one callback to the host, since its wheel is compiled code. All three are pure
functions, so `jax.jit`, `jax.vmap` and control flow take them. So does `methods.Damp`, and any function of your own:

>>> method = cs.methods.Damp((28, 28, 1), denoiser=cs.denoisers.wavelet)
>>> cs.denoisers.tv(jnp.zeros((8, 8, 1)), 0.1).shape
(8, 8, 1)
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.priors import image_gradient, image_gradient_adjoint
from csdip_jax.prox import soft_threshold
from csdip_jax.transforms import default_levels, inverse_wavelet, wavelet as wavelet_transform
from csdip_jax.types import Array, InputError

__all__ = [
    "TV_WEIGHT",
    "Denoiser",
    "bayes_shrink",
    "bm3d",
    "require_bm3d",
    "tv",
    "tv_prox",
    "wavelet",
]

Denoiser = Callable[[Array, Array], Array]
"""(noisy image [h, w, c], standard deviation sigma of its noise) -> denoised image [h, w, c]."""

TV_WEIGHT = 0.85
"""Weight of TV per sigma. Best on photographs, digits and x-rays for sigma = 0.02, 0.1, 0.4 and 1.5: 0.4 to 1.2.
Inside D-AMP 0.7 is 0.4 dB better at m/n = 0.2, but does not converge at 0.06, where this is 2.4 dB ahead of it."""

SHIFTS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Of `wavelet`'s cycle spinning, in pixels."""

BM3D_SMALLEST_SIDE = 9
"""On 8 x 8 images, a single block, the wheel (bm3d 4.0.3) ends in a segmentation fault; below that it raises."""

CALLBACK_BYTES = 2**16
"""Largest array handed to the host at once. From 100 KiB on XLA's CPU client copies them in its thread pool, where on
a machine of one core the copy would wait for the program, which waits for the callback, which waits for the copy."""


# --- total variation


def tv(image: Array, sigma: Array) -> Array:
    """Total variation: `tv_prox` with a weight of `TV_WEIGHT` times sigma.

    Args:
        image: noisy, [h, w, c].
        sigma: >= 0, standard deviation of the noise.
    """
    return tv_prox(image, TV_WEIGHT * sigma)


def tv_prox(image: Array, weight: Array, iterations: int = 50) -> Array:
    """The proximal map of total variation, isotropic and coupled over channels.

    It is `argmin_x 1/2 ||x - image||^2 + weight TV(x)`, where
    TV(x) = sum over pixels of sqrt(sum over channels of dx^2 + dy^2), with dx and dy forward differences.

    Args:
        image: [h, w, c].
        weight: >= 0.
        iterations: of the fast gradient projection on the dual, where each field of unit discs p gives the image
            image - weight grad^T p.

    References:
        Beck, Teboulle: Fast gradient-based algorithms for constrained total variation image denoising and deblurring
        problems, IEEE TIP 18(11), 2009, algorithm FGP.
    """
    step = 1 / (8 * jnp.maximum(weight, 1e-12))  # ||grad||^2 <= 8; a weight of 0 leaves the image

    def primal(field):
        return image - weight * image_gradient_adjoint(field)

    def iterate(_, carry):
        field, ahead, t = carry
        moved = ahead + step * image_gradient(primal(ahead))
        new = moved / jnp.maximum(1, jnp.sqrt(jnp.sum(jnp.square(moved), axis=(0, -1), keepdims=True)))
        t_new = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return new, new + (t - 1) / t_new * (new - field), t_new

    start = jnp.zeros((2, *image.shape), image.dtype)
    field, _, _ = jax.lax.fori_loop(0, iterations, iterate, (start, start, jnp.ones((), image.dtype)))
    return primal(field)


# --- wavelets


def wavelet(image: Array, sigma: Array, name: str = "db4") -> Array:
    """Soft thresholding of orthonormal wavelet coefficients by BayesShrink, averaged over `SHIFTS`.

    Each subband b of details has the threshold sigma^2 / sigma_b, with sigma_b^2 = mean(b^2) - sigma^2 the variance of
    what is not noise; one without any is set to zero. The approximation is kept. Channels are separate.

    Args:
        image: [h, w, c].
        sigma: >= 0.
        name: one of `transforms.WAVELETS`.

    Raises:
        InputError: unknown wavelet.

    References:
        Chang, Yu, Vetterli: Adaptive wavelet thresholding for image denoising and compression, IEEE TIP 9(9), 2000;
        Coifman, Donoho: Translation-invariant de-noising, 1995.
    """
    levels = default_levels(image.shape)

    def shrink(shifted):
        return inverse_wavelet(bayes_shrink(wavelet_transform(shifted, name, levels), sigma, levels), name, levels)

    def spin(shift):
        return jnp.roll(shrink(jnp.roll(image, shift, (0, 1))), -shift, (0, 1))

    return jnp.mean(jax.lax.map(spin, jnp.asarray(SHIFTS)), axis=0)


def bayes_shrink(coefficients: Array, sigma: Array, levels: int) -> Array:
    """Soft thresholds the details of each subband and channel by BayesShrink, as `wavelet` says.

    Args:
        coefficients: [h, w, c], in Mallat's layout.
        sigma: >= 0, standard deviation of the noise.
        levels: of the transform.
    """
    h, w = coefficients.shape[:2]
    for _ in range(levels):
        low_h, low_w = -(-h // 2), -(-w // 2)
        for rows in (slice(0, low_h), slice(low_h, h)):
            for columns in (slice(0, low_w), slice(low_w, w)):
                band = coefficients[rows, columns]
                if (rows.start, columns.start) != (0, 0) and band.size:
                    coefficients = coefficients.at[rows, columns].set(_shrink_band(band, sigma))
        h, w = low_h, low_w
    return coefficients


def _shrink_band(band: Array, sigma: Array) -> Array:
    signal = jnp.mean(jnp.square(band), axis=(0, 1)) - sigma**2
    threshold = sigma**2 / jnp.sqrt(jnp.where(signal > 0, signal, 1))
    return jnp.where(signal > 0, soft_threshold(band, threshold), 0)


# --- BM3D


def bm3d(image: Array, sigma: Array) -> Array:
    """Block matching and 3-D filtering, by the authors' wheel `bm3d`; colour by its opponent colour space.

    It is the method of 2007, for white noise, that D-AMP was published with: normal profile ("np") without the later
    variances for correlated noise (a PSNR at most 0.2 dB lower at 4 to 10 times the speed). Single-threaded, since the
    order of the sums of several threads, and so the last bits, would differ from call to call. It runs on the host
    whatever the device, in float32.

    Args:
        image: [h, w, c], c = 1 or 3, sides of at least `BM3D_SMALLEST_SIDE`.
        sigma: >= 0.

    Raises:
        InputError: see `require_bm3d`.

    References:
        Dabov, Foi, Katkovnik, Egiazarian: Image denoising by sparse 3-D transform-domain collaborative filtering,
        IEEE TIP 16(8), 2007. The wheel is free for non-commercial use only.
    """
    require_bm3d(image.shape)
    sigma = jnp.asarray(sigma)
    single = image.astype(jnp.float32)  # the host's thread does not know whether this one computes in float64
    pieces = jnp.array_split(single.reshape(-1), -(-single.nbytes // CALLBACK_BYTES))
    result = jax.ShapeDtypeStruct(single.shape, single.dtype)
    host = partial(_bm3d_on_host, image.shape)
    denoised = jax.pure_callback(host, result, sigma.astype(jnp.float32), *pieces, vmap_method="sequential")
    return denoised.astype(image.dtype)


def require_bm3d(image_shape: tuple[int, ...]) -> None:
    """Raises InputError where the wheel is missing, or images of this `image_shape`, (h, w, c), are beyond it."""
    try:
        import bm3d  # noqa: F401 (an optional extra)
    except ImportError as error:
        raise InputError("BM3D needs the package bm3d, free for non-commercial use: pip install bm3d") from error
    if min(image_shape[:2]) < BM3D_SMALLEST_SIDE or image_shape[2] not in (1, 3):
        raise InputError(
            f"image_shape = {tuple(image_shape)}: BM3D takes sides of at least {BM3D_SMALLEST_SIDE} and 1 or 3 channels"
        )


def _bm3d_on_host(shape: tuple[int, ...], sigma, *pieces) -> np.ndarray:
    # numpy alone in here: a computation by JAX would wait for the program that waits for this callback.
    import bm3d

    image = np.concatenate(pieces).reshape(shape)
    colour = shape[2] == 3
    profile = bm3d.BM3DProfile()
    profile.nf = 0
    profile.num_threads = 1
    unit = (image.astype(np.float64) + 1) / 2  # the profile's block distances are meant for [0, 1]
    with np.errstate(all="ignore"):  # a colour without contrast is divided by its range
        denoised = (bm3d.bm3d_rgb if colour else bm3d.bm3d)(unit if colour else unit[..., 0], float(sigma) / 2, profile)
    denoised = 2 * np.reshape(denoised, shape) - 1
    return np.where(np.isfinite(denoised), denoised, image).astype(image.dtype)
