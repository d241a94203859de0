"""The sections of the benchmark, and what they need."""

import importlib.util
from collections.abc import Sequence

from csdip_jax.types import InputError
from experiments.benchmark import alone, beside

SECTIONS = {
    "step": beside.step,
    "term": alone.term,
    "fits": alone.fits,
    "restarts": alone.restarts,
    "sweep": alone.sweep,
    "size": alone.size,
    "growth": alone.growth,
    "limits": alone.limits,
    "start": alone.start,
    "memory": alone.memory,
    "fit": beside.fit,
    "lasso": beside.lasso,
    "denoiser": beside.denoiser,
}
RIVALS = {
    "step": ("torch", "PyTorch"),
    "fit": ("torch", "PyTorch"),
    "lasso": ("sklearn", "scikit-learn"),
}
"""Section -> package of the other side, and its name."""
NEEDED = RIVALS | {"denoiser": ("bm3d", "the bm3d wheel")}
"""The same of whatever is not installed anyway."""


def require_rivals(sections: Sequence[str]) -> None:
    """Refuses the sections that cannot run."""
    alone = [name for name in SECTIONS if name not in NEEDED]
    for package, rival in dict(NEEDED[name] for name in sections if name in NEEDED).items():
        if importlib.util.find_spec(package) is None:
            raise InputError(
                f"{rival}, to compare with, is not installed: run `python -m pip install -e '.[bench]'`, "
                f"or measure JAX alone with --sections={','.join(alone)}"
            )
