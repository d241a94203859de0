"""A prior as a file: written, read, refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.io import learned_priors

SHAPE = (16, 16, 1)
TENSORS = priors.tensor_names(cs.methods.CsDip(SHAPE).generator.params_like)


def test_a_file_gives_back_what_was_saved(saved_prior):
    path, prior = saved_prior
    read, lr_weight = learned_priors.load(path, TENSORS)
    assert lr_weight == 0.5 and (read.reading, read.tensors) == (prior.reading, prior.tensors)
    np.testing.assert_array_equal(read.mean, prior.mean)
    np.testing.assert_array_equal(read.covariance, prior.covariance)
    with np.load(path) as content:
        assert str(content["provenance"]) == '{"images": ["a", "b", "c"]}'


def test_published_statistics_are_of_one_network(real_data):
    with pytest.raises(cs.InputError, match=r"covariance of shape \(19, 19\) for 7 layers"):
        learned_priors.load(real_data / "learned_statistics_2018", TENSORS)


def test_bad_files(tmp_path, saved_prior):
    with pytest.raises(cs.InputError, match="absent.npz holds no prior .FileNotFoundError.: learn one anew"):
        learned_priors.load(tmp_path / "absent.npz", TENSORS)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(cs.InputError, match="text.npz holds no prior"):
        learned_priors.load(tmp_path / "text.npz", TENSORS)
    with pytest.raises(cs.InputError, match="prior.npz: the prior is of another network: it has 3 tensors"):
        learned_priors.load(saved_prior[0], TENSORS[:1])
    with pytest.raises(cs.InputError, match="the path of the prior is empty"):
        learned_priors.load("", TENSORS)
    with pytest.raises(cs.InputError, match=f"{tmp_path.name} holds no prior"):
        learned_priors.load(tmp_path, TENSORS)


def test_a_file_of_several_priors_is_refused(saved_prior):
    learned_priors.save(saved_prior[0], jax.tree.map(lambda x: jnp.stack([x, x]), saved_prior[1]), 1.0, {})
    with pytest.raises(cs.InputError, match="it holds 2 priors: give a file of one"):
        learned_priors.load(saved_prior[0], saved_prior[1].tensors)
