"""Small networks for tests: decoders of random weights, where trained ones are asked for, and a narrow U-Net."""

import dataclasses
import math

import numpy as np

from csdip_jax.generators import TrainedDecoder, UNet


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
    """The generator, with random weights where it lacks trained ones, and few layers to compile."""
    if isinstance(generator, UNet):
        return dataclasses.replace(generator, width=8, scales=1)
    if not isinstance(generator, TrainedDecoder) or generator.weights is not None:
        return generator
    weights = random_decoder(latent_dim, hidden, math.prod(generator.image_shape))
    return dataclasses.replace(generator, weights=weights)
