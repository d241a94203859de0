"""The sections of the benchmark; each returns what it measured, ready for JSON."""

import contextlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax

from csdip_jax.types import InputError
from experiments.benchmark.cases import CASES
from experiments.benchmark.rounds import alternate, compare, require_agreement
from experiments.benchmark.worker import Worker

WAIT_POLICIES = ("active", "passive")
WITH_TORCH = ("step", "fit")
FITS_TARGET = 1.15
MEMORY_TARGET = 1_000_000_000


class Counts(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: turns of each side.
        warm_up: untimed steps before the timed ones of a turn.
        steps_share: of `Case.turn_steps`.
        fit_seconds: section `fits`: steps of one fit, so many that it takes about as long.
        memory_m: section `memory`: numbers of measurements.
        memory_steps: of its reconstruction.
    """

    rounds: int = 12
    warm_up: int = 2
    steps_share: float = 1.0
    fits_share: float = 0.5
    memory_m: tuple[int, ...] = (2000, 4000)
    memory_steps: int = 15


QUICK = Counts(rounds=2, warm_up=1, steps_share=0.05, fits_share=0.05, memory_m=(200,), memory_steps=3)
