"""The VAE: sizes, ranges, and the terms of its bound against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

import csdip_jax as cs
from csdip_jax.generators import VAE, TrainedDecoder, decoder_of, decoder_sizes
from csdip_jax.generators.vae import Encoder, bernoulli_log_likelihood, gaussian_divergence
from tests.methods.decoders import random_decoder

SHAPE = (5, 4, 3)
VAE_SMALL = VAE(SHAPE, hidden=(9, 7), latent_dim=2)
RNG = np.random.default_rng(0)
IMAGE = RNG.uniform(-1, 1, SHAPE).astype(np.float32)


def decode(weights, latent, shape):
    return TrainedDecoder(shape, weights).apply(weights, latent)


@pytest.fixture(scope="module")
def params():
    return VAE_SMALL.init(jax.random.key(0), IMAGE, jnp.zeros(2))


def test_sizes_of_the_published_network():
    vae = VAE((28, 28, 1))
    params = jax.eval_shape(vae.init, jax.random.key(0), jnp.zeros((28, 28, 1)), jnp.zeros(20))
    assert decoder_sizes(decoder_of(params)) == (20, 500, 500, 784)
    encoder = params["params"]["encoder"]
    assert {name: layer["kernel"].shape for name, layer in encoder.items()} == {
        "hidden_0": (784, 500),
        "hidden_1": (500, 500),
        "mean": (500, 20),
        "log_variance": (500, 20),
    }


def test_decoder_by_hand():
    decoder, z = random_decoder(2, 7, 9, 60), RNG.standard_normal(2)
    layers = [decoder["params"][name] for name in ("hidden_0", "hidden_1", "pixels")]
    x = z
    for layer in layers[:-1]:
        x = np.log1p(np.exp(x @ layer["kernel"] + layer["bias"]))
    white = 1 / (1 + np.exp(-(x @ layers[-1]["kernel"] + layers[-1]["bias"])))
    np.testing.assert_allclose(
        decode(decoder, jnp.asarray(z, jnp.float32), SHAPE).reshape(-1), 2 * white - 1, atol=1e-5
    )


def test_images_stay_in_range():
    image = decode(random_decoder(2, 7, 60), jnp.array([1e3, -1e3]), SHAPE)
    assert image.shape == SHAPE and np.abs(image).max() <= 1 and image.max() > 0.99 and image.min() < -0.99


def test_precision_follows_the_latent(x64):
    assert decode(random_decoder(2, 7, 60), jnp.ones(2, jnp.float64), SHAPE).dtype == jnp.float64
    assert decode(random_decoder(2, 7, 60), jnp.ones(2, jnp.float32), SHAPE).dtype == jnp.float32


def test_bernoulli_log_likelihood():
    """Of black and white pixels scipy's; of grey ones linear between the two; finite where the logits are large."""
    logits, grey = RNG.normal(0, 3, 20).astype(np.float32), RNG.uniform(0, 1, 20).astype(np.float32)
    p = 1 / (1 + np.exp(-logits))
    white, black = scipy.stats.bernoulli.logpmf(1, p), scipy.stats.bernoulli.logpmf(0, p)
    np.testing.assert_allclose(bernoulli_log_likelihood(logits, np.ones(20, np.float32)), white.sum(), rtol=1e-5)
    np.testing.assert_allclose(bernoulli_log_likelihood(logits, grey), (grey * white + (1 - grey) * black).sum(), 1e-5)
    np.testing.assert_allclose(bernoulli_log_likelihood(np.float32([-500.0]), np.float32([1.0])), -500.0)


def test_gaussian_divergence():
    """The integral of q log(q / p), dimension by dimension."""
    mean, log_variance = np.array([0.5, -2.0]), np.array([-1.0, 0.7])
    by_integration = 0.0
    for m, s in zip(mean, np.exp(log_variance / 2), strict=True):
        q, p = scipy.stats.norm(m, s), scipy.stats.norm(0, 1)
        by_integration += scipy.integrate.quad(lambda z, q=q, p=p: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -15, 15)[0]
    np.testing.assert_allclose(gaussian_divergence(mean, log_variance), by_integration, rtol=1e-5)


def test_bound_of_an_image(params):
    noise = jnp.array([0.3, -1.2])
    mean, log_variance = Encoder((9, 7), 2).apply({"params": params["params"]["encoder"]}, IMAGE)
    generated = decode(decoder_of(params), mean + jnp.exp(log_variance / 2) * noise, SHAPE)
    p, t = np.asarray(generated + 1) / 2, (IMAGE + 1) / 2
    bound = VAE_SMALL.apply(params, IMAGE, noise)
    np.testing.assert_allclose(bound.log_likelihood, np.sum(t * np.log(p) + (1 - t) * np.log(1 - p)), rtol=1e-4)
    np.testing.assert_allclose(bound.divergence, gaussian_divergence(mean, log_variance), rtol=1e-6)
    assert bound.elbo == bound.log_likelihood - bound.divergence


@pytest.mark.parametrize("hidden", [(), (4,), (3, 5, 4)])
def test_any_number_of_hidden_layers(hidden):
    decoder = random_decoder(2, *hidden, 60)
    assert decoder_sizes(decoder) == (2, *hidden, 60)
    assert decode(decoder, jnp.ones(2), SHAPE).shape == SHAPE


def broken(layer, name, shape):
    decoder = random_decoder(2, 7, 60)
    decoder["params"][layer][name] = np.ones(shape)
    return decoder


@pytest.mark.parametrize(
    "decoder",
    [
        {},
        {"params": {}},
        np.ones(3),
        broken("hidden_0", "bias", (6,)),
        broken("hidden_0", "kernel", (2,)),
        broken("pixels", "kernel", (6, 60)),
        broken("pixels", "scale", (60,)),
    ],
)
def test_what_is_no_decoder_is_refused(decoder):
    with pytest.raises(cs.InputError, match="not the parameters of a VAE's decoder"):
        decoder_sizes(decoder)


def test_a_whole_vae_is_no_decoder(params):
    with pytest.raises(cs.InputError, match="not the parameters of a VAE's decoder"):
        decoder_sizes(params)


def test_a_decoder_of_other_images_is_refused():
    with pytest.raises(cs.InputError, match=r"makes 60 pixels, image_shape = \(5, 5, 3\) has 75"):
        decode(random_decoder(2, 7, 60), jnp.ones(2), (5, 5, 3))
