"""The convolutional decoder: the deep decoder with 3 x 3 convolutions and nearest-neighbour upsampling.

    x_0 = z,    x_{i+1} = BatchNorm(ReLU(C3(up x_i))),    G(z; W) = tanh(BatchNorm(ReLU(C3(x_d))) W)

Darestani, Heckel: Accelerated MRI with un-trained neural networks, IEEE Transactions on Computational Imaging 2021
(arXiv 2007.02471).
"""

import math
from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from csdip_jax.generators.dcgan import batch_norm
from csdip_jax.generators.deep_decoder import DeepDecoder
from csdip_jax.kernels.convolution import ConvTranspose
from csdip_jax.types import Array, pytree_dataclass


@pytree_dataclass
class ConvDecoder(DeepDecoder):
    """G(z; W): latent z [h_0, w_0, k] -> image [h, w, c] in (-1, 1), untrained.

    Differs from the authors' code: tanh at the end, for pixels in (-1, 1), and each upsampling doubles the sides, where
    theirs reaches the image in equal ratios.

    Attributes:
        image_shape: (h, w, c), cut from the centre of what the layers make.
        channels: k, of every hidden layer: about 9 (d + 1) k^2 weights in all; the authors take 160 to 256.
        doublings: d, layers that double the sides; None for as many as leave 4 to 7 pixels on the shorter one.

    Example:
        >>> generator = cs.generators.ConvDecoder((64, 64, 2), channels=32)
        >>> generator.init(jax.random.key(0))[0].shape
        (4, 4, 32)
    """

    name = "conv_decoder"

    @property
    def _blocks(self) -> tuple[Callable[..., nn.Module], ...]:
        return *(partial(_Block, self.channels, 2),) * (self.doublings or 0), partial(_Block, self.channels, 1)


class _Block(nn.Module):
    channels: int
    upsample: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        layer = ConvTranspose(self.channels, (3, 3), padding=1, upsample=self.upsample)
        kernel = self.param("kernel", _uniform, layer.kernel_shape(x.shape[-1]), x.shape[-1], x.dtype)
        scale = self.param("scale", nn.initializers.ones, (self.channels,), x.dtype)
        shift = self.param("shift", nn.initializers.zeros, (self.channels,), x.dtype)
        return batch_norm(nn.relu(layer(x, kernel)), scale, shift)


def _uniform(key: Array, shape: tuple[int, ...], inputs: int, dtype) -> Array:
    """As PyTorch draws a 3 x 3 convolution: within 1 / sqrt(9 inputs)."""
    return jax.random.uniform(key, shape, dtype, minval=-1.0) / jnp.asarray(math.sqrt(9 * inputs), dtype)
