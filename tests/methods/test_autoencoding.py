"""Self-guided DIP and aSeqDIP beyond the contract: a step by hand, what z is, and where it is none."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.generators import Generator, UNet
from csdip_jax.methods.autoencoding import first_image
from csdip_jax.types import pytree_dataclass

SHAPE = (4, 3, 1)


@pytree_dataclass
class Scaling(Generator):
    """w z, of a number w = 0.5: all derivatives by hand."""

    def init(self, key, dtype=jnp.float32):
        return jnp.zeros(self.image_shape, dtype), jnp.asarray(0.5, dtype)

    def apply(self, params, latent):
        return params * latent


def problem():
    operator = cs.operators.gaussian(jax.random.key(1), 6, SHAPE)
    return cs.Problem(operator, operator.forward(jax.random.uniform(jax.random.key(2), SHAPE, minval=-1.0)))


def by_hand(strength, noise):
    """(objective, d/dw, d/dz, z) of ||y - A x||^2 + strength ||x - z||^2 with x = w (z + noise), at the start."""
    matrix, y = (np.asarray(part, float) for part in (problem().operator.matrix, problem().measurements))
    back = matrix.T @ y
    z, w = back * (back @ back) / np.sum((matrix @ back) ** 2), 0.5
    noise = noise(z).reshape(-1)
    x = w * (z + noise)
    by_x = -2 * matrix.T @ (y - matrix @ x) + 2 * strength * (x - z)
    objective = np.sum((y - matrix @ x) ** 2) + strength * np.sum((x - z) ** 2)
    return objective, by_x @ (z + noise), w * by_x - 2 * strength * (x - z), z


def test_a_step_of_self_guided_dip_by_hand():
    method = cs.methods.SelfGuided(SHAPE, generator=Scaling(SHAPE), strength=0.3, draws=3, learning_rate=0.01)
    start, key = method.init(problem(), jax.random.key(0)), jax.random.key(5)

    def noise(z):
        of_input, _ = jax.random.split(key)
        drawn = [jax.random.normal(jax.random.split(one, 1)[0], SHAPE) for one in jax.random.split(of_input, 3)]
        return np.mean(np.asarray(drawn), 0) * np.abs(z).max() / 2

    objective, by_w, by_z, z = by_hand(0.3, noise)
    np.testing.assert_allclose(start.latent.reshape(-1), z, rtol=1e-5)
    state, told = method.step(problem(), start, key)
    np.testing.assert_allclose(told["objective"], objective, rtol=1e-4)
    np.testing.assert_allclose(state.params, 0.5 - 0.01 * np.sign(by_w), rtol=1e-5)  # the first step of Adam
    np.testing.assert_allclose(state.latent.reshape(-1), z - 0.01 * np.sign(by_z), rtol=1e-4)


def test_a_step_of_aseq_dip_by_hand_and_the_input_after_it():
    method = cs.methods.ASeqDip(SHAPE, generator=Scaling(SHAPE), inner=2, learning_rate=0.01)
    state = method.init(problem(), jax.random.key(0))
    objective, by_w, _, z = by_hand(1.0, np.zeros_like)
    state, told = method.step(problem(), state, jax.random.key(5))
    np.testing.assert_allclose(told["objective"], objective, rtol=1e-4)
    w = 0.5 - 0.01 * np.sign(by_w)
    np.testing.assert_allclose(state.params, w, rtol=1e-5)
    np.testing.assert_allclose(state.latent.reshape(-1), z, rtol=1e-5)  # after one of two
    state, _ = method.step(problem(), state, jax.random.key(6))
    np.testing.assert_allclose(state.latent.reshape(-1), w * z, rtol=1e-4)


def test_an_input_that_explains_the_measurements():
    operator = cs.operators.radial_fourier(2, (8, 8, 1))
    p = cs.Problem(operator, operator.forward(jax.random.uniform(jax.random.key(2), (8, 8, 1))))
    method = cs.methods.ASeqDip((8, 8, 1), generator=Scaling((8, 8, 1)), inner=1, consistent=True)
    state, _ = method.step(p, method.init(p, jax.random.key(0)), jax.random.key(1))
    assert cs.operators.measurement_loss(*p, state.last_image) > 0.1 * cs.operators.squared_norm(p.measurements)
    assert cs.operators.measurement_loss(*p, state.latent) < 1e-4 * cs.operators.squared_norm(p.measurements)


def test_the_first_image_is_the_adjoint_s_where_rows_are_orthonormal():
    operator = cs.operators.radial_fourier(2, SHAPE)
    y = operator.forward(jax.random.uniform(jax.random.key(2), SHAPE))
    np.testing.assert_allclose(first_image(operator, y), operator.adjoint(y), atol=1e-5)


@pytest.mark.parametrize("depth", [2, 5])
def test_the_image_is_the_middle_of_a_larger_latent(depth):
    shape = (9, 6, 2)
    method = cs.methods.ASeqDip(shape, generator=UNet(shape, width=4, scales=2, input_depth=depth))
    latent, image = jnp.ones((12, 8, depth)), jax.random.normal(jax.random.key(0), shape)
    held = method.with_guide(latent, image)
    np.testing.assert_array_equal(method.guide(held), image)
    np.testing.assert_allclose(held[..., :2].sum(), image.sum(), rtol=1e-5)  # and 0 around it
    np.testing.assert_array_equal(held[..., 2:], 1.0)


@pytest.mark.parametrize("kind", [cs.methods.SelfGuided, cs.methods.ASeqDip])
def test_a_latent_that_holds_no_image_is_drawn_and_not_compared(kind):
    shape = (8, 8, 1)
    method = kind(shape, generator=cs.generators.DeepDecoder(shape, channels=4))
    operator = cs.operators.gaussian(jax.random.key(1), 6, shape)
    p = cs.Problem(operator, operator.forward(jnp.ones(shape)))
    state = method.init(p, jax.random.key(0))
    np.testing.assert_array_equal(state.latent, method.generator.init(jax.random.key(0))[0])
    objective, (loss, _) = method.objective(p, state.latent, state.params)
    assert objective == loss


def test_without_an_adjoint_the_input_is_drawn():
    operator = cs.operators.Magnitude(problem().operator)
    method = cs.methods.SelfGuided(SHAPE, generator=Scaling(SHAPE))
    state = method.init(cs.Problem(operator, operator.forward(jnp.ones(SHAPE))), jax.random.key(0))
    np.testing.assert_array_equal(state.latent, jnp.zeros(SHAPE))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": -1.0}, "strength = -1.0"),
        ({"draws": 0}, "draws = 0"),
        ({"generator": UNet((8, 8, 1))}, "image_sh"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(cs.InputError, match=message):
        dataclasses.replace(cs.methods.SelfGuided(SHAPE), **change)
