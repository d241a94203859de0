"""A decoder for CSGM at scale quick, where no VAE has been trained: it runs the path and reconstructs nothing."""

from pathlib import Path

import jax
import jax.numpy as jnp

from csdip_jax.generators import VAE
from csdip_jax.io import vae_weights

HIDDEN, LATENT = (16,), 4
NOTE = "CSGM's decoder has random weights at this scale: its numbers mean nothing."


def folder_of(parent: Path, image_shape: tuple[int, int, int]) -> Path:
    """A folder, made here if it is not there, in which `vae_weights.find` finds the random weights."""
    path = parent / "toy_decoder" / f"{vae_weights.DEFAULT}.msgpack"
    if not path.exists():
        vae = VAE(image_shape, HIDDEN, LATENT)
        params = vae.init(jax.random.key(0), jnp.zeros(image_shape), jnp.zeros(LATENT))
        vae_weights.save(path, params, {"trained": False})
    return path.parent
