"""Checks of settings, each with one line for whoever gave them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from csdip_jax.types import InputError


def require(condition: bool, name: str, value: Any, allowed: str) -> None:
    """Raises InputError unless the setting is as allowed."""
    if not condition:
        raise InputError(f"{name} = {value!r}: it must be {allowed}")


def require_number(name: str, value: Any, lowest: float = 0.0, strictly: bool = False) -> None:
    """Raises InputError for a number below `lowest` (or at it, if strictly), infinite or NaN, and for text.

    Arrays pass: they may be swept, which `reconstruct` checks, or traced.
    """
    if isinstance(value, (int, float, np.generic, str)):
        fine = not isinstance(value, str) and (lowest < value < float("inf") or (value == lowest and not strictly))
        require(fine, name, value, f"a number {'above' if strictly else 'of at least'} {lowest:g}")


def require_distinct(name: str, values: Sequence) -> None:
    """Raises InputError where a value comes twice."""
    require(len(set(values)) == len(values), name, tuple(values), "without repetitions")


def require_count(name: str, value: Any) -> None:
    """Raises InputError unless the setting is a whole number of at least 1."""
    require(isinstance(value, int) and value >= 1, name, value, "a whole number of at least 1")
