"""A learned start: what fits begin with, what it is worth, how it is learned and kept."""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.commands import settings
from csdip_jax.commands.configs import default
from csdip_jax.io import learned_starts
from csdip_jax.runs.study import digests
from csdip_jax.solve import checkpoint, driver

SHAPE = (16, 16, 1)
NETWORK = cs.generators.DCGAN(SHAPE, cs.generators.dcgan_layers(SHAPE, width=16), latent_dim=8)
COLD = cs.methods.CsDip(SHAPE, steps=150, generator=NETWORK)
KEY = jax.random.key(0)


def disc(i):
    rows, columns = np.indices(SHAPE[:2])
    return jnp.where(np.hypot(rows - 6 - i, columns - 7)[..., None] < 5, 0.6 - 0.1 * i, -0.6)


def problem(*numbers):
    """One disc, or a batch of discs, each measured by a matrix of its own."""
    operators = [cs.operators.gaussian(jax.random.fold_in(KEY, i), 60, SHAPE) for i in numbers]
    each = [cs.Problem(operator, operator.forward(disc(i))) for operator, i in zip(operators, numbers, strict=True)]
    if len(each) == 1:
        return each[0]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)
    return cs.Problem(cs.operators.Stack(stacked.operator), stacked.measurements)


def few_steps(steps, **fields):
    return dataclasses.replace(COLD, **priors.FEW_STEPS | {"steps": steps} | fields)


@pytest.fixture(scope="module")
def start():
    return cs.learn_start(few_steps(60, schedule="cosine"), problem(0, 1), jax.random.key(1))


def quick(start):
    return few_steps(15, learned_start=start)


def test_a_start_lowers_the_error_in_few_steps(start):
    """Of images that it was not learned from, a third of the steps that random weights need."""
    random = priors.Start(*NETWORK.init(jax.random.key(5)))
    for number in (3, 4):
        record = {"mse": jax.tree_util.Partial(cs.metrics.mse, disc(number))}
        cold, warm = (
            cs.reconstruct(quick(each), problem(number), KEY, record=record).trace["mse"] for each in (random, start)
        )
        assert warm[14] < 0.75 * cold[14] and warm[4] < cold[14]


FEW = dataclasses.replace(COLD, steps=5)


def test_it_is_the_mean_of_fits_that_begin_alike(monkeypatch):
    """And Reptile goes a part of the way there; fits that failed are left out."""
    drawn = priors.Start(*NETWORK.init(jax.random.fold_in(jax.random.key(1), 0)))
    key = jax.random.fold_in(jax.random.key(1), 1)
    fitted = cs.reconstruct(dataclasses.replace(FEW, learned_start=drawn), problem(0, 1), key, keep_params=True)
    learned = cs.learn_start(FEW, problem(0, 1), jax.random.key(1), rounds=1, rate=0.5)
    half = jax.tree.map(lambda w, ends: w + 0.5 * (ends.mean(0) - w), drawn.params, fitted.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), learned.params, half)
    np.testing.assert_array_equal(learned.latent, drawn.latent)

    def one_good(*arguments, **options):
        return fitted._replace(status=jnp.asarray([cs.Status.COLLAPSED, cs.Status.FINISHED]))

    module = sys.modules["csdip_jax.solve.learn_start"]  # the function of this name hides it
    monkeypatch.setattr(module, "reconstruct", one_good)
    second = cs.learn_start(FEW, problem(0, 1), jax.random.key(1), rounds=1).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[1], atol=1e-6), second, fitted.params)
    failed = fitted._replace(status=jnp.full(2, cs.Status.DIVERGED))
    monkeypatch.setattr(module, "reconstruct", lambda *arguments, **options: failed)
    with pytest.raises(cs.InputError, match="all 2 fits of round 1 failed: try another seed"):
        cs.learn_start(FEW, problem(0, 1), KEY)


def test_one_image_is_enough():
    learned = cs.learn_start(FEW, problem(0), KEY, rounds=1)
    assert jax.tree.map(jnp.shape, learned.params) == jax.tree.map(jnp.shape, NETWORK.params_like)


def test_restarts_begin_near_it_and_differ(start):
    a, b = (priors.draw_start(start, jax.random.key(i)) for i in range(2))
    np.testing.assert_array_equal(a[0], start.latent)
    for mine, theirs, learned in zip(*map(jax.tree.leaves, (a[1], b[1], start.params)), strict=True):
        size = float(jnp.sqrt(jnp.mean(learned**2)))
        if size > 0:
            for drawn in (mine, theirs):
                assert 0.003 * size < float(jnp.sqrt(jnp.mean((drawn - learned) ** 2))) < 0.03 * size
            assert float(jnp.abs(mine - theirs).max()) > 0
    exact = priors.draw_start(dataclasses.replace(start, noise=0.0), jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, exact, (start.latent, start.params))


def test_a_batch_is_as_each_image_alone(start):
    both = cs.reconstruct(quick(start), problem(3, 4), KEY)
    for place, number in enumerate((3, 4)):
        alone = cs.reconstruct(quick(start), problem(number), KEY, image_ids=[place])
        np.testing.assert_allclose(both.image[place], alone.image, atol=1e-4)


def test_learning_goes_on_after_a_kill(tmp_path, monkeypatch):
    straight = cs.learn_start(FEW, problem(0, 1), KEY, rounds=2)
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)  # a file after every chunk
    monkeypatch.setattr(driver, "FIRST_CHUNK", 2)
    save, saves = checkpoint.save, []

    def dying(*content):
        save(*content)
        saves.append(content)
        if len(saves) == 11:  # 4 of each image, 8 of a round
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        cs.learn_start(FEW, problem(0, 1), KEY, rounds=2, checkpoint=tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"round_0.npz", "round_1.npz"}
    again = cs.learn_start(FEW, problem(0, 1), KEY, rounds=2, checkpoint=tmp_path)
    assert len(saves) < 11 + 8
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), straight, again)


def test_a_file_gives_back_what_was_saved(start, tmp_path):
    learned_starts.save(tmp_path / "start.npz", start, {"images": ["a"]})
    jax.tree.map(np.testing.assert_array_equal, learned_starts.load(tmp_path / "start.npz", NETWORK), start)
    other = dataclasses.replace(NETWORK, latent_dim=9)
    with pytest.raises(cs.InputError, match=r"start.npz: .*another network: its latent differ at .*\(8,\) instead of"):
        learned_starts.load(tmp_path / "start.npz", other)
    with pytest.raises(cs.InputError, match="start.npz: the start is of another network: learn one"):
        learned_starts.load(tmp_path / "start.npz", cs.generators.DeepDecoder(SHAPE))
    with pytest.raises(cs.InputError, match="absent.npz is missing"):
        learned_starts.load(tmp_path / "absent.npz", NETWORK)


def test_the_command_begins_there(tmp_path, saved_prior):
    generator = cs.methods.CsDip(SHAPE).generator
    learned_starts.save(tmp_path / "start.npz", priors.Start(*generator.init(KEY)), {})
    config = default.get_config()
    config.prior, config.csdip.learning_rate = str(tmp_path / "start.npz"), 0.03
    (sweep,) = settings.study(config).sweeps(SHAPE)
    method = sweep.method
    assert (method.steps, method.optimizer_name, method.learning_rate) == (100, "adam", 0.03)
    np.testing.assert_array_equal(method.learned_start.latent, generator.init(KEY)[0])
    learned_starts.save(tmp_path / "start.npz", priors.Start(*generator.init(jax.random.key(1))), {})
    assert digests([sweep]) != digests(settings.study(config).sweeps(SHAPE))
    config.csdip.lr_weight = 1.0
    with pytest.raises(cs.InputError, match="lr_weight without a prior changes nothing"):
        settings.study(config).sweeps(SHAPE)
    assert "learned_start" not in learned_starts.fields(saved_prior[0], generator)
    with pytest.raises(cs.InputError, match="absent.npz holds no prior"):
        learned_starts.fields(tmp_path / "absent.npz", generator)


def test_what_is_refused(start):
    with pytest.raises(cs.InputError, match="learned_start is of another network: its latent differ"):
        cs.methods.CsDip(SHAPE, learned_start=start)
    with pytest.raises(cs.InputError, match="learned_start is a dict: give what csdip_jax.learn_start learned"):
        dataclasses.replace(COLD, learned_start={})
    with pytest.raises(cs.InputError, match="noise = -1"):
        dataclasses.replace(start, noise=-1)
    with pytest.raises(cs.InputError, match="method = 'Tv': it must be one that fits the weights"):
        cs.learn_start(cs.methods.Tv(SHAPE), problem(0), KEY)
    with pytest.raises(cs.InputError, match="rate = 2"):
        cs.learn_start(COLD, problem(0), KEY, rate=2)
    prior = priors.fit(jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), start.params))
    with pytest.raises(cs.InputError, match="warm_start = True: it must be off with a learned_start"):
        dataclasses.replace(COLD, prior=prior, warm_start=True, learned_start=start)
