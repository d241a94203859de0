"""Lasso beside scikit-learn's, on the explicit matrix A Psi."""

import dataclasses
import warnings
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.methods import Lasso, lasso
from csdip_jax.solve import fits

SHAPE = (28, 28, 1)
KEY = jax.random.key(0)


def photograph(shape=SHAPE):
    return cs.data.load("demo", image_shape=shape, num_images=1)[0]


def explicit(method, operator):
    """A Psi with the real and imaginary parts as rows, [m or 2 m, n]: Psi^T of each row of A."""
    units = jnp.eye(operator.measurements_like.size)

    @jax.jit
    def row(unit):
        return method.analysis(operator.adjoint(unit)).ravel()

    if not jnp.issubdtype(operator.measurements_like.dtype, jnp.complexfloating):
        return np.asarray(jax.lax.map(row, units))
    return np.concatenate([jax.lax.map(row, units + 0j), jax.lax.map(row, 1j * units)])


def objective(matrix, y, count, alpha, coefficients):
    return np.sum((y - matrix @ coefficients) ** 2) / (2 * count) + alpha * np.abs(coefficients).sum()


@pytest.mark.parametrize(
    ("basis", "kind", "side", "alpha"),
    [
        ("dct", "gaussian", 28, 1e-5),
        ("dct", "gaussian", 28, 1e-3),
        ("wavelet", "fourier", 28, 1e-4),
        ("dct", "gaussian", 128, 1e-2),
    ],
)
def test_objective_of_scikit_learn(basis, kind, side, alpha):
    sklearn = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn, of the extra dev")
    shape = (side, side, 1)
    count = 100 if side == 28 else 500
    operator = cs.operators.gaussian(KEY, count, shape) if kind == "gaussian" else cs.operators.radial_fourier(6, shape)
    y = operator.forward(photograph(shape))
    method = Lasso(shape, basis=basis, alpha=alpha)
    matrix, stacked = explicit(method, operator).astype(float), np.asarray(y)
    stacked = np.concatenate([stacked.real, stacked.imag]) if np.iscomplexobj(stacked) else stacked
    # scikit-learn divides by its number of rows, which are twice as many for complex measurements
    reference = sklearn.Lasso(alpha * y.size / len(stacked), fit_intercept=False, tol=1e-10, max_iter=20_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference.fit(matrix, stacked)
    ours = np.asarray(minimizer(method, cs.Problem(operator, y))).astype(float).ravel()
    values = [objective(matrix, stacked, y.size, alpha, c) for c in (ours, reference.coef_)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)


def minimizer(method, problem):
    """The coefficients themselves: the method's image is clipped to the range of pixels."""

    @jax.jit
    def run(method, problem):
        start = method.init(problem, KEY)
        return jax.lax.while_loop(
            lambda state: ~method.converged(state) & (state.step < method.steps),
            lambda state: method.step(problem, state, KEY)[0],
            start,
        )

    state = run(method, problem)
    assert method.converged(state)
    return state.iterate.coefficients


@pytest.mark.parametrize(
    "operator",
    [
        cs.operators.gaussian(KEY, 400, SHAPE),
        cs.operators.gaussian(KEY, 100, SHAPE),
        cs.operators.Dense(jnp.diag(jnp.linspace(0.2, 3.0, 784)), SHAPE),
        cs.operators.Dense(jnp.diag(jnp.ones(784).at[300].set(1.2)), SHAPE),
        cs.operators.radial_fourier(3, SHAPE),
    ],
)
def test_the_norm_is_never_below_the_operator_s(operator):
    """Step sizes rest on that; nor is it far above, whatever the spectrum and the image that Lanczos starts from."""
    y = jnp.ones(operator.measurements_like.shape, operator.measurements_like.dtype)
    state = jax.jit(jax.vmap(Lasso(SHAPE).init, (None, 0)))(cs.Problem(operator, y), jax.random.split(KEY, 20))
    true = np.linalg.norm(operator.matrix, 2) if hasattr(operator, "matrix") else 1.0
    assert (state.norm >= 1.05 * 0.97 * true).all() and (state.norm <= 1.0501 * true).all()


@pytest.mark.parametrize("solver", ["fista", "ista"])
def test_every_solver_finds_the_same_minimum(solver):
    operator = cs.operators.gaussian(KEY, 200, SHAPE)
    problem = cs.Problem(operator, operator.forward(photograph()))
    method = dataclasses.replace(Lasso(SHAPE), alpha=4e-3)
    expected = cs.reconstruct(method, problem, KEY)
    solution = cs.reconstruct(dataclasses.replace(method, solver=solver), problem, KEY)
    assert solution.status == expected.status == cs.Status.CONVERGED
    np.testing.assert_allclose(solution.image, expected.image, atol=0.02)


def test_one_compile_for_a_path_of_weights():
    operator = cs.operators.gaussian(KEY, 100, SHAPE)
    problem = cs.Problem(operator, operator.forward(photograph()))
    paths = [np.geomspace(1e-3, 1e-1, 4), np.geomspace(1e-2, 1, 4)]
    first = cs.reconstruct(dataclasses.replace(Lasso(SHAPE), alpha=paths[0]), problem, KEY)
    compiled = fits.advance._cache_size()
    cs.reconstruct(dataclasses.replace(Lasso(SHAPE), alpha=paths[1]), problem, KEY)
    assert fits.advance._cache_size() == compiled
    assert (np.diff(first.measurement_loss) > 0).all()  # a larger weight explains less


@pytest.mark.parametrize("step", [1, 4, 7, 8, 9, 12, 16, 1000, 1024])
@pytest.mark.parametrize(("coefficients", "rescaled"), [(4.0, 0.3), (24.0, 0.5)])
def test_the_ratio_of_the_steps_is_raised_rarely_and_never_lowered(step, coefficients, rescaled):
    """To a quarter of ||c|| / ||theta||, at powers of two from 8 on."""
    iterate = SimpleNamespace(coefficients=jnp.full((3, 4, 1), coefficients), dual=jnp.full(12, 12.0))
    found = lasso._rescaled(SimpleNamespace(step=jnp.array(step), iterate=iterate, scale=jnp.float32(0.3)))
    assert found == pytest.approx(rescaled if step in (8, 16, 1024) else 0.3)


def test_bad_settings():
    for settings, message in [
        ({"alpha": 0.0}, "alpha = 0.0"),
        ({"alpha": np.float32(-1)}, r"alpha = np.float32\(-1.0\)"),
        ({"alpha": "much"}, "alpha = 'much'"),
        ({"steps": 2.5}, "steps = 2.5: it must be a whole number"),
        ({"solver": "newton"}, "primal_dual or fista or ista"),
        ({"steps": 0}, "steps = 0"),
    ]:
        with pytest.raises(cs.InputError, match=message):
            Lasso(SHAPE, **settings)
    with pytest.raises(cs.InputError, match="wavelet = 'db99'"):
        Lasso(SHAPE, basis="wavelet", wavelet="db99")
