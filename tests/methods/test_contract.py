"""What every method of METHODS promises, through `reconstruct`."""

import dataclasses
from operator import attrgetter
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import rules
from csdip_jax.methods import METHODS, Damp, Dip, Lasso, Method, Network, Tv
from csdip_jax.rules import RULES
from csdip_jax.solve import checkpoint as checkpoints, driver, fits
from csdip_jax.types import pytree_dataclass, with_fields
from tests.methods.decoders import ready
from tests.methods.toys import ITERATED

SHAPE = (16, 16, 1)
ROUNDING = {"bm3d_amp": 0.03}
"""What rounding may change of a pixel, 0.001 where nothing stands here: BM3D's thresholds turn it into jumps."""


def make(name, **changes):
    """The method at its recipe's toy size."""
    recipe = METHODS[name]
    method = dataclasses.replace(recipe.preset("paper", SHAPE), **recipe.toy)
    if type(method) is Dip:  # its network is compiled in test_generators.py
        method = dataclasses.replace(method, generator=cs.generators.DeepDecoder(SHAPE, channels=16))
    elif isinstance(method, Network):
        method = dataclasses.replace(method, generator=ready(method.generator))
    return dataclasses.replace(method, **changes)


def swept_field(name):
    """The first number that is tried in tuning."""
    return next(iter(METHODS[name].grid))


def disc(radius=5.0):
    rows, columns = np.indices(SHAPE[:2]) - 7.5
    return np.where(np.hypot(rows, columns) < radius, 0.7, -0.6).astype(np.float32)[..., None]


def problem(i=0):
    operator = cs.operators.gaussian(jax.random.key(10 + i), 100, SHAPE)
    return cs.Problem(operator, operator.forward(disc(4.0 + i)))


def stack(*problems):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *problems)


@pytest.fixture(scope="module", params=ITERATED)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def straight(name):
    return cs.reconstruct(make(name), problem(), jax.random.key(0))


@pytest.fixture(scope="module")
def three(name):
    """Problems 1, 0 and 2, each with its operator, one after the other."""
    batch = stack(problem(1), problem(0), problem(2))
    return cs.reconstruct(make(name), batch, jax.random.key(0), image_ids=[7, 0, 3])


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_solution(name, straight):
    method = make(name)
    assert straight.image.shape == SHAPE and straight.image.dtype == jnp.float32
    assert np.abs(straight.image).max() <= 1
    for scalar in method.scalars:
        trace = straight.trace[scalar]
        assert trace.shape == (method.steps,)
        assert np.isfinite(trace[: straight.steps]).all() and np.isnan(trace[straight.steps :]).all()
    assert 0 < straight.steps <= method.steps
    assert 0 <= straight.restart < method.restarts
    assert straight.status < cs.Status.DIVERGED and straight.ok and straight.redraws == 0
    loss = cs.operators.measurement_loss(*problem(), straight.image)
    np.testing.assert_allclose(straight.measurement_loss, loss, rtol=1e-4)


def test_the_loss_falls(straight):
    trace = straight.trace["measurement_loss"][: straight.steps]
    assert trace[-1] < 0.3 * trace[0]


def test_same_image_same_answer_in_any_batch(straight, three):
    """Bit by bit where images run one at a time; alone, among others, and at another place."""
    assert_same(jax.tree.map(lambda x: x[1], three), straight)
    assert not np.array_equal(three.image[0], three.image[1])


def test_vmap_is_a_loop(name, three):
    """To rounding; over restarts and two of the three images, the last block not full."""
    method, batch = make(name), stack(problem(1), problem(0), problem(2))
    together = cs.reconstruct(method, batch, jax.random.key(0), image_ids=[7, 0, 3], fits_at_once=2 * method.restarts)
    np.testing.assert_array_equal(together.restart, three.restart)
    np.testing.assert_allclose(together.trace["measurement_loss"], three.trace["measurement_loss"], rtol=1e-3)
    np.testing.assert_allclose(together.image, three.image, atol=ROUNDING.get(name, 1e-3))


def test_shared_operator_equals_one_per_image(name):
    operator, method = problem().operator, make(name)
    ys = jnp.stack([operator.forward(disc(3.0)), operator.forward(disc(6.0))])
    shared = cs.reconstruct(method, cs.Problem(operator, ys), jax.random.key(0))
    own = cs.reconstruct(method, cs.Problem(jax.tree.map(lambda x: jnp.stack([x, x]), operator), ys), jax.random.key(0))
    np.testing.assert_allclose(shared.image, own.image, atol=1e-4)


def test_one_compile_for_two_settings(name):
    """A swept setting is data: other values run the same program, and change the answer."""
    method, key = make(name), jax.random.key(0)
    first = cs.reconstruct(method, problem(), key)
    compiled = fits.advance._cache_size()
    for factor in (0.5, 2.0):
        changes = {swept_field(name): factor * getattr(method, swept_field(name))}
        second = cs.reconstruct(dataclasses.replace(method, **changes), problem(), key)
        assert not np.array_equal(first.image, second.image)
    assert fits.advance._cache_size() == compiled


OTHERWISE = {
    "tolerance": 0.9,
    "decay": 0.5,
    "momentum": 0.1,
    "epsilon": 1.0,
    "input_noise": 0.1,
    "weight_noise": 0.01,
    "damping": 0.2,
    "lower": -0.2,
    "upper": 0.3,
}
"""What a number is set to, three times itself where nothing stands here."""
IDLE = {"lr_weight", "fail.residual"}
"""Without a prior, and without a collapse."""


def test_every_number_acts(name, straight):
    """None is there for nothing: another value is another image, or another number of steps."""
    method = make(name)
    idle = IDLE | ({"weight_noise"} if getattr(method, "moves", "") == "latent" else set())
    for field in set(method.sweepable()) - idle:
        value = OTHERWISE[field] if field in OTHERWISE else 3 * attrgetter(field)(method)
        other = with_fields(method, {field: value})
        solution = cs.reconstruct(other, problem(), jax.random.key(0))
        same = np.array_equal(solution.image, straight.image) and solution.steps == straight.steps
        assert not same, field


def test_a_sweep_is_a_loop(name):
    """A setting given as an array: one image under each value, in one program, as if one after the other."""
    values, key = np.array([0.3, 1.0, 3.0]), jax.random.key(0)
    method, field = make(name), swept_field(name)
    values = values * getattr(method, field)
    swept = cs.reconstruct(dataclasses.replace(method, **{field: values}), problem(), key)
    assert swept.image.shape == (3, *SHAPE)
    for i, value in enumerate(values):
        single = cs.reconstruct(dataclasses.replace(method, **{field: float(value)}), problem(), key)
        np.testing.assert_allclose(swept.trace["measurement_loss"][i], single.trace["measurement_loss"], rtol=1e-3)
        np.testing.assert_allclose(swept.image[i], single.image, atol=ROUNDING.get(name, 1e-3))


def test_a_killed_run_resumes_where_it_was(name, straight, tmp_path, monkeypatch):
    """Stopped after every chunk in turn, the run still ends in the same bits."""
    checkpoint = tmp_path / "checkpoint.npz"
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)  # chunks of one step
    monkeypatch.setattr(driver, "FIRST_CHUNK", 1)
    taken = kill_after_every_second_save(monkeypatch)
    for _ in range(100):
        try:
            solution = cs.reconstruct(make(name), problem(), jax.random.key(0), checkpoint=checkpoint)
            break
        except KeyboardInterrupt:
            assert checkpoint.exists()
    assert_same(solution, straight)
    assert taken["kills"] >= 4


def kill_after_every_second_save(monkeypatch):
    """Makes `reconstruct` die after each second saved chunk."""
    taken, save = {"kills": 0, "saves": 0}, checkpoints.save

    def save_and_die(*arguments):
        save(*arguments)
        taken["saves"] += 1
        if taken["saves"] % 2 == 0:
            taken["kills"] += 1
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save_and_die)
    return taken


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_a_failure_from_the_first_step_on(loss):
    method, state = Method(SHAPE), SimpleNamespace(loss=jnp.float32(loss), step=jnp.array(0))
    assert not method.diverged(state)
    for step in (1, 2, 10):
        assert method.diverged(SimpleNamespace(loss=state.loss, step=jnp.array(step)))
        assert not method.diverged(SimpleNamespace(loss=jnp.float32(1.0), step=jnp.array(step)))


@pytest.mark.parametrize(
    ("method", "met", "missed"),
    [
        (Tv(SHAPE, tolerance=0.2, steps=7), {"residual": 0.2, "step": 6}, [{"residual": 0.21}]),
        (Tv(SHAPE, tolerance=0.2, steps=7), {"residual": 2.0, "step": 7}, [{"residual": 2.01}, {"step": 6}]),
        (Lasso(SHAPE, tolerance=0.2), {"gap": 0.2}, [{"gap": 0.21}]),
        (
            Damp(SHAPE, steps=7),
            {"step": 7, "change": 0.01, "loss": 4.0, "start": 400.0},
            [{"step": 6}, {"change": 0.0101}, {"loss": 4.01}],
        ),
    ],
)
def test_converged_is_its_own_rule_to_the_last_digit(method, met, missed):
    """All that it asks for, and nothing but."""
    assert method.converged(SimpleNamespace(**met))
    for change in missed:
        assert not method.converged(SimpleNamespace(**met | change)), change


@pytest.mark.parametrize("kind", ["csdip", "csgm"])
def test_the_latent_is_standard_normal(kind):
    draw = jax.jit(jax.vmap(lambda key: make(kind).init(problem(), key).latent))
    latents = draw(jax.random.split(jax.random.key(0), 200))
    np.testing.assert_allclose([latents.mean(), latents.std()], [0, 1], atol=0.03)
    assert 0.66 < np.mean(np.abs(latents) < 1) < 0.70 and not (latents[0] == latents[1]).any()


@pytest.mark.parametrize("kind", ["csdip", "csgm", "tv", "lasso_dct"])
def test_what_is_said_to_be_minimised_is_what_is_minimised(kind):
    """The objective of the method's docstring, written out, at the iterate that the step tells of."""
    method, p, tv = make(kind), problem(), cs.priors.total_variation
    state, step = jax.jit(method.init)(p, jax.random.key(0)), jax.jit(method.step)
    for i in range(3):
        before = state
        state, scalars = step(p, before, jax.random.key(i))
    told, objective = scalars["measurement_loss"], scalars["objective"]
    if kind == "csdip":
        image = method.image(state)
        expected = told + method.tv_weight * tv(image)
    elif kind == "csgm":
        image = method.image(state)
        expected = told + method.l2_weight * jnp.sum(before.latent**2)
    elif kind == "tv":  # at the over-relaxed iterate, 1.7 of the new image and -0.7 of the last copy
        image = 1.7 * state.image - 0.7 * before.split.data
        expected = tv(image) + method.mu / 2 * told
    else:
        image = method.synthesis(state.iterate.coefficients)
        expected = told / 2 / p.measurements.size
        expected += method.alpha * jnp.abs(state.iterate.coefficients).sum()
    np.testing.assert_allclose(objective, expected, rtol=1e-4)
    np.testing.assert_allclose(told, cs.operators.measurement_loss(*p, image), rtol=1e-3)


@pytree_dataclass
class Every(rules.Keep):
    """All rules that keep, side by side: one program for all of them."""

    def init(self, image):
        return image, {name: rule().init(image) for name, rule in RULES["keep"].items()}

    def update(self, state, seen):
        return seen.image, {name: rule().update(state[1][name], seen) for name, rule in RULES["keep"].items()}

    def aux(self, state):
        last, states = state
        kept = {name: rule().image(states[name], last) for name, rule in RULES["keep"].items()}
        for name, rule in RULES["keep"].items():
            kept |= {f"{name} {what}": array for what, array in rule().aux(states[name]).items()}
        return kept


STOPS = {name: rule for name, rule in RULES["stop"].items() if not rule().holds_out}
"""Those that hold nothing out; for the others see test_held_out.py."""


@pytree_dataclass
class Any(rules.Stop):
    """All of `STOPS`, each of which tells whether it would; one that does ends the fit, or so many steps."""

    count: float = 5.0
    scalars = tuple(f"{name} {what}" for name, rule in STOPS.items() for what in ("stops", *rule.scalars))

    def init(self, image):
        return {name: rule().init(image) for name, rule in STOPS.items()}

    def update(self, state, seen):
        after, ends, told = {}, seen.step + 1 >= self.count, {}
        for name, rule in STOPS.items():
            after[name], stops, scalars = rule().update(state[name], seen)
            told |= {f"{name} {what}": x for what, x in {"stops": jnp.where(stops, 1.0, 0.0), **scalars}.items()}
            ends |= stops
        return after, ends, told


@pytest.mark.parametrize("count", [5.0, np.inf])
def test_rules_act_around_it_and_change_no_iterate(name, straight, count):
    """What they keep is what they keep of the recorded iterates one by one, and where they stop, too."""
    method = dataclasses.replace(make(name), keep=Every(), stop=Any(count))
    solution = cs.reconstruct(method, problem(), jax.random.key(0), record={"iterate": lambda image: image})
    count = int(solution.steps)
    ended_by_it = count < method.steps and solution.status in (cs.Status.STOPPED, cs.Status.UNEXPLAINED)
    if solution.restart == straight.restart:
        trace, expected = (each.trace["measurement_loss"][:count] for each in (solution, straight))
        np.testing.assert_allclose(trace, expected, rtol=1e-3)
    kept, stopping = (rule.init(jnp.zeros(SHAPE)) for rule in (method.keep, method.stop))
    for step in range(count):
        scalars = {name: solution.trace[name][step] for name in method.scalars}
        seen = rules.Iterate(jnp.array(step), method.steps, solution.trace["iterate"][step], scalars)
        stopping, stops, told = method.stop.update(stopping, seen)
        assert stops == (ended_by_it and step + 1 == count)
        for what, expected in told.items():
            np.testing.assert_allclose(solution.trace[what][step], expected, rtol=1e-3, err_msg=what)
        kept = method.keep.update(kept, seen._replace(scalars=scalars | told))
    for what, expected in method.keep.aux(kept).items():
        np.testing.assert_allclose(solution.aux[what], expected, atol=1e-5, err_msg=what)
    np.testing.assert_allclose(solution.image, solution.trace["iterate"][count - 1], atol=1e-5)


def test_checkpoint_of_another_run_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 0.0)  # saved however little has been done
    checkpoint, method = tmp_path / "checkpoint.npz", make(name)
    cs.reconstruct(method, problem(), jax.random.key(0), checkpoint=checkpoint)
    with pytest.raises(cs.InputError, match="belongs to another run"):
        cs.reconstruct(method, problem(), jax.random.key(1), checkpoint=checkpoint)


def test_complex_measurements(name):
    operator = cs.operators.radial_fourier(6, SHAPE)
    solution = cs.reconstruct(make(name), cs.Problem(operator, operator.forward(disc())), jax.random.key(0))
    assert np.isfinite(solution.image).all()
    if issubclass(METHODS[name].method, Damp):  # its theory is about dense random operators: a flag, never an exception
        assert solution.status >= cs.Status.OUT_OF_STEPS
    else:
        trace = solution.trace["measurement_loss"]
        assert solution.ok and trace[solution.steps - 1] < 0.3 * trace[0]


def test_double_precision_follows_the_measurements(name, x64):
    operator, y = problem()
    solution = cs.reconstruct(make(name, steps=3), cs.Problem(operator, jnp.asarray(y, jnp.float64)), jax.random.key(0))
    assert solution.image.dtype == jnp.float64


def test_presets(name):
    for preset in ("paper", "reference"):
        assert METHODS[name].preset(preset, (28, 28, 1)).image_shape == (28, 28, 1)
    with pytest.raises(cs.InputError, match="unknown preset 'best'"):
        METHODS[name].preset("best", SHAPE)
