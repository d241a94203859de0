"""The file of a learned start: an .npz of latent, weights and noise by name, the provenance as JSON::

    start = cs.learn_start(method, problem, jax.random.key(0))
    cs.io.learned_starts.save("start.npz", start, {"learned from": "five scans"})
    start = cs.io.learned_starts.load("start.npz", method.generator)

`csdip reconstruct --config.prior=start.npz` begins there.
"""

import json
import zipfile
from pathlib import Path

import jax
import numpy as np

from csdip_jax import priors
from csdip_jax.files import read_arrays, write_arrays
from csdip_jax.generators import Generator
from csdip_jax.types import InputError

__all__ = ["is_one", "load", "save"]


def save(path: Path | str, start: priors.Start, provenance: dict) -> None:
    """Writes a start.

    Args:
        path: of the .npz file.
        start: as `learn_start` gives it.
        provenance: where it comes from, what JSON can hold.
    """
    named = dict(zip(_names(start.latent, start.params), jax.tree.leaves((start.latent, start.params)), strict=True))
    write_arrays(Path(path), start_noise=start.noise, provenance=json.dumps(provenance), **named)


def load(path: Path | str, generator: Generator) -> priors.Start:
    """The start of a file that `save` wrote.

    Args:
        path: of the file.
        generator: the network that it is a start of.

    Raises:
        InputError: missing, damaged, of another kind or of another network.
    """
    arrays = read_arrays(Path(path).expanduser(), start_noise=("f", ()))
    latent, params = like = jax.eval_shape(generator.init, jax.random.key(0))
    names, structure = _names(latent, params), jax.tree.structure(like)
    if {*names} != arrays.keys() - {"start_noise", "provenance"}:
        raise InputError(f"{path}: the start is of another network: learn one for this generator")
    try:
        start = priors.Start(*structure.unflatten([arrays[name] for name in names]), float(arrays["start_noise"]))
        priors.require_start(start, like)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return start


def is_one(path: Path | str) -> bool:
    """Whether a file holds a start; False for whatever is something else, or is not there."""
    try:
        with np.load(Path(path).expanduser()) as arrays:
            return "start_noise" in arrays
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile):
        return False


def _names(latent, params) -> list[str]:
    return list(priors.tensor_names({"latent": latent, "weights": params}))
