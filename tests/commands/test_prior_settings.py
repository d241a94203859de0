"""A prior's file as `experiments.reconstruct` uses it."""

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.commands import settings
from csdip_jax.commands.configs import default
from csdip_jax.io import learned_priors
from csdip_jax.runs.study import digests

SHAPE = (16, 16, 1)


def config(**changes):
    result = default.get_config()
    result.update(changes)
    return result


def test_the_published_statistics_load(real_data):
    method = settings.study(config(prior=str(real_data / "learned_statistics_2018"))).method("csdip", (256, 256, 1))
    assert method.prior.reading == "layer_means" and len(method.prior.tensors) == 19 and method.lr_weight == 100.0
    np.testing.assert_allclose(method.prior.mean[1], 0.5417, atol=1e-4)  # of the first BatchNorm's scales


def test_the_configuration_names_a_prior(saved_prior):
    method = settings.study(config(prior=str(saved_prior[0]))).method("csdip", SHAPE)
    assert method.prior.tensors == saved_prior[1].tensors and method.lr_weight == 0.5
    explicit = config(prior=str(saved_prior[0]))
    explicit.csdip.lr_weight, explicit.csdip.warm_start = 2.0, True
    method = settings.study(explicit).method("csdip", SHAPE)
    assert method.lr_weight == 2.0 and method.warm_start


def test_a_prior_nobody_uses_is_refused(saved_prior):
    with pytest.raises(cs.InputError, match="csdip and dip alone use it, not `methods=tv`"):
        settings.study(config(prior=str(saved_prior[0]), methods="tv")).sweeps(SHAPE)


def test_runs_with_different_priors_differ(saved_prior):
    (plain,), (learned,) = (settings.study(config(prior=prior)).sweeps(SHAPE) for prior in (None, str(saved_prior[0])))
    assert digests([plain]) == {}
    digest = digests([learned])
    learned_priors.save(saved_prior[0], saved_prior[1], 0.25, {})
    assert digest != digests(settings.study(config(prior=str(saved_prior[0]))).sweeps(SHAPE))


def test_a_prior_that_is_off_says_so(saved_prior):
    learned_priors.save(saved_prior[0], saved_prior[1], 0.0, {})
    with pytest.warns(cs.ReconstructionWarning, match="prior.npz is off: none helped .*; set `csdip.lr_weight`"):
        (sweep,) = settings.study(config(prior=str(saved_prior[0]))).sweeps(SHAPE)
    assert sweep.method.lr_weight == 0
    settings.study(config(prior=str(saved_prior[0])), sweep=["csdip.lr_weight=0,100"]).sweeps(SHAPE)
    learned_priors.save(saved_prior[0], saved_prior[1], None, {})  # of a warm start: no weight was looked for
    (sweep,) = settings.study(config(prior=str(saved_prior[0]))).sweeps(SHAPE)
    assert sweep.method.lr_weight == 100


def test_a_weight_without_a_prior_is_refused():
    with pytest.raises(cs.InputError, match="lr_weight without a prior changes nothing"):
        settings.study(config(), sweep=["csdip.lr_weight=0,100"]).sweeps(SHAPE)
