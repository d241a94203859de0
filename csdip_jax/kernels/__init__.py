"""The fast forms of what networks compute: arrays in, arrays out."""

from csdip_jax.kernels.convolution import ConvTranspose

__all__ = ["ConvTranspose"]
