"""Theorem 4.1's quantities beside automatic differentiation, brute force, and values computed by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from experiments.theorem_check import one_layer, theory

pytestmark = pytest.mark.usefixtures("x64")

N, D, K = 4, 12, 3


@pytest.fixture
def full():
    """V, W_0, z, y of a small network whose W is kept whole."""
    keys = jax.random.split(jax.random.key(3), 4)
    latent, target = 1.5 * jax.random.normal(keys[0], (K,)), jax.random.normal(keys[1], (N,))
    deviation = theory.outer_deviation(N, D, jnp.linalg.norm(target), jnp.linalg.norm(latent))
    return deviation * jax.random.normal(keys[2], (N, D)), jax.random.normal(keys[3], (D, K)), latent, target


def output(weights, outer, latent):
    return outer @ jax.nn.relu(weights @ latent)


def states(outer, hidden, target, scale, latent_norm):
    """Gradient descent from h = `hidden`, what is left of W along z, step by step."""
    method = one_layer.OneLayer((1, D, 1), scale=scale, latent_norm=latent_norm)
    problem = cs.Problem(one_layer.Outer(outer, method.image_shape), target)
    step, hidden = jax.jit(method.step), hidden.reshape(method.image_shape)
    state = method.init(problem, jax.random.key(0))._replace(initial=hidden, hidden=hidden)
    while True:
        yield state
        state, _ = step(problem, state, jax.random.key(0))


def test_descent_along_z_is_descent_on_the_whole_matrix(full):
    outer, weights, latent, target = full
    step = theory.step_size(0.25, N, D, jnp.linalg.norm(target))
    gradient = jax.jit(jax.grad(lambda w: 0.5 * jnp.sum((output(w, outer, latent) - target) ** 2)))
    first, on, norm = weights, theory.active(weights @ latent), jnp.linalg.norm(latent)
    descent = states(outer, weights @ latent, target, 0.25, norm)
    next(descent)
    for _ in range(30):
        before, weights, state = weights, weights - step * gradient(weights), next(descent)
        np.testing.assert_allclose(state.hidden.ravel(), weights @ latent, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(state.output, output(before, outer, latent), rtol=1e-10)
        now = theory.active(state.hidden.ravel())
        assert not (now & ~on).any()  # with a single input a ReLU that is off stays off
        on = now
    distance = jnp.linalg.norm(state.hidden - state.initial) / norm
    np.testing.assert_allclose(distance, jnp.linalg.norm(weights - first), rtol=1e-10)
    start = jnp.linalg.norm(output(first, outer, latent) - target)
    assert jnp.sqrt(state.loss) < start / 2


def test_gram_is_of_the_jacobian(full):
    outer, weights, latent, _ = full
    flat = np.asarray(jax.jacobian(output)(weights, outer, latent)).reshape(N, -1)
    gram = theory.gram(outer, theory.active(weights @ latent), jnp.linalg.norm(latent))
    np.testing.assert_allclose(gram, flat @ flat.T, rtol=1e-10, atol=1e-14)
    values = np.linalg.svd(flat, compute_uv=False)[::-1]
    np.testing.assert_allclose(theory.singular_values(gram), values, rtol=1e-8, atol=1e-10)


def test_turning_signal_and_outer_weights_together_changes_nothing(full):
    outer, weights, latent, target = full
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(9), (N, N)))[0]
    plain, turned = (
        states(v, weights @ latent, y, 0.1, jnp.linalg.norm(latent))
        for v, y in ((outer, target), (turn @ outer, turn @ target))
    )
    for _ in range(5):
        np.testing.assert_allclose(next(turned).hidden, next(plain).hidden, rtol=1e-10)


def test_formulas_by_hand():
    # n = 2, d = 8, ||y|| = 3, ||z|| = 0.5: sqrt(d n) = 4 and 4 n + d = 16.
    assert float(theory.outer_deviation(2, 8, 3.0, 0.5)) == pytest.approx(1.5)
    assert float(theory.step_size(0.5, 2, 8, 3.0)) == pytest.approx(0.5 * 8 * 16 / (16 * 9))
    assert float(theory.certified_rate(0.5, 2, 8)) == pytest.approx(1 / 32)
    assert float(theory.misfit_bound(2, 1.0, 2, 8)) == pytest.approx(3 * (15 / 16) ** 2)
    assert float(theory.smallest_singular_bound(8, 1.5, 0.5)) == pytest.approx(1.5 * np.sqrt(8) * 0.25)
    assert float(theory.largest_singular_bound(2, 8, 1.5, 0.5)) == pytest.approx(1.5 * np.sqrt(8) * 2 * 0.5)
    assert float(theory.sign_changes_bound(8, 0.25)) == 2 * np.ceil(4 ** (2 / 3))
    assert theory.proof_radius(4) == 96
    none = theory.perturbation_bound(2, 8, 0, 1.5, 0.5)
    assert float(none) == pytest.approx(0.75 * (np.sqrt(2) + np.sqrt(2 * np.log(100))))
    all_columns = theory.perturbation_bound(2, 8, 100, 1.5, 0.5)  # more than d count as d
    assert float(all_columns - none) == pytest.approx(0.75 * (np.sqrt(8) + 4))


@pytest.mark.parametrize(("pixels", "width"), [(20, 100), (7, 3000)])
def test_the_certified_step_is_one_over_beta_squared_and_gives_the_printed_rate(pixels, width):
    norm = 2.5
    step = theory.step_size(theory.CERTIFIED_SCALE, pixels, width, norm)
    deviation = theory.outer_deviation(pixels, width, norm, 1.0)
    beta_squared = 2 * deviation**2 * (width + 4 * pixels)  # (sqrt d + 2 sqrt n)^2 <= 2 (d + 4 n)
    assert float(theory.largest_singular_bound(pixels, width, deviation)) ** 2 <= beta_squared
    assert float(step * beta_squared) == pytest.approx(1)
    alpha = norm / (4 * np.sqrt(pixels))
    assert float(theory.smallest_singular_bound(width, deviation)) == pytest.approx(2 * alpha)
    rate = theory.certified_rate(theory.CERTIFIED_SCALE, pixels, width)
    assert float(step * alpha**2 / 4) == pytest.approx(float(rate))


def drawn(pixels, width, target):
    """V and h_0 of seed 0."""
    (outer,) = one_layer.outer_weights(jax.random.key(0), jnp.zeros(1, int), pixels, width, target)
    problem = cs.Problem(one_layer.Outer(outer, (1, width, 1)), target)
    return outer, one_layer.OneLayer((1, width, 1)).init(problem, jax.random.key(1)).hidden.ravel()


def test_expected_rate_and_overshooting_are_those_of_a_large_network():
    pixels, width = 300, 6000
    target = jax.random.normal(jax.random.key(0), (pixels,))
    outer, hidden = drawn(pixels, width, target)
    smallest, *_, largest = theory.singular_values(theory.gram(outer, theory.active(hidden), one_layer.LATENT_NORM))
    step = theory.step_size(1.0, pixels, width, jnp.linalg.norm(target))
    np.testing.assert_allclose(step * smallest**2, theory.expected_rate(1.0, pixels, width), rtol=0.05)
    np.testing.assert_allclose(2 / (step * largest**2), theory.stable_scale(pixels, width), rtol=0.05)


def test_networks_are_drawn_as_the_theorem_says():
    target = 3 * jnp.ones(500)
    outer, hidden = drawn(500, 1000, target)
    deviation = theory.outer_deviation(500, 1000, jnp.linalg.norm(target), one_layer.LATENT_NORM)
    np.testing.assert_allclose(jnp.std(outer), deviation, rtol=0.01)
    np.testing.assert_allclose(jnp.std(hidden), one_layer.LATENT_NORM, rtol=0.1)
    np.testing.assert_allclose(jnp.sum((outer @ jnp.maximum(hidden, 0)) ** 2), jnp.sum(target**2) / 2, rtol=0.25)
    fewer, _ = drawn(500, 1000, target[:20])  # 20 measurements of 500 pixels
    np.testing.assert_allclose(fewer, outer, rtol=1e-10)  # ||y||^2 / m is the same
    assert drawn(5, 4, target.astype(jnp.float32))[0].dtype == jnp.float32


@pytest.mark.parametrize("radius", [0.0, 0.3, 0.8, 1.7, 100.0])
def test_most_sign_changes_beside_every_subset(radius):
    initial = np.asarray(jax.random.normal(jax.random.key(4), (9,)))
    most = max(
        len(subset)
        for size in range(10)
        for subset in itertools.combinations(range(9), size)
        if np.sum(initial[list(subset)] ** 2) <= radius**2
    )
    changed = np.asarray(theory.most_sign_changes(jnp.asarray(initial), radius))
    assert changed.sum() == most and np.sum(initial[changed] ** 2) <= radius**2


def test_perturbation_bound_holds_over_every_set_of_columns():
    outer = jax.random.normal(jax.random.key(5), (3, 14))
    for q in (1, 3, 6):
        worst = max(
            np.linalg.norm(np.asarray(outer)[:, list(subset)], 2) for subset in itertools.combinations(range(14), q)
        )
        assert worst < float(theory.perturbation_bound(3, 14, q, 1.0)) < 4 * worst
