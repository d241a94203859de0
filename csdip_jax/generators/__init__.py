"""The networks that make images: DCGANs, which CS-DIP fits untrained, and a VAE, whose trained decoder CSGM searches.

`dcgan.py` and `vae.py` are the only files that import Flax.
"""

from csdip_jax.generators.dcgan import (
    BATCH_NORM_EPSILON,
    DCGAN,
    INITIALIZERS,
    Initializer,
    Layers,
    batch_norm,
    dcgan_layers,
    draw_params,
    from_torch,
    mnist_layers,
    to_torch,
)
from csdip_jax.generators.vae import VAE, Bound, Decoder, Encoder, decode, decoder_of, decoder_sizes

__all__ = [
    "BATCH_NORM_EPSILON",
    "DCGAN",
    "INITIALIZERS",
    "VAE",
    "Bound",
    "Decoder",
    "Encoder",
    "Initializer",
    "Layers",
    "batch_norm",
    "dcgan_layers",
    "decode",
    "decoder_of",
    "decoder_sizes",
    "draw_params",
    "from_torch",
    "mnist_layers",
    "to_torch",
]
