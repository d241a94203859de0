"""A reconstruction under way, saved between chunks: finished outcomes and the fits of the present block."""

import re
from pathlib import Path

import jax
import numpy as np

from csdip_jax.results import content_digest, is_whole, write_arrays
from csdip_jax.solve.fits import Fit
from csdip_jax.types import InputError


def fingerprint(method, cases, keys, *options) -> str:
    """Changes with whatever makes a checkpoint useless for a run."""
    settings = repr((jax.tree.structure((method, cases)), options))
    settings = re.sub(r" at 0x[0-9a-f]+", "", settings)  # of functions (denoisers): elsewhere in each process
    return content_digest(*jax.tree.leaves((method, cases)), jax.random.key_data(keys), text=settings)


def save(path, fingerprint: str, outcomes: list | None, finished: int, fits: Fit) -> None:
    if path is None:
        return
    fits = jax.tree.leaves(jax.device_get(fits))
    arrays = {f"fits_{i}": leaf for i, leaf in enumerate(fits)}
    arrays |= {f"outcomes_{i}": leaf for i, leaf in enumerate(outcomes or [])}
    write_arrays(path, fingerprint=fingerprint, finished=finished, **arrays)


def resume(path, fingerprint: str) -> tuple[list | None, int, list | None]:
    """(leaves of the outcomes, finished blocks, leaves of the fits under way); None where the checkpoint has none."""
    if path is None or not Path(path).exists():
        return None, 0, None
    if not is_whole(path):
        raise InputError(f"checkpoint {path} is damaged: remove it, and this part begins anew")
    with np.load(path) as saved:
        if str(saved["fingerprint"]) != fingerprint:
            raise InputError(f"checkpoint {path} belongs to another run: remove it or choose another path")

        def leaves(tree):
            return [saved[f"{tree}_{i}"] for i in range(sum(name.startswith(f"{tree}_") for name in saved.files))]

        return leaves("outcomes") or None, int(saved["finished"]), leaves("fits")
