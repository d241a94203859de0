"""Theorem 4.1 for measurements: A V in the place of V, A with orthonormal rows (exact) or Gaussian (approximate)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import ks_2samp

import csdip_jax as cs
from csdip_jax import theory
from csdip_jax.types import Array
from experiments.theorem_check import fits
from experiments.theorem_check.claims import MEASURED, Claim, over_widths, verdict
from experiments.theorem_check.rows import at_scale, by_ratio, curve_steps, outcome, shares, summary

KINDS = {"none": "no A, n = m", "fourier": "radial Fourier lines", "gaussian": "Gaussian"}


def cells(config) -> list[dict]:
    return [
        {"section": "compressed", "lines": lines, "ratio": ratio, "operator": kind}
        for lines in config.compressed.num_lines
        for ratio in config.compressed.ratios
        for kind in KINDS
    ]


def measure(config, cell: dict, key, progress) -> dict:
    """The fits of `descent.measure`, with A V for V and y = A x of a photograph x."""
    shape = (*config.compressed.image_shape, 1)
    image = jnp.asarray(cs.data.load("demo", image_shape=shape)[0], config.dtype)
    fourier = cs.operators.radial_fourier(cell["lines"], shape)
    m = real_measurements(fourier, image).size
    operator, factor = fourier, 1.0
    if cell["operator"] == "gaussian":
        operator = cs.operators.gaussian(jax.random.fold_in(key, 2**31), m, shape)
        factor = jnp.sqrt(m / image.size)
    target, d = real_measurements(operator, image), round(cell["ratio"] * m)
    pixels = m if cell["operator"] == "none" else image.size
    scales, batches = [theory.CERTIFIED_SCALE, 1.0], []
    for networks in fits.batches(config, key, pixels, d, target, progress):
        if cell["operator"] != "none":
            networks = with_operator(operator, networks, factor)
        result = fits.fit(networks, target, scales, config.max_steps, progress=progress)
        batches.append(outcome(result, scales, m, d, config.max_steps))
    gap = 0.0 if cell["operator"] == "none" else orthonormality_gap(operator, m)
    steps = curve_steps(config.max_steps).tolist()
    sizes = {"pixels": m, "width": d, "scales": scales, "steps": steps, "undersampling": m / image.size}
    return {**sizes, "gap": gap, **summary(batches, config.num_seeds)}


def real_measurements(operator, image: Array) -> Array:
    """A x as real numbers; of Fourier samples [DC, Re, Im], the imaginary part of DC being zero."""
    y = operator.forward(image)
    return jnp.concatenate([y.real, y.imag[1:]]) if jnp.iscomplexobj(y) else y


@jax.jit
def with_operator(operator, networks: theory.Network, factor) -> theory.Network:
    """The networks with factor * A V in the place of V."""

    def rows_of(outer):
        columns = jax.vmap(lambda column: real_measurements(operator, column.reshape(operator.image_shape)), 1, 1)
        return factor * columns(outer)

    return networks._replace(outer=jax.vmap(rows_of)(networks.outer))


def orthonormality_gap(operator, measurements: int) -> float:
    """||A A^T - I||, 0 for orthonormal rows."""
    pixels = int(np.prod(operator.image_shape))
    identity = jnp.eye(pixels).reshape(pixels, *operator.image_shape)
    rows = jax.vmap(lambda image: real_measurements(operator, image), out_axes=1)(identity)
    return float(jnp.linalg.norm(rows @ rows.T - jnp.eye(measurements), 2))


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The bound and the rates with A as without, for each number of measurements."""
    found = []
    for lines in sorted({row["lines"] for row in rows}):
        group = [row for row in rows if row["lines"] == lines]
        plain, *others = ([row for row in group if row["operator"] == kind] for kind in KINDS)
        m, n = plain[0]["pixels"], round(plain[0]["pixels"] / plain[0]["undersampling"])
        found += [kind_claim(f"m = {m} of {n}", kind) for kind in [plain, *others]]
        found += [law_claim(f"m = {m} of {n}", kind, plain) for kind in others]
    return found


def kind_claim(where: str, rows: Sequence[dict]) -> Claim:
    """Theorem 4.1 with one kind of A."""
    column = at_scale(rows, theory.CERTIFIED_SCALE)
    return over_widths(
        f"Theorem 4.1, {where}, {KINDS[rows[0]['operator']]}",
        shares(rows, column),
        "c = 1/16",
        theory.WIDTH_THEOREM,
        "m",
    )


def law_claim(where: str, rows: Sequence[dict], plain: Sequence[dict]) -> Claim:
    """Whether the rates are distributed as without A: for orthonormal rows they are, A V having the law of V."""
    kind, texts, chances = rows[0]["operator"], [], []
    for ratio, group in by_ratio([*rows, *plain]).items():
        rates = [np.array(row["rate"])[:, at_scale([row], theory.CERTIFIED_SCALE)] for row in group]
        rates = [values[np.isfinite(values)] for values in rates]
        if min(map(len, rates)) > 1:
            chances.append(float(ks_2samp(*rates).pvalue))
            texts.append(f"{np.median(rates[0]) / np.median(rates[1]):.2f} (p = {chances[-1]:.2g}) at {ratio:g} m")
    gap = f"‖A A^T - I‖ = {rows[0]['gap']:.1e}"
    if not chances:
        return Claim(
            f"Rates as without A, {where}, {KINDS[kind]}", "every width", MEASURED, f"fewer than two fits; {gap}"
        )
    measured = f"median rate over that without A {', '.join(texts)}; {gap}"
    same = verdict(min(chances) > 0.001) if kind == "fourier" else MEASURED
    return Claim(f"Rates as without A, {where}, {KINDS[kind]}", "every width", same, measured)
