"""Theorem 4.1 for measurements: A V in the place of V, A with orthonormal rows (exact) or Gaussian (approximate)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

import csdip_jax as cs
from csdip_jax.types import Array
from experiments.theorem_check import one_layer, theory
from experiments.theorem_check.claims import MEASURED, Claim, of_fits, over_widths, shares, verdict

KINDS = {"none": "no A, n = m", "fourier": "radial Fourier lines", "gaussian": "Gaussian"}


def cells(config) -> list[dict]:
    """A cell for each number of lines, width and operator."""
    return [
        {"section": "compressed", "lines": lines, "ratio": ratio, "operator": kind}
        for lines in config.compressed.num_lines
        for ratio in config.compressed.ratios
        for kind in KINDS
    ]


def measure(config, cell: dict, key, progress: str) -> dict:
    """The fits of `descent.measure`, with A V for V and y = A x of a photograph x, divided by its norm."""
    shape = (*config.compressed.image_shape, 1)
    image = jnp.asarray(cs.data.load("demo", image_shape=shape)[0], config.dtype)
    operator, kind = cs.operators.radial_fourier(cell["lines"], shape), cell["operator"]
    m = real_measurements(operator, image).size
    if kind == "gaussian":
        operator = cs.operators.gaussian(jax.random.fold_in(key, one_layer.OF_TARGET), m, shape)
    target, d = real_measurements(operator, image), round(cell["ratio"] * m)
    target /= jnp.linalg.norm(target)
    gap, scales = 0.0 if kind == "none" else orthonormality_gap(operator, m), [theory.CERTIFIED_SCALE, 1.0]

    def through(outer):
        measured = of_columns(operator, outer) if kind != "none" else outer
        return measured * np.sqrt(m / image.size) if kind == "gaussian" else measured

    pixels = m if kind == "none" else image.size
    fits = one_layer.fit(config, key, pixels, d, target, scales, through, progress=progress)
    sizes = {"pixels": m, "width": d, "scales": scales, "undersampling": m / image.size, "gap": gap}
    return sizes | one_layer.outcome(fits, config.max_steps)


def real_measurements(operator, image: Array) -> Array:
    """A x as real numbers; of Fourier samples [DC, Re, Im], the imaginary part of DC being zero."""
    y = operator.forward(image)
    return jnp.concatenate([y.real, y.imag[1:]]) if jnp.iscomplexobj(y) else y


@jax.jit
def of_columns(operator, matrices: Array) -> Array:
    """A V of each of some matrices V, [..., n, d]."""

    def measured(column):
        return real_measurements(operator, column.reshape(operator.image_shape))

    return jnp.vectorize(measured, signature="(n)->(m)")(matrices.mT).mT


def orthonormality_gap(operator, measurements: int) -> float:
    """||A A^T - I||, 0 for orthonormal rows."""
    rows = of_columns(operator, jnp.eye(int(np.prod(operator.image_shape))))
    return float(jnp.linalg.norm(rows @ rows.T - jnp.eye(measurements), 2))


def claims(rows: Sequence[dict]) -> list[Claim]:
    """The bound and the rates with A as without, for each number of measurements."""
    fits, found = of_fits(rows), []
    fits = fits[fits.scale == theory.CERTIFIED_SCALE]
    for _, group in fits.groupby("lines"):
        m, kinds = group.pixels.iloc[0], {kind: group[group.operator == kind] for kind in KINDS}
        where = f"m = {m} of {round(m / group.undersampling.iloc[0])}"
        for kind, of_kind in kinds.items():
            held = shares(of_kind.held, of_kind.ratio)
            name = f"Theorem 4.1, {where}, {KINDS[kind]}"
            found.append(over_widths(name, held, "c = 1/16", theory.WIDTH_THEOREM, "m"))
        found += [law_claim(where, of_kind, kinds["none"]) for kind, of_kind in kinds.items() if kind != "none"]
    return found


def law_claim(where: str, fits: pd.DataFrame, plain: pd.DataFrame) -> Claim:
    """Whether the rates are distributed as without A: for orthonormal rows they are, A V having the law of V."""
    kind, texts, chances = fits.operator.iloc[0], [], []
    for ratio, group in fits.groupby("ratio"):
        rates = group.rate.dropna(), plain.rate[plain.ratio == ratio].dropna()
        if min(map(len, rates)) > 1:
            chances.append(float(ks_2samp(*rates).pvalue))
            texts.append(f"{rates[0].median() / rates[1].median():.2f} (p = {chances[-1]:.2g}) at {ratio:g} m")
    found = f"median rate over that without A {', '.join(texts)}" if texts else "fewer than two fits"
    tested = verdict(min(chances) > 0.001) if texts and kind == "fourier" else MEASURED
    name, gap = f"Rates as without A, {where}, {KINDS[kind]}", f"‖A A^T - I‖ = {fits.gap.iloc[0]:.1e}"
    return Claim(name, "every width", tested, f"{found}; {gap}")
