"""The lemmas of the proof: left sides measured, right sides computed.

B.1 sigma_min(J(W_0)) is not small, B.2 J changes little near W_0, B.3 ||J|| is not large, B.4 the misfit begins below
3 ||y||, C.2 few ReLUs switch near W_0. "Near" is R: the way that gradient descent went (c = 1/16), or the 48 sqrt n of
the proof. Everything relative to its bound: a margin above 1 for B.1, below 1 for the others, is what the lemma says.
"""

import itertools
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import pandas as pd

from csdip_jax.types import Array
from experiments.theorem_check import one_layer, theory
from experiments.theorem_check.claims import BELOW, Claim, over_widths, shares

AT_LEAST = {"B.1": 1.0, "B.1 at the end": 0.5}
"""Margins that have to be large enough; all others are to be at most 1."""

STATEMENTS = (
    ("B.1 sigma_min(J(W_0)) >= nu sqrt(d) ‖z‖ / 2", "B.1", "sigma_min / bound", theory.WIDTH_B1),
    ("B.1 along the way: sigma_min(J(W_T)) >= alpha", "B.1 at the end", "sigma_min / (2 alpha)", theory.WIDTH_THEOREM),
    ("B.2 ‖J(W_T) - J(W_0)‖ <= alpha on the way", "B.2, gradient descent", "change / alpha", theory.WIDTH_THEOREM),
    ("B.3 ‖J(W)‖ <= nu (sqrt d + 2 sqrt n) ‖z‖", "B.3", "‖V‖ ‖z‖ / bound", None),
    ("B.4 first misfit <= 3 ‖y‖", "B.4", "misfit / bound", None),
)
"""Of each: what it says, its margin, what that is, and the d / n from which it is proved."""


def cells(config) -> list[dict]:
    """A cell for each size and width."""
    sizes = itertools.product(config.lemmas.num_pixels, config.lemmas.ratios)
    return [{"section": "lemmas", "pixels": n, "ratio": ratio} for n, ratio in sizes]


def measure(config, cell: dict, key, progress: str) -> dict:
    """The margins of every seed, name -> [seeds]."""
    n, d = cell["pixels"], round(cell["ratio"] * cell["pixels"])
    target = one_layer.random_target(key, n, config.dtype)
    fits = one_layer.fit(config, key, n, d, target, [theory.CERTIFIED_SCALE], progress=progress)
    found = []
    for seed, (hidden, final) in enumerate(zip(fits.initial[:, 0], fits.hidden[:, 0], strict=True)):
        (outer,) = one_layer.outer_weights(key, jnp.array([seed]), n, d, target)
        found.append(jax.device_get(margins(outer, hidden, final, target)))
    return {"width": d} | pd.DataFrame(found).astype(float).to_dict("list")


@partial(jax.jit, static_argnames="latent_norm")
def margins(
    outer: Array, hidden: Array, final: Array, target: Array, latent_norm: float = one_layer.LATENT_NORM
) -> dict[str, Array]:
    """Left side / right side of one network V [n, d] that gradient descent took from h = `hidden` to `final` [d].

    Compiled for one network at a time: vmapped, XLA on a CPU has been seen to wait for itself forever (jaxlib 0.10.2).
    """
    (n, d), z, norm = outer.shape, latent_norm, jnp.linalg.norm(target)
    nu = theory.outer_deviation(n, d, norm, z)
    start, end = theory.active(hidden), theory.active(final)
    path = jnp.linalg.norm(final - hidden) / z

    def norms(units):
        values = theory.singular_values(theory.gram(outer, units, z))
        return values[0], values[-1]

    smallest = theory.smallest_singular_bound(d, nu, z)
    found = {
        "B.1": norms(start)[0] / smallest,
        "B.1 at the end": norms(end)[0] / smallest,
        "B.3": norms(jnp.ones(d, bool))[1] / theory.largest_singular_bound(n, d, nu, z),
        "B.4": jnp.linalg.norm(outer @ jnp.maximum(hidden, 0) - target) / (3 * norm),
        "path": path,
    }
    for name, radius in (("path", path), ("proof", theory.proof_radius(n))):
        worst = theory.most_sign_changes(hidden / z, radius)
        allowed = theory.sign_changes_bound(d, radius)
        bound = theory.perturbation_bound(n, d, allowed, nu, z)
        found |= {
            f"C.2, {name}": worst.sum() / allowed,
            f"C.2 allows, {name}": allowed / d,
            f"B.2, {name}": norms(worst)[1] / bound,
        }
    return found | {"B.2, gradient descent": norms(start != end)[1] / (smallest / 2)}


def frame(rows: Sequence[dict]) -> pd.DataFrame:
    """A line per seed: `pixels`, `ratio` and all margins."""
    return pd.concat([pd.DataFrame(row) for row in rows], ignore_index=True)


def claims(rows: Sequence[dict]) -> list[Claim]:
    """A line per lemma, and per radius where it speaks of one."""
    seeds = frame(rows)

    def claim(statement, name, measured, threshold=None):
        holds = seeds[name] >= AT_LEAST[name] if name in AT_LEAST else seeds[name] <= 1
        return over_widths(statement, shares(holds, seeds.ratio), f"{measured} {_ranges(seeds, name)}", threshold)

    found = [claim(*statement) for statement in STATEMENTS]
    for name, label in (("path", "R of the descent"), ("proof", "R = 48 sqrt n")):
        bound = f"B.2 change <= bound of its q columns, {label}"
        found.append(claim(bound, f"B.2, {name}", "change by the worst W / bound"))
        found.append(sign_claim(f"C.2 sign changes, {label}", seeds, f"C.2, {name}", f"C.2 allows, {name}"))
    return found


def sign_claim(statement: str, seeds: pd.DataFrame, switched: str, allowed: str) -> Claim:
    """Lemma C.2; where it allows all d ReLUs to switch it says nothing, so that is below its threshold."""
    measured = f"switched by the worst W / bound {_ranges(seeds, switched)}; bound / d {_ranges(seeds, allowed)}"
    speaking = seeds.groupby("ratio")[allowed].transform("max") < 1
    spoken = seeds[speaking] if speaking.any() else seeds
    claim = over_widths(statement, shares(spoken[switched] <= 1, spoken.ratio), measured)
    if not speaking.any():
        holds = "holds" if (seeds[switched] <= 1).all() else "does not hold"
        claim = claim._replace(verdict=f"{BELOW} (it allows all d), {holds}")
    return claim


def _ranges(seeds: pd.DataFrame, name: str) -> str:
    """Smallest to largest over the seeds, at the smallest and at the largest width."""
    found = seeds.groupby("ratio")[name].agg(["min", "max"]).iloc[[0, -1]]
    return ", ".join(f"{low:.2g} to {high:.2g} at {ratio:g} n" for ratio, low, high in found.itertuples())
