"""What `reconstruct(record=...)` traces, what it refuses, and that nothing else sees it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.solve import driver, fits
from tests.methods.toys import After, Landweber

SHAPE = (8, 6, 1)
KEY = jax.random.key(0)
METHOD = Landweber(SHAPE, steps=12)
TRUTH = np.where(np.hypot(*(np.indices(SHAPE[:2]) - 3)) < 2.5, 0.7, -0.6).astype(np.float32)[..., None]
OPERATOR = cs.operators.gaussian(jax.random.key(1), 30, SHAPE)
PROBLEM = cs.Problem(OPERATOR, OPERATOR.forward(TRUTH))


def error(image):
    return cs.metrics.mse(image, TRUTH)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_functions_of_the_image_and_of_the_image_and_the_state():
    """Of any shape, step by step; NaN after the last one."""
    record = {
        "iterate": lambda image: image,
        "error": error,
        "change": lambda image, state: jnp.stack([image.mean(), state.pixels.mean(), state.loss]),
        "step": lambda image, state: state.step,
        "with a default": lambda image, weight=2.0: weight * image[0],
    }
    method = dataclasses.replace(METHOD, stop=After(9))
    trace = cs.reconstruct(method, PROBLEM, KEY, record=record).trace
    assert {name: trace[name].shape for name in record} == {
        "iterate": (12, *SHAPE),
        "error": (12,),
        "change": (12, 3),
        "step": (12,),
        "with a default": (12, *SHAPE[1:]),
    }
    assert set(trace) == {*record, *METHOD.scalars, "left"}
    np.testing.assert_array_equal(trace["step"], [*range(1, 10), *[np.nan] * 3])
    for i in range(9):
        np.testing.assert_allclose(trace["error"][i], error(trace["iterate"][i]), rtol=1e-5)
        np.testing.assert_allclose(trace["change"][i, 0], trace["iterate"][i].mean(), atol=1e-6)
        np.testing.assert_array_equal(trace["with a default"][i], 2 * trace["iterate"][i][0])
    np.testing.assert_array_equal(trace["change"][:, 2], trace["measurement_loss"])
    assert all(np.isnan(trace[name][9:]).all() for name in record)


def test_a_batch_with_restarts_has_those_of_the_restart_that_is_chosen():
    @cs.types.pytree_dataclass
    class Several(Landweber):
        restarts: int = cs.types.static_field(3)

    batch = cs.Problem(OPERATOR, jnp.stack([PROBLEM.measurements, -PROBLEM.measurements]))
    solution = cs.reconstruct(Several(SHAPE, steps=4), batch, KEY, record={"iterate": lambda image: image})
    assert solution.trace["iterate"].shape == (2, 4, *SHAPE)
    np.testing.assert_array_equal(solution.trace["iterate"][:, -1], solution.image)


@pytest.mark.parametrize("pixel_range", [(0, 255), (1, -1), (-3e-6, 4e-6)])
def test_images_are_seen_in_the_user_s_pixels(pixel_range):
    black, white = pixel_range
    image = black + (white - black) * (TRUTH + 1) / 2
    problem = cs.Problem(OPERATOR, np.asarray(OPERATOR.matrix, float) @ image.ravel())
    solution = cs.reconstruct(METHOD, problem, KEY, pixel_range=pixel_range, record={"iterate": lambda image: image})
    np.testing.assert_allclose(solution.trace["iterate"][-1], solution.image, rtol=1e-5, atol=1e-6 * abs(white - black))


@pytest.mark.parametrize("method", [METHOD, cs.methods.CsDip(SHAPE, steps=3), cs.methods.Damp(SHAPE, steps=3)])
def test_a_true_image_that_is_looked_at_changes_no_bit(method):
    without = cs.reconstruct(method, PROBLEM, KEY)
    seen = cs.reconstruct(method, PROBLEM, KEY, record={"error": error})
    trace = dict(seen.trace)
    assert np.isfinite(trace.pop("error")).all()
    assert_same(seen._replace(trace=trace), without)


def test_a_record_survives_a_kill(tmp_path, monkeypatch):
    options = {"record": {"error": error}, "checkpoint": tmp_path / "checkpoint.npz"}
    expected, save = cs.reconstruct(METHOD, PROBLEM, KEY, record={"error": error}), driver.checkpoints.save

    def save_and_die(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(driver, "CHUNK_SECONDS", 0.0)
        patch.setattr(driver, "FIRST_CHUNK", 5)
        patch.setattr(driver.checkpoints, "save", save_and_die)
        cs.reconstruct(METHOD, PROBLEM, KEY, **options)
    assert_same(cs.reconstruct(METHOD, PROBLEM, KEY, **options), expected)


def test_arrays_bound_to_a_function_are_data():
    """Other truths, the same program."""

    def squared_error(truth, image):
        return jnp.sum(jnp.square(image - truth))

    def solve(truth):
        record = {"error": jax.tree_util.Partial(squared_error, jnp.asarray(truth))}
        return cs.reconstruct(METHOD, PROBLEM, KEY, record=record).trace["error"]

    found = solve(TRUTH)
    compiled = fits.advance._cache_size()
    other = solve(-TRUTH)
    assert fits.advance._cache_size() == compiled
    assert found[-1] < found[0] and other[-1] > other[0]


def test_bound_functions_take_the_state_too():
    def of_both(scale, image, state):
        return scale * state.step

    record = {"steps": jax.tree_util.Partial(of_both, jnp.array(3.0))}
    trace = cs.reconstruct(METHOD, PROBLEM, KEY, record=record).trace
    np.testing.assert_array_equal(trace["steps"], 3.0 * np.arange(1, 13))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"measurement_loss": error}, "'measurement_loss' is traced already"),
        ({"draw": error}, "'draw' is traced already"),
        ({"left": error}, "'left' is traced already"),
        ({"error": TRUTH}, "'error' is a ndarray"),
        ({"error": None}, "'error' is a NoneType"),
    ],
)
def test_what_cannot_be_recorded_is_refused(record, message):
    method = dataclasses.replace(METHOD, stop=After(9))
    with pytest.raises(cs.InputError, match=f"^record: {message}: give a new name, and a function of the image"):
        cs.reconstruct(method, PROBLEM, KEY, record=record)


def test_a_checkpoint_belongs_to_what_is_recorded(tmp_path, monkeypatch):
    """By what a function computes and what is bound to it, not by its name."""
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)  # saved however little has been done

    def run(function):
        return cs.reconstruct(METHOD, PROBLEM, KEY, record={"a": function}, checkpoint=tmp_path / "checkpoint.npz")

    def bound(truth):
        return jax.tree_util.Partial(lambda truth, image: cs.metrics.mse(image, truth), truth)

    run(bound(TRUTH))
    run(bound(TRUTH))
    for other in (jnp.mean, lambda image: image.mean(), bound(-TRUTH)):
        with pytest.raises(cs.InputError, match="belongs to another run"):
            run(other)
