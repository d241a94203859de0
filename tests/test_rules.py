"""What every rule of RULES promises around any method, and each one by hand."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import rules
from csdip_jax.rules import RULES, Iterate
from csdip_jax.solve import driver, fits
from csdip_jax.types import with_fields
from tests.methods.test_contract import kill_after_every_second_save
from tests.methods.toys import After, Landweber

SHAPE = (8, 8, 1)
KEY = jax.random.key(0)
METHOD = Landweber(SHAPE, steps=12, rate=0.15)
ALL = [(kind, name) for kind, known in RULES.items() for name in known]


OPERATOR = cs.operators.gaussian(jax.random.key(1), 30, SHAPE)


def problem(i=0):
    image = np.where(np.hypot(*(np.indices(SHAPE[:2]) - 3.5)) < 2 + i, 0.7, -0.6).astype(np.float32)[..., None]
    return cs.Problem(OPERATOR, OPERATOR.forward(image))


TOYS = {"held_out": {"share": 0.7}, "wmv": {"window": 4}}
"""Settings for a toy: what is held out is at least 20 of 30 measurements."""


def with_rule(kind, name, method=METHOD):
    return dataclasses.replace(method, **{kind: RULES[kind][name](**TOYS.get(name, {}))})


def itself(image):
    return image


def iterates(solution):
    return np.asarray(solution.trace["iterate"])[: int(solution.steps)]


def solve(method, *arguments, **options):
    """A solution, and all its iterates."""
    return cs.reconstruct(method, *(arguments or (problem(), KEY)), record={"iterate": itself}, **options)


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


# --- every rule


@pytest.fixture(scope="module", params=ALL, ids="-".join)
def rule(request):
    return request.param


@pytest.fixture(scope="module")
def alone(rule):
    return solve(with_rule(*rule))


def test_a_rule_changes_no_iterate(rule, alone):
    """It watches; at most it stops, and holds out."""
    share = with_rule(*rule).stopper.holds_out
    without = solve(METHOD, hold_out=share)
    np.testing.assert_allclose(iterates(alone), iterates(without)[: alone.steps], atol=1e-5)
    assert alone.ok and np.abs(alone.image).max() <= 1


def test_the_driver_keeps_what_the_rule_keeps_of_the_iterates_one_by_one(rule, alone):
    kept, image = replayed(with_rule(*rule), alone)
    np.testing.assert_allclose(alone.image, image, atol=1e-6)
    if with_rule(*rule).stopper.holds_out:
        held_out = {"held_out_error", "estimated_mse", "estimated_mse_interval"}
        assert alone.aux.keys() - kept.keys() <= held_out
        return  # what spreads is scaled by them
    assert alone.aux.keys() == kept.keys()
    for name, expected in kept.items():
        np.testing.assert_allclose(alone.aux[name], expected, atol=1e-6)


def replayed(method, solution):
    """(what the rule tells, the image it keeps) of the recorded iterates, one after the other on the host."""
    keep, seen = method.keeper, iterates(solution)
    state = keep.init(jnp.asarray(seen[0]))
    for step, image in enumerate(seen):
        scalars = {name: trace[step] for name, trace in solution.trace.items() if trace.ndim == 1}
        state = keep.update(state, Iterate(jnp.array(step), method.steps, jnp.asarray(image), scalars))
    return keep.aux(state), keep.image(state, jnp.asarray(seen[-1]))


def test_alone_as_in_any_batch(rule, alone):
    """Bit by bit: images of one operator run the same program."""
    batch = cs.Problem(OPERATOR, jnp.stack([problem(i).measurements for i in (1, 0, 2)]))
    found = solve(with_rule(*rule), batch, KEY, image_ids=[7, 0, 3], fits_at_once=1)
    assert_same(jax.tree.map(lambda x: x[1], found), alone)
    together = solve(with_rule(*rule), batch, KEY, image_ids=[7, 0, 3], fits_at_once=3)
    np.testing.assert_array_equal(together.status, found.status)
    np.testing.assert_allclose(together.image, found.image, atol=1e-5)


def test_a_killed_run_resumes_where_it_was(rule, alone, tmp_path, monkeypatch):
    """What a rule remembers is in the checkpoint."""
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)
    monkeypatch.setattr(driver, "FIRST_CHUNK", 1)
    taken = kill_after_every_second_save(monkeypatch)
    while True:
        try:
            found = solve(with_rule(*rule), checkpoint=tmp_path / "checkpoint.npz")
            break
        except KeyboardInterrupt:
            assert taken["kills"] < 20
    assert taken["kills"] >= 1
    assert_same(found, alone)


NUMBERS = [
    (kind, name, field) for kind, name in ALL for field in with_rule(kind, name).sweepable() if field.startswith(kind)
]


@pytest.mark.parametrize(("kind", "name", "field"), NUMBERS)
def test_a_sweep_of_a_rule_s_number_is_a_loop_and_compiles_once(kind, name, field):
    method = with_rule(kind, name)
    values = np.float32([0.1, 0.4, 0.8])
    singles = [solve(with_fields(method, {field: float(values[0])}))]
    compiled = fits.advance._cache_size()
    singles += [solve(with_fields(method, {field: float(value)})) for value in values[1:]]
    assert fits.advance._cache_size() == compiled
    swept = solve(with_fields(method, {field: values}))
    for i, single in enumerate(singles):
        assert (swept.steps[i], swept.status[i]) == (single.steps, single.status)
        np.testing.assert_allclose(swept.image[i], single.image, atol=1e-4)


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_settings_out_of_range_are_named(kind, name):
    for field in dataclasses.fields(RULES[kind][name]):
        bad = "neither" if isinstance(field.default, str) else -1
        with pytest.raises(cs.InputError, match=rf"^{kind}.{field.name} = {bad!r}: it must be "):
            dataclasses.replace(METHOD, **{kind: RULES[kind][name](**{field.name: bad})})  # a rule's numbers are >= 0


@pytest.mark.parametrize("kind", RULES)
def test_what_is_no_such_rule_is_refused(kind):
    other = RULES["stop" if kind == "keep" else "keep"]
    for bad in (next(iter(RULES[kind])), next(iter(other.values()))()):
        with pytest.raises(
            cs.InputError, match=f"^{kind} = .*: it must be a {kind.title()} of csdip_jax.rules, or None"
        ):
            dataclasses.replace(METHOD, **{kind: bad})


# --- keep


@pytest.mark.parametrize("by", ["measurement_loss", "objective"])
@pytest.mark.parametrize("window", [1, 2, 3, 5, 6, 9, None])
def test_the_first_of_the_best_of_exactly_the_window_is_kept(window, by):
    """Wherever among 6 iterates the best lies, ties and losses that are not finite included."""
    steps, rng = 6, np.random.default_rng(window)
    losses, totals = rng.permuted(np.tile(np.arange(1.0, 1 + steps), (2, 40, 1)), axis=-1)
    losses[20:30], totals[20:30] = np.ceil(losses[20:30] / 2), np.ceil(totals[20:30] / 2)  # ties
    losses[30:][losses[30:] < 3], totals[30:][totals[30:] < 3] = np.nan, np.inf

    def run(losses, totals):
        keep, state = rules.Best(window, by), rules.Best(window, by).init(jnp.zeros(SHAPE))
        for k in range(steps):
            scalars = {"measurement_loss": losses[k], "objective": totals[k]}
            state = keep.update(state, Iterate(jnp.array(k), steps, jnp.full(SHAPE, k / 100), scalars))
        last = dataclasses.replace(keep, restarts="last")
        return (
            jnp.rint(100 * keep.image(state, jnp.full(SHAPE, np.nan))[0, 0, 0]),
            keep.score(state, losses[-1]),
            last.score(state, losses[-1]),
        )

    kept, kept_loss, last_loss = jax.jit(jax.vmap(run))(losses, totals)
    np.testing.assert_array_equal(last_loss, losses[:, -1])
    for i, scores in enumerate(losses if by == "measurement_loss" else totals):
        finite = [k for k in range(steps) if np.isfinite(scores[k])]
        in_window = [k for k in finite if window is None or k >= steps - window]
        expected = min(in_window, key=lambda k: scores[k]) if in_window else finite[-1]  # noqa: B023
        assert kept[i] == expected
        np.testing.assert_array_equal(kept_loss[i], losses[i, expected])


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 1.0])
def test_the_tail_s_mean_and_deviation_are_numpy_s(share):
    solution = solve(dataclasses.replace(METHOD, keep=rules.Tail(share)))
    tail = iterates(solution).astype(float)[int(np.floor((1 - share) * METHOD.steps)) :]
    assert share * METHOD.steps <= len(tail) < share * METHOD.steps + 1
    np.testing.assert_allclose(solution.image, tail.mean(0), atol=1e-6)
    deviation = tail.std(0, ddof=1) if len(tail) > 1 else np.full(SHAPE, np.nan)
    np.testing.assert_allclose(solution.aux["standard_deviation"], deviation, rtol=1e-3, atol=1e-6)


def test_the_tail_s_deviation_is_in_the_unit_of_the_pixels():
    """Twice as wide a range: the same picture, twice the spread, whatever black is."""
    method, (operator, y) = dataclasses.replace(METHOD, keep=rules.Tail(0.5)), problem()
    one = cs.reconstruct(method, problem(), KEY)
    shifted = cs.Problem(operator, 2 * y + operator.forward(jnp.full(SHAPE, 5.0)))
    other = cs.reconstruct(method, shifted, KEY, pixel_range=(3, 7))
    np.testing.assert_allclose(other.image, 2 * one.image + 5, atol=0.02)
    spread, expected = other.aux["standard_deviation"], 2 * one.aux["standard_deviation"]
    assert expected.max() > 0.02
    np.testing.assert_allclose(spread, expected, atol=0.05 * expected.max())


def test_a_fit_that_ends_before_its_tail_gives_its_last_iterate():
    solution = solve(dataclasses.replace(METHOD, keep=rules.Tail(0.5), stop=After(6)))
    assert solution.status == cs.Status.STOPPED and solution.steps == 6
    np.testing.assert_array_equal(solution.image, iterates(solution)[-1])
    assert np.isnan(solution.aux["standard_deviation"]).all()  # nothing is known of it


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.99])
def test_the_average_and_its_spread_by_hand(decay):
    solution = solve(dataclasses.replace(METHOD, keep=rules.Average(decay)))
    weights = decay ** np.arange(METHOD.steps)[::-1]
    expected = np.average(iterates(solution), axis=0, weights=weights)
    np.testing.assert_allclose(solution.image, expected, atol=1e-6)
    spread = np.sqrt(np.average(np.square(iterates(solution) - expected), axis=0, weights=weights))
    spread = spread if decay else np.full(SHAPE, np.nan)
    np.testing.assert_allclose(solution.aux["standard_deviation"], spread, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("by", ["measurement_loss", "odd"])
def test_the_best_average_is_the_average_up_to_the_lowest_score(by):
    keep, scores = rules.BestAverage(0.5, by=by), np.float32([5, 3, 4, 1, 2, 1])
    images = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)
    state = keep.init(jnp.zeros(SHAPE))
    for step, image in enumerate(images):
        told = {"measurement_loss": scores[step], by: scores[step]}
        state = keep.update(state, Iterate(jnp.array(step), 6, jnp.asarray(image), told))
    expected = np.average(images[:4], axis=0, weights=0.5 ** np.arange(4)[::-1])
    np.testing.assert_allclose(keep.image(state, jnp.asarray(images[-1])), expected, atol=1e-6)
    assert keep.score(state, jnp.inf) == 1


def test_the_average_of_a_constant_is_that_constant_from_the_first_step_on():
    keep, state = rules.Average(0.99), rules.Average(0.99).init(jnp.zeros(SHAPE))
    for step in range(3):
        state = keep.update(state, Iterate(jnp.array(step), 3, jnp.full(SHAPE, 0.3), {}))
        np.testing.assert_allclose(keep.image(state, jnp.zeros(SHAPE)), 0.3, rtol=1e-6)


def test_the_last_iterate_is_given_by_default():
    solution = solve(METHOD)
    np.testing.assert_array_equal(solution.image, iterates(solution)[-1])
    assert_same(solution, solve(with_rule("keep", "last")))


# --- stop


def steps_of_a_plateau(losses, tolerance, patience):
    """By hand."""
    lowest, since = np.inf, 0
    for step, loss in enumerate(losses):
        lowest, since = (loss, 0) if loss < (1 - tolerance) * lowest else (lowest, since + 1)
        if since >= patience:
            return step + 1
    return len(losses)


@pytest.mark.parametrize(("tolerance", "patience"), [(0.2, 1), (0.5, 3), (0.9, 2), (0.0, 500)])
def test_a_plateau_ends_a_fit_where_it_does_by_hand(tolerance, patience):
    method = dataclasses.replace(METHOD, steps=300, stop=rules.Plateau(tolerance, patience))
    stopped = solve(method)
    losses = np.asarray(stopped.trace["measurement_loss"])[: stopped.steps]
    assert stopped.steps == steps_of_a_plateau(losses, np.float32(tolerance), patience)
    early = stopped.steps < method.steps
    assert early == (patience < 500)
    assert not early or stopped.status == (cs.Status.STOPPED if stopped.unexplained <= 0.25 else cs.Status.UNEXPLAINED)
    assert early or stopped.status == cs.Status.OUT_OF_STEPS
    np.testing.assert_array_equal(stopped.image, iterates(stopped)[np.argmin(losses)])


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, cs.Status.OUT_OF_STEPS),
        ({"stop": After(9)}, cs.Status.STOPPED),
        ({"stop": After(12)}, cs.Status.STOPPED),  # at the last step
        ({"stop": After(9), "tolerance": 1.0}, cs.Status.CONVERGED),  # which came first
        ({"stop": After(1), "rate": 0.0}, cs.Status.UNEXPLAINED),
        ({"stop": After(9), "rate": 1e30}, cs.Status.DIVERGED),
        ({"fail": rules.Collapsed(), "rate": 0.0}, cs.Status.OUT_OF_STEPS),  # noise is not flat
    ],
)
def test_the_status_says_how_a_fit_ended(changes, status):
    solution = cs.reconstruct(dataclasses.replace(METHOD, **changes), problem(), KEY)
    assert solution.status == status and solution.ok == (status < cs.Status.DIVERGED)
    assert np.isfinite(solution.image).all()


def test_what_a_stopping_rule_tells_is_traced_and_may_be_what_is_kept_by():
    method = dataclasses.replace(METHOD, stop=After(8), keep=rules.Best(None, by="left"))
    solution = solve(method)
    np.testing.assert_array_equal(solution.trace["left"], [*range(7, -1, -1), *[np.nan] * 4])
    np.testing.assert_array_equal(solution.image, iterates(solution)[-1])
    with pytest.raises(cs.InputError, match="keep.by = 'left': it must be measurement_loss or objective or draw"):
        dataclasses.replace(method, stop=None)


@pytest.mark.parametrize("keep", [rules.Last(), rules.Average(0.5), rules.Tail(1.0), rules.Best(None)])
def test_what_is_kept_of_a_stopped_fit_may_be_chosen(keep):
    method = dataclasses.replace(METHOD, steps=500, keep=keep, stop=rules.Plateau(0.05, 2))
    stopped = solve(method)
    assert stopped.status == cs.Status.STOPPED
    np.testing.assert_allclose(stopped.image, replayed(method, stopped)[1], atol=1e-6)


def test_the_variance_of_a_window_is_numpy_s():
    method = dataclasses.replace(METHOD, steps=40, stop=rules.Wmv(window=6, patience=100))
    solution = solve(method)
    seen = iterates(solution).astype(float)
    expected = [seen[t - 5 : t + 1].var(0).mean() if t >= 5 else np.inf for t in range(40)]
    np.testing.assert_allclose(solution.trace["variance"], expected, rtol=1e-3, atol=1e-9)
    keep = rules.Best(None, by="variance")
    early = solve(dataclasses.replace(method, stop=rules.Wmv(window=6, patience=3), rate=0.3, keep=keep))
    told = np.asarray(early.trace["variance"])[: early.steps]
    assert early.steps == 40 or np.argmin(told) == early.steps - 4
    np.testing.assert_array_equal(early.image, iterates(early)[np.argmin(told)])


def test_the_discrepancy_is_that_of_all_measurements_in_the_user_s_units():
    """A and y in another unit, pixels of another range: the fit ends at the same step."""
    (operator, y), noise = problem(), 0.5
    method = dataclasses.replace(METHOD, steps=60, stop=rules.Discrepancy(noise))
    one = cs.reconstruct(method, problem(), KEY)
    losses = np.asarray(one.trace["measurement_loss"])[: one.steps]
    assert 1 < one.steps < 60 and losses[-1] <= noise < losses[-2]
    scaled = cs.operators.Dense(0.01 * operator.matrix, SHAPE)
    counts = cs.Problem(scaled, scaled.forward(jnp.full(SHAPE, 100.0)) + y)
    method = dataclasses.replace(method, stop=rules.Discrepancy(noise))
    other = cs.reconstruct(method, counts, KEY, pixel_range=(0, 200))
    assert other.steps == one.steps
    held = cs.reconstruct(
        method, problem(), KEY, hold_out=0.7
    )  # 9 of 30 are fitted: their share of the noise is as much
    losses = np.asarray(held.trace["measurement_loss"])[: held.steps]
    assert losses[-1] <= 0.3 * noise < losses[-2]


def test_held_out_measurements_end_a_fit_and_choose_its_average():
    """By hand, from the iterates and what they leave of what was held out."""
    y = problem().measurements + 0.3 * jax.random.normal(jax.random.key(5), (30,))
    method = dataclasses.replace(METHOD, steps=200, stop=rules.HeldOut(0.7, decay=0.5, patience=5))
    solution = solve(method, cs.Problem(OPERATOR, y), KEY)
    seen = iterates(solution).astype(float)
    averages = [np.average(seen[: t + 1], axis=0, weights=0.5 ** np.arange(t + 1)[::-1]) for t in range(len(seen))]
    names = ("average_held_out_loss", "measurement_loss", "held_out_score")
    losses, fitted, scores = (np.asarray(solution.trace[name])[: solution.steps] for name in names)
    weights = [0.5 ** np.arange(t + 1)[::-1] for t in range(len(seen))]
    by_hand = [0.25 * np.average(fitted[: len(w)], weights=w) / 9 for w in weights] + losses
    np.testing.assert_allclose(scores, by_hand, rtol=1e-4)
    best = int(np.argmin(scores))
    assert solution.status < cs.Status.OUT_OF_STEPS or solution.status == cs.Status.UNEXPLAINED
    assert len(seen) == best + 6 < 200
    np.testing.assert_allclose(solution.image, averages[best], atol=1e-5)
    assert solution.aux["held_out_error"] > 0


# --- fail


def failed(rule, p, image, step, steps=10, loss=None):
    loss = jnp.sum(jnp.square(jnp.abs(p.measurements))) if loss is None else loss
    return rule.failed(p, Iterate(jnp.array(step), steps, image, {"measurement_loss": loss}))


def test_a_collapse_of_colour_channels_to_different_constants():
    rule, shape = rules.Collapsed(), (16, 16, 3)
    y = jax.random.uniform(jax.random.key(0), (768,), minval=-1.0)
    p = cs.Problem(cs.operators.Identity(shape), y)
    constant = jnp.broadcast_to(jnp.array([1.0, -1.0, 0.2]), shape)
    assert failed(rule, p, constant, step=0)
    assert not failed(rule, p, constant, step=1)
    assert not failed(rule, p, constant.at[:8].set(0.0), step=0)
    # One channel that says something, whichever it is, is no collapse: the others may truly be flat.
    for channel in range(3):
        assert not failed(rule, p, constant.at[:8, :, channel].set(0.0), step=0)
        assert not failed(rule, p, constant.at[:8, :, channel].add(0.05), step=0)
    assert failed(rule, p, constant.at[:8].add(0.01), step=0)
    # Black and white alone, the residual still high: tanh is saturated everywhere, so nothing moves any more.
    assert failed(rule, p, constant.at[:8].set(-1.0).at[..., 2].set(1.0), step=0)


@pytest.mark.parametrize("residual", [0.05, 0.3])
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_a_flat_image_is_a_collapse_beyond_the_residual_that_is_set(kind, residual):
    """Relative to the energy of y, of complex numbers too; looked at after a tenth of the steps and at the end."""
    y = jax.random.normal(jax.random.key(0), (64,), {"real": jnp.float32, "complex": jnp.complex64}[kind])
    p = cs.Problem(cs.operators.Identity(SHAPE), y)
    energy = float(np.sum(np.abs(y) ** 2))
    for step, share in itertools.product(range(30), (0.9, 1.1)):
        found = failed(rules.Collapsed(residual), p, jnp.zeros(SHAPE), step, 30, jnp.float32(share * residual * energy))
        assert found == (step in (2, 29) and share > 1)


def test_a_rule_that_gives_up_has_a_fit_of_any_method_drawn_anew():
    @cs.types.pytree_dataclass
    class Never(rules.Fail):
        def failed(self, problem, seen):
            return seen.step == 1

    solution = cs.reconstruct(dataclasses.replace(METHOD, fail=Never()), problem(), KEY, max_redraws=2)
    assert solution.redraws == 2 and solution.ok and solution.steps == METHOD.steps  # the last attempt goes on


# --- what a rule of one's own may get wrong


@cs.pytree_dataclass
class NoTuple(rules.Stop):
    def update(self, state, seen):
        return seen.scalars["measurement_loss"]


@cs.pytree_dataclass
class Forgetful(rules.Keep):
    def init(self, image):
        return jnp.zeros_like(image)

    def update(self, state, seen):
        return None


@cs.pytree_dataclass
class Undecided(rules.Stop):
    def update(self, state, seen):
        return state, seen.image > 0, {}


@cs.pytree_dataclass
class Unnamed(rules.Stop):
    def update(self, state, seen):
        return state, seen.step > 3, {"spread": seen.image.std()}


@cs.pytree_dataclass
class Branching(rules.Stop):
    def update(self, state, seen):
        return state, bool(seen.scalars["objective"] > 1), {}


@cs.pytree_dataclass
class Flat(rules.Keep):
    def image(self, state, last):
        return last.reshape(-1)


@cs.pytree_dataclass
class Growing(rules.Keep):
    def init(self, image):
        return jnp.zeros(1)

    def update(self, state, seen):
        return jnp.append(state, seen.image.max())


@cs.pytree_dataclass
class Asking(rules.Fail):
    def failed(self, problem, seen):
        return 0.5


@pytest.mark.parametrize(
    ("kind", "made", "message"),
    [
        ("stop", NoTuple, r"rule NoTuple: its update gives float32\[\]: return \(what it remembers, whether the fit"),
        ("stop", Undecided, r"Undecided: its update gives bool\[8, 8, 1\] for whether the fit ends: return bool\[\]"),
        ("stop", Unnamed, r"Unnamed: its update tells \['spread'\]: give numbers by the names in its `scalars`, \[\]"),
        ("stop", Branching, "Branching: its update, traced by JAX, ends in TracerBoolConversionError: .*; write it"),
        ("keep", Forgetful, "Forgetful: its update remembers .*: return what has the form of the state it is given"),
        ("keep", Growing, r"Growing: its update remembers float32\[2\], its init float32\[1\]"),
        ("keep", Flat, r"rule Flat: its image gives float32\[64\] for the image: return float32\[8, 8, 1\]"),
        ("fail", Asking, r"Asking: its failed gives float32\[\] for whether the attempt is lost: return bool\[\]"),
    ],
)
def test_a_rule_of_ones_own_that_gives_something_else_is_refused_in_a_line(kind, made, message):
    with pytest.raises(cs.InputError, match=message) as raised:
        cs.reconstruct(dataclasses.replace(METHOD, **{kind: made()}), problem(), KEY)
    assert "\n" not in str(raised.value)
