"""The skip U-Net of the deep image prior: down by strided convolutions, up by interpolation, a few channels across.

    d_0 = z,    d_{i+1} = C3(S3(d_i)),    s_i = C1(d_i),    u_d = d_d
    u_i = C1(C3(BatchNorm([up(u_{i+1}), s_i]))),    G(z; w) = tanh(u_0 W + b)

C3, C1 and S3 are convolutions (of k3, k1, and k3 with stride 2), each with BatchNorm and leaky ReLU behind it.

Ulyanov, Vedaldi, Lempitsky: Deep image prior, CVPR 2018 (arXiv 1711.10925), its supplement for the sizes.
"""

from functools import partial
from typing import Any, Literal, cast

import jax
import jax.numpy as jnp

from csdip_jax.checks import require, require_count, require_number
from csdip_jax.generators.base import Generator, middle
from csdip_jax.generators.dcgan import batch_norm
from csdip_jax.generators.drawing import Draw, draw_plan, kernel_plan, norm_plan
from csdip_jax.kernels.borders import BORDERS, Border
from csdip_jax.kernels.convolution import correlate
from csdip_jax.kernels.resampling import correlate_halving, double_bilinear, double_nearest
from csdip_jax.types import Array, pytree_dataclass, static_field

UPSAMPLINGS = {"bilinear": double_bilinear, "nearest": double_nearest}
FEWEST_PIXELS = 4
"""That the default number of scales leaves on the shorter side of the deepest one."""


@pytree_dataclass
class UNet(Generator):
    """G(z; w): latent z [h', w', k] -> image [h, w, c] in (-1, 1), untrained.

    The latent has the image's sides, rounded up to a multiple of 2^scales. Two channels serve for complex images.

    Its weights are {"down_<i>" | "inner_<i>" | "skip_<i>" | "merge_<i>" | "up_<i>" | "mix_<i>": {"kernel", "scale",
    "shift"}, "pixels": {"kernel", "bias"}}, kernels [3, 3, in, out] or [in, out]; "merge_<i>" is the BatchNorm of what
    is put together, without a kernel.

    Differs from the authors' code: no biases before a BatchNorm, which would subtract them again.

    Attributes:
        image_shape: (h, w, c), cut from the centre of what the layers make.
        width: channels of every scale; the authors take 128.
        scales: how often the sides are halved; None for 5, fewer where under 4 pixels would be left of the shorter.
        skip: channels that go across at each scale; 0 for none.
        input_depth: k, channels of the latent.
        upsampling: "bilinear" or "nearest".
        padding: what a kernel sees beyond the image, "reflect" or "zero".
        smoothing: standard deviation in pixels, >= 0, of the Gaussian that the latent is blurred by when it is drawn: a
            low-pass input for smoother images. 0 leaves it white.

    Raises:
        InputError: a setting out of its range.

    Example:
        >>> generator = cs.generators.UNet((128, 128, 3))
        >>> sum(leaf.size for leaf in jax.tree.leaves(generator.params_like))
        327811
        >>> method = cs.methods.CsDip((128, 128, 3), generator=generator)
    """

    width: int = static_field(48)
    scales: int | None = static_field(None)
    skip: int = static_field(4)
    input_depth: int = static_field(32)
    upsampling: Literal["bilinear", "nearest"] = static_field("bilinear")
    padding: Border = static_field("reflect")
    smoothing: float = static_field(0.0)
    name = "unet"

    def __post_init__(self):
        super().__post_init__()
        require_count("generator.width", self.width)
        require_count("generator.input_depth", self.input_depth)
        whole = isinstance(self.skip, int) and self.skip >= 0
        require(whole, "generator.skip", self.skip, "a whole number of at least 0")
        require(self.upsampling in UPSAMPLINGS, "generator.upsampling", self.upsampling, " or ".join(UPSAMPLINGS))
        require(self.padding in BORDERS, "generator.padding", self.padding, " or ".join(BORDERS))
        require_number("generator.smoothing", self.smoothing)
        h, w, _ = self.image_shape
        fitting = min(5, max(1, (min(h, w) // FEWEST_PIXELS).bit_length() - 1))
        scales = fitting if self.scales is None else self.scales
        require_count("generator.scales", scales)
        most = max(1, (max(h, w) - 1).bit_length())
        require(scales <= most, "generator.scales", scales, f"at most {most} for such images")
        object.__setattr__(self, "scales", scales)

    def init(self, key: Array, dtype: Any = jnp.float32) -> tuple[Array, dict]:
        """z uniform in [0, 0.1), w uniform with the variance 1 / (3 inputs), as PyTorch draws it."""
        key_latent, key_params = jax.random.split(key)
        multiple = 2 ** cast(int, self.scales)
        h, w = (-(-side // multiple) * multiple for side in self.image_shape[:2])
        latent = jax.random.uniform(key_latent, (h, w, self.input_depth), dtype, maxval=0.1)
        if self.smoothing:
            latent = smoothed(latent, self.smoothing)
        return latent, draw_plan(key_params, self._plan(), dtype)

    def _plan(self) -> dict[str, dict[str, Draw]]:
        """What is drawn, layer by layer."""
        width, inputs, plan = self.width, self.input_depth, {}
        for i in range(cast(int, self.scales)):
            plan[f"down_{i}"] = {"kernel": kernel_plan(3, 3, inputs, width), **norm_plan(width)}
            plan[f"inner_{i}"] = {"kernel": kernel_plan(3, 3, width, width), **norm_plan(width)}
            if self.skip:
                plan[f"skip_{i}"] = {"kernel": kernel_plan(inputs, self.skip), **norm_plan(self.skip)}
            plan[f"merge_{i}"] = norm_plan(width + self.skip)
            plan[f"up_{i}"] = {"kernel": kernel_plan(3, 3, width + self.skip, width), **norm_plan(width)}
            plan[f"mix_{i}"] = {"kernel": kernel_plan(width, width), **norm_plan(width)}
            inputs = width
        kernel, c = kernel_plan(width, self.image_shape[2]), self.image_shape[2]
        plan["pixels"] = {"kernel": kernel, "bias": Draw((c,), kernel.spread)}
        return plan

    def apply(self, params: dict, latent: Array) -> Array:
        x, across = latent, []
        convolve, scales = partial(correlate, border=self.padding), range(cast(int, self.scales))
        for i in scales:
            across.append([block(x, params[f"skip_{i}"], jnp.matmul)] if self.skip else [])
            x = block(x, params[f"down_{i}"], partial(correlate_halving, border=self.padding))
            x = block(x, params[f"inner_{i}"], convolve)
        for i in reversed(scales):
            x = jnp.concatenate([UPSAMPLINGS[self.upsampling](x), *across[i]], axis=-1)
            x = batch_norm(x, **params[f"merge_{i}"])
            x = block(x, params[f"up_{i}"], convolve)
            x = block(x, params[f"mix_{i}"], jnp.matmul)
        x = x @ params["pixels"]["kernel"] + params["pixels"]["bias"]
        return jnp.tanh(x[middle(x, self.image_shape)])


def block(x: Array, weights: dict, convolve) -> Array:
    """A convolution, BatchNorm and leaky ReLU of slope 0.2."""
    x = batch_norm(convolve(x, weights["kernel"]), weights["scale"], weights["shift"])
    return jax.nn.leaky_relu(x, 0.2)


def smoothed(latent: Array, deviation: float) -> Array:
    """A latent [h, w, k] blurred by a Gaussian of this standard deviation in pixels, its mean and spread restored."""

    def blur(side):
        distance = jnp.arange(side) - jnp.arange(side)[:, None]
        weights = jnp.exp(-jnp.square(distance / deviation).astype(latent.dtype) / 2)
        return weights / weights.sum(1, keepdims=True)

    h, w, _ = latent.shape
    blurred = jnp.einsum("ia,jb,abk->ijk", blur(h), blur(w), latent)
    return latent.mean() + (blurred - blurred.mean()) * (latent.std() / blurred.std())
