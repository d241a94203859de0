"""Small decoders for CSGM, untrained."""

import math

import numpy as np


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
