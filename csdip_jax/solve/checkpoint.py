"""A reconstruction under way, saved between chunks: finished outcomes and the fits of the present block."""

import functools
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from csdip_jax.files import DamagedFile, content_digest, read_arrays, write_arrays
from csdip_jax.solve.fits import Fit
from csdip_jax.types import InputError


def fingerprint(method, cases, keys, *options) -> str:
    """Changes with whatever makes a checkpoint useless for a run."""
    settings = repr((jax.tree.structure((method, cases)), options))
    settings = re.sub(r" at 0x[0-9a-f]+", "", settings)  # of functions (denoisers): elsewhere in each process
    return content_digest(*jax.tree.leaves((method, cases)), jax.random.key_data(keys), text=settings)


def described(record: dict[str, Callable]) -> list[str]:
    """What tells functions apart that are recorded: their code, and what is bound to them or closed over."""
    return [f"{name}: {_described(function)}" for name, function in sorted(record.items())]


def _described(value: Any) -> str:
    if isinstance(value, functools.partial):  # as a `jax.tree_util.Partial` is
        inner = (value.func, *value.args, *value.keywords.values())
        return ", ".join(map(_described, inner))
    if isinstance(value, types.FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        code = (value.__code__.co_code, value.__code__.co_names, value.__code__.co_consts, value.__defaults__)
        return ", ".join([value.__qualname__, repr(code), *map(_described, cells)])
    return content_digest(value) if isinstance(value, jax.Array | np.ndarray) else repr(value)


def save(path, fingerprint: str, outcomes: list | None, finished: int, fits: Fit) -> None:
    """Writes the leaves of the outcomes, how many blocks have finished, and the fits under way; no path, nothing."""
    if path is None:
        return
    arrays = {f"fits_{i}": leaf for i, leaf in enumerate(jax.tree.leaves(jax.device_get(fits)))}
    arrays |= {f"outcomes_{i}": leaf for i, leaf in enumerate(outcomes or [])}
    write_arrays(path, fingerprint=fingerprint, finished=finished, **arrays)


def resume(path, fingerprint: str, expected: Callable | None = None) -> tuple[list | None, int, list | None]:
    """(leaves of the outcomes, finished blocks, leaves of the fits under way); None where the checkpoint has none.

    Args:
        path: of the checkpoint; None, or no such file, for a run from its start.
        fingerprint: of the run.
        expected: number of finished blocks -> leaves with the shapes and types of (outcomes, fits), None where it is
            no number of finished blocks.

    Raises:
        InputError: damaged, or of another run.
    """
    if path is None or not Path(path).exists():
        return None, 0, None
    damaged = InputError(f"checkpoint {path} is damaged: remove it, and this part begins anew")
    try:
        saved = read_arrays(Path(path), fingerprint=("U", ()), finished=("iu", ()))
    except DamagedFile:
        raise damaged from None
    if str(saved["fingerprint"]) != fingerprint:
        raise InputError(f"checkpoint {path} belongs to another run: remove it or choose another path")

    def leaves(tree):
        found = [name for name in saved if name.startswith(f"{tree}_")]
        return [saved.get(f"{tree}_{i}") for i in range(len(found))]

    outcomes, fits, finished = leaves("outcomes"), leaves("fits"), int(saved["finished"])
    if expected is not None and not _alike((outcomes, fits), expected(finished)):
        raise damaged
    return outcomes or None, finished, fits


def _alike(saved: tuple[list, list], known: tuple[list, list] | None) -> bool:
    """Whether both have arrays of the same shapes and types."""

    def described(pair):
        return [[leaf is not None and (leaf.shape, np.dtype(leaf.dtype)) for leaf in leaves] for leaves in pair]

    return known is not None and described(saved) == described(known)
