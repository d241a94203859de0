"""The deep decoder: a network with fewer weights than the image has pixels, from 1 x 1 convolutions and upsampling.

    x_0 = z,    x_{i+1} = BatchNorm(ReLU(bilinear upsampling(x_i W_i))),    G(z; W) = tanh(x_d W_d)

Heckel, Hand: Deep decoder: concise image representations from untrained non-convolutional networks, ICLR 2019
(arXiv 1810.03982). No pixel of a layer sees its neighbours but through the upsampling, so G can hardly fit noise.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from csdip_jax.checks import require, require_count
from csdip_jax.generators.base import Generator, middle
from csdip_jax.generators.dcgan import batch_norm
from csdip_jax.kernels.resampling import double_bilinear
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class DeepDecoder(Generator):
    """G(z; W): latent z [h_0, w_0, k] -> image [h, w, c] in (-1, 1), untrained.

    Differs from the authors' code, whose last layer is a sigmoid onto [0, 1]: the same network, with pixels in [-1, 1].

    Attributes:
        image_shape: (h, w, c), cut from the centre of what the layers make.
        channels: k, of every hidden layer: about d k^2 weights in all.
        doublings: d, layers that double the sides; None for as many as leave 4 to 7 pixels on the shorter one.

    Example:
        >>> generator = cs.generators.DeepDecoder((256, 256, 1), channels=64)
        >>> method = cs.methods.CsDip((256, 256, 1), generator=generator)
    """

    channels: int = static_field(64)
    doublings: int | None = static_field(None)
    name = "deep_decoder"

    def __post_init__(self):
        super().__post_init__()
        require_count("generator.channels", self.channels)
        h, w, _ = self.image_shape
        doublings = max(1, (min(h, w) // 4).bit_length() - 1) if self.doublings is None else self.doublings
        require_count("generator.doublings", doublings)
        most = max(1, (max(h, w) - 1).bit_length())
        require(doublings <= most, "generator.doublings", doublings, f"at most {most} for such images")
        object.__setattr__(self, "doublings", doublings)

    def init(self, key: Array, dtype: Any = jnp.float32) -> tuple[Array, dict]:
        """z uniform in [0, 0.1), W uniform with the variance 1 / (3 inputs), as PyTorch draws it."""
        key_latent, key_params = jax.random.split(key)
        h, w = (-(-side // 2 ** cast(int, self.doublings)) for side in self.image_shape[:2])
        latent = jax.random.uniform(key_latent, (h, w, self.channels), dtype, maxval=0.1)
        return latent, cast(dict, self._network.init(key_params, latent))

    def apply(self, params: dict, latent: Array) -> Array:
        return cast(Array, self._network.apply(params, latent))

    @property
    def _network(self) -> "_Network":
        return _Network(self._blocks, self.image_shape)

    @property
    def _blocks(self) -> tuple[Callable[..., nn.Module], ...]:
        """What makes the module of each hidden layer, of a name."""
        return (partial(_Block, self.channels),) * cast(int, self.doublings)


class _Network(nn.Module):
    blocks: tuple[Callable[..., nn.Module], ...]
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, x: Array) -> Array:
        for i, block in enumerate(self.blocks):
            x = block(name=f"layer_{i}")(x)
        x = _mix(self.image_shape[2], x.dtype, "pixels")(x)
        return jnp.tanh(x[middle(x, self.image_shape)])


class _Block(nn.Module):
    channels: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        x = _mix(self.channels, x.dtype, "mix")(x)
        x = nn.relu(double_bilinear(x))
        scale = self.param("scale", nn.initializers.ones, (self.channels,), x.dtype)
        shift = self.param("shift", nn.initializers.zeros, (self.channels,), x.dtype)
        return batch_norm(x, scale, shift)


def _mix(features: int, dtype: Any, name: str) -> nn.Module:
    """A 1 x 1 convolution: the channels of each pixel mixed."""
    draw = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    return nn.Dense(features, use_bias=False, kernel_init=draw, dtype=dtype, param_dtype=dtype, name=name)
