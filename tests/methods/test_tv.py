"""TV against an independent solver, and the parts of it."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.methods import Tv
from csdip_jax.methods.tv import Split, _copies, _nearest_image
from csdip_jax.priors import image_gradient_adjoint, total_variation
from csdip_jax.solve.normalise import normalise

GREY, COLOUR = (12, 10, 1), (8, 9, 3)
GAUSSIAN = cs.operators.gaussian(jax.random.key(1), 40, GREY)
OPERATORS = {
    "gaussian": GAUSSIAN,
    "scaled": cs.operators.Dense(30.0 * GAUSSIAN.matrix, GREY),
    "fourier": cs.operators.radial_fourier(3, GREY),
    "inpainting": cs.operators.inpainting(np.indices(GREY[:2]).sum(0) % 2, GREY),
    "colour_gaussian": cs.operators.gaussian(jax.random.key(1), 80, COLOUR),
    "colour_fourier": cs.operators.radial_fourier(3, COLOUR),
}


def key(i=0):
    return jax.random.key(i)


def noisy_squares(operator):
    h, w, c = operator.image_shape
    image = jnp.full((h, w, c), -0.9).at[2:6, 3:7, 0].set(0.95).at[4:7, 1:5, -1].set(0.4)
    clean = operator.forward(image)
    noise = jax.random.normal(key(2), clean.shape, clean.dtype)
    return cs.Problem(operator, clean + 0.1 * jnp.linalg.norm(clean) / jnp.sqrt(clean.size) * noise)


def optimum(method, problem):
    """The least objective, by an interior point method on a problem written with numpy."""
    cvxpy = pytest.importorskip("cvxpy", reason="needs cvxpy, of the extra dev")
    h, w, c = method.image_shape
    n = h * w * c
    basis = np.eye(n, dtype=np.float32).reshape(n, h, w, c)
    matrix = np.asarray(jax.vmap(problem.operator.forward)(basis)).T
    matrix, y = (np.concatenate([np.real(a), np.imag(a)]) for a in (matrix, problem.measurements))
    down = np.diff(basis, axis=1, append=basis[:, -1:])
    right = np.diff(basis, axis=2, append=basis[:, :, -1:])
    axes = (0,) * method.isotropic + (3,) * method.coupled
    differences = np.moveaxis(np.stack([down, right]), 1, -1)  # direction, h, w, c, n
    groups = np.moveaxis(differences, axes, range(4 - len(axes), 4))
    members = math.prod(groups.shape[4 - len(axes) : 4])
    x = cvxpy.Variable(n)
    grouped = cvxpy.reshape(groups.reshape(-1, n) @ x, (2 * n // members, members), order="C")
    objective = cvxpy.sum(cvxpy.norm(grouped, 2, axis=1)) + method.mu / 2 * cvxpy.sum_squares(matrix @ x - y)
    bounds = [x >= method.lower, x <= min(method.upper, 10.0)]
    return cvxpy.Problem(cvxpy.Minimize(objective), bounds).solve(solver="CLARABEL")


def objective(method, problem, image):
    loss = cs.operators.measurement_loss(*problem, image)
    return total_variation(image, method.isotropic, method.coupled) + method.mu / 2 * loss


@pytest.mark.parametrize("upper", [1.0, 0.5])
@pytest.mark.parametrize(
    ("operator", "isotropic", "coupled", "mu"),
    [
        ("gaussian", False, False, 256.0),
        ("scaled", False, False, 256.0),
        ("gaussian", True, False, 4.0),
        ("fourier", False, False, 256.0),
        ("fourier", False, False, 1e4),
        ("inpainting", True, False, 10.0),
        ("colour_gaussian", True, True, 256.0),
        ("colour_fourier", False, True, 256.0),
    ],
)
def test_reaches_the_optimum(operator, isotropic, coupled, mu, upper):
    """Objective within 1e-4 of the optimum in the box: real and complex, any scale of A, weak and strong mu.

    That of the normalised problem, which is the problem itself but for "scaled".
    """
    problem = noisy_squares(OPERATORS[operator])
    kind = {"isotropic": isotropic, "coupled": coupled}
    method = Tv(problem.operator.image_shape, **kind, steps=3000, mu=mu, upper=upper, tolerance=5e-5)
    solution = cs.reconstruct(method, problem, key())
    assert solution.status == cs.Status.CONVERGED
    assert method.lower <= solution.image.min() and solution.image.max() <= upper
    batch = problem._replace(measurements=problem.measurements[None])
    (normalised, y), units = normalise(batch)
    assert units.untouched == (operator != "scaled")
    solved = cs.Problem(normalised, y[0])
    np.testing.assert_allclose(objective(method, solved, solution.image), optimum(method, solved), rtol=1e-4)


def test_the_image_update_is_exact():
    """argmin_x ||K x - z||^2, z not of the form K x."""
    z = Split(*(jax.random.normal(key(i), shape) for i, shape in enumerate([(2, *COLOUR), COLOUR, COLOUR])))
    basis = jnp.eye(216).reshape(216, *COLOUR)
    matrix = np.concatenate([np.reshape(a, (216, -1)) for a in jax.vmap(_copies)(basis)], axis=1).T
    expected = np.linalg.lstsq(matrix, np.concatenate([np.ravel(a) for a in z]))[0]
    np.testing.assert_allclose(jax.jit(_nearest_image)(z).reshape(-1), expected, atol=1e-5)


def test_stops_at_its_tolerance_or_says_that_it_did_not():
    problem = noisy_squares(GAUSSIAN)
    steps = []
    for tolerance, converged in ((1e-2, True), (1e-3, True), (0.0, False)):
        solution = cs.reconstruct(Tv(GREY, steps=500, tolerance=tolerance), problem, key())
        assert solution.status == (cs.Status.CONVERGED if converged else cs.Status.OUT_OF_STEPS)
        steps.append(int(solution.steps))
    assert steps == sorted(set(steps)) and steps[-1] == 500


@pytest.mark.parametrize("beta", [0.1, 1e4])
def test_converged_means_both_residuals(beta):
    """A large penalty leaves the dual one behind, a small one the primal one; each of the three copies counts."""
    problem, method = noisy_squares(GAUSSIAN), Tv(GREY, steps=3000, tolerance=1e-2, beta=beta)

    @jax.jit
    def run(problem, state):
        def running(state):
            return ~method.converged(state) & (state.step < method.steps)

        return jax.lax.while_loop(running, lambda state: method.step(problem, state, key())[0], state)

    state = run(problem, method.init(problem, key()))
    norm = lambda x: float(jnp.linalg.norm(jnp.ravel(x)))  # noqa: E731
    for copy, split in zip(_copies(state.image), state.split, strict=True):
        assert norm(copy - split) <= 1.01e-2 * max(norm(copy), norm(split))
    pull = image_gradient_adjoint(state.dual.gradient)
    largest = max(map(norm, (pull, state.dual.data, state.dual.box)))
    assert method.converged(state) and norm(pull + state.dual.data + state.dual.box) <= 1.01e-2 * largest


@pytest.mark.parametrize("beta", [1.0, 1000.0])
def test_reaches_it_from_a_poor_penalty(beta):
    problem = noisy_squares(GAUSSIAN)
    method = Tv(GREY, steps=3000, tolerance=5e-5, beta=beta, upper=1.0)
    solution = cs.reconstruct(method, problem, key())
    assert solution.status == cs.Status.CONVERGED
    np.testing.assert_allclose(objective(method, problem, solution.image), optimum(method, problem), rtol=1e-4)


def test_measurements_of_zero_are_an_image_of_zeros():
    solution = cs.reconstruct(Tv(GREY), cs.Problem(GAUSSIAN, jnp.zeros(40)), key())
    assert solution.status == cs.Status.CONVERGED and solution.steps == 1
    np.testing.assert_array_equal(solution.image, 0)


@pytest.mark.filterwarnings("ignore:the measurements are of pixels")
def test_no_bounds():
    """The box is not needed: pixels beyond [-1, 1] are clipped only in the image returned."""
    operator = cs.operators.Identity(GREY)
    method = Tv(GREY, lower=-np.inf, upper=np.inf, mu=1e4)
    solution = cs.reconstruct(method, cs.Problem(operator, jnp.full(120, 3.0).at[:60].set(-0.5)), key())
    np.testing.assert_allclose(solution.image.reshape(-1)[:60], -0.5, atol=1e-2)
    np.testing.assert_array_equal(solution.image.reshape(-1)[60:], 1.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mu": 0.0}, "mu = 0.0"),
        ({"beta": -1.0}, "beta = -1.0"),
        ({"tolerance": -1e-3}, "tolerance = -0.001"),
        ({"steps": 0}, "steps = 0"),
        ({"lower": 1.0, "upper": -1.0}, r"lower, upper = \(1.0, -1.0\)"),
        ({"upper": float("nan")}, "numbers with lower < upper"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(cs.InputError, match=message):
        Tv(GREY, **changes)
