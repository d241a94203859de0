"""Best: fits of several methods, weighed by measurements that none of them was given."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.solve import candidates, driver
from csdip_jax.solve.stacking import cross_fitted, simplex_weights, spread_of
from tests.methods.test_contract import assert_same, disc, kill_after_every_second_save

SHAPE = (16, 16, 1)
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """A candidate beside TV that is a network and compiles at once."""
    network = cs.methods.CsDip(
        SHAPE, steps=30, generator=cs.generators.DeepDecoder(SHAPE, channels=8), learning_rate=0.02
    )
    known = {"tv": cs.methods.Tv(SHAPE, steps=60), "quick": network}
    monkeypatch.setattr(cs.methods.best, "candidates", lambda image_shape: known)


def two():
    return cs.methods.Best(SHAPE, candidates=("tv", "quick"))


def problem(m=1100, seed=1, noise=0.0):
    """m above n, so that one share of the measurements is enough to judge by; `problem(100)` needs several rounds."""
    operator = cs.operators.gaussian(jax.random.key(seed), m, SHAPE)
    return cs.Problem(operator, cs.operators.measure(jax.random.key(2), operator, disc(), noise))


@pytest.fixture(scope="module")
def solutions():
    return {}


def solved(solutions, m):
    if m not in solutions:
        solutions[m] = cs.reconstruct(two(), problem(m), KEY)
    return solutions[m]


@pytest.mark.parametrize("m", [1100, 100])
def test_its_image_is_the_weighted_one_and_its_error_is_told(solutions, m):
    solution = solved(solutions, m)
    weights = solution.aux["weights"]
    assert {*weights} == {"tv", "quick"} and np.isclose(sum(weights.values()), 1) and min(weights.values()) >= 0
    assert weights["tv"] > 0.6  # on a disc, beside a network of a few steps
    assert solution.image.shape == SHAPE and solution.aux["standard_deviation"].shape == SHAPE
    low, high = solution.aux["estimated_mse_interval"]
    assert 0 <= low <= solution.aux["estimated_mse"] <= high
    assert solution.ok and solution.unexplained < 0.05
    loss = cs.operators.measurement_loss(*problem(m), solution.image)
    np.testing.assert_allclose(solution.measurement_loss, loss, rtol=1e-4, atol=1e-5)


def test_same_image_same_answer_in_any_batch_and_unit(solutions):
    operator, y = problem(100)
    both = jnp.stack([operator.forward(disc(4.0)), y])
    batch = cs.reconstruct(two(), cs.Problem(operator, both), KEY, image_ids=[5, 0])
    assert_same(jax.tree.map(lambda x: x[1], batch), solved(solutions, 100))
    assert not np.array_equal(batch.image[0], batch.image[1])
    scaled = cs.operators.Dense(7 * operator.matrix, SHAPE)
    other = cs.reconstruct(
        two(), cs.Problem(scaled, 7 * 100 * (y + operator.forward(np.ones(SHAPE)))), KEY, pixel_range=(0, 200)
    )
    assert np.mean(np.abs(other.image / 100 - 1 - batch.image[1])) < 0.03
    np.testing.assert_allclose(other.aux["estimated_mse"], 1e4 * batch.aux["estimated_mse"][1], rtol=0.5)


def test_a_killed_run_resumes_where_it_was(tmp_path, monkeypatch):
    network = dataclasses.replace(cs.methods.best.candidates(SHAPE)["quick"], steps=5)
    known = {"tv": cs.methods.Tv(SHAPE, steps=3), "quick": network}
    monkeypatch.setattr(cs.methods.best, "candidates", lambda image_shape: known)
    straight = cs.reconstruct(two(), problem(), KEY)
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(driver, "FIRST_CHUNK", 2)
    taken = kill_after_every_second_save(monkeypatch)
    for _ in range(100):
        try:
            solution = cs.reconstruct(two(), problem(), KEY, checkpoint=tmp_path / "checkpoint.npz")
            break
        except KeyboardInterrupt:
            assert list(tmp_path.glob("checkpoint-*.npz"))
    assert_same(solution, straight)
    assert taken["kills"] >= 2


def test_a_limit_of_seconds_ends_fits():
    """A network that would take hours, beside one that does not."""
    long = dataclasses.replace(cs.methods.best.candidates(SHAPE)["quick"], steps=10**7 // 100)
    began = driver.time.perf_counter()
    solution = cs.reconstruct(long, problem(), KEY, seconds=3.0)
    assert solution.steps < long.steps and driver.time.perf_counter() - began < 60
    assert solution.ok and cs.Status(int(solution.status)) == cs.Status.FINISHED


def test_candidates_that_need_a_linear_operator_are_left_out_beside_another():
    operator, y = problem()
    squares = cs.Problem(lambda image: jnp.square(operator.forward(image) + 1), jnp.square(y + 1))
    solution = cs.reconstruct(two(), squares, KEY)
    assert {*solution.aux["weights"]} == {"quick"} and "estimated_mse" not in solution.aux
    assert solution.aux["held_out_error"] > 0


def test_the_estimate_covers_the_error():
    """Of many draws of A and of what is held out, noise known; by chi^2 alone it would be 90 %."""
    inside = []
    for seed in range(9):
        solution = cs.reconstruct(
            dataclasses.replace(two(), candidates=("tv",)), problem(150, 10 + seed, 20.0), KEY, noise_variance=20.0
        )
        low, high = solution.aux["estimated_mse_interval"]
        inside.append(low <= cs.metrics.mse(solution.image, disc()) <= high)
    assert np.mean(inside) > 0.7


def test_weights_are_those_of_a_long_search():
    rng = np.random.default_rng(0)
    left = rng.standard_normal((3, 40)) + rng.standard_normal(40)
    found = simplex_weights(left, ridge=0.0)
    tried = rng.dirichlet(np.ones(3), 20000)
    energies = np.sum(np.square(tried @ left), 1)
    assert np.sum(np.square(found @ left)) <= energies.min() * (1 + 1e-6)
    assert found.min() >= 0 and np.isclose(found.sum(), 1)
    np.testing.assert_allclose(simplex_weights(np.zeros((2, 5))), [0.5, 0.5])
    np.testing.assert_allclose(simplex_weights(1j * left, 0.0), found, atol=1e-6)


def test_a_cross_fitted_residual_is_not_the_one_that_was_made_least():
    rng = np.random.default_rng(1)
    left = rng.standard_normal((6, 30))
    fitted = simplex_weights(left) @ left
    assert np.mean(np.square(cross_fitted(left))) > np.mean(np.square(fitted))


def test_the_spread_is_that_of_the_candidates():
    images = np.stack([np.zeros((1, 1, 1)), np.ones((1, 1, 1))])
    np.testing.assert_allclose(spread_of(images, np.array([0.5, 0.5]), np.full((1, 1, 1), 0.5)), 0.5)


def test_what_is_refused():
    with pytest.raises(cs.InputError, match="candidates = 'radon'"):
        cs.methods.Best(SHAPE, candidates=("radon",))
    with pytest.raises(cs.InputError, match="seconds"):
        cs.methods.Best(SHAPE, seconds=-1.0)
    with pytest.raises(cs.InputError, match="Problem"):
        cs.best(None, KEY)
    with pytest.raises(cs.InputError, match="Problem"):
        cs.reconstruct(two(), None, KEY)


def test_how_much_is_held_out():
    for m in (50, 100, 200, 500, 655, 2000, 8000):
        share, rounds = candidates.plan(m)
        held = round(share * m)
        assert held >= 5 and share <= 0.2 and (rounds == 1) == (held >= candidates.TOO_FEW)


def test_what_is_held_out_is_measured_as_it_was():
    """The true image leaves nothing, also of k-space in colour, whose channels go together, in odd numbers."""
    shape = (16, 16, 3)
    operator = cs.operators.radial_fourier(6, shape)
    image = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    one = candidates.Options(0.0, KEY, 0, None, lambda name: None, None, cs.reconstruct)
    for share in (0.1, 0.12, 0.14, 0.16):
        held = candidates._held_out(cs.Problem(operator, operator.forward(image)), share, one)
        assert np.abs(candidates.residual_of(held, image)).max() < 1e-5


def test_an_image_that_went_on_to_explain_less_is_not_taken():
    """As one that time cut short, after the optimiser's first steps."""
    one = problem()
    before = cs.reconstruct(cs.methods.Tv(SHAPE, steps=60), one, KEY, hold_out=0.1)
    member = candidates.Member("tv", 0, cs.methods.Tv(SHAPE), before, np.zeros(4))

    def went_on(factor):
        after = before._replace(image=before.image + 1, measurement_loss=factor * before.measurement_loss)
        return candidates.Options(0.0, KEY, 0, None, lambda name: None, None, lambda *_, **__: after)

    assert np.array_equal(candidates._on_all(member, one, went_on(1.1), 1), before.image)
    assert np.array_equal(candidates._on_all(member, one, went_on(0.9), 1), before.image + 1)
