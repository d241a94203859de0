"""Measurements that are held out: what they are, and that they tell the error of an image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import csdip_jax as cs
from csdip_jax import operators, rules
from csdip_jax.solve import driver
from csdip_jax.solve.held_out import residual_of
from csdip_jax.solve.uncertainty import calibrated_spread, estimated_mse, rows_of
from tests.methods.test_contract import kill_after_every_second_save
from tests.methods.toys import Landweber

SHAPE = (8, 8, 1)
KEY = jax.random.key(0)
METHOD = Landweber(SHAPE, steps=12, rate=0.15, stop=rules.HeldOut(0.4, decay=0.5, patience=8))
OPERATOR = operators.gaussian(jax.random.key(1), 60, SHAPE)


def image(i=0):
    return np.where(np.hypot(*(np.indices(SHAPE[:2]) - 3.5)) < 2 + i, 0.7, -0.6).astype(np.float32)[..., None]


def measured(i=0, noise_variance=1.0):
    return operators.measure(jax.random.key(10 + i), OPERATOR, image(i), noise_variance)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# --- the split


@pytest.mark.parametrize("images", [None, 1, 3])
def test_a_problem_is_split_into_two_that_have_all_of_it(images):
    x = np.stack([image(i) for i in range(images or 1)])
    y = jax.vmap(OPERATOR.forward)(jnp.asarray(x))
    kept, held = cs.hold_out(cs.Problem(OPERATOR, y if images else y[0]), 0.4, KEY)
    assert [part.measurements.shape[-1] for part in (kept, held)] == [36, 24]
    for part in (kept, held):
        made = jax.vmap(part.operator.forward)(jnp.asarray(x))
        np.testing.assert_allclose(part.measurements, made if images else made[0], atol=1e-6)
    both = np.concatenate([np.atleast_2d(part.measurements) for part in (kept, held)], axis=1)
    np.testing.assert_allclose(np.sort(both), np.sort(y), atol=1e-6)
    one = cs.Problem(held.operator, np.atleast_2d(held.measurements)[0])
    left = jax.vmap(lambda image: residual_of(one, image))(jnp.zeros((2, *SHAPE)))
    np.testing.assert_allclose(left, np.broadcast_to(np.atleast_2d(held.measurements)[0], (2, 24)), atol=1e-6)


def test_each_operator_of_a_stack_gives_up_measurements_of_its_own():
    keys = jax.random.split(KEY, 2)
    stack = operators.Stack(jax.vmap(lambda key: operators.gaussian(key, 60, SHAPE))(keys))
    y = jnp.stack([stack.take(i).forward(image(i)) for i in range(2)])
    kept, held = cs.hold_out(cs.Problem(stack, y), 0.4, KEY)
    for part in (kept, held):
        for i in range(2):
            made = part.operator.take(i).forward(image(i))
            np.testing.assert_allclose(part.measurements[i], made, atol=1e-6)
    where = [np.flatnonzero(np.isin(y[i], held.measurements[i])) for i in range(2)]
    assert len(where[0]) == len(where[1]) == 24 and set(where[0]) != set(where[1])


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.0, "hold_out = 0.0: it must be a number between 0 and 1"),
        (0.05, "hold_out = 0.05: 3 of 60 measurements tell too little: give at least 0.083"),
        (0.999, "hold_out = 0.999: 60 of 60 measurements, where 60 can be spared"),
    ],
)
def test_shares_that_are_none(share, message):
    with pytest.raises(cs.InputError, match=message):
        cs.hold_out(cs.Problem(OPERATOR, measured()), share, KEY)


def test_a_rule_that_keeps_by_what_is_not_held_out_is_refused():
    method = dataclasses.replace(METHOD, stop=None, keep=rules.Best(None, by="held_out_loss"))
    with pytest.raises(cs.InputError, match="keep.by = 'held_out_loss': no measurements are held out; give hold_out"):
        cs.reconstruct(method, cs.Problem(OPERATOR, measured()), KEY)
    solution = cs.reconstruct(method, cs.Problem(OPERATOR, measured()), KEY, hold_out=0.4)
    lowest = dataclasses.replace(METHOD, stop=None, steps=1 + int(np.nanargmin(solution.trace["held_out_loss"])))
    last = cs.reconstruct(lowest, cs.Problem(OPERATOR, measured()), KEY, hold_out=0.4)
    np.testing.assert_allclose(solution.image, last.image, atol=1e-6)


# --- in a fit


@pytest.fixture(scope="module")
def alone():
    return cs.reconstruct(METHOD, cs.Problem(OPERATOR, measured()), KEY)


def test_alone_as_in_any_batch(alone):
    batch = cs.Problem(OPERATOR, jnp.stack([measured(i) for i in (1, 0, 2)]))
    found = cs.reconstruct(METHOD, batch, KEY, image_ids=[7, 0, 3], fits_at_once=1)
    assert_same(jax.tree.map(lambda x: x[1], found), alone)


def test_a_killed_run_resumes_where_it_was(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(driver, "FIRST_CHUNK", 1)
    taken = kill_after_every_second_save(monkeypatch)
    while True:
        try:
            problem = cs.Problem(OPERATOR, measured())
            found = cs.reconstruct(METHOD, problem, KEY, checkpoint=tmp_path / "checkpoint.npz")
            break
        except KeyboardInterrupt:
            assert taken["kills"] < 20
    assert taken["kills"] >= 1
    assert_same(found, alone)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_units(alone, offset):
    """A in another unit, pixels of 0 to 255: the same fit, errors in these units; also of rows with a mean."""
    matrix = 3 * (OPERATOR.matrix + offset)
    scaled = operators.Dense(matrix, SHAPE)
    pixels = 127.5 * (1 + image())
    noise = measured() - OPERATOR.forward(image())
    y = np.asarray(matrix, float) @ pixels.reshape(-1).astype(float) + 3 * 127.5 * np.asarray(noise, float)
    found = cs.reconstruct(METHOD, cs.Problem(scaled, y), KEY, pixel_range=(0, 255))
    if offset == 0:  # A's gain is not quite 1; where rows share a mean, it is one of the measurements
        for name, factor in {"estimated_mse": 127.5**2, "held_out_error": (3 * 127.5) ** 2}.items():
            np.testing.assert_allclose(found.aux[name] / factor, alone.aux[name], rtol=0.01)
    low, high = found.aux["estimated_mse_interval"]
    assert low < np.square(found.image - pixels).mean() < high
    np.testing.assert_allclose(
        found.aux["estimated_mse_interval"] / found.aux["estimated_mse"],
        alone.aux["estimated_mse_interval"] / alone.aux["estimated_mse"],
        rtol=1e-3,
    )
    spread = np.square(found.aux["standard_deviation"]).mean()
    np.testing.assert_allclose(spread, found.aux["estimated_mse"], rtol=1e-3)


def test_the_best_restart_is_the_one_that_explains_what_was_held_out():
    """By those that choose; the spread of all has the size of the error that the others tell."""

    @cs.pytree_dataclass
    class Restarted(Landweber):
        restarts: int = cs.static_field(3)

    method, problem = Restarted(SHAPE, steps=3, rate=0.1), cs.Problem(OPERATOR, measured())
    solution = cs.reconstruct(method, problem, KEY, hold_out=0.4)
    losses = solution.trace["held_out_loss"]
    first = cs.reconstruct(
        dataclasses.replace(method, steps=3, keep=rules.Last(), restarts=2), problem, KEY, hold_out=0.4
    )
    assert losses[-1] <= first.trace["held_out_loss"][-1]
    spread = np.square(solution.aux["standard_deviation"]).mean()
    np.testing.assert_allclose(spread, solution.aux["estimated_mse"], rtol=1e-4)


@pytest.mark.parametrize(("stop", "expected"), [(None, 24), (METHOD.stop, 12)])
def test_what_chooses_does_not_tell_the_error(stop, expected):
    """The width of the interval says how many do."""
    method = dataclasses.replace(METHOD, stop=stop)
    solution = cs.reconstruct(method, cs.Problem(OPERATOR, measured()), KEY, hold_out=0.4)
    low, high = solution.aux["estimated_mse_interval"] / solution.aux["estimated_mse"]
    freedom = np.array([expected, expected])
    np.testing.assert_allclose([low, high], freedom / scipy.stats.chi2.ppf([0.95, 0.05], freedom), rtol=1e-4)


def test_without_noise_told_it_counts_as_error():
    problem = cs.Problem(OPERATOR, measured())
    told, untold = (cs.reconstruct(METHOD, problem, KEY, noise_variance=s) for s in (1.0, None))
    np.testing.assert_allclose(untold.aux["estimated_mse"] - told.aux["estimated_mse"], 1.0 / 64, rtol=0.1)
    with pytest.raises(cs.InputError, match="noise_variance = -1: give a number of at least 0"):
        cs.reconstruct(METHOD, problem, KEY, noise_variance=-1)


# --- what they tell


KNOWN = ["gaussian", "rademacher", "dct", "hadamard"]


@pytest.mark.parametrize("name", KNOWN)
def test_the_estimate_is_unbiased_and_its_interval_covers(name):
    """Over draws of A, for an image that explains what was fitted as a fit does: the least-norm one."""
    pixels, m, held, draws = 64, 48, 24, 200
    x = jnp.asarray(image()).reshape(-1)

    @jax.jit
    @jax.vmap
    def one(key):
        operator = operators.OPERATORS[name].make(key, m, SHAPE)
        matrix = jax.vmap(operator.forward)(jnp.eye(pixels).reshape(pixels, *SHAPE)).T
        order = jax.random.permutation(jax.random.fold_in(key, 1), m)
        kept, left_out = matrix[order[held:]], matrix[order[:held]]
        found = jnp.linalg.pinv(kept) @ (kept @ x)
        return left_out @ (x - found), jnp.sum(jnp.square(kept @ (x - found))), jnp.mean(jnp.square(x - found))

    left, fitted, truth = map(np.asarray, one(jax.random.split(KEY, draws)))
    rows = rows_of(operators.OPERATORS[name].make(KEY, m, SHAPE))._replace(energy=pixels / m)
    found = estimated_mse(left, rows, fitted=fitted, num_fitted=m - held)
    ratios = found.mse / truth
    assert abs(ratios.mean() - 1) < 4 * ratios.std() / np.sqrt(draws) < 0.1
    inside = (found.interval[:, 0] <= truth) & (truth <= found.interval[:, 1])
    assert 0.83 <= inside.mean() <= 0.97


@pytest.mark.parametrize("name", [*KNOWN, "patterns", "complex"])
def test_random_rows_are_known_to_measure_every_image_alike(name):
    rng = np.random.default_rng(0)
    if name == "patterns":
        operator = operators.Dense(rng.integers(0, 2, (200, 256)) - 0.5, (16, 16, 1))
    elif name == "complex":
        operator = operators.Dense(rng.normal(size=(200, 256, 2)) @ [1, 1j], (16, 16, 1))
    else:
        operator = operators.OPERATORS[name].make(KEY, 200, (16, 16, 1))
    rows = rows_of(operator)
    assert rows is not None
    np.testing.assert_allclose(rows.energy, operator.frobenius_norm() ** 2 / 200, rtol=1e-5)


def of_a_basis(transform):
    """The first rows of an orthonormal basis as a matrix."""
    basis = operators.subsampled_dct(KEY, 256, (16, 16, 1))
    plain = dataclasses.replace(basis, signs=jnp.ones(256, jnp.int8), indices=jnp.asarray(transform))
    return jax.vmap(plain.forward)(jnp.eye(256).reshape(256, 16, 16, 1)).T


NOT_ALIKE = {
    "low_frequencies": lambda: operators.Dense(of_a_basis(np.arange(200)), (16, 16, 1)),
    "some_frequencies": lambda: operators.Dense(
        of_a_basis(np.random.default_rng(0).choice(256, 128, replace=False)), (16, 16, 1)
    ),
    "pixels": lambda: operators.inpainting(np.random.default_rng(0).random((16, 16)) < 0.6, (16, 16, 1)),
    "k_space": lambda: operators.radial_fourier(8, (16, 16, 1)),
    "blur": lambda: operators.Blur(np.ones((3, 3)) / 9, (16, 16, 1)),
    "random_of_blur": lambda: (
        operators.gaussian(KEY, 200, (16, 16, 1)) @ operators.Blur(np.ones((3, 3)) / 9, (16, 16, 1))
    ),
    "unequal_rows": lambda: operators.Dense(
        np.linspace(0.1, 3, 200)[:, None] ** 3 * np.random.default_rng(0).normal(size=(200, 256)), (16, 16, 1)
    ),
}


@pytest.mark.parametrize("name", NOT_ALIKE)
def test_others_are_known_not_to(name):
    assert rows_of(NOT_ALIKE[name]()) is None


def test_samples_of_k_space_tell_their_own_error_alone():
    shape = (16, 16, 1)
    operator = operators.cartesian_fourier(np.random.default_rng(0).random((16, 16)) < 0.6, shape)
    x = np.kron(image(), np.ones((2, 2, 1), np.float32))
    solution = cs.reconstruct(
        cs.methods.Tv(shape, steps=20), cs.Problem(operator, operator.forward(x)), KEY, hold_out=0.2
    )
    assert solution.aux.keys() == {"held_out_error"}
    assert solution.aux["held_out_error"] > 0


def test_a_spread_is_scaled_to_the_error():
    images = np.random.default_rng(0).normal(size=(4, *SHAPE)) * np.linspace(0.1, 2, 8)[:, None]
    spread = calibrated_spread(images, 0.09)
    np.testing.assert_allclose(np.square(spread).mean(), 0.09)
    np.testing.assert_allclose(
        spread / images.std(0, ddof=1), np.full(SHAPE, (spread / images.std(0, ddof=1))[0, 0, 0])
    )
    assert np.isnan(calibrated_spread(np.zeros(SHAPE), 0.09)).all()
