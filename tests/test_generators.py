"""What every generator of GENERATORS promises, and DCGAN's sizes, shapes and initializers. Values: test_golden.py."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.generators import (
    DCGAN,
    GENERATORS,
    Generator,
    TrainedDecoder,
    dcgan_layers,
    draw_params,
    from_torch,
    to_torch,
)
from csdip_jax.methods.network import MOVES
from csdip_jax.solve import driver
from tests.methods.decoders import ready
from tests.methods.test_contract import kill_after_every_second_save

SHAPE = (16, 12, 1)
KEY = jax.random.key(0)


@pytest.fixture(scope="module", params=GENERATORS)
def generator(request):
    return ready(GENERATORS[request.param](SHAPE))


@pytest.fixture(scope="module")
def drawn(generator):
    return jax.jit(generator.init)(KEY)


def same(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(map(np.array_equal, *map(jax.tree.leaves, (a, b))))


@pytest.mark.parametrize("shape", [SHAPE, (9, 8, 3), (28, 28, 1)])
@pytest.mark.parametrize("name", GENERATORS)
def test_images_have_their_shape_and_lie_between_black_and_white(name, shape):
    generator = ready(GENERATORS[name](list(shape)))
    latent, params = generator.init(KEY)
    image = jax.jit(generator.apply)(params, latent)
    assert isinstance(generator, Generator) and generator.image_shape == image.shape == shape
    assert image.dtype == jnp.float32 and np.abs(image).max() <= 1 and np.std(image) > 0.01


def test_a_draw_is_repeatable_and_another_key_draws_another(generator, drawn):
    """What was trained before is drawn as it is."""
    assert same(generator.init(KEY), drawn)
    latent, params = generator.init(jax.random.key(1))
    assert not same((latent, params), drawn)
    assert same(params, drawn[1]) == (generator.trained is not None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_is_that_which_is_asked_for(generator, dtype, x64):
    """Of the image, too; trained weights keep their own."""
    latent, params = generator.init(KEY, dtype)
    leaves = jax.tree.leaves(latent if generator.trained is not None else (latent, params))
    assert {str(leaf.dtype) for leaf in leaves} == {dtype}
    assert generator.apply(params, latent).dtype == dtype


def test_latent_and_weights_are_pytrees_of_arrays(generator, drawn, tmp_path):
    """Which a file takes and gives back, leaf by leaf."""
    leaves, tree = jax.tree.flatten(drawn)
    assert all(isinstance(leaf, (jax.Array, np.ndarray)) and np.isfinite(leaf).all() for leaf in leaves)
    np.savez(tmp_path / "drawn.npz", *leaves)
    with np.load(tmp_path / "drawn.npz") as saved:
        latent, params = jax.tree.unflatten(tree, list(saved.values()))
    again = jax.tree.map(jnp.asarray, (params, latent))  # NumPy's own products round otherwise
    np.testing.assert_array_equal(generator.apply(*again), generator.apply(drawn[1], drawn[0]))


def test_shapes_of_the_weights_are_known_without_drawing(generator, drawn):
    like = generator.params_like
    assert jax.tree.structure(like) == jax.tree.structure(drawn[1])
    assert [leaf.shape for leaf in jax.tree.leaves(like)] == [leaf.shape for leaf in jax.tree.leaves(drawn[1])]


@pytest.mark.parametrize("of", ["latent", "params"])
def test_the_gradient_is_that_of_finite_differences(generator, of, x64):
    drawn = dict(zip(("latent", "params"), generator.init(KEY, jnp.float64), strict=True))
    drawn = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), drawn)  # trained weights keep their own type
    rng = np.random.default_rng(0)
    sums, direction = rng.normal(size=SHAPE), jax.tree.map(lambda x: rng.normal(size=x.shape), drawn[of])

    @jax.jit
    def value(part):
        moved = drawn | {of: part}
        return jnp.sum(sums * generator.apply(moved["params"], moved["latent"]))

    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: jnp.sum(g * d), jax.grad(value)(drawn[of]), direction)))
    up, down = (value(jax.tree.map(lambda x, d, t=t: x + t * d, drawn[of], direction)) for t in (1e-8, -1e-8))
    assert abs(slope) > 1e-3
    np.testing.assert_allclose(slope, (up - down) / 2e-8, rtol=1e-3)


def problem():
    rows, columns = np.indices(SHAPE[:2])
    image = np.where(np.hypot(rows - 7, columns - 5) < 4, 0.7, -0.6).astype(np.float32)[..., None]
    operator = cs.operators.gaussian(jax.random.key(1), 60, SHAPE)
    return cs.Problem(operator, operator.forward(image))


def fitted(generator, moves):
    return cs.methods.CsDip(SHAPE, generator=generator, moves=moves, steps=30, learning_rate=3e-4)


@pytest.mark.parametrize("moves", MOVES)
def test_a_fit_moves_what_it_is_told_to_and_explains_more(generator, moves):
    """Weights, latent, both, or latent and norms; what stays is as it was drawn."""
    if moves == "projector" and not norms(generator.params_like):
        with pytest.raises(cs.InputError, match="weights named scale or shift"):
            fitted(generator, moves)
        return
    method, p = fitted(generator, moves), problem()
    key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(KEY, 0), 0), 0)
    start = method.init(p, key)
    solution = cs.reconstruct(
        method, p, KEY, keep_params=True, record={"latent": lambda image, state: flat(state.latent)}
    )
    trace = solution.trace["measurement_loss"]
    assert solution.status <= cs.Status.UNEXPLAINED and solution.image.shape == SHAPE
    assert np.nanmin(trace) < 0.95 * trace[0]
    before = generator.trained if start.params is None else start.params
    after = generator.trained if solution.params is None else solution.params
    assert same(before, after) == (moves == "latent")
    assert np.array_equal(solution.trace["latent"][-1], flat(start.latent)) == (moves == "params")
    if moves == "projector":
        moved = jax.tree.map(lambda old, new: not np.array_equal(old, new), before, after)
        assert all(norms(moved)) and sum(jax.tree.leaves(moved)) == len(norms(moved))


def norms(params):
    """Leaves of the scales and shifts."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [leaf for path, leaf in leaves if getattr(path[-1], "key", None) in ("scale", "shift")]


@pytest.mark.parametrize("noise", ["input_noise", "weight_noise"])
def test_noise_is_drawn_anew_in_each_step_and_none_changes_nothing(noise):
    """Noise of 0 is no noise, with the same key some is the same, and it shows in what is fitted."""
    plain = fitted(cs.generators.DeepDecoder(SHAPE, channels=8), "params")
    fits = [dataclasses.replace(plain, **{noise: value}) for value in (None, 0.0, 0.02, 0.02)]
    first, zero, noisy, again = (cs.reconstruct(method, problem(), KEY).trace["measurement_loss"] for method in fits)
    np.testing.assert_allclose(first, zero, rtol=1e-4)
    assert np.array_equal(noisy, again) and not np.allclose(noisy, zero, rtol=1e-2)


def test_a_cosine_takes_the_rate_to_nothing():
    """The moves of the last step are a small part of what they are at a constant rate."""

    def moved(schedule):
        generator = cs.generators.DeepDecoder(SHAPE, channels=8)
        method = dataclasses.replace(
            fitted(generator, "params"), schedule=schedule, optimizer_name="adam", learning_rate=0.01
        )
        recorded = {"weights": lambda image, state: flat(state.params)}
        weights = cs.reconstruct(method, problem(), KEY, record=recorded).trace["weights"]
        return np.linalg.norm(np.diff(weights, axis=0), axis=1)

    constant, cosine = moved("constant"), moved("cosine")
    assert np.isclose(cosine[0], constant[0], rtol=0.05) and cosine[-1] < 0.02 * constant[-1]


def flat(tree):
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


def test_a_killed_fit_goes_on_where_it_was(generator, tmp_path, monkeypatch):
    """Whatever its latent and its weights are made of."""
    method = dataclasses.replace(fitted(generator, "both"), steps=6)
    straight = cs.reconstruct(method, problem(), KEY, keep_params=True)
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(driver, "FIRST_CHUNK", 1)
    taken = kill_after_every_second_save(monkeypatch)
    while True:
        try:
            found = cs.reconstruct(method, problem(), KEY, keep_params=True, checkpoint=tmp_path / "checkpoint.npz")
            break
        except KeyboardInterrupt:
            assert taken["kills"] < 20
    assert taken["kills"] >= 2
    jax.tree.map(np.testing.assert_array_equal, found, straight)


def test_other_images_than_the_generator_s_are_refused(generator):
    with pytest.raises(cs.InputError, match=r"image_shape = \(8, 8, 1\): it must be its generator's, \(16, 12, 1\)"):
        cs.methods.CsDip((8, 8, 1), generator=generator)
    with pytest.raises(cs.InputError, match="image_shape"):
        type(generator)((8, 8))


def test_a_trained_decoder_without_weights_says_what_is_missing():
    method = cs.methods.CsDip(SHAPE, generator=TrainedDecoder(SHAPE), moves="latent")
    with pytest.raises(cs.InputError, match="no weights: load them, or train a VAE"):
        cs.reconstruct(method, problem(), KEY)


@pytest.mark.parametrize(
    ("image_shape", "latent_dim", "weights", "tensors"),
    [
        ((256, 256, 1), 128, 870_144, 19),
        ((28, 28, 1), 128, 2_730_432, 13),
        ((256, 256, 1), 32, 771_840, 19),
        ((128, 128, 3), 32, 626_304, 16),
    ],
)
def test_sizes_of_the_published_networks(image_shape, latent_dim, weights, tensors):
    shapes = jax.eval_shape(lambda key: draw_params(key, dcgan_layers(image_shape), latent_dim), jax.random.key(0))
    leaves = jax.tree.leaves(shapes)
    assert (sum(leaf.size for leaf in leaves), len(leaves)) == (weights, tensors)


@pytest.mark.parametrize("shape", [(2, 2, 1), (7, 9, 2), (28, 28, 3), (33, 64, 1), (100, 37, 3), (512, 512, 1)])
def test_any_shape(shape):
    generator = DCGAN(shape, latent_dim=8)
    latent, params = jax.eval_shape(generator.init, jax.random.key(0))
    assert generator.layers == dcgan_layers(shape) and latent.shape == (8,)
    assert jax.eval_shape(generator.apply, params, latent).shape == shape


def test_the_centre_is_kept():
    layers = dcgan_layers((28, 29, 3))
    params = draw_params(jax.random.key(0), layers, 4)
    whole = DCGAN((28, 32, 3), layers).apply(params, jnp.ones(4))
    np.testing.assert_array_equal(DCGAN((28, 29, 3), layers).apply(params, jnp.ones(4)), whole[:, 1:30])


@pytest.mark.parametrize(
    ("name", "kernel_deviation", "scale_mean", "scale_deviation"),
    [
        ("torch_0_4", 1 / np.sqrt(3 * 64 * 36), 0.5, np.sqrt(1 / 12)),
        ("torch", 1 / np.sqrt(3 * 64 * 36), 1.0, 0.0),
        ("dcgan", 0.02, 1.0, 0.02),
    ],
)
def test_initializers(name, kernel_deviation, scale_mean, scale_deviation):
    layers = dcgan_layers((256, 256, 1))
    params = draw_params(jax.random.key(0), layers, 128, name)["params"]
    kernel = params["layer_1"]["kernel"]
    assert abs(kernel.mean()) < 1e-3
    np.testing.assert_allclose(kernel.std(), kernel_deviation, rtol=0.01)
    scales = np.concatenate([params[f"layer_{i}"]["scale"] for i in range(6)])
    np.testing.assert_allclose(scales.mean(), scale_mean, atol=0.05)
    np.testing.assert_allclose(scales.std(), scale_deviation, atol=0.03)
    assert all((params[f"layer_{i}"]["shift"] == 0).all() for i in range(6))


def test_torch_rules_differ_in_the_side_they_count():
    """One in, 64 channels out: PyTorch 0.4 counts the inputs, today's the outputs."""
    layers = dcgan_layers((8, 8, 1))
    bounds = {
        name: draw_params(jax.random.key(0), layers, 1, name)["params"]["layer_0"]["kernel"]
        for name in ("torch_0_4", "torch")
    }
    np.testing.assert_allclose(np.abs(bounds["torch_0_4"]).max(), 1 / np.sqrt(16), rtol=0.02)
    np.testing.assert_allclose(np.abs(bounds["torch"]).max(), 1 / np.sqrt(64 * 16), rtol=0.02)


def test_torch_layout_there_and_back():
    layers = dcgan_layers((28, 28, 1))
    params = draw_params(jax.random.key(0), layers, 16)
    jax.tree.map(np.testing.assert_array_equal, from_torch(layers, *to_torch(layers, params)), params)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dcgan_layers((1, 9, 1)), r"image_shape = \(1, 9, 1\)"),
        (lambda: dcgan_layers((9, 9, 0)), r"image_shape = \(9, 9, 0\)"),
        (lambda: draw_params(jax.random.key(0), dcgan_layers((8, 8, 1)), 4, "xavier"), "unknown initializer 'xavier'"),
        (
            lambda: DCGAN((8, 8, 1), initializer="xavier"),
            "initializer = 'xavier': it must be torch_0_4 or torch or dcgan",
        ),
        (lambda: DCGAN((8, 8, 1), latent_dim=0), "latent_dim = 0"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(cs.InputError, match=message):
        call()
