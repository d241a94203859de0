"""The networks that make images, which CS-DIP fits untrained, and a `VAE`, for CSGM.

- `DCGAN`: the paper's, from a vector; right for digits.
- `UNet`: skips across scales, from noise of the image's size; far ahead at few measurements of large images.
- `ConvDecoder`, `DeepDecoder`: from a small noise image; the second hardly fits noise.
- `Siren`: a function of coordinates.

A generator is a frozen dataclass of settings with two pure functions: `init` draws a latent and weights, `apply` makes
an image of them. Hand it to a method, or derive one of your own from `Generator`.

>>> network = cs.generators.DeepDecoder((16, 16, 3), channels=32)
>>> method = cs.methods.CsDip((16, 16, 3), generator=network)

A new generator is one file, and one import here; `--config.csdip.generator=<name>` then finds it, and
`--config.generator.<field>`. No other room imports Flax.
"""

from csdip_jax.generators.base import Generator as Generator
from csdip_jax.generators.conv_decoder import ConvDecoder as ConvDecoder
from csdip_jax.generators.dcgan import (
    BATCH_NORM_EPSILON as BATCH_NORM_EPSILON,
    DCGAN as DCGAN,
    INITIALIZERS as INITIALIZERS,
    Initializer as Initializer,
    Layers as Layers,
    batch_norm as batch_norm,
    dcgan_layers as dcgan_layers,
    draw_params as draw_params,
    from_torch as from_torch,
    mnist_layers as mnist_layers,
    to_torch as to_torch,
)
from csdip_jax.generators.deep_decoder import DeepDecoder as DeepDecoder
from csdip_jax.generators.siren import Siren as Siren
from csdip_jax.generators.unet import UNet as UNet
from csdip_jax.generators.vae import (
    VAE as VAE,
    Bound as Bound,
    Decoder as Decoder,
    Encoder as Encoder,
    TrainedDecoder as TrainedDecoder,
    decoder_of as decoder_of,
    decoder_sizes as decoder_sizes,
)
from csdip_jax.kernels import ConvTranspose as ConvTranspose
from csdip_jax.registry import named_classes

__all__ = [
    "DCGAN",
    "GENERATORS",
    "INITIALIZERS",
    "VAE",
    "Bound",
    "ConvDecoder",
    "ConvTranspose",
    "Decoder",
    "DeepDecoder",
    "Encoder",
    "Generator",
    "Initializer",
    "Layers",
    "Siren",
    "TrainedDecoder",
    "UNet",
    "batch_norm",
    "dcgan_layers",
    "decoder_of",
    "decoder_sizes",
    "draw_params",
    "from_torch",
    "mnist_layers",
    "to_torch",
]

GENERATORS = named_classes(globals(), Generator)
"""Name -> class, each of which is made of an image shape, of what a run can be asked to fit."""
