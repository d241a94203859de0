"""The untrained networks: DCGAN generators described by data, a tuple of `ConvTranspose` layers.

Every layer but the last is followed by BatchNorm (statistics of this very image) and ReLU, the last by tanh
(paper, section 5.1; layer tables in docs, The method). No biases.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import require, require_count
from csdip_jax.generators.base import Generator, middle
from csdip_jax.kernels.convolution import ConvTranspose
from csdip_jax.types import Array, InputError, pytree_dataclass, static_field

Layers = tuple[ConvTranspose, ...]
"""The layers of a `DCGAN`, from the latent to the image."""
BATCH_NORM_EPSILON = 1e-5


def mnist_layers() -> Layers:
    """The paper's network for 28 x 28 x 1 (2,730,432 weights with a latent of 128)."""
    return (
        ConvTranspose(512, (2, 2)),
        ConvTranspose(256, (4, 4), upsample=2),
        ConvTranspose(128, (3, 3), padding=1),
        ConvTranspose(64, (3, 3), padding=1, upsample=2),
        ConvTranspose(1, (3, 3), padding=1, upsample=2),
    )


def dcgan_layers(image_shape: tuple[int, int, int], width: int = 64) -> Layers:
    """The paper's networks, and the rule behind them for every other shape.

    28 x 28 x 1 is the MNIST network. Any other shape starts from a grid of 4 to 7 pixels on the shorter side (fewer
    below 8) and doubles it (k6 s2 p2, at last k4 s2 p1) until it covers the image, of which the centre is kept; 256 and
    128 give the paper's x-ray and retinopathy networks exactly, with nothing to cut off.

    Args:
        image_shape: (h, w, c), sides of at least 2.
        width: channels of the hidden layers (of all shapes but MNIST's).

    Raises:
        InputError: a side below 2 or no channel.

    Example:
        >>> narrow = cs.generators.dcgan_layers((128, 128, 3), width=32)
        >>> generator = cs.generators.DCGAN((128, 128, 3), narrow)
    """
    h, w, channels = image_shape
    if min(h, w) < 2 or channels < 1:
        raise InputError(f"image_shape = {tuple(image_shape)}: needs (h, w, c) with h, w >= 2 and c >= 1")
    if tuple(image_shape) == (28, 28, 1) and width == 64:
        return mnist_layers()
    doublings = max(1, (min(h, w) // 4).bit_length() - 1)
    start = (-(-h // 2**doublings), -(-w // 2**doublings))
    hidden = (ConvTranspose(width, (6, 6), stride=2, padding=2),) * (doublings - 1)
    return (ConvTranspose(width, start), *hidden, ConvTranspose(channels, (4, 4), stride=2, padding=1))


class Initializer(NamedTuple):
    """A weight-drawing rule: every weight is its mean plus its spread times one standard draw.

    Attributes:
        draw: standard distribution, (key, shape, dtype) -> array.
        kernel_spread: (inputs, outputs, kernel taps) -> spread of the kernels, whose mean is 0.
        scale: (mean, spread) of the BatchNorm scales. The shifts are 0.
    """

    draw: Callable
    kernel_spread: Callable
    scale: tuple[float, float]


_uniform = partial(jax.random.uniform, minval=-1.0, maxval=1.0)

INITIALIZERS = {
    "torch_0_4": Initializer(_uniform, lambda i, o, taps: 1 / math.sqrt(i * taps), scale=(0.5, 0.5)),
    "torch": Initializer(_uniform, lambda i, o, taps: 1 / math.sqrt(o * taps), scale=(1.0, 0.0)),
    "dcgan": Initializer(jax.random.normal, lambda i, o, taps: 0.02, scale=(1.0, 0.02)),
}
"""`torch_0_4`: PyTorch 0.4's defaults, behind the published numbers; it decides whether the method works.
`torch`: today's PyTorch. `dcgan`: Radford et al., 2016 (BatchNorm scales as in its well-known implementations)."""


def batch_norm(x: Array, scale: Array, shift: Array) -> Array:
    """BatchNorm in training mode on a batch of one: each channel of x [h, w, channels] over its own pixels.

    Biased variance, in two passes (one pass cancels catastrophically in float32 on nearly flat channels).

    Args:
        x: [h, w, channels].
        scale: [channels], what each channel is multiplied by afterwards.
        shift: [channels], what is added then.
    """
    centred = x - x.mean((0, 1))
    variance = jnp.square(centred).mean((0, 1))
    return centred * (jax.lax.rsqrt(variance + BATCH_NORM_EPSILON) * scale) + shift


@pytree_dataclass
class DCGAN(Generator):
    """G(z; w): latent z [k] -> image [h, w, c] in (-1, 1), untrained.

    Its weights are {"params": {"layer_<i>": {"kernel", "scale", "shift"}}}: a kernel of the layout of
    `ConvTranspose.kernel_shape`, and scale and shift of its BatchNorm (all layers but the last).

    Attributes:
        image_shape: (h, w, c), cut from the centre of what the layers make.
        layers: as `dcgan_layers(image_shape)` gives them, which is the default.
        latent_dim: k, length of z ~ N(0, I).
        initializer: how the weights are drawn, a name of `INITIALIZERS`.

    Raises:
        InputError: a setting out of its range, or layers that do not cover the image.

    Example:
        >>> generator = cs.generators.DCGAN((28, 28, 1))
        >>> sum(leaf.size for leaf in jax.tree.leaves(generator.params_like))
        2730432
    """

    layers: Layers = static_field(None)
    latent_dim: int = static_field(128)
    initializer: str = static_field("torch_0_4")
    name = "dcgan"

    def __post_init__(self):
        super().__post_init__()
        require_count("latent_dim", self.latent_dim)
        require(self.initializer in INITIALIZERS, "initializer", self.initializer, " or ".join(INITIALIZERS))
        if self.layers is None:
            object.__setattr__(self, "layers", dcgan_layers(self.image_shape))
        covered = (1, 1)
        for layer in self.layers:
            covered = layer.output_size(*covered)
        made, (h, w, channels) = (*covered, self.layers[-1].features), self.image_shape
        covers = made[0] >= h and made[1] >= w and made[2] == channels
        require(covers, "image_shape", self.image_shape, f"covered by what the layers make, {made}")

    def init(self, key: Array, dtype=jnp.float32) -> tuple[Array, dict]:
        key_latent, key_params = jax.random.split(key)
        latent = jax.random.normal(key_latent, (self.latent_dim,), dtype)
        return latent, draw_params(key_params, self.layers, self.latent_dim, self.initializer, dtype)

    def apply(self, params: dict, latent: Array) -> Array:
        return cast(Array, _Network(self.layers, self.image_shape).apply(params, latent))


class _Network(nn.Module):
    """The network of a `DCGAN`, which draws its parameters; Flax is told their shapes alone."""

    layers: Layers
    image_shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, latent: Array) -> Array:
        x = latent.reshape(1, 1, -1)
        for i, layer in enumerate(self.layers):
            last = i == len(self.layers) - 1
            x = _Block(layer, normalized=not last, name=f"layer_{i}")(x)
        return jnp.tanh(x[middle(x, self.image_shape)])


class _Block(nn.Module):
    layer: ConvTranspose
    normalized: bool

    @nn.compact
    def __call__(self, x: Array) -> Array:
        layer, zeros = self.layer, nn.initializers.zeros
        x = layer(x, self.param("kernel", zeros, layer.kernel_shape(x.shape[-1]), x.dtype))
        if self.normalized:
            scale = self.param("scale", zeros, (layer.features,), x.dtype)
            shift = self.param("shift", zeros, (layer.features,), x.dtype)
            x = nn.relu(batch_norm(x, scale, shift))
        return x


def draw_params(key: Array, layers: Layers, latent_dim: int, initializer: str = "torch_0_4", dtype=jnp.float32) -> dict:
    """Random parameters of a `DCGAN` with these layers.

    One draw for all weights, cut into pieces: a draw per tensor would take longer to compile than a whole fit step.

    Args:
        key: random key.
        layers: as `dcgan_layers` gives them.
        latent_dim: k, length of z.
        initializer: a name of `INITIALIZERS`.
        dtype: floating point type of the parameters.

    Returns:
        {"params": {"layer_<i>": {"kernel", "scale", "shift"}}}, as `DCGAN.apply` takes them.

    Raises:
        InputError: unknown initializer.
    """
    if initializer not in INITIALIZERS:
        raise InputError(f"unknown initializer {initializer!r}: choose one of {', '.join(INITIALIZERS)}")
    rule, inputs, plan = INITIALIZERS[initializer], latent_dim, []
    for i, layer in enumerate(layers):
        spread = rule.kernel_spread(inputs, layer.features, math.prod(layer.kernel))
        plan.append((i, "kernel", layer.kernel_shape(inputs), 0.0, spread))
        if i < len(layers) - 1:
            plan.append((i, "scale", (layer.features,), *rule.scale))
        inputs = layer.features
    sizes = [math.prod(shape) for _, _, shape, _, _ in plan]
    pieces = jnp.split(rule.draw(key, (sum(sizes),), dtype), np.cumsum(sizes)[:-1])
    params = {f"layer_{i}": {} for i in range(len(layers))}
    for (i, name, shape, mean, spread), piece in zip(plan, pieces, strict=True):
        params[f"layer_{i}"][name] = mean + spread * piece.reshape(shape)
        if name == "scale":
            params[f"layer_{i}"]["shift"] = jnp.zeros(shape, dtype)
    return {"params": params}


def from_torch(layers: Layers, weights: Sequence, scales: Sequence, shifts: Sequence) -> dict:
    """Parameters of a `DCGAN` from PyTorch's.

    Args:
        layers: those of the network.
        weights: of each layer's `ConvTranspose2d`, [in, out, kh, kw].
        scales: of each BatchNorm, [out]: PyTorch's `weight`.
        shifts: of each BatchNorm, [out]: PyTorch's `bias`.

    Returns:
        As `DCGAN.apply` takes them.
    """
    params = {
        f"layer_{i}": {"kernel": layer.from_torch(jnp.asarray(weight))}
        for i, (layer, weight) in enumerate(zip(layers, weights, strict=True))
    }
    for i, (scale, shift) in enumerate(zip(scales, shifts, strict=True)):
        params[f"layer_{i}"] |= {"scale": jnp.asarray(scale), "shift": jnp.asarray(shift)}
    return {"params": params}


def to_torch(layers: Layers, params: dict) -> tuple[list, list, list]:
    """Parameters of a `DCGAN` as PyTorch has them, the inverse of `from_torch`.

    Args:
        layers: those of the network.
        params: as `DCGAN.init` draws them.

    Returns:
        weights, scales, shifts.
    """
    blocks = [params["params"][f"layer_{i}"] for i in range(len(layers))]
    weights = [layer.to_torch(block["kernel"]) for layer, block in zip(layers, blocks, strict=True)]
    return weights, [block["scale"] for block in blocks[:-1]], [block["shift"] for block in blocks[:-1]]
