"""The lemmas of the proof: left sides measured, right sides computed.

B.1 sigma_min(J(W_0)) is not small, B.2 J changes little near W_0, B.3 ||J|| is not large, B.4 the misfit begins below
3 ||y||, C.2 few ReLUs switch near W_0. "Near" is R: the way that gradient descent went (c = 1/16), or the 48 sqrt n of
the proof. Everything relative to its bound: a margin above 1 for B.1, below 1 for the others, is what the lemma says.
"""

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax import theory
from experiments.theorem_check import fits
from experiments.theorem_check.claims import BELOW, Claim, over_widths
from experiments.theorem_check.descent import random_target
from experiments.theorem_check.rows import by_ratio


def cells(config) -> list[dict]:
    sizes = itertools.product(config.lemmas.num_pixels, config.lemmas.ratios)
    return [{"section": "lemmas", "pixels": n, "ratio": ratio} for n, ratio in sizes]


def measure(config, cell: dict, key, progress) -> dict:
    """The margins of every seed, name -> [seeds]."""
    n, d = cell["pixels"], round(cell["ratio"] * cell["pixels"])
    target, found = random_target(key, n, config.dtype), []
    for networks in fits.batches(config, key, n, d, target, progress):
        result = fits.fit(networks, target, [theory.CERTIFIED_SCALE], config.max_steps, progress=progress)
        for seed in range(len(result.hidden)):
            network, final = jax.tree.map(lambda x, seed=seed: x[seed], (networks, result.hidden[:, 0]))
            found.append(jax.device_get(margins(network, final, target)))
    return {"width": d, **{name: [float(seed[name]) for seed in found[: config.num_seeds]] for name in found[0]}}


@jax.jit  # for one network at a time: vmapped, XLA on a CPU has been seen to wait for itself forever (jaxlib 0.10.2)
def margins(network: theory.Network, final, target) -> dict[str, jax.Array]:
    """Of one network, which gradient descent took from `network.hidden` to `final` [d]: left side / right side."""
    (n, d), z = network.outer.shape, network.latent_norm
    norm = jnp.linalg.norm(target)
    nu = theory.outer_deviation(n, d, norm, z)
    start, end = theory.active(network.hidden), theory.active(final)
    initial = network.hidden / z
    path = jnp.linalg.norm(final - network.hidden) / z

    def norms(units):
        values = theory.singular_values(theory.gram(network.outer, units, z))
        return values[0], values[-1]

    smallest = theory.smallest_singular_bound(d, nu, z)
    found = {
        "B.1": norms(start)[0] / smallest,
        "B.1 at the end": norms(end)[0] / smallest,
        "B.3": norms(jnp.ones(d, bool))[1] / theory.largest_singular_bound(n, d, nu, z),
        "B.4": jnp.linalg.norm(theory.output(network) - target) / (3 * norm),
        "path": path,
    }
    for name, radius in (("path", path), ("proof", theory.proof_radius(n))):
        worst = theory.most_sign_changes(initial, radius)
        allowed = theory.sign_changes_bound(d, radius)
        bound = theory.perturbation_bound(n, d, allowed, nu, z)
        found |= {
            f"C.2, {name}": worst.sum() / allowed,
            f"C.2 allows, {name}": allowed / d,
            f"B.2, {name}": norms(worst)[1] / bound,
        }
    return found | {"B.2, gradient descent": norms(start != end)[1] / (smallest / 2)}


def claims(rows: Sequence[dict]) -> list[Claim]:
    """A line per lemma, and per radius where it speaks of one."""
    groups = by_ratio(rows)

    def pooled(name):
        return {ratio: np.concatenate([row[name] for row in group]) for ratio, group in groups.items()}

    def claim(statement, name, ok, measured, threshold=None):
        shares = {ratio: float(ok(values).mean()) for ratio, values in pooled(name).items()}
        return over_widths(statement, shares, f"{measured} {_ranges(pooled(name))}", threshold)

    def below_one(values):
        return values <= 1

    found = [
        claim(
            "B.1 sigma_min(J(W_0)) >= nu sqrt(d) ‖z‖ / 2",
            "B.1",
            lambda values: values >= 1,
            "sigma_min / bound",
            theory.WIDTH_B1,
        ),
        claim(
            "B.1 along the way: sigma_min(J(W_T)) >= alpha",
            "B.1 at the end",
            lambda values: values >= 0.5,
            "sigma_min / (2 alpha)",
            theory.WIDTH_THEOREM,
        ),
        claim(
            "B.2 ‖J(W_T) - J(W_0)‖ <= alpha on the way",
            "B.2, gradient descent",
            below_one,
            "change / alpha",
            theory.WIDTH_THEOREM,
        ),
        claim("B.3 ‖J(W)‖ <= nu (sqrt d + 2 sqrt n) ‖z‖", "B.3", below_one, "‖V‖ ‖z‖ / bound"),
        claim("B.4 first misfit <= 3 ‖y‖", "B.4", below_one, "misfit / bound"),
    ]
    for name, label in (("path", "R of the descent"), ("proof", "R = 48 sqrt n")):
        bound = f"B.2 change <= bound of its q columns, {label}"
        found.append(claim(bound, f"B.2, {name}", below_one, "change by the worst W / bound"))
        found.append(sign_claim(f"C.2 sign changes, {label}", pooled(f"C.2, {name}"), pooled(f"C.2 allows, {name}")))
    return found


def sign_claim(name: str, switched: dict[float, np.ndarray], allowed: dict[float, np.ndarray]) -> Claim:
    """Lemma C.2; where it allows all d ReLUs to switch it says nothing, so that is below its threshold."""
    shares = {ratio: float((values <= 1).mean()) for ratio, values in switched.items()}
    speaking = [ratio for ratio, values in allowed.items() if values.max() < 1]
    measured = f"switched by the worst W / bound {_ranges(switched)}; bound / d {_ranges(allowed)}"
    if speaking:
        return over_widths(name, {ratio: shares[ratio] for ratio in speaking}, measured)
    holds = "holds" if min(shares.values()) == 1 else "does not hold"
    return over_widths(name, shares, measured)._replace(verdict=f"{BELOW} (it allows all d), {holds}")


def _ranges(values: dict[float, np.ndarray]) -> str:
    """Smallest to largest over the seeds, at the smallest and at the largest width."""
    return ", ".join(f"{values[r].min():.2g} to {values[r].max():.2g} at {r:g} n" for r in (min(values), max(values)))
