"""CSGM's own: what its decoder can make it finds, the prior's weight, restarts, and decoders that do not fit."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.generators import TrainedDecoder
from csdip_jax.methods import Csgm
from csdip_jax.solve import driver
from tests.methods.decoders import random_decoder

SHAPE = (12, 12, 1)
DECODER = random_decoder(6, 48, 144)
GENERATOR = TrainedDecoder(SHAPE, DECODER)
METHOD = Csgm(SHAPE, generator=GENERATOR, steps=400, restarts=4, learning_rate=0.05, l2_weight=0.0)


def decode(latent):
    return GENERATOR.apply(DECODER, latent)


def image_in_range():
    return decode(jax.random.normal(jax.random.key(5), (6,)))


def problem(m=30):
    operator = cs.operators.gaussian(jax.random.key(3), m, SHAPE)
    return cs.Problem(operator, operator.forward(image_in_range()))


def test_an_image_in_the_range_is_recovered_from_few_measurements():
    solution = cs.reconstruct(METHOD, problem(), jax.random.key(0))
    assert solution.status == cs.Status.FINISHED and solution.steps == METHOD.steps
    assert cs.metrics.mse(solution.image, image_in_range()) < 1e-6


def test_any_differentiable_operator_will_do():
    operator = cs.operators.Nonlinear(lambda image: jnp.exp(image).reshape(-1)[:60], SHAPE)
    solution = cs.reconstruct(METHOD, cs.Problem(operator, operator.forward(image_in_range())), jax.random.key(0))
    assert solution.measurement_loss < 1e-4


def test_the_restart_with_the_lowest_measurement_loss_wins(monkeypatch):
    """Whatever its prior says; the image is the iterate that the last entry of the trace belongs to."""
    seen, choose = [], driver.choose_restarts
    monkeypatch.setattr(driver, "choose_restarts", lambda *fits: seen.append(fits) or choose(*fits))
    method = dataclasses.replace(METHOD, steps=20, l2_weight=1.0)
    solution = cs.reconstruct(method, problem(), jax.random.key(0))
    ((fits, scores),) = seen
    last = fits.trace["measurement_loss"][0, :, -1]
    np.testing.assert_array_equal(scores[0], last)
    assert len(set(last.tolist())) == 4 and solution.restart == last.argmin()
    np.testing.assert_allclose(solution.measurement_loss, last.min(), rtol=1e-5)


def test_one_step_by_hand():
    """The gradient of ||y - A G(z)||^2 + weight ||z||^2; Adam's first step is the learning rate along its sign."""
    p, method = problem(), dataclasses.replace(METHOD, l2_weight=0.3)
    state = method.init(p, jax.random.key(1))

    def objective(z):
        residual = p.measurements - p.operator.matrix @ decode(z).reshape(-1)
        return residual @ residual + 0.3 * z @ z

    after, told = method.step(p, state, jax.random.key(2))
    expected = state.latent - method.learning_rate * jnp.sign(jax.grad(objective)(state.latent))
    np.testing.assert_allclose(after.latent, expected, atol=1e-5)
    np.testing.assert_allclose(told["objective"], objective(state.latent), rtol=1e-5)
    loss = objective(state.latent) - 0.3 * state.latent @ state.latent  # what restarts compete by
    np.testing.assert_allclose([after.loss, told["measurement_loss"]], [loss, loss], rtol=1e-5)
    np.testing.assert_array_equal(method.image(after), decode(state.latent))


def test_a_large_weight_keeps_the_latent_at_the_prior():
    method = dataclasses.replace(METHOD, l2_weight=1e6)
    solution = cs.reconstruct(method, problem(), jax.random.key(0))
    np.testing.assert_allclose(solution.image, decode(jnp.zeros(6)), atol=1e-2)


def test_a_diverging_fit_is_reported_and_its_image_is_finite():
    method = dataclasses.replace(METHOD, l2_weight=3e38)
    solution = cs.reconstruct(method, problem(), jax.random.key(0), max_redraws=1)
    assert not solution.ok and np.isfinite(solution.image).all()


def test_the_paper_s_settings():
    method = Csgm.preset("paper", (28, 28, 1))
    assert (method.steps, method.restarts, method.learning_rate, method.l2_weight) == (1000, 10, 0.01, 0.1)
    assert Csgm.preset("reference", (28, 28, 1)) == method


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (None, "has no weights: load them, or train a VAE"),
        (random_decoder(6, 48, 784), r"makes 784 pixels, image_shape = \(12, 12, 1\) has 144"),
        ({"params": {"layer_0": {"kernel": np.ones((2, 2))}}}, "not the parameters of a VAE's decoder"),
    ],
)
def test_decoders_that_do_not_fit(decoder, message):
    with pytest.raises(cs.InputError, match=message):
        method = dataclasses.replace(METHOD, generator=TrainedDecoder(SHAPE, decoder))
        cs.reconstruct(method, problem(), jax.random.key(0))


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 0), ("restarts", 0), ("l2_weight", -1.0), ("learning_rate", float("inf"))]
)
def test_bad_settings_are_named(field, value):
    with pytest.raises(cs.InputError, match=f"{field} = {value!r}"):
        dataclasses.replace(METHOD, **{field: value})
