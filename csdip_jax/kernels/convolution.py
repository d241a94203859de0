"""The transposed convolution, as one matrix product per layer.

XLA's own convolutions are slow where this library needs them: their backward pass on a CPU, and grouped
ones (each fit has weights of its own) under `vmap`. A matrix product is fast on both and stays one under `vmap`.
Two exact forms of PyTorch's `ConvTranspose2d`, on channels-last images [h, w, channels]:

- `sub_pixel`, for kernel = 3 stride, padding = stride (the k6 s2 p2 and k3 s1 p1 layers): each of the
  stride^2 output phases is a 3 x 3 correlation, so the 3 x 3 neighbourhoods [h w, 9 in] times [9 in, stride^2 out].
- `overlap_add`, for everything else: [h w, in] times [in, kernel^2 out] at the LOW resolution, and the
  patches overlap-added. A nearest-neighbour upsampling before the convolution folds into it: the upsampled
  pixel's patch is the kernel's, box-filtered.

Kernels live in the layout of their product (`kernel_shape`), without structural zeros, so that an elementwise
optimiser sees the same numbers as PyTorch's; `from_torch` and `to_torch` convert.
"""

import dataclasses
from functools import partial
from typing import cast

import jax
import jax.numpy as jnp

from csdip_jax.kernels import winograd
from csdip_jax.kernels.borders import Border, fold, widen
from csdip_jax.types import Array

WINOGRAD_SIDE = 32
"""From this side on Winograd's form is the faster one on a CPU; below, its transforms cost more than they save."""

FEW_PIXELS = 16
"""Up to so many a layer's kernel is much the larger operand of its product, and comes first on a CPU."""


@dataclasses.dataclass(frozen=True)
class ConvTranspose:
    """One layer: nearest upsampling, then a transposed convolution counted as PyTorch counts it, no bias.

    Attributes:
        features: output channels.
        kernel: (kh, kw).
        stride: s; only 1 after an upsampling.
        padding: p.
        upsample: u, factor of the nearest-neighbour upsampling before the convolution.

    Raises:
        ValueError: both a stride and an upsampling.

    Example:
        >>> layer = cs.generators.ConvTranspose(64, (4, 4), stride=2, padding=1)
        >>> layer.output_size(7, 7), layer.kernel_shape(32)
        ((14, 14), (32, 4, 4, 64))
    """

    features: int
    kernel: tuple[int, int]
    stride: int = 1
    padding: int = 0
    upsample: int = 1

    def __post_init__(self):
        if self.upsample > 1 and self.stride > 1:
            raise ValueError("an upsampling folds into a transposed convolution of stride 1 only")

    @property
    def is_sub_pixel(self) -> bool:
        """Whether `sub_pixel` computes it."""
        s = self.stride
        return self.kernel == (3 * s, 3 * s) and self.padding == s and self.upsample == 1

    def kernel_shape(self, inputs: int) -> tuple[int, ...]:
        """Shape of the kernel for `inputs` channels, in the layout of the product."""
        if self.is_sub_pixel:
            return (3, 3, inputs, self.stride, self.stride, self.features)
        return (inputs, *self.kernel, self.features)

    def output_size(self, h: int, w: int) -> tuple[int, int]:
        """(h, w) of the output for an h x w input."""
        kh, kw = self.kernel
        grow = partial(_output_side, stride=self.stride, padding=self.padding, upsample=self.upsample)
        return grow(h, kernel=kh), grow(w, kernel=kw)

    def __call__(self, image: Array, kernel: Array) -> Array:
        """The layer's output [h', w', features] for `image` [h, w, in] and `kernel` of `kernel_shape(in)`."""
        if self.is_sub_pixel:
            return sub_pixel(image, kernel)
        return overlap_add(image, kernel, self.stride, self.padding, self.upsample)

    def from_torch(self, weight: Array) -> Array:
        """The kernel in the layout of `kernel_shape`, of PyTorch's `weight`, [in, out, kh, kw]."""
        if not self.is_sub_pixel:
            return weight.transpose(0, 2, 3, 1)
        inputs, outputs, s = *weight.shape[:2], self.stride
        taps = weight.reshape(inputs, outputs, 3, s, 3, s)[:, :, ::-1, :, ::-1]
        return taps.transpose(2, 4, 0, 3, 5, 1)

    def to_torch(self, kernel: Array) -> Array:
        """PyTorch's weight, [in, out, kh, kw], of a `kernel`; the inverse of `from_torch`."""
        if not self.is_sub_pixel:
            return kernel.transpose(0, 3, 1, 2)
        _, _, inputs, s, _, outputs = kernel.shape
        taps = kernel.transpose(2, 5, 0, 3, 1, 4)[:, :, ::-1, :, ::-1]
        return taps.reshape(inputs, outputs, 3 * s, 3 * s)


def _output_side(side: int, kernel: int, stride: int, padding: int, upsample: int) -> int:
    return (side * upsample - 1) * stride + kernel - 2 * padding


def sub_pixel(image: Array, kernel: Array) -> Array:
    """Transposed convolution with kernel = 3 s, stride s, padding s, as 3 x 3 correlations of s^2 phases.

    Output pixel s q + r takes input pixel q + d, d in {-1, 0, 1}, with kernel tap s + r - s d.

    Args:
        image: [h, w, in].
        kernel: [3, 3, in, s, s, out].

    Returns:
        [s h, s w, out].
    """
    (h, w, inputs), (s, outputs) = image.shape, kernel.shape[-2:]
    phases = correlate(image, kernel.reshape(3, 3, inputs, s * s * outputs))
    return phases.reshape(h, w, s, s, outputs).transpose(0, 2, 1, 3, 4).reshape(h * s, w * s, outputs)


def correlate(image: Array, kernel: Array, border: Border = "zero") -> Array:
    """The 3 x 3 correlation, the sum over taps of kernel[i, j] image[y + i - 1, x + j - 1].

    Args:
        image: [h, w, in].
        kernel: [3, 3, in, out].
        border: what lies beyond the image.

    Returns:
        [h, w, out].
    """
    if _winograd_pays(*image.shape[:2]):
        return winograd.correlate(image, kernel, border)
    return _correlate_directly(image, kernel, border)


def _winograd_pays(h: int, w: int) -> bool:
    """On a GPU the direct sum's single product is the faster (docs: Performance)."""
    fits = h % winograd.STEP == 0 and w % winograd.STEP == 0
    return fits and min(h, w) >= WINOGRAD_SIDE and jax.default_backend() == "cpu"


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _correlate_directly(image, kernel, border: Border = "zero"):
    return (_neighbourhoods(image, border) @ kernel.reshape(-1, kernel.shape[-1])).reshape(*image.shape[:2], -1)


def _neighbourhoods(image: Array, border: Border) -> Array:
    """The 3 x 3 neighbourhood of every pixel, [h w, 9 channels]."""
    h, w, channels = image.shape
    padded = widen(image, border)
    threes = jnp.concatenate([padded[:, j : j + w] for j in range(3)], axis=-1)
    return jnp.concatenate([threes[i : i + h] for i in range(3)], axis=-1).reshape(h * w, 9 * channels)


def _forward(image, kernel, border):
    return _correlate_directly(image, kernel, border), (image, kernel)


def _backward(border, residuals, cotangent):
    # By hand for two reasons: the neighbourhoods (9 times the image) are gathered again rather than kept, and the
    # image's gradient is shifted slabs added up, three rows and then three columns, where autodiff would scatter
    # through the concatenations.
    image, kernel = residuals
    h, w, channels = image.shape
    cotangent = cotangent.reshape(h * w, -1)
    kernel_gradient = (_neighbourhoods(image, border).T @ cotangent).reshape(kernel.shape)
    slabs = pixel_gradient(cotangent, kernel.reshape(9 * channels, -1)).reshape(h, w, 3, 3, channels)
    rows = cast(Array, sum(jnp.pad(slabs[:, :, i], ((i, 2 - i), (0, 0), (0, 0), (0, 0))) for i in range(3)))
    rows = fold(rows, border, axis=0)
    padded = cast(Array, sum(jnp.pad(rows[:, :, j], ((0, 0), (j, 2 - j), (0, 0))) for j in range(3)))
    return fold(padded, border, axis=1).astype(image.dtype), kernel_gradient.astype(kernel.dtype)


_correlate_directly.defvjp(_forward, _backward)


def pixel_gradient(cotangent: Array, kernel: Array) -> Array:
    """The product cotangent [pixels, out] @ kernel.T [out, in].

    A large kernel comes first: XLA copies a transposed second operand. The barrier keeps it from turning the product
    back.
    """
    if _kernel_comes_first(len(cotangent)):
        return jax.lax.optimization_barrier(kernel @ cotangent.T).T
    return cotangent @ kernel.T


def _kernel_comes_first(pixels: int) -> bool:
    return 1 < pixels <= FEW_PIXELS and jax.default_backend() == "cpu"


def overlap_add(image: Array, kernel: Array, stride: int = 1, padding: int = 0, upsample: int = 1) -> Array:
    """Transposed convolution after nearest upsampling, as patches of the low-resolution pixels added up.

    Args:
        image: [h, w, in].
        kernel: [in, kh, kw, out].
        stride, padding: as PyTorch counts them; stride 1 if upsample > 1.
        upsample: factor of the nearest-neighbour upsampling before the convolution.

    Returns:
        [h', w', out], sides (upsample h - 1) stride + kh - 2 padding.
    """
    h, w, inputs = image.shape
    kh, kw, outputs = kernel.shape[1:]
    height, width = (_output_side(n, k, stride, padding, upsample) for n, k in ((h, kh), (w, kw)))
    product = _few_pixels_product if _kernel_comes_first(h * w) else jnp.matmul
    patches = product(image.reshape(h * w, inputs), kernel.reshape(inputs, -1)).reshape(h, w, kh, kw, outputs)
    if (h, w, upsample) == (1, 1, 1):  # a single patch is the output
        full = patches[0, 0]
    else:
        patches = _box_filter(_box_filter(patches, upsample, axis=2), upsample, axis=3)
        full = _add_patches(patches, stride * upsample, patches.shape[2:4])
    return full[padding : padding + height, padding : padding + width]


@jax.custom_vjp
def _few_pixels_product(pixels, kernel):
    return pixels @ kernel


def _few_pixels_forward(pixels, kernel):
    return pixels @ kernel, (pixels, kernel)


def _few_pixels_backward(residuals, cotangent):
    pixels, kernel = residuals
    return pixel_gradient(cotangent, kernel).astype(pixels.dtype), (pixels.T @ cotangent).astype(kernel.dtype)


_few_pixels_product.defvjp(_few_pixels_forward, _few_pixels_backward)


def _box_filter(patches: Array, width: int, axis: int) -> Array:
    """Sum of `width` copies of the patches, each one tap further along `axis`."""

    def shifted(by):
        return jnp.pad(patches, [(by, width - 1 - by) if a == axis else (0, 0) for a in range(patches.ndim)])

    return cast(Array, sum(shifted(by) for by in range(width)))


def _placed(patches: Array, stride: int, size: tuple[int, int]) -> Array:
    """Patches [h, w, *size, c] placed `stride` apart and added up where they overlap."""
    h, w, kh, kw, channels = patches.shape
    rows, columns = _strides_covered(stride, size)
    grow = ((0, 0), (0, 0), (0, rows * stride - kh), (0, columns * stride - kw), (0, 0))
    blocks = jnp.pad(patches, grow).reshape(h, w, rows, stride, columns, stride, channels)
    placed = (
        jnp.pad(blocks[:, :, i, :, j], ((i, rows - 1 - i), (j, columns - 1 - j), (0, 0), (0, 0), (0, 0)))
        for i in range(rows)
        for j in range(columns)
    )
    total = cast(Array, sum(placed))
    height, width = (h + rows - 1) * stride, (w + columns - 1) * stride
    return total.transpose(0, 2, 1, 3, 4).reshape(height, width, channels)


_add_patches = jax.custom_vjp(_placed, nondiff_argnums=(1, 2))


def _strides_covered(stride: int, size: tuple[int, int]) -> tuple[int, int]:
    """How many strides a patch covers, down and along."""
    kh, kw = size
    return -(-kh // stride), -(-kw // stride)


def _add_forward(patches, stride, size):
    return _add_patches(patches, stride, size), None


def _add_backward(stride, size, _, cotangent):
    # By hand: the patches' gradient is windows, where autodiff would add up as many padded arrays as overlap.
    (rows, columns), (kh, kw) = _strides_covered(stride, size), size
    height, width, channels = cotangent.shape
    h, w = height // stride + 1 - rows, width // stride + 1 - columns
    blocks = cotangent.reshape(h + rows - 1, stride, w + columns - 1, stride, channels).transpose(0, 2, 1, 3, 4)
    windows = [jnp.stack([blocks[i : i + h, j : j + w] for j in range(columns)], axis=3) for i in range(rows)]
    patches = jnp.stack(windows, axis=2).reshape(h, w, rows * stride, columns * stride, channels)
    return (patches[:, :, :kh, :kw],)


_add_patches.defvjp(_add_forward, _add_backward)
