"""Against plain PyTorch: layers, whole networks, RMSProp, whole fits (arrays of tests/golden)."""

import dataclasses
import importlib
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import csdip_jax as cs
from csdip_jax.generators import DCGAN, batch_norm, dcgan_layers, from_torch, to_torch
from csdip_jax.kernels.convolution import ConvTranspose
from tests.golden import inputs

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def golden():
    return {path.stem: dict(np.load(path)) for path in GOLDEN.glob("*.npz")}


def assert_relative(ours, theirs, tolerance):
    """Largest deviation relative to the largest entry."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def layer_of(spec):
    return ConvTranspose(spec.cout, (spec.kernel, spec.kernel), spec.stride, spec.padding, spec.upsample)


def network(name, seed, dtype):
    """(generator, parameters, latent) of a golden network."""
    drawn = inputs.draw_network(name, seed)
    layers = tuple(layer_of(spec) for spec in inputs.NETWORKS[name].layers)
    as_type = lambda arrays: [jnp.asarray(a, dtype) for a in arrays]  # noqa: E731
    params = from_torch(layers, as_type(drawn["weights"]), as_type(drawn["scales"]), as_type(drawn["shifts"]))
    return DCGAN(inputs.NETWORKS[name].shape, layers), params, jnp.asarray(drawn["z"], dtype)


@pytest.mark.parametrize("case", inputs.LAYER_CASES)
def test_layer(case, golden):
    spec, _ = inputs.LAYER_CASES[case]
    layer = layer_of(spec)
    drawn = {name: jnp.asarray(array, jnp.float32) for name, array in inputs.draw_layer(case).items()}
    kernel = layer.from_torch(drawn["weight"])
    assert kernel.shape == layer.kernel_shape(spec.cin)

    output, pull_back = jax.vjp(layer, drawn["x"], kernel)
    grad_x, grad_kernel = pull_back(drawn["cotangent"])

    assert output.shape[:2] == layer.output_size(*drawn["x"].shape[:2])
    assert_relative(output, golden["layers"][f"{case}/output"], 1e-5)
    assert_relative(grad_x, golden["layers"][f"{case}/grad_x"], 1e-4)
    assert_relative(layer.to_torch(grad_kernel), golden["layers"][f"{case}/grad_weight"], 1e-4)


@pytest.mark.parametrize("case", inputs.NORM_CASES)
def test_batch_norm_and_relu(case, golden):
    drawn = {name: jnp.asarray(array, jnp.float32) for name, array in inputs.draw_norm(case).items()}
    output, pull_back = jax.vjp(lambda *a: jax.nn.relu(batch_norm(*a)), drawn["x"], drawn["scale"], drawn["shift"])
    gradients = pull_back(drawn["cotangent"])
    assert_relative(output, golden["layers"][f"{case}/output"], 1e-5)
    for name, gradient in zip(("x", "scale", "shift"), gradients, strict=True):
        assert_relative(gradient, golden["layers"][f"{case}/grad_{name}"], 1e-4)


@pytest.mark.parametrize("name", inputs.NETWORKS)
def test_our_rule_makes_the_published_networks(name):
    spec = inputs.NETWORKS[name]
    assert dcgan_layers(spec.shape) == tuple(layer_of(layer) for layer in spec.layers)


@pytest.mark.parametrize("name", inputs.NETWORKS)
def test_network(name, golden):
    generator, params, latent = network(name, inputs.NETWORK_SEED[name], jnp.float32)
    cotangent = jnp.asarray(inputs.draw_cotangent(generator.image_shape, inputs.COTANGENT_SEED[name]), jnp.float32)

    @jax.jit
    def output_and_gradient(params):
        image, pull_back = jax.vjp(lambda p: generator.apply(p, latent), params)
        return image, pull_back(cotangent)[0]

    image, gradient = output_and_gradient(params)
    sample = inputs.sample_indices(image.size, inputs.OUTPUT_COUNT, inputs.OUTPUT_SEED)
    assert_relative(image.reshape(-1)[sample], golden["networks"][f"{name}/output"], 1e-5)
    for kind, tensors in zip(("weight", "scale", "shift"), to_torch(generator.layers, gradient), strict=True):
        for i, tensor in enumerate(tensors):
            flat = np.asarray(tensor, np.float64).reshape(-1)
            sample = inputs.sample_indices(flat.size, inputs.GRADIENT_COUNT, inputs.GRADIENT_SEED)
            norm, entries = (golden["networks"][f"{name}/{kind}{i}/{part}"] for part in ("norm", "grad"))
            np.testing.assert_allclose(np.linalg.norm(flat), norm, rtol=1e-4)
            assert_relative(flat[sample], entries, 1e-4)


def in_our_layout(generator, tensors):
    """The tensors of a golden network as its class has them."""
    if isinstance(generator, cs.generators.ConvDecoder):  # upsampled first: a transposed convolution of the low pixels
        as_transposed = lambda k: k[::-1, ::-1].transpose(2, 0, 1, 3)  # noqa: E731
        last = tensors[f"layer_{generator.doublings}/kernel"]
        tensors = tensors | {
            f"layer_{i}/kernel": as_transposed(tensors[f"layer_{i}/kernel"]) for i in range(generator.doublings)
        }
        tensors[f"layer_{generator.doublings}/kernel"] = last[:, :, :, None, None]
    like = generator.params_like
    paths = ["/".join(str(key.key) for key in path) for path, _ in jax.tree.leaves_with_path(like)]
    return jax.tree.unflatten(jax.tree.structure(like), [tensors[path.removeprefix("params/")] for path in paths])


@pytest.mark.parametrize("case", inputs.UNTRAINED)
def test_untrained_network(case, golden, x64):
    """Image and gradients, by the latent and by every tensor."""
    spec = inputs.UNTRAINED[case]
    generator = cs.generators.GENERATORS[spec.generator](spec.shape, **spec.settings)
    latent, tensors, cotangent = inputs.draw_untrained(case)

    @jax.jit
    def image_and_gradients(latent, tensors):
        image, pull = jax.vjp(lambda z, t: generator.apply(in_our_layout(generator, t), z), latent, tensors)
        return image, dict(zip(("latent", "tensors"), pull(cotangent), strict=True))

    tensors = jax.tree.map(jnp.asarray, tensors)
    image, gradients = image_and_gradients(jnp.asarray(latent), tensors)
    drawn = in_our_layout(generator, tensors)
    assert jax.tree.map(jnp.shape, generator.params_like) == jax.tree.map(jnp.shape, drawn)
    assert generator.init(jax.random.key(0))[0].shape == spec.latent
    assert_relative(image, golden["untrained"][f"{case}/image"], 1e-12)
    found = inputs.samples(
        [gradients["latent"], *(gradients["tensors"][name] for name in inputs.untrained_shapes(case))]
    )
    assert_relative(found, golden["untrained"][f"{case}/gradients"], 1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rmsprop(dtype, golden, x64):
    drawn = inputs.draw_rmsprop(inputs.RMSPROP_SEED)
    method = cs.methods.CsDip((28, 28, 1))
    params = jnp.asarray(drawn["start"], dtype)
    state = method.optimizer.init(params)
    problem = {name: jnp.asarray(array, dtype) for name, array in drawn.items()}
    kept = []
    for step in range(1, max(inputs.RMSPROP_STEPS) + 1):
        p, q = params[:8], params[8:]
        gradient = jnp.concatenate(
            [
                problem["matrix"].T @ (problem["matrix"] @ p - problem["target"]),
                problem["curvature"] * (q - problem["centre"]),
            ]
        )
        updates, state = method.optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
        if step in inputs.RMSPROP_STEPS:
            kept.append(params)
    np.testing.assert_allclose(np.stack(kept), golden["rmsprop"][dtype], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", inputs.NETWORKS)
@pytest.mark.parametrize("setting", ["paper", "reference"])
def test_whole_fit_in_float64(name, setting, golden, x64):
    drawn = inputs.draw_problem(name, inputs.FIT_M[name], inputs.FIT_PROBLEM_SEED[name])
    shape = inputs.NETWORKS[name].shape
    problem = cs.Problem(cs.operators.Dense(jnp.asarray(drawn["A"]), shape), jnp.asarray(drawn["y"]))
    _, params, latent = network(name, inputs.FIT_NETWORK_SEED[name], jnp.float64)
    preset = cs.methods.CsDip.preset(setting, shape)
    method = dataclasses.replace(preset, steps=inputs.FIT_STEPS)

    @jax.jit
    def fit(problem, state):
        def step(carry, number):
            state, kept = carry
            state, scalars = method.step(problem, state, jax.random.key(0))
            seen = cs.rules.Iterate(number, method.steps, method.image(state), scalars)
            return (state, method.keeper.update(kept, seen)), scalars

        return jax.lax.scan(step, (state, method.keeper.init(state.last_image)), jnp.arange(inputs.FIT_STEPS))

    (state, kept), scalars = fit(problem, method.start(latent, params))
    reference = {
        key: golden["fits"][f"{name}/{setting}/{key}"] for key in ("measurement_loss", "total_loss", "index", "image")
    }
    np.testing.assert_allclose(scalars["measurement_loss"], reference["measurement_loss"], rtol=1e-6)
    np.testing.assert_allclose(scalars["objective"], reference["total_loss"], rtol=1e-6)
    sample = inputs.sample_indices(kept.image.size, inputs.FIT_IMAGE_COUNT, inputs.FIT_IMAGE_SEED)
    assert_relative(method.keeper.image(kept, method.image(state)).reshape(-1)[sample], reference["image"], 1e-6)
    best, last = (reference["measurement_loss"][i] for i in (reference["index"], -1))
    np.testing.assert_allclose(kept.loss, best, rtol=1e-6)
    score = method.keeper.score(kept, state.loss)
    np.testing.assert_allclose(score, last if setting == "reference" else best, rtol=1e-6)


def test_the_files_are_what_pytorch_computes(golden, monkeypatch):
    """Here and now; the whole fits, which rounding moves, are left to the script's --check."""
    pytest.importorskip("torch", reason="needs PyTorch, of the extra dev")
    monkeypatch.syspath_prepend(GOLDEN)
    with warnings.catch_warnings(action="ignore"):  # of importing PyTorch
        script = importlib.import_module("make_torch_golden")
    for stem in ("layers", "networks", "untrained", "rmsprop"):
        found = getattr(script, f"make_{stem}")()
        assert found.keys() == golden[stem].keys()
        for name, array in found.items():
            assert_relative(array, golden[stem][name], 1e-5 if array.dtype == np.float32 else 1e-9)
