"""The file of a trained VAE: Flax's msgpack of its encoder and decoder, with the provenance as JSON inside.

`load_decoder` reads it for CSGM::

    generator = cs.io.vae_weights.load_decoder((28, 28, 1), path="vae_mnist.msgpack")
    method = cs.methods.Csgm((28, 28, 1), generator=generator)
"""

import json
import os
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import serialization

from csdip_jax.files import write_atomically
from csdip_jax.generators import TrainedDecoder, decoder_of, decoder_sizes
from csdip_jax.types import InputError

__all__ = ["find", "load", "load_decoder", "save"]

DEFAULT = "vae_mnist"


def save(path: Path, params: dict, provenance: dict) -> None:
    """Writes the parameters of a VAE.

    Args:
        path: of the file.
        params: of a `generators.VAE`.
        provenance: where they come from, what JSON can hold.
    """
    content = serialization.msgpack_serialize({"vae": jax.device_get(params), "provenance": json.dumps(provenance)})
    write_atomically(path, lambda file: file.write(content))


def load(path: Path | str) -> tuple[dict, dict]:
    """Reads the file that `save` wrote.

    Args:
        path: of the file.

    Returns:
        params, provenance: as they were saved.

    Raises:
        InputError: unreadable, of another kind, or with numbers that are not finite.
    """
    try:
        content = cast(dict, serialization.msgpack_restore(Path(path).expanduser().read_bytes()))
        params, provenance = content["vae"], json.loads(content["provenance"])
        decoder_sizes(decoder_of(params))
    except Exception as error:  # msgpack fails in many ways on bytes that are not its own
        raise InputError(f"{path} holds no VAE's weights ({type(error).__name__}): train anew", needs="vae") from error
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params)):
        raise InputError(f"{path}: weights are NaN or infinite: train anew", needs="vae")
    return jax.tree.map(jnp.asarray, params), provenance


def find(data_dir: str | os.PathLike | None = None, path: str | os.PathLike | None = None) -> Path:
    """The file of the weights: the one given, or one at the usual places.

    Args:
        data_dir: a folder where vae_mnist.msgpack is looked for, before runs/vae_mnist/vae_mnist.msgpack is.
        path: of the file; None to look for it.

    Raises:
        InputError: there is none.
    """
    if path is not None:
        places = [Path(path).expanduser()]
    else:
        places = [Path("runs") / DEFAULT / f"{DEFAULT}.msgpack"]
        if data_dir is not None:
            places.insert(0, Path(data_dir).expanduser() / f"{DEFAULT}.msgpack")
    for place in places:
        if place.is_file():
            return place
    missing = " nor ".join(map(str, places))
    raise InputError(f"a trained VAE is needed, there is no {missing}: train one, or name its file", needs="vae")


def load_decoder(
    image_shape: tuple[int, int, int],
    data_dir: str | os.PathLike | None = None,
    path: str | os.PathLike | None = None,
) -> TrainedDecoder:
    """The decoder for `Csgm.generator`, with weights from where `find` finds them.

    Args:
        image_shape: (h, w, c) of its images.
        data_dir: as for `find`.
        path: likewise.

    Raises:
        InputError: no file, a damaged one, or a decoder that makes images of another size.
    """
    found = find(data_dir, path)
    weights = decoder_of(load(found)[0])
    try:
        return TrainedDecoder(image_shape, weights)
    except InputError as error:
        raise InputError(f"{found}: {error}") from error
