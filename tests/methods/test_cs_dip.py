"""CS-DIP's own: presets, the iterate that is kept, and what it does with collapsed and diverging fits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import rules
from csdip_jax.generators import DCGAN, dcgan_layers
from csdip_jax.methods import CsDip
from csdip_jax.solve import driver

SHAPE = (28, 28, 1)


def digit():
    image = np.full(SHAPE, -1.0, np.float32)
    image[5:23, 12:16] = 1.0
    image[5:9, 8:20] = 1.0
    return image


def problem(image=None, m=100):
    # A matrix of numpy's frozen stream: which keys collapse must not depend on how the library draws matrices.
    matrix = np.random.RandomState(3).standard_normal((m, 784)) / np.sqrt(m)
    operator = cs.operators.Dense(jnp.asarray(matrix, jnp.float32), SHAPE)
    return cs.Problem(operator, operator.forward(digit() if image is None else image))


def differences(a, b):
    names = (field.name for field in dataclasses.fields(a))
    return {name: (getattr(a, name), getattr(b, name)) for name in names if getattr(a, name) != getattr(b, name)}


@pytest.mark.parametrize(
    ("shape", "own"),
    [
        ((28, 28, 1), {"lr_weight": (100.0, 0.0)}),
        ((256, 256, 1), {"generator.latent_dim": (128, 64), "tv_weight": (0.01, 0.05)}),
        ((128, 128, 3), {"generator.latent_dim": (128, 32), "tv_weight": (0.01, 0.02), "lr_weight": (100.0, 1000.0)}),
    ],
)
def test_presets_differ_exactly_in_the_listed_switches(shape, own):
    paper, reference = CsDip.preset("paper", shape), CsDip.preset("reference", shape)
    found = differences(paper, reference)
    found.pop("keep")
    if found.pop("generator", None):
        of_generators = differences(paper.generator, reference.generator)
        found |= {f"generator.{name}": pair for name, pair in of_generators.items()}
    assert found == own
    assert differences(paper.keeper, reference.keeper) == {
        "window": (20, 51),
        "by": ("measurement_loss", "objective"),
        "restarts": ("kept", "last"),
    }


def test_presets_agree_with_the_paper():
    method = CsDip.preset("paper", (28, 28, 1))
    assert (method.steps, method.restarts, method.generator.initializer) == (1000, 5, "torch_0_4")
    assert (method.learning_rate, method.momentum, method.decay, method.epsilon) == (1e-3, 0.9, 0.99, 1e-8)
    assert CsDip.preset("paper", (256, 256, 1)).restarts == 1


def test_reference_knows_its_own_shapes_only():
    with pytest.raises(cs.InputError, match=r"no reference settings for image_shape = \(32, 32, 1\)"):
        CsDip.preset("reference", (32, 32, 1))


@pytest.mark.parametrize(
    "field", ["steps", "keep.window", "keep.by", "keep.restarts", "restarts", "latent_dim", "initializer", "moves"]
)
def test_bad_settings_are_named(field):
    name = field.removeprefix("keep.")
    of = {"keep": rules.Best(), "latent_dim": DCGAN(SHAPE), "initializer": DCGAN(SHAPE)}
    changed = of.get(field.split(".")[0], CsDip(SHAPE))
    bad = "neither" if isinstance(getattr(changed, name), str) else 0
    with pytest.raises(cs.InputError, match=f"{field} = {bad!r}"):
        part = dataclasses.replace(changed, **{name: bad})
        dataclasses.replace(CsDip(SHAPE), keep=part)  # which knows what its steps tell


@pytest.mark.parametrize(("field", "value"), [("learning_rate", float("nan")), ("tv_weight", -1.0)])
def test_bad_weights_are_named(field, value):
    with pytest.raises(cs.InputError, match=f"{field} = {value}"):
        dataclasses.replace(CsDip(SHAPE), **{field: value})


def test_layers_have_to_cover_the_image():
    with pytest.raises(cs.InputError, match=r"image_shape = \(64, 64, 1\): it must be covered"):
        DCGAN((64, 64, 1), dcgan_layers((32, 32, 1)))
    with pytest.raises(cs.InputError, match=r"image_shape = \(64, 64, 1\): it must be its generator's, \(32, 32, 1\)"):
        dataclasses.replace(CsDip((32, 32, 1)), image_shape=(64, 64, 1))
    with pytest.raises(cs.InputError, match="generator = 'str': it must be one of csdip_jax.generators"):
        CsDip(SHAPE, generator="dcgan")


@pytest.mark.parametrize("by", ["measurement_loss", "objective"])
def test_the_best_of_the_window_is_kept(by):
    """By hand from all iterates: before the window the last one, in it the best by the chosen loss."""
    shape, window = (8, 8, 1), rules.Best(4, by)
    method = CsDip(shape, steps=8, keep=window, generator=DCGAN(shape, latent_dim=4), tv_weight=0.1)
    p = cs.Problem(cs.operators.Identity(shape), jnp.linspace(-0.9, 0.7, 64))
    solution = cs.reconstruct(method, p, jax.random.key(1), record={"iterate": lambda image: image})
    best = 4 + int(np.argmin(solution.trace[by][4:]))
    np.testing.assert_array_equal(solution.image, solution.trace["iterate"][best])
    np.testing.assert_allclose(solution.measurement_loss, solution.trace["measurement_loss"][best], rtol=1e-5)
    assert solution.status == cs.Status.FINISHED


def test_the_image_is_the_one_whose_losses_are_told():
    """G of the weights that a step started from."""
    method = CsDip((8, 8, 1), generator=DCGAN((8, 8, 1), latent_dim=4))
    p = cs.Problem(cs.operators.Identity((8, 8, 1)), jnp.ones(64))
    state, step = method.init(p, jax.random.key(1)), jax.jit(method.step)
    for _ in range(4):
        total, (loss, image) = method.objective(p, state.latent, state.params)
        state, scalars = step(p, state, jax.random.key(2))
        np.testing.assert_allclose(method.image(state), image, atol=1e-5)
        np.testing.assert_allclose([*scalars.values()], [loss, total], rtol=1e-5)


def test_rmsprop_by_hand():
    """With none of the paper's numbers, so that each is seen to be the method's."""
    method = CsDip((8, 8, 1), learning_rate=0.3, decay=0.7, momentum=0.4, epsilon=0.2)
    gradients = np.random.default_rng(0).normal(size=(4, 5))
    state = method.optimizer.init(jnp.zeros(5))
    squares = momentum = np.zeros(5)
    for g in gradients:
        updates, state = method.optimizer.update(jnp.asarray(g, jnp.float32), state)
        squares = 0.7 * squares + 0.3 * g**2
        momentum = 0.4 * momentum + g / (np.sqrt(squares) + 0.2)
        np.testing.assert_allclose(updates, -0.3 * momentum, rtol=1e-5)


# --- collapse and divergence


STEPS = 120
TENTH = STEPS // 10
IDS = (4, 2, 6)  # restart keys of today's PyTorch rule on this digit: 4 and 6 collapse, 2 does not


def collapsing():
    """Today's PyTorch rule: output weights so large that tanh saturates and its gradient vanishes."""
    return CsDip(SHAPE, steps=STEPS, generator=DCGAN(SHAPE, initializer="torch"))


@pytest.fixture(scope="module")
def flat_at_a_tenth():
    """For each of IDS whether its first attempt is flat at a tenth of its steps, found without `reconstruct`."""
    p, method = problem(), collapsing()
    start, step = jax.jit(method.init), jax.jit(method.step)
    flat = []
    for i in IDS:
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), i), 0), 0)
        state = start(p, key)
        for _ in range(TENTH):
            state, _ = step(p, state, key)
        flat.append(float(jnp.std(state.last_image)) < 0.02)
    assert True in flat and False in flat, "the keys should show both kinds"
    return flat


def test_a_collapsed_fit_is_drawn_anew_and_a_healthy_one_is_untouched(flat_at_a_tenth):
    p, method = problem(), collapsing()
    batch = cs.Problem(p.operator, jnp.stack([p.measurements] * len(IDS)))
    without = cs.reconstruct(method, batch, jax.random.key(0), image_ids=IDS, max_redraws=0)
    solution = cs.reconstruct(method, batch, jax.random.key(0), image_ids=IDS, max_redraws=50)
    for i, collapsed in enumerate(flat_at_a_tenth):
        if collapsed:
            assert not without.ok[i] and without.redraws[i] == 0 and without.steps[i] == method.steps
            assert without.status[i] == cs.Status.COLLAPSED  # though it took all its steps
            assert np.std(without.image[i]) < 0.02
            assert solution.redraws[i] >= 1 and solution.ok[i]
            assert solution.measurement_loss[i] < without.measurement_loss[i]
            assert np.std(solution.image[i]) > 0.1
        else:
            assert solution.redraws[i] == 0
            jax.tree.map(lambda a, b, i=i: np.testing.assert_array_equal(a[i], b[i]), solution, without)


def test_a_collapse_is_seen_within_a_tenth_of_the_steps(flat_at_a_tenth, monkeypatch):
    chunks, advance = [], driver.advance_in_chunks

    def first_chunk_only(*arguments):
        chunks.append(next(advance(*arguments)))
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "FIRST_CHUNK", TENTH)
    monkeypatch.setattr(driver, "advance_in_chunks", first_chunk_only)
    for id_, collapsed in zip(IDS, flat_at_a_tenth, strict=True):
        with pytest.raises(KeyboardInterrupt):
            cs.reconstruct(collapsing(), problem(), jax.random.key(0), image_ids=[id_])
        expected = (1, 0) if collapsed else (0, TENTH)
        assert (int(chunks[-1].redraws[0, 0]), int(chunks[-1].steps[0, 0])) == expected


def test_healthy_fits_of_the_default_rule_are_untouched():
    p, method = problem(), dataclasses.replace(CsDip(SHAPE), steps=60)
    key = jax.random.key(0)
    with_redraws = cs.reconstruct(method, p, key)
    assert with_redraws.redraws == 0 and with_redraws.ok
    jax.tree.map(np.testing.assert_array_equal, with_redraws, cs.reconstruct(method, p, key, max_redraws=0))


def test_a_flat_truth_is_no_collapse():
    """The image really is flat: nothing remains unexplained, so nothing is redrawn."""
    method = dataclasses.replace(CsDip(SHAPE), steps=150, restarts=2)
    solution = cs.reconstruct(method, problem(np.full(SHAPE, 0.25, np.float32)), jax.random.key(0))
    assert solution.redraws == 0 and solution.ok


def test_a_diverging_fit_is_reported_and_its_image_is_finite():
    method = dataclasses.replace(CsDip(SHAPE), learning_rate=1e38, steps=30)
    solution = cs.reconstruct(method, problem(), jax.random.key(0), max_redraws=2)
    assert solution.status == cs.Status.DIVERGED and not solution.ok and solution.redraws == 2
    assert solution.steps < 30
    assert np.isfinite(solution.image).all()


def test_reference_picks_the_restart_by_its_last_iterate():
    kept = [rules.Best().init(jnp.zeros(SHAPE))._replace(loss=jnp.array(best)) for best in (0.9, 0.1)]
    for preset, expected in (("reference", [1.0, 2.0]), ("paper", [0.9, 0.1])):
        score = CsDip.preset(preset, SHAPE).keeper.score
        assert [float(score(state, last)) for state, last in zip(kept, (1.0, 2.0), strict=True)] == pytest.approx(
            expected
        )
