"""The file of a learned prior: an .npz of mean, covariance and names, the weight chosen for it, the provenance as JSON.

The published statistics of the reference code, a folder with mu.npy and sig.npy, are read as well::

    tensors = cs.priors.tensor_names(generator.params_like)
    prior, lr_weight = cs.io.learned_priors.load("prior.npz", tensors)
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from csdip_jax import priors
from csdip_jax.files import write_arrays
from csdip_jax.types import InputError

__all__ = ["load", "save"]

PUBLISHED = ("mu.npy", "sig.npy")


def save(path: Path, prior: priors.LayerGaussian, lr_weight: float | None, provenance: dict) -> None:
    """Writes a prior.

    Args:
        path: of the .npz file.
        prior: one, as `priors.fit` gives it.
        lr_weight: the weight chosen for it; None if none was.
        provenance: where it comes from, what JSON can hold.
    """
    write_arrays(
        path,
        mean=prior.mean,
        covariance=prior.covariance,
        reading=prior.reading,
        tensors=np.array(prior.tensors),
        lr_weight=np.nan if lr_weight is None else lr_weight,
        provenance=json.dumps(provenance),
    )


def load(path: Path | str, tensors: Sequence[str]) -> tuple[priors.LayerGaussian, float | None]:
    """The prior of a file that `save` wrote, or of a folder of published statistics, and its lr_weight if it has one.

    Args:
        path: of the file or folder.
        tensors: names of the network's parameter tensors, which those of published statistics, 19 for x-rays, are in
            order.

    Raises:
        InputError: unreadable, of another kind, of another network, or not a Gaussian.
    """
    if not str(path):
        raise InputError("the path of the prior is empty: name a file, or leave it out")
    path = Path(path).expanduser()
    try:
        prior, lr_weight = _published(path, tensors) if path.is_dir() else _saved(path)
        priors.require_tensors(prior, tensors)
        if prior.batch_size is not None:
            raise InputError(f"it holds {prior.batch_size} priors: give a file of one")
        return prior.validated(), lr_weight
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # numpy fails in many ways on bytes that are not its own
        raise InputError(f"{path} holds no prior ({type(error).__name__}): learn one anew", needs="prior") from error


def _saved(path: Path) -> tuple[priors.LayerGaussian, float | None]:
    with np.load(path) as saved:
        tensors = tuple(map(str, saved["tensors"]))
        prior = priors.LayerGaussian(saved["mean"], saved["covariance"], str(saved["reading"]), tensors)
        lr_weight = float(saved["lr_weight"])
        return prior, None if np.isnan(lr_weight) else lr_weight


def _published(folder: Path, tensors: Sequence[str]) -> tuple[priors.LayerGaussian, None]:
    mean, covariance = (np.load(folder / name)[0].astype(np.float32) for name in PUBLISHED)
    return priors.LayerGaussian(mean, covariance, "layer_means", tuple(tensors)), None
