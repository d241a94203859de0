"""The networks that make images: DCGANs, which CS-DIP fits untrained, and a VAE, whose trained decoder CSGM searches.

A new generator is one file, and one line here; `--config.csdip.generator=<name>` then finds it, and
`--config.generator.<field>`. No other room imports Flax.
"""

from csdip_jax.generators.base import Generator
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
from csdip_jax.generators.vae import VAE, Bound, Decoder, Encoder, TrainedDecoder, decoder_of, decoder_sizes

GENERATORS = {
    "dcgan": DCGAN,
    "vae": TrainedDecoder,
}
"""Name -> class, each of which is made of an image shape."""

__all__ = [
    "BATCH_NORM_EPSILON",
    "DCGAN",
    "GENERATORS",
    "INITIALIZERS",
    "VAE",
    "Bound",
    "Decoder",
    "Encoder",
    "Generator",
    "Initializer",
    "Layers",
    "TrainedDecoder",
    "batch_norm",
    "dcgan_layers",
    "decoder_of",
    "decoder_sizes",
    "draw_params",
    "from_torch",
    "mnist_layers",
    "to_torch",
]
