"""Small networks for tests: decoders of random weights, where trained ones are asked for, and one for a U-Net."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.generators import Generator, TrainedDecoder, UNet
from csdip_jax.types import pytree_dataclass


@pytree_dataclass
class Shallow(Generator):
    """Two layers that mix each pixel with the next ones, from a latent that is an image."""

    def init(self, key, dtype=jnp.float32):
        keys, c = jax.random.split(key, 3), self.image_shape[2]
        first, second = jax.random.normal(keys[0], (9 * c, 16), dtype), jax.random.normal(keys[1], (16 * 9, c), dtype)
        latent = jax.random.uniform(keys[2], self.image_shape, dtype, maxval=0.1)
        return latent, {"first": first / 3, "second": second / 12}

    def apply(self, params, latent):
        return jnp.tanh(_around(jax.nn.leaky_relu(_around(latent) @ params["first"])) @ params["second"])


def _around(x):
    """Each pixel's channels beside those of the eight around it, [h, w, 9 k]."""
    near = [jnp.roll(x, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return jnp.concatenate(near, axis=-1)


def random_decoder(*sizes, seed=0):
    """Parameters of a decoder with layers of these sizes, latent first; its images use the whole of [-1, 1]."""
    rng = np.random.RandomState(seed)
    names = [f"hidden_{i}" for i in range(len(sizes) - 2)] + ["pixels"]

    def layer(inputs, outputs):
        kernel = 2.0 / math.sqrt(inputs) * rng.standard_normal((inputs, outputs))
        return {"kernel": kernel.astype(np.float32), "bias": np.zeros(outputs, np.float32)}

    return {
        "params": {name: layer(*pair) for name, pair in zip(names, zip(sizes, sizes[1:], strict=False), strict=True)}
    }


def ready(generator, latent_dim=200, hidden=256):
    """The generator, with random weights where it lacks trained ones; a U-Net as `Shallow`, which compiles faster."""
    if isinstance(generator, UNet):
        return Shallow(generator.image_shape)
    if not isinstance(generator, TrainedDecoder) or generator.weights is not None:
        return generator
    weights = random_decoder(latent_dim, hidden, math.prod(generator.image_shape))
    return dataclasses.replace(generator, weights=weights)
