"""A reconstruction under way, saved after every chunk: finished outcomes and the fits of the present block."""

from pathlib import Path

import jax
import numpy as np

from csdip_jax.results import content_digest, write_arrays
from csdip_jax.solve.fits import Fit, Outcome
from csdip_jax.types import InputError


def fingerprint(method, cases, keys, blocks, max_redraws) -> str:
    """Changes with whatever makes a checkpoint useless for a run."""
    settings = repr((jax.tree.structure((method, cases)), blocks, max_redraws))
    return content_digest(*jax.tree.leaves((method, cases)), jax.random.key_data(keys), text=settings)


def save(path, fingerprint: str, outcomes: Outcome | None, finished: int, fits: Fit) -> None:
    if path is None:
        return
    arrays = {f"fits_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(jax.device_get(fits)))}
    if outcomes is not None:
        arrays |= {f"outcomes_{name}": value for name, value in outcomes._asdict().items()}
    write_arrays(path, fingerprint=fingerprint, finished=finished, **arrays)


def resume(path, fingerprint: str) -> tuple[Outcome | None, int, list | None]:
    """(outcomes, finished blocks, leaves of the fits under way) of a checkpoint; nothing where there is none."""
    if path is None or not Path(path).exists():
        return None, 0, None
    with np.load(path) as saved:
        if str(saved["fingerprint"]) != fingerprint:
            raise InputError(f"checkpoint {path} belongs to another run: remove it or choose another path")
        leaves = [saved[f"fits_{i}"] for i in range(sum(name.startswith("fits_") for name in saved.files))]
        names = [name for name in Outcome._fields if f"outcomes_{name}" in saved.files]
        outcomes = Outcome(**{name: saved[f"outcomes_{name}"] for name in names}) if names else None
        return outcomes, int(saved["finished"]), leaves
