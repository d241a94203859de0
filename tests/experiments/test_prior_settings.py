"""A prior's file as `experiments.reconstruct` uses it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.generators import dcgan_layers, draw_params
from csdip_jax.io import learned_priors
from experiments import settings
from experiments.configs import default

SHAPE = (16, 16, 1)


@pytest.fixture
def saved(tmp_path):
    params = [draw_params(jax.random.key(i), dcgan_layers(SHAPE), 128) for i in range(3)]
    prior = priors.fit(jax.tree.map(lambda *leaves: jnp.stack(leaves), *params))
    path = tmp_path / "prior.npz"
    learned_priors.save(path, prior, 0.5, {"images": ["a", "b", "c"]})
    return path, prior


def config(**changes):
    result = default.get_config()
    result.update(changes)
    return result


def test_the_published_statistics_load(real_data):
    method = settings.make_method("csdip", config(prior=str(real_data / "learned_statistics_2018")), (256, 256, 1))
    assert method.prior.reading == "layer_means" and len(method.prior.tensors) == 19 and method.lr_weight == 100.0
    np.testing.assert_allclose(method.prior.mean[1], 0.5417, atol=1e-4)  # of the first BatchNorm's scales


def test_the_configuration_names_a_prior(saved):
    method = settings.make_method("csdip", config(prior=str(saved[0])), SHAPE)
    assert method.prior.tensors == saved[1].tensors and method.lr_weight == 0.5
    explicit = config(prior=str(saved[0]))
    explicit.csdip.lr_weight, explicit.csdip.warm_start = 2.0, True
    method = settings.make_method("csdip", explicit, SHAPE)
    assert method.lr_weight == 2.0 and method.warm_start


def test_a_prior_nobody_uses_is_refused(saved):
    with pytest.raises(cs.InputError, match="csdip alone uses it, not --config.methods=tv"):
        settings.sweeps(config(prior=str(saved[0]), methods="tv"), SHAPE, None, [])


def test_runs_with_different_priors_differ(saved):
    (plain,), (learned,) = (settings.sweeps(config(prior=prior), SHAPE, None, []) for prior in (None, str(saved[0])))
    assert settings.digests([plain]) == {}
    digest = settings.digests([learned])
    learned_priors.save(saved[0], saved[1], 0.25, {})
    assert digest != settings.digests(settings.sweeps(config(prior=str(saved[0])), SHAPE, None, []))


def test_a_prior_that_is_off_says_so(saved, capsys):
    learned_priors.save(saved[0], saved[1], 0.0, {})
    (sweep,) = settings.sweeps(config(prior=str(saved[0])), SHAPE, None, [])
    assert sweep.method.lr_weight == 0
    assert "prior.npz is off: none helped where it was learned; set --config.csdip.lr_weight" in capsys.readouterr().out
    settings.sweeps(config(prior=str(saved[0])), SHAPE, None, ["csdip.lr_weight=0,100"])
    learned_priors.save(saved[0], saved[1], None, {})  # of a warm start: no weight was looked for
    (sweep,) = settings.sweeps(config(prior=str(saved[0])), SHAPE, None, [])
    assert sweep.method.lr_weight == 100 and not capsys.readouterr().out


def test_a_weight_without_a_prior_is_refused():
    with pytest.raises(cs.InputError, match="lr_weight without a prior changes nothing"):
        settings.sweeps(config(), SHAPE, None, ["csdip.lr_weight=0,100"])
