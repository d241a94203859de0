"""The singular values of J(W_0) at sizes where J, and even V, need not be held.

J J^T = ||z||^2 V diag(relu') V^T is n x n: V passes by in blocks of columns that are drawn on the spot. All n singular
values come from one pass and one symmetric eigenvalue problem, n^2 d + n^3 operations, as many as n / 2 products with J
and J^T; Lanczos would need hundreds of those for the smallest value, with V in memory or drawn anew for each.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.solve.blocks import place
from csdip_jax.types import InputError
from experiments.theorem_check import one_layer, theory
from experiments.theorem_check.claims import MEASURED, Claim, over_widths

BLOCK = 4096
"""Columns of V at a time."""

QUANTILES = np.linspace(0, 1, 201)


def cells(config) -> list[dict]:
    """A cell for each size and width, and some at the width from which Lemma B.1 is proved."""
    sizes = dict.fromkeys(
        [(n, ratio) for n in config.spectra.num_pixels for ratio in config.spectra.ratios]
        + [(n, theory.WIDTH_B1) for n in config.spectra.threshold_pixels]
    )
    return [{"section": "spectra", "pixels": n, "ratio": ratio} for n, ratio in sizes]


def peak_bytes(pixels: int, dtype) -> int:
    """Two Gram matrices, as much again for the eigenvalues, and a block of V while it is drawn."""
    return jnp.dtype(dtype).itemsize * (5 * pixels**2 + one_layer.COPIES * pixels * BLOCK)


def measure(config, cell: dict, key, progress: str) -> dict:
    """Squared singular values of J(W_0) over nu^2 ||z||^2 d / 2: their quantiles and extremes, a list per seed."""
    n, d = cell["pixels"], round(cell["ratio"] * cell["pixels"])
    devices, needed = jax.local_device_count(), peak_bytes(n, config.dtype) / 2**30
    if needed * devices > config.memory:
        raise InputError(
            f"spectra of n = {n} take {needed * devices:.1f} GiB on {devices} device(s), --config.memory is "
            f"{config.memory:g}: raise it, or choose fewer pixels"
        )
    squared, largest = [], []
    for first in range(0, config.spectra.num_seeds, devices):
        seeds = np.minimum(np.arange(first, first + devices), config.spectra.num_seeds - 1)
        grams = _grams(place(one_layer.seed_keys(key, seeds), devices), n, d, config.dtype)
        values = [np.asarray(jax.vmap(theory.singular_values)(gram)) for gram in grams]
        squared += list(2 * values[0] ** 2)
        largest += list(values[1][:, -1])
    squared, largest = np.array(squared)[: config.spectra.num_seeds], np.array(largest)[: config.spectra.num_seeds]
    nu = np.sqrt(1 / d)  # entries of V are drawn standard normal, and J J^T is divided by d: ||z|| = 1
    return {
        "width": d,
        "peak_gib": needed,
        "quantiles": np.quantile(squared, QUANTILES, axis=1).T.tolist(),
        "B.1": (np.sqrt(squared[:, 0] / 2) / float(theory.smallest_singular_bound(d, nu))).tolist(),
        "B.3": (largest / float(theory.largest_singular_bound(n, d, nu))).tolist(),
    }


@partial(jax.jit, static_argnames=("pixels", "width", "dtype"))
def _grams(keys, pixels, width, dtype):
    return jax.vmap(partial(grams, pixels=pixels, width=width, dtype=dtype))(keys)


def grams(key, pixels: int, width: int, dtype) -> tuple[jax.Array, jax.Array]:
    """J J^T for the ReLUs that are on at W_0, and for all of them, both over nu^2 ||z||^2 d."""

    def add(totals, block):
        key_outer, key_hidden = jax.random.split(jax.random.fold_in(key, block))
        inside = block * BLOCK + jnp.arange(BLOCK) < width
        outer = jax.random.normal(key_outer, (pixels, BLOCK), dtype) * inside
        on = theory.active(jax.random.normal(key_hidden, (BLOCK,), dtype))
        parts = theory.gram(outer, on), theory.gram(outer, inside)
        return jax.tree.map(lambda total, part: total + part / width, totals, parts), None

    zeros = jnp.zeros((pixels, pixels), dtype)
    return jax.lax.scan(add, (zeros, zeros), jnp.arange(-(-width // BLOCK)))[0]


def claims(rows: Sequence[dict]) -> list[Claim]:
    """B.1 and B.3 at every size, B.1 with a tick where it is proved, and the spectrum beside its law."""
    found = []
    for row in rows:
        low, high = theory.marchenko_pastur_edges(row["pixels"], row["width"])
        smallest, largest, ratio = np.array(row["B.1"]), np.array(row["B.3"]), row["ratio"]
        size = f", n = {row['pixels']}"
        worst = f"sigma_min / bound {smallest.min():.3g} in the worst of {len(smallest)} seed(s)"
        holding = {ratio: float((smallest >= 1).mean())}
        found.append(over_widths(f"B.1 smallest singular value{size}", holding, worst, theory.WIDTH_B1))
        worst = f"‖V‖ ‖z‖ / bound {largest.max():.3g} in the worst seed"
        found.append(over_widths(f"B.3 largest singular value{size}", {ratio: float((largest <= 1).mean())}, worst))
        ends = np.array(row["quantiles"])[:, [0, -1]]
        measured = (
            f"J J^T / (nu^2 ‖z‖^2 d / 2) from {ends[:, 0].min():.3g} to {ends[:, 1].max():.3g}, Marchenko-Pastur "
            f"{low:.3g} to {high:.3g}; {row['peak_gib']:.2g} GiB"
        )
        found.append(Claim(f"Spectrum of J(W_0){size}", f"d = {ratio:g} n", MEASURED, measured))
    return found
