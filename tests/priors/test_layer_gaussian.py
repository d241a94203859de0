"""The Gaussian prior over a network's weights: its density, how it is learned, and what it does in CS-DIP."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import csdip_jax as cs
from csdip_jax import priors, rules
from csdip_jax.generators import DCGAN, dcgan_layers, draw_params, to_torch
from csdip_jax.methods import CsDip
from csdip_jax.solve import driver, fits

SHAPE = (8, 8, 1)
XRAY = (256, 256, 1)
METHOD = CsDip(SHAPE, steps=6, generator=DCGAN(SHAPE, latent_dim=4), keep=rules.Best(window=3), lr_weight=1.0)
KEY = jax.random.key(0)


def weights(seed=0, networks=None, spread=1.0):
    """Random weights of METHOD's network, BatchNorm's too, or of several networks stacked."""
    shapes = METHOD.generator.params_like
    rng = np.random.default_rng(seed)
    lead = () if networks is None else (networks,)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(rng.normal(), spread, lead + x.shape), jnp.float32), shapes)


def gaussian(reading, kinds=None, seed=0):
    """A prior with correlated layers."""
    tensors = priors.tensor_names(weights(), priors.READINGS[reading] if kinds is None else kinds)
    rng, layers = np.random.default_rng(seed), len(tensors)
    root = rng.normal(size=(layers, layers))
    return priors.LayerGaussian(
        rng.normal(size=layers), root @ root.T / layers + 0.5 * np.eye(layers), reading, tensors
    )


def as_double(params):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), params)


# --- the density


def test_what_counts_as_a_layer():
    params = weights()
    assert priors.fit(weights(networks=2)).tensors == ("params/layer_0/kernel", "params/layer_1/kernel")
    everything = priors.fit(weights(networks=2), reading="layer_means").tensors
    assert (
        everything
        == priors.tensor_names(params)
        == tuple(f"params/{name}" for name in ("layer_0/kernel", "layer_0/scale", "layer_0/shift", "layer_1/kernel"))
    )
    chosen = priors.fit(weights(networks=2), kinds=("kernel", "shift")).tensors
    assert chosen == tuple(name for name in everything if not name.endswith("scale"))
    shapes = jax.eval_shape(lambda: draw_params(KEY, dcgan_layers(XRAY), 128))
    assert len(priors.tensor_names(shapes)) == 19
    # A kind is the whole last part of a name.
    for part in ("layer_0", "params", "ker", "e", "params/layer_0/kernel"):
        assert priors.tensor_names(params, (part,)) == ()
        with pytest.raises(cs.InputError, match="the kinds of these parameters are kernel, scale, shift"):
            priors.fit(weights(networks=2), kinds=("kernel", part))


@pytest.mark.parametrize("kinds", [None, ("kernel", "scale", "shift")])
def test_weights_are_independent_normals(x64, kinds):
    prior = gaussian("weights", kinds)
    normals = list(zip(prior.tensors, prior.mean, np.diag(prior.covariance), strict=True))
    a, b = (as_double(weights(seed)) for seed in (1, 2))

    def by_scipy(params):
        names = dict(zip(priors.tensor_names(params), jax.tree.leaves(params), strict=True))
        return sum(stats.norm.logpdf(names[name], mu, np.sqrt(variance)).sum() for name, mu, variance in normals)

    ours = priors.log_prob(prior, a) - priors.log_prob(prior, b)
    np.testing.assert_allclose(ours, by_scipy(a) - by_scipy(b), rtol=1e-12)


def test_layer_means_are_one_multivariate_normal(x64):
    prior = gaussian("layer_means")
    a, b = (as_double(weights(seed)) for seed in (1, 2))

    def by_scipy(params):
        means = [leaf.mean() for leaf in jax.tree.leaves(params)]
        return stats.multivariate_normal(prior.mean, prior.covariance).logpdf(means)

    ours = priors.log_prob(prior, a) - priors.log_prob(prior, b)
    np.testing.assert_allclose(ours, by_scipy(a) - by_scipy(b), rtol=1e-12)


def test_zero_mean_and_unit_covariance_is_weight_decay():
    params, tensors = weights(), priors.tensor_names(weights())
    prior = priors.LayerGaussian(np.zeros(len(tensors)), np.eye(len(tensors)), "weights", tensors)
    value, gradient = jax.value_and_grad(priors.penalty, argnums=1)(prior, params)
    assert value == sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params))
    jax.tree.map(lambda g, w: np.testing.assert_array_equal(g, 2 * w), gradient, params)


@pytest.mark.parametrize(("initializer", "expected"), [("torch_0_4", 8.0), ("torch", 34.2)])
def test_the_published_statistics_at_initialisation(real_data, initializer, expected):
    folder = real_data / "learned_statistics_2018"
    params = draw_params(KEY, dcgan_layers(XRAY), 32, initializer)
    mean, covariance = (np.load(folder / f"{name}.npy")[0] for name in ("mu", "sig"))
    prior = priors.LayerGaussian(mean, covariance, "layer_means", priors.tensor_names(params))
    np.testing.assert_allclose(priors.penalty(prior, params), expected, rtol=0.1)


def test_the_prior_of_another_network_is_refused():
    larger = CsDip((16, 16, 1))
    prior = priors.fit(jax.tree.map(lambda x: jnp.stack([x, x]), draw_params(KEY, larger.generator.layers, 4)))
    with pytest.raises(cs.InputError, match="it has 3 tensors up to params/layer_2/kernel, this one 2 up to"):
        priors.penalty(prior, weights())
    with pytest.raises(cs.InputError, match="another network"):
        dataclasses.replace(METHOD, prior=prior)
    with pytest.raises(cs.InputError, match="it has 2 tensors up to params/layer_1/kernel, this one 3 up to"):
        dataclasses.replace(larger, prior=gaussian("weights"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reading": "both"}, "reading = 'both': it must be weights or layer_means"),
        ({"mean": np.zeros(2)}, r"mean of shape \(2,\) and covariance of shape \(4, 4\) for 4 layers"),
        ({"covariance": np.diag([1.0, 1, 1, 0])}, "not positive definite, smallest eigenvalue 0"),
        ({"mean": np.array([0, 0, 0, np.nan])}, "NaN or infinite"),
        ({"covariance": np.eye(4) + np.eye(4, k=1)}, "not symmetric"),
    ],
)
def test_bad_priors(change, message):
    with pytest.raises(cs.InputError, match=message):
        cs.reconstruct(with_prior(dataclasses.replace(gaussian("layer_means"), **change)), problem(), KEY)


# --- learning it


def test_exact_moments_by_numpy():
    stacked = weights(networks=3)
    prior = priors.fit(stacked, reading="layer_means")
    for mean, variance, leaf in zip(prior.mean, np.diag(prior.covariance), jax.tree.leaves(stacked), strict=True):
        flat = np.asarray(leaf, np.float64).reshape(3, -1)
        np.testing.assert_allclose(mean, flat.mean(), rtol=1e-5)
        np.testing.assert_allclose(variance, flat.var(axis=1).mean(), rtol=1e-5)
    np.testing.assert_array_equal(prior.covariance, np.diag(np.diag(prior.covariance)))


@pytest.mark.parametrize("reading", priors.READINGS)
def test_algorithm_1_converges_to_the_exact_moments(reading):
    """Its error falls as 1 / sqrt(rounds): a round draws one network, however many samples of it.

    The sample variance's bias, 1 / S, is taken out.
    """
    stacked, samples = weights(networks=3), 50
    exact, errors = priors.fit(stacked, reading=reading), []
    for rounds in (20, 2000):
        options = {"reading": reading, "samples": samples, "rounds": rounds}
        sampled = [priors.fit(stacked, jax.random.key(i), **options) for i in range(6)]
        means = [prior.mean - exact.mean for prior in sampled]
        covariances = [prior.covariance * samples / (samples - 1) - exact.covariance for prior in sampled]
        errors.append([float(np.sqrt(np.mean(np.square(differences)))) for differences in (means, covariances)])
    ratios = np.array(errors[0]) / np.array(errors[1])
    assert ((5 < ratios) & (ratios < 20)).all(), ratios  # 10 expected


def test_algorithm_1_draws_whole_networks():
    """A round sees one network only, so its mean is that network's."""
    stacked = jax.tree.map(lambda x: x.at[0].add(100.0), weights(networks=2, spread=0.01))
    one_round = [priors.fit(stacked, jax.random.key(i), samples=20, rounds=1) for i in range(8)]
    shifted = [np.asarray(prior.mean) > 50 for prior in one_round]
    assert all(s.all() or not s.any() for s in shifted)
    assert any(s.all() for s in shifted) and not all(s.all() for s in shifted)


def test_statistics_count_every_weight_once():
    """Those of the weights as PyTorch lays them out: the layout of the matrix products has no structural zeros."""
    layers = dcgan_layers(XRAY)
    params = jax.tree.map(lambda x: x + 0.3, draw_params(KEY, layers, 128))
    stacked = jax.tree.map(lambda x: x[None], params)
    kernels, scales, shifts = to_torch(layers, params)
    assert sum(weight.size for weight in kernels + scales + shifts) == 870_144
    prior = priors.fit(stacked)
    np.testing.assert_allclose(prior.mean, [kernel.mean() for kernel in kernels], rtol=1e-5)
    np.testing.assert_allclose(np.diag(prior.covariance), [kernel.var() for kernel in kernels], rtol=1e-4)
    two = jax.tree.map(lambda x: jnp.concatenate([x, x + jnp.linspace(0, 1, x.shape[-1])]), stacked)
    learned = priors.fit(two, reading="layer_means")
    seen = [to_torch(layers, jax.tree.map(lambda x, q=q: x[q], two)) for q in range(2)]
    of = {
        (f"layer_{i}", kind): np.mean([float(network[place][i].mean()) for network in seen])
        for place, kind in enumerate(("kernel", "scale", "shift"))
        for i in range(len(seen[0][place]))
    }
    assert len(learned.tensors) == len(of) == 19
    for tensor, mean in zip(learned.tensors, learned.mean, strict=True):
        layer, kind = tensor.split("/")[-2:]
        np.testing.assert_allclose(mean, of[layer, kind], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reading": "layers"}, "reading = 'layers': it must be"),
        ({"kinds": ("kernel", "scales")}, "the kinds of these parameters are kernel, scale, shift"),
        ({"kinds": ()}, r"kinds = \(\): the kinds of these"),
        ({"samples": 5}, "samples = 5: Algorithm 1 draws at random, give it a key"),
        ({"samples": 1, "key": KEY}, "samples = 1, rounds = 100: at least 2 samples"),
        ({"samples": 2, "rounds": 1, "key": KEY}, "not positive definite"),
    ],
)
def test_bad_fits(options, message):
    with pytest.raises(cs.InputError, match=message):
        priors.fit(weights(networks=2), **{"reading": "layer_means"} | options)


def test_weights_of_one_network_are_refused():
    with pytest.raises(cs.InputError, match="stacked_params: leading axes"):
        priors.fit(weights())


def test_a_stack_of_priors_has_no_single_penalty():
    stacked = jax.tree.map(lambda a: jnp.stack([a, a]), gaussian("weights"))
    with pytest.raises(cs.InputError, match="2 priors are stacked"):
        priors.penalty(stacked, weights())
    assert jax.vmap(priors.penalty, in_axes=(0, None))(stacked, weights()).shape == (2,)


def test_weights_that_are_not_finite_are_refused():
    stacked = weights(networks=2)
    stacked["params"]["layer_1"]["kernel"] = stacked["params"]["layer_1"]["kernel"].at[0, 0].set(jnp.nan)
    with pytest.raises(cs.InputError, match="params/layer_1/kernel: weights are NaN or infinite"):
        priors.fit(stacked)


@pytest.mark.parametrize("reading", priors.READINGS)
def test_a_warm_start_is_at_the_prior_s_means(reading):
    prior, params = gaussian(reading), weights()
    moved = priors.move_to_mean(prior, params)
    leaves = dict(zip(priors.tensor_names(moved), jax.tree.leaves(moved), strict=True))
    np.testing.assert_allclose([leaves[name].mean() for name in prior.tensors], prior.mean, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a.std(), b.std(), rtol=1e-5), moved, params)
    if reading == "layer_means":
        np.testing.assert_allclose(priors.penalty(prior, moved), 0, atol=1e-6)
    else:
        np.testing.assert_array_equal(moved["params"]["layer_0"]["scale"], params["params"]["layer_0"]["scale"])


# --- in CS-DIP


def problem(i=0):
    operator = cs.operators.gaussian(jax.random.key(1 + i), 20, SHAPE)
    return cs.Problem(operator, operator.forward(jnp.linspace(-0.5, 0.5, 64).reshape(SHAPE) * (-1) ** i))


def with_prior(prior, **changes):
    return dataclasses.replace(METHOD, prior=prior, **changes)


@pytest.mark.parametrize("reading", priors.READINGS)
def test_the_objective_has_the_term(reading):
    prior, params, latent = gaussian(reading), weights(spread=0.1), jnp.ones(4)
    objective = jax.jit(CsDip.objective)
    plain, (loss, _) = objective(METHOD, problem(), latent, params)
    total, (same_loss, _) = objective(with_prior(prior, lr_weight=0.3), problem(), latent, params)
    np.testing.assert_allclose(same_loss, loss, rtol=1e-6)
    np.testing.assert_allclose(total - plain, 0.3 * priors.penalty(prior, params), rtol=1e-4)


def test_the_objective_is_differentiable_in_the_weight_and_the_prior(x64):
    prior, params, latent = gaussian("layer_means"), as_double(weights()), jnp.ones(4)

    @jax.jit
    def objective(method):
        return method.objective(problem(), latent, params)[0]

    method = with_prior(prior, lr_weight=0.3)
    gradient = jax.grad(objective)(method)
    np.testing.assert_allclose(gradient.lr_weight, priors.penalty(prior, params), rtol=1e-10)
    for name in ("mean", "covariance"):
        step = 1e-5 * np.random.default_rng(1).normal(size=getattr(prior, name).shape)
        moved = (dataclasses.replace(prior, **{name: getattr(prior, name) + change}) for change in (step, -step))
        up, down = (objective(with_prior(other, lr_weight=0.3)) for other in moved)
        np.testing.assert_allclose(np.sum(getattr(gradient.prior, name) * step), (up - down) / 2, rtol=1e-5)


def test_one_compile_for_any_weight_and_prior():
    first = cs.reconstruct(with_prior(gaussian("weights")), problem(), KEY)
    compiled = fits.advance._cache_size()
    for other in (with_prior(gaussian("weights"), lr_weight=30.0), with_prior(gaussian("weights", seed=5))):
        assert not np.array_equal(cs.reconstruct(other, problem(), KEY).image, first.image)
    assert fits.advance._cache_size() == compiled


def test_without_weight_nothing_changes():
    unlearned = cs.reconstruct(METHOD, problem(), KEY)
    off = cs.reconstruct(with_prior(gaussian("weights"), lr_weight=0.0), problem(), KEY)
    np.testing.assert_allclose(off.image, unlearned.image, atol=1e-5)


def test_a_stack_of_priors_is_a_sweep():
    stacked = jax.tree.map(lambda a, b: jnp.stack([a, b]), gaussian("weights"), gaussian("weights", seed=5))
    swept = cs.reconstruct(with_prior(stacked, lr_weight=jnp.array([0.5, 2.0])), problem(), KEY)
    batch = jax.tree.map(lambda a, b: jnp.stack([a, b]), problem(0), problem(1))
    per_image = cs.reconstruct(with_prior(stacked, lr_weight=2.0), batch, KEY, image_ids=[0, 0], fits_at_once=2)
    for i, (seed, weight) in enumerate(((0, 0.5), (5, 2.0))):
        alone = cs.reconstruct(with_prior(gaussian("weights", seed=seed), lr_weight=weight), problem(), KEY)
        np.testing.assert_array_equal(swept.image[i], alone.image)
        alone = cs.reconstruct(with_prior(gaussian("weights", seed=seed), lr_weight=2.0), problem(i), KEY)
        np.testing.assert_allclose(per_image.image[i], alone.image, atol=1e-3)
    with pytest.raises(cs.InputError, match="2 values of prior for 3 cases"):
        cs.reconstruct(with_prior(stacked, lr_weight=jnp.ones(3)), problem(), KEY)


def test_a_strong_prior_holds_the_weights():
    prior = dataclasses.replace(gaussian("layer_means"), mean=np.zeros(4))
    free, held = (
        cs.reconstruct(with_prior(prior, lr_weight=weight, steps=200), problem(), KEY, keep_params=True)
        for weight in (0.0, 1e4)
    )
    assert priors.penalty(prior, held.params) < 0.05 * priors.penalty(prior, free.params)


def test_the_kept_weights_are_those_of_the_chosen_restart(tmp_path, monkeypatch):
    method = dataclasses.replace(METHOD, restarts=3)
    assert cs.reconstruct(method, problem(), KEY).params is None
    solution = cs.reconstruct(method, problem(), KEY, keep_params=True)
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, 0), solution.restart), 0)
    state = jax.jit(method.init)(problem(), key)
    for _ in range(method.steps):
        state, _ = jax.jit(method.step)(problem(), state, key)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), solution.params, state.params)

    # ... and survive a kill: stopped within the second restart, the first one's weights come from the checkpoint.
    save, begin, begun = driver.checkpoints.save, driver.begin, []

    def save_and_die(path, fingerprint, outcomes, finished, fits):
        save(path, fingerprint, outcomes, finished, fits)
        if finished == 1:
            raise KeyboardInterrupt

    def note_and_begin(method, cases, keys, record, leaves, block):
        begun.append(leaves is not None)
        return begin(method, cases, keys, record, leaves, block)

    options = {"keep_params": True, "checkpoint": tmp_path / "checkpoint.npz"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(driver, "FIRST_CHUNK", 1)
        patch.setattr(driver, "CHUNK_SECONDS", 0.0)  # saved after every step
        patch.setattr(driver.checkpoints, "save", save_and_die)
        cs.reconstruct(method, problem(), KEY, **options)
    monkeypatch.setattr(driver, "begin", note_and_begin)
    resumed = cs.reconstruct(method, problem(), KEY, **options)
    assert begun == [True, False]  # the second goes on, the third is begun
    jax.tree.map(np.testing.assert_array_equal, resumed, solution)


def test_weights_of_a_batch_are_what_fit_takes():
    batch = jax.tree.map(lambda a, b: jnp.stack([a, b]), problem(0), problem(1))
    solution = cs.reconstruct(METHOD, batch, KEY, keep_params=True)
    assert priors.fit(solution.params, reading="layer_means").mean.shape == (4,)


@pytest.mark.parametrize("changes", [{"warm_start": True}, {"lr_weight": -1.0}])
def test_bad_settings(changes):
    with pytest.raises(cs.InputError, match=next(iter(changes))):
        dataclasses.replace(METHOD, **changes)


def test_warm_start_begins_at_the_means():
    prior = gaussian("layer_means")
    state = with_prior(prior, warm_start=True).init(problem(), KEY)
    np.testing.assert_allclose(priors.penalty(prior, state.params), 0, atol=1e-6)
    assert priors.penalty(prior, with_prior(prior).init(problem(), KEY).params) > 0.1
