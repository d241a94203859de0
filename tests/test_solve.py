"""What `reconstruct` accepts and refuses, and its bookkeeping. What it computes: tests/methods/test_contract.py."""

import dataclasses
import functools
import inspect
import io
import itertools
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tqdm import tqdm

import csdip_jax as cs
from csdip_jax.generators import DCGAN
from csdip_jax.kernels import winograd
from csdip_jax.methods import CsDip, Damp, Lasso
from csdip_jax.solve import blocks, checkpoint, driver, fits, inputs, progress, trial
from csdip_jax.solve.fits import advance
from tests.methods.toys import Landweber
from tests.test_types import FORMS

SHAPE = (8, 8, 1)
METHOD = CsDip(SHAPE, steps=2, generator=DCGAN(SHAPE, latent_dim=4))
KEY = jax.random.key(0)


def problem(m=20, seed=1):
    operator = cs.operators.gaussian(jax.random.key(seed), m, SHAPE)
    return cs.Problem(operator, operator.forward(jnp.linspace(-1, 1, 64).reshape(SHAPE)))


@pytest.mark.parametrize(
    "operator",
    [
        cs.operators.Linear(lambda x: x[::2].reshape(-1), SHAPE),
        cs.operators.Nonlinear(lambda x: jnp.abs(x.reshape(-1)[:30]), SHAPE),
        lambda x: jnp.abs(jnp.fft.fft2(x[..., 0]))[:3],  # a plain callable, measurements of two axes
    ],
)
@pytest.mark.filterwarnings("ignore:the measurements are the same")
def test_any_differentiable_function_is_an_operator(operator):
    y = cs.operators.measure(KEY, operator, jnp.linspace(-1, 1, 64).reshape(SHAPE))
    solution = cs.reconstruct(METHOD, cs.Problem(operator, y), KEY)
    assert solution.image.shape == SHAPE and solution.ok
    batch = cs.reconstruct(METHOD, cs.Problem(operator, jnp.stack([y, y])), KEY, image_ids=[0, 0])
    np.testing.assert_array_equal(batch.image[1], solution.image)


@pytest.mark.parametrize(("platform", "backend"), [("cpu", "cpu"), ("cuda", "gpu")])
def test_the_program_of_a_chunk(platform, backend, monkeypatch):
    """Of several fits at once, as lowered for either: products only, the large ones in full precision, nothing but the
    device. The network has layers of every form."""
    method = cs.methods.CsDip((128, 128, 1), steps=2)
    operator = cs.operators.gaussian(KEY, 20, (128, 128, 1))
    y = operator.forward(jnp.zeros((128, 128, 1)))
    job = driver.prepare(method, cs.Problem(operator, jnp.stack([y, y])), KEY, fits_at_once=2)
    (block,) = job.blocks
    arguments = job.arguments(block)
    fits = driver.begin(*arguments, {}, None, block)
    jax.clear_caches()  # of what was traced as on this machine
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    with jax.default_matmul_precision("default"):  # the suite's own would hide what is asked for
        chunk = advance.trace(*arguments, fits, 10, 3, {}, layout=block.layout)
    program = chunk.lower(lowering_platforms=(platform,)).as_text()
    jax.clear_caches()  # of what was traced as elsewhere
    assert "convolution" not in program
    assert not any(name in program for name in ("custom_call", "callback", "infeed", "outfeed", "send", "recv"))
    products = [line for line in program.splitlines() if "dot_general" in line]
    of_matrix, of_winograd = (
        [line for line in products if shape in line] for shape in ("20x16384xf32", "3x64x256xf32")
    )
    assert len(of_matrix) >= 2 and len(of_winograd) == (3 * winograd.PARTS if backend == "cpu" else 0)
    full = {line for line in products if "precision = [HIGHEST, HIGHEST]" in line}
    assert {*of_matrix, *of_winograd} <= full < set(products)
    assert backend == "cpu" or full == set(of_matrix)  # the layers as JAX is set, by default in TF32
    assert any(name in program for name in ("tf.aliasing_output", "jax.buffer_donor"))  # the state is donated


TV = cs.methods.Tv(SHAPE, steps=3)
COUNTS = (np.indices((20, 64)).sum(0) % 5 == 0).astype(int)


@pytest.mark.parametrize("form", FORMS)
def test_matrix_and_measurements_of_any_type(form):
    y = COUNTS[:, 0]  # zeros and ones as well
    right = cs.reconstruct(TV, cs.Problem(cs.operators.Dense(COUNTS.astype("f4"), SHAPE), y.astype("f4")), KEY)
    found = cs.reconstruct(TV, cs.Problem(cs.operators.Dense(FORMS[form](COUNTS), SHAPE), FORMS[form](y)), KEY)
    np.testing.assert_allclose(found.image, right.image, atol=1e-6)


@pytest.mark.parametrize(("of_matrix", "of_y"), [("f8", "f4"), ("f4", "f8"), ("f8", "f2"), ("c16", "c8")])
def test_one_common_type_in_x64(of_matrix, of_y, x64):
    operator = cs.operators.Dense(COUNTS.astype(of_matrix), SHAPE)
    wide = cs.operators.Dense(COUNTS.astype("c16" if "c" in of_y else "f8"), SHAPE)
    methods = (TV, Lasso(SHAPE, steps=3), Damp(SHAPE, steps=2), METHOD)
    for method in methods if of_y == "f4" else methods[:1]:
        found = cs.reconstruct(method, cs.Problem(operator, COUNTS[:, 0].astype(of_y)), KEY).image
        right = cs.reconstruct(method, cs.Problem(wide, COUNTS[:, 0].astype(wide.matrix.dtype)), KEY).image
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, right, atol=1e-6)


def test_narrow_storage_stays_narrow_in_x64(x64):
    operator = cs.operators.gaussian(KEY, 20, SHAPE, "int8")
    (widened, _), _ = inputs.checked_batch(cs.Problem(operator, np.ones(20)), TV)
    assert widened.matrix.dtype == np.int8 and widened.row_scale.dtype == np.float64


@pytest.mark.filterwarnings("ignore:the measurements are of pixels")
def test_counts_beyond_the_integers_of_jax_do_not_wrap_round():
    y = np.array([3_000_000_000, 5, 7] + [0] * 17)
    operator = cs.operators.Dense(np.eye(64)[:20], SHAPE)
    found, right = (cs.reconstruct(TV, cs.Problem(operator, values), KEY).image for values in (y, y.astype(float)))
    np.testing.assert_array_equal(found, right)
    assert found[0, 0, 0] > 0


@pytest.mark.parametrize("image_ids", [[-1], [2**32], [10**20], [1.5], ["a"], [None], "7"])
def test_image_ids_that_are_none(image_ids):
    with pytest.raises(cs.InputError, match="image_ids: .* is none: give whole numbers from 0 to 2\\^32 - 1"):
        cs.reconstruct(METHOD, problem(), KEY, image_ids=image_ids)


SET = {
    "jax_debug_nans": True,
    "jax_debug_infs": True,
    "jax_debug_key_reuse": True,
    "jax_check_tracer_leaks": True,
    "jax_enable_checks": True,
    "jax_disable_jit": True,
    "jax_numpy_rank_promotion": "raise",
    "jax_numpy_dtype_promotion": "strict",
    "jax_transfer_guard": "disallow",
}


@pytest.mark.parametrize("switch", SET)
def test_debugging_switches_do_not_stop_a_run_nor_change_its_answer(switch):
    operator, x = cs.operators.gaussian(KEY, 20, SHAPE, "int8"), np.linspace(-1, 1, 64).reshape(SHAPE)
    function = cs.operators.Linear(lambda image: image[::2].reshape(-1), SHAPE)

    def run():
        y = cs.operators.measure(KEY, operator, x, 0.1)
        fits = [cs.reconstruct(method, cs.Problem(operator, y), KEY) for method in (METHOD, TV)]
        fits.append(cs.reconstruct(TV, cs.Problem(function, cs.operators.measure(KEY, function, x)), KEY))
        return fits, operator.adjoint(y), cs.metrics.psnr(x, x), cs.metrics.ssim(x, x)

    expected, before = run(), jax.config.values[switch]
    jax.config.update(switch, SET[switch])
    try:
        found = run()
    finally:
        jax.config.update(switch, "allow" if switch == "jax_transfer_guard" else before)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.filterwarnings("ignore:the measurements are of pixels")
def test_numpy_and_integer_measurements_are_taken():
    operator, y = problem()
    as_numpy = cs.reconstruct(METHOD, cs.Problem(operator, np.asarray(y)), KEY)
    np.testing.assert_array_equal(as_numpy.image, cs.reconstruct(METHOD, cs.Problem(operator, y), KEY).image)
    assert cs.reconstruct(METHOD, cs.Problem(operator, np.arange(20)), KEY).ok


def refuse(*arguments, **options):
    return lambda: cs.reconstruct(METHOD, *arguments, KEY, **options)


def bad_inputs():
    operator, y = problem()
    stacked = jax.tree.map(lambda x: jnp.stack([x, x]), operator)
    bad_matrix = cs.operators.Dense(operator.matrix.at[0, 0].set(jnp.inf), SHAPE)
    return {
        r"measurements of shape \(19,\) do not fit the operator: it makes \(20,\)": refuse(
            cs.Problem(operator, y[:-1])
        ),
        "measurements: 1 of 20 entries are NaN or infinite": refuse(cs.Problem(operator, y.at[3].set(jnp.nan))),
        "operator: 1 of 1280 entries are NaN or infinite": refuse(cs.Problem(bad_matrix, y)),
        "measurements are complex64, but the operator's are float32": refuse(cs.Problem(operator, y + 0j)),
        "measurements are of type NoneType: give an array of numbers": refuse(cs.Problem(operator, None)),
        "measurements are of type str: give an array of numbers": refuse(cs.Problem(operator, "y.npy")),
        "2 operators for measurements": refuse(cs.Problem(stacked, jnp.stack([y] * 3))),
        r"2 operators for measurements of shape \(20,\)": refuse(cs.Problem(stacked, y)),
        "measurements are float32, but the operator's are complex64": refuse(
            cs.Problem(cs.operators.radial_fourier(2, SHAPE), jnp.ones(15))
        ),
        r"keys of shape \(2,\) for 1 images": lambda: cs.reconstruct(METHOD, problem(), jax.random.split(KEY)),
        "problem is a tuple: give csdip_jax.Problem": lambda: cs.reconstruct(METHOD, tuple(problem()), KEY),
        "method is a str: give one of csdip_jax.methods": lambda: cs.reconstruct("tv", problem(), KEY),
        r"2 operators for measurements of shape \(3, 20\): each should have made 2": refuse(
            cs.Problem(stacked, jnp.stack([y] * 3)), cases_per_operator=2
        ),
        "fits_at_once = 0": refuse(cs.Problem(operator, y), fits_at_once=0),
        "2 image_ids for 1 images": refuse(cs.Problem(operator, y), image_ids=[1, 2]),
        "fits_at_once = -1": refuse(cs.Problem(operator, y), fits_at_once=-1),
        r"images of shape \(4, 16, 1\), not \(8, 8, 1\)": refuse(
            cs.Problem(cs.operators.Dense(operator.matrix, (4, 16, 1)), y)
        ),
    }


@pytest.mark.parametrize("message", bad_inputs())
def test_bad_input(message):
    with pytest.raises(cs.InputError, match=message):
        bad_inputs()[message]()


def sweep(**settings):
    return dataclasses.replace(METHOD, **settings)


def test_a_sweep_needs_a_value_per_image_and_every_value_in_range():
    operator, y = problem()
    batch = cs.Problem(operator, jnp.stack([y, y]))
    with pytest.raises(cs.InputError, match="3 values of tv_weight for 2 cases"):
        cs.reconstruct(sweep(tv_weight=np.ones(3)), batch, KEY)
    with pytest.raises(cs.InputError, match="tv_weight = -1.0: it must be a number of at least 0"):
        cs.reconstruct(sweep(tv_weight=np.array([1.0, -1.0])), problem(), KEY)
    with pytest.raises(cs.InputError, match=r"tv_weight has shape \(1, 2\)"):
        cs.reconstruct(sweep(tv_weight=np.ones((1, 2))), problem(), KEY)


def test_a_batch_and_as_many_settings_go_together():
    operator, y = problem()
    batch, rates = cs.Problem(operator, jnp.stack([y, 2 * y])), np.array([1e-3, 1e-2])
    together = cs.reconstruct(sweep(learning_rate=rates), batch, KEY, image_ids=[4, 4])
    for i, rate in enumerate(rates):
        single = cs.reconstruct(
            sweep(learning_rate=float(rate)), cs.Problem(operator, batch.measurements[i]), KEY, image_ids=[4]
        )
        np.testing.assert_allclose(together.image[i], single.image, atol=1e-5)


def test_operators_that_serve_several_cases_and_a_key_for_each():
    """Two operators with two measurements each beside four single runs."""
    problems = [problem(), problem(seed=2)]
    operators = jax.tree.map(lambda *x: jnp.stack(x), *(p.operator for p in problems))
    y = jnp.stack([k * p.measurements for p in problems for k in (1.0, 2.0)])
    keys, method = jax.random.split(KEY, 4), Damp(SHAPE, steps=3)
    for at_once in (1, 4):
        batch = cs.reconstruct(
            method, cs.Problem(operators, y), keys, image_ids=[5, 6, 5, 6], cases_per_operator=2, fits_at_once=at_once
        )
        for i in range(4):
            alone = cs.reconstruct(method, cs.Problem(problems[i // 2].operator, y[i]), keys[i], image_ids=[5 + i % 2])
            np.testing.assert_allclose(batch.image[i], alone.image, atol=1e-5)


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize("own_keys", [False, True])
def test_keys_are_those_of_the_image_and_the_restart(own_keys, swept):
    """fold_in(fold_in(key, image), restart), whatever its place; a single image keeps its own under every setting."""
    ids, method = ([5] if swept else [5, 0, 2]), sweep(restarts=3)
    keys = jax.random.split(KEY, len(ids)) if own_keys else KEY
    operator, y = problem()
    given = cs.Problem(operator, y if swept else jnp.stack([y] * 3))
    if swept:
        method = dataclasses.replace(method, tv_weight=np.array([0.0, 1.0, 2.0]))
    job = driver.prepare(method, given, keys, image_ids=ids, fits_at_once=2)
    found = job.keys
    assert found.shape == (3, 3)
    for i, id_ in enumerate(ids * 3 if swept else ids):
        key = keys[0 if swept else i] if own_keys else keys
        for restart in range(3):
            assert found[i, restart] == jax.random.fold_in(jax.random.fold_in(key, id_), restart)


@pytest.mark.parametrize(("images", "at_once"), [(None, 1), (None, 2), (2, 1), (2, 2)])
def test_every_block_has_the_keys_of_its_fits(images, at_once):
    """Restarts of a single image that run one after the other, too."""
    operator, y = problem()
    given = cs.Problem(operator, y if images is None else jnp.stack([y] * images))
    job = driver.prepare(sweep(restarts=3), given, KEY, fits_at_once=at_once)
    assert len(job.blocks) == (images or 1) * (3 if at_once == 1 else 2)
    for block in job.blocks:
        assert (job.arguments(block)[2] == job.keys[block.index]).all()


@pytest.mark.parametrize("first_chunk", [1, 4, 100])
@pytest.mark.parametrize("fits_at_once", [1, 3])
def test_every_step_has_a_key_of_its_own(first_chunk, fits_at_once, monkeypatch):
    """That of its fit, its attempt and its number, whatever the chunks and what runs beside it."""
    monkeypatch.setattr(driver, "FIRST_CHUNK", first_chunk)
    operator, y = problem()
    batch = cs.Problem(operator, jnp.stack([y] * 3))
    found = cs.reconstruct(Landweber(SHAPE, steps=6), batch, KEY, image_ids=[5, 0, 2], fits_at_once=fits_at_once)
    assert len(np.unique(found.trace["draw"])) == 18
    for trace, id_ in zip(found.trace["draw"], (5, 0, 2), strict=True):
        attempt = functools.reduce(jax.random.fold_in, (id_, 0, 0, fits.OF_STEPS), KEY)
        draws = [jax.random.uniform(jax.random.fold_in(attempt, step)) for step in range(6)]
        np.testing.assert_array_equal(trace, jnp.stack(draws))


def test_an_attempt_drawn_anew_has_other_keys():
    @cs.types.pytree_dataclass
    class AtFirst(cs.rules.Fail):
        """Gives up an attempt whose first step drew a number below one half."""

        def failed(self, problem, seen):
            return (seen.step == 0) & (seen.scalars["draw"] < 0.5)

    operator, y = problem()
    batch = cs.Problem(operator, jnp.stack([y] * 20))
    method = Landweber(SHAPE, steps=3, fail=AtFirst())
    found = cs.reconstruct(method, batch, KEY, fits_at_once=20, max_redraws=50)
    assert (found.trace["draw"][:, 0] >= 0.5).all() and found.redraws.max() > 1 and found.redraws.min() == 0
    for i, redraws in enumerate(found.redraws):
        attempt = functools.reduce(jax.random.fold_in, (i, 0, int(redraws), fits.OF_STEPS), KEY)
        assert found.trace["draw"][i, 2] == jax.random.uniform(jax.random.fold_in(attempt, 2))


def test_a_key_without_a_type_is_refused():
    with pytest.raises(cs.InputError, match="give jax.random.key"):
        cs.reconstruct(METHOD, problem(), jax.random.PRNGKey(0))
    with pytest.raises(cs.InputError, match="key is a int"):
        cs.reconstruct(METHOD, problem(), 0)


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize(("operators", "each"), [(1, 1), (3, 1), (1, 3), (7, 1), (2, 4)])
@pytest.mark.parametrize("restarts", [1, 2, 5])
@pytest.mark.parametrize("at_once", [1, 2, 5, 6, 12, 100])
def test_blocks_cover_every_fit_and_are_of_one_size(operators, each, restarts, at_once, devices):
    cut = blocks.cut_into_blocks(operators, each, restarts, at_once, devices)
    found = {(int(i), int(r)) for block in cut for row, rs in zip(*block[1:3], strict=True) for i in [row] for r in rs}
    assert found == {(i, r) for i in range(operators * each) for r in range(restarts)}
    assert len({tuple(map(np.shape, block)) for block in cut}) == 1
    for block in cut:
        assert block.columns.size <= at_once * block.devices and block.devices <= devices
        np.testing.assert_array_equal(
            np.repeat(block.operators, len(block.rows) // len(block.operators)), block.rows // each
        )  # the operator of each row


def fits_of(status, **fields):
    """Solutions of [cases, restarts], each number another."""
    filler = np.arange(status.size).reshape(status.shape)
    everything = dict.fromkeys(cs.Solution._fields, filler) | {"redraws": np.ones_like(filler), "trace": {}, "aux": {}}
    return cs.Solution(**everything | {"status": status, "params": None} | fields)


def test_every_field_is_of_the_restart_that_is_chosen():
    """The best of those that neither diverged nor collapsed, or of all where all did."""
    rng, shape = np.random.default_rng(0), (100, 3)
    image, loss, steps, redraws, trace, spread, weights = (rng.permutation(300).reshape(shape) for _ in range(7))
    score = rng.choice([1.0, 2.0, 3.0, np.nan, np.inf], shape)
    status = rng.choice(np.array(cs.Status), shape)
    given = {"image": image, "measurement_loss": loss, "steps": steps, "redraws": redraws}
    open_ = {"trace": {"loss": trace}, "aux": {"spread": spread}, "params": {"kernel": weights}}
    solution = driver.choose_restarts(fits_of(status, **given, **open_), score)
    for i, chosen in enumerate(solution.restart):
        allowed = [r for r in range(3) if status[i, r] < cs.Status.DIVERGED] or range(3)
        assert chosen == min(allowed, key=lambda r: score[i, r] if np.isfinite(score[i, r]) else np.inf)  # noqa: B023
        expected = (image, status, loss, steps, trace, spread, weights)
        found = (solution.image, solution.status, solution.measurement_loss, solution.steps)
        found += (solution.trace["loss"], solution.aux["spread"], solution.params["kernel"])
        assert [x[i] for x in found] == [x[i, chosen] for x in expected]
        assert solution.redraws[i] == redraws[i].sum()


@pytest.mark.parametrize(
    ("scores", "ok", "expected"),
    [
        ([3.0, 1.0, 2.0], [True, True, True], 1),
        ([3.0, 1.0, 2.0], [True, False, True], 2),
        ([np.nan, 5.0, np.inf], [True, True, True], 1),
        ([2.0, 1.0, np.nan], [False, False, False], 1),
    ],
)
@pytest.mark.parametrize("good", [status for status in cs.Status if status < cs.Status.DIVERGED])
@pytest.mark.parametrize("bad", [cs.Status.DIVERGED, cs.Status.COLLAPSED])
def test_the_choice_of_the_restart(scores, ok, expected, good, bad):
    solution = driver.choose_restarts(fits_of(np.where([ok], good, bad)), np.array([scores]))
    assert solution.restart[0] == expected == solution.image[0]
    assert solution.redraws[0] == 3


def test_a_progress_bar_shows_the_loss(capsys):
    cs.reconstruct(METHOD, problem(), KEY, progress="disc")
    shown = capsys.readouterr().err
    assert "disc" in shown and "loss=" in shown and "2/2" in shown


def test_a_bar_on_a_terminal_and_lines_in_a_file(monkeypatch):
    """Lines: one at the start, one at the end, with what a bar says and nothing that only a terminal understands."""

    class Output(io.StringIO):
        def __init__(self, terminal: bool):
            super().__init__()
            self.terminal = terminal

        def isatty(self):
            return self.terminal

    def shown(stdout: bool = True, stderr: bool = True, **environment: str) -> str:
        stream = Output(stderr)
        with monkeypatch.context() as patched:
            for name, value in ({"TERM": "xterm", "NO_COLOR": ""} | environment).items():
                patched.setenv(name, value)
            patched.setattr(sys, "stderr", stream)
            patched.setattr(sys, "stdout", Output(stdout))
            cs.reconstruct(METHOD, problem(), KEY, progress="disc")
        return stream.getvalue()

    assert "\r" in shown() and "%|" in shown()
    plain = [{"stdout": False}, {"stderr": False}, {"TERM": "dumb"}, {"NO_COLOR": "1"}]
    for lines in (shown(**case) for case in plain):
        assert not set("\r\x1b█|") & set(lines) and lines.endswith("\n")
        first, last = lines.splitlines()
        assert first.startswith("disc: 0/2 step [00:00, memory=")
        assert last.startswith("disc: 2/2 step [") and "loss=" in last


def test_lines_of_nested_and_slow_loops(monkeypatch, capsys):
    """A line a minute at most, whatever is updated how often; warnings in between do no harm."""
    clock = itertools.count(0, 7)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    with progress.progress_bar(total=20, desc="all", unit="cells") as outer:
        for i in progress.progress_bar(range(20), desc="inner", leave=False, mininterval=0):
            outer.set_description(f"all, at {i}")
            outer.set_postfix_str("1 h left")
            outer.update()
            tqdm.write("warning: not converged")
    lines = capsys.readouterr().err
    assert not set("\r\x1b") & set(lines) and "\n\n" not in lines and ": :" not in lines
    outer, inner = ([line for line in lines.splitlines() if line.startswith(name)] for name in ("all", "inner"))
    assert outer[0].startswith("all: 0/20 cells [") and outer[-1].startswith("all, at 19: 20/20 cells [")
    assert inner[-1].startswith("inner: 20/20 ") and 3 <= len(outer) <= 20 and 3 <= len(inner) <= 20


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
@pytest.mark.parametrize("operators", [None, 2])
def test_cases_per_operator_is_named_where_it_cannot_be(count, operators):
    single = problem()
    batch = cs.Problem(
        single.operator if operators is None else jax.tree.map(lambda x: jnp.stack([x] * 2), single.operator),
        jnp.stack([single.measurements] * 2),
    )
    with pytest.raises(cs.InputError, match=f"^cases_per_operator = {count}: it must be a whole number"):
        cs.reconstruct(METHOD, batch, KEY, cases_per_operator=count)


def test_a_checkpoint_is_written_once_it_is_worth_it(tmp_path, monkeypatch):
    """By a clock that goes on by a second with each look."""
    ticks, saved = itertools.count(), []
    monkeypatch.setattr(driver.time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(driver.checkpoints, "save", lambda *arguments: saved.append(arguments))
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 1e9)
    cs.reconstruct(METHOD, problem(), KEY, checkpoint=tmp_path / "checkpoint.npz")
    assert not saved and not list(tmp_path.iterdir())
    monkeypatch.setattr(driver, "CHUNK_SECONDS", 1.0)
    cs.reconstruct(METHOD, problem(), KEY, checkpoint=tmp_path / "checkpoint.npz")
    assert saved


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.npz").write_bytes(b"")
    with pytest.raises(cs.InputError, match="checkpoint.npz is damaged: remove it"):
        checkpoint.resume(tmp_path / "checkpoint.npz", "")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run of two blocks, killed in the second: how to go on, and its checkpoint."""
    method, path = dataclasses.replace(METHOD, steps=12, restarts=2), tmp_path_factory.mktemp("killed") / "c.npz"
    save, count = checkpoint.save, itertools.count()

    def save_and_die(path, fingerprint, outcomes, finished, fits):
        save(path, fingerprint, outcomes, finished, fits)
        if finished == 1 and next(count):
            raise KeyboardInterrupt

    def go_on(path):
        return cs.reconstruct(method, problem(), KEY, fits_at_once=1, checkpoint=path)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(driver, "CHUNK_SECONDS", 0.0)
        patch.setattr(checkpoint, "save", save_and_die)
        go_on(path)
    return go_on, path


def without(name):
    return lambda arrays: arrays.pop(name)


def instead(name, change):
    return lambda arrays: arrays.update({name: change(arrays[name])})


CHANGES = {
    **{f"without {name}": without(name) for name in ("fingerprint", "finished", "fits_0", "fits_3", "outcomes_1")},
    "one more": lambda arrays: arrays.update(fits_99=np.zeros(3)),
    "no outcomes": lambda arrays: [arrays.pop(name) for name in list(arrays) if name.startswith("outcomes")],
    "another shape": instead("fits_1", lambda x: np.concatenate([x, x])),
    "another outcome": instead("outcomes_0", lambda x: x[:, :1]),
    "another type": instead("fits_0", lambda x: x.astype(np.int8)),
    "text": instead("outcomes_2", lambda x: np.full(x.shape, "a")),
    **{f"finished {value}": instead("finished", lambda _, value=value: value) for value in (-1, 0, 2, 10**6, 1.0)},
    "finished thrice": instead("finished", lambda x: np.repeat(x, 3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_that_is_not_as_it_was_written_is_refused(change, killed, tmp_path):
    go_on, path = killed
    with np.load(path) as saved:
        arrays = dict(saved)
    assert int(arrays["finished"]) == 1
    CHANGES[change](arrays)
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(cs.InputError, match="c.npz is damaged: remove it, and this part begins anew$"):
        go_on(tmp_path / "c.npz")


def test_a_checkpoint_damaged_anywhere_is_refused_or_harmless(killed, tmp_path):
    go_on, path = killed
    content, fingerprint = path.read_bytes(), str(np.load(path)["fingerprint"])
    copy, refused = tmp_path / "c.npz", 0
    for at in range(0, len(content), len(content) // 100):
        copy.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        try:
            checkpoint.resume(copy, fingerprint)
        except cs.InputError as error:
            assert str(error).endswith("c.npz is damaged: remove it, and this part begins anew")
            refused += 1
    assert refused > 50
    shutil.copy(path, copy)
    assert go_on(copy).ok


def test_a_checkpoint_is_known_again_by_another_process():
    """A denoiser, a function of the method, lies elsewhere there."""

    def fingerprint(make):
        return checkpoint.fingerprint(Damp((8, 8, 1), denoiser=make()), (), jax.random.key(0))

    def make():
        return lambda image, sigma: image

    def make_another():
        return lambda image, sigma: image

    assert fingerprint(make) == fingerprint(make) != fingerprint(make_another)


OTHERWISE = {
    "key": lambda arguments: arguments | {"key": jax.random.key(1)},
    "image_ids": lambda arguments: arguments | {"image_ids": [1, 0]},
    "fits_at_once": lambda arguments: arguments | {"fits_at_once": 1},
    "max_redraws": lambda arguments: arguments | {"max_redraws": 4},
    "keep_params": lambda arguments: arguments | {"keep_params": True},
    "pixel_range": lambda arguments: arguments | {"pixel_range": (0, 1)},
    "record": lambda arguments: arguments | {"record": {"brightest": jnp.max}},
    "hold_out": lambda arguments: arguments | {"hold_out": 0.5},
}
"""Options of `reconstruct` that change what a checkpoint holds or how the run goes on."""
FREE = {"progress", "checkpoint", "cases_per_operator", "noise_variance", "seconds"}
"""The others: one changes nothing, one is the file, one says how y lies, one is taken off at last, and what one has cut
short may be gone on with."""


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run's arguments, and its checkpoint."""
    path = tmp_path_factory.mktemp("begun") / "checkpoint.npz"
    operator, y = problem(50)
    method = dataclasses.replace(cs.methods.Tv(SHAPE), steps=2, tolerance=0.0)
    arguments = {"method": method, "problem": cs.Problem(operator, jnp.stack([y, -y])), "key": KEY}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "CHUNK_SECONDS", 0.0)
        cs.reconstruct(**arguments, image_ids=[0, 1], fits_at_once=2, checkpoint=path)
    return arguments | {"image_ids": [0, 1], "fits_at_once": 2}, path


def test_every_option_is_looked_at():
    parameters = inspect.signature(cs.reconstruct).parameters
    assert set(parameters) == {"method", "problem"} | set(OTHERWISE) | FREE


@pytest.mark.parametrize("option", OTHERWISE)
def test_a_checkpoint_made_with_another_option_is_refused(option, begun):
    arguments, path = begun
    with pytest.raises(cs.InputError, match="belongs to another run"):
        cs.reconstruct(**OTHERWISE[option](arguments), checkpoint=path)


RULE = {"keep": cs.rules.Average(), "stop": cs.rules.Plateau(), "fail": cs.rules.Collapsed()}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(cs.methods.Tv)][1:])
def test_a_checkpoint_made_with_another_setting_is_refused(field, begun):
    arguments, path = begun
    value = getattr(arguments["method"], field)
    if field in RULE:
        other = RULE[field]
    else:
        other = not value if isinstance(value, bool) else value + 1 if np.isfinite(value) else 1.0
    with pytest.raises(cs.InputError, match="belongs to another run"):
        cs.reconstruct(
            **arguments | {"method": dataclasses.replace(arguments["method"], **{field: other})}, checkpoint=path
        )


@pytest.mark.parametrize("part", ["operator", "measurements"])
def test_a_checkpoint_of_another_problem_is_refused(part, begun):
    """Though a single number differs."""
    arguments, path = begun
    leaf = getattr(arguments["problem"], part)
    other = jax.tree.map(lambda x: x.at[1, 3].add(1e-3), leaf)
    with pytest.raises(cs.InputError, match="belongs to another run"):
        cs.reconstruct(**arguments | {"problem": arguments["problem"]._replace(**{part: other})}, checkpoint=path)


def test_the_same_run_goes_on_whatever_is_shown(begun, capsys):
    arguments, path = begun
    resumed = cs.reconstruct(**arguments, checkpoint=path, progress="bar")
    jax.tree.map(np.testing.assert_array_equal, resumed, cs.reconstruct(**arguments))


class Clock:
    """Of a machine on which a step takes so many seconds, turn by turn, and nothing else any time."""

    def __init__(self, seconds_of_a_step):
        self.now, self.seconds = 0.0, iter(seconds_of_a_step)

    def perf_counter(self):
        return self.now

    def advance(self, *arguments, **options):
        length = arguments[4]
        self.now += length * next(self.seconds)
        return fits.advance(*arguments, **options)


@pytest.mark.parametrize("turn", [1, 3])
def test_a_trial_tells_the_seconds_of_one_step(turn, monkeypatch):
    """By the fastest turn after the first, which warms up."""
    clock = Clock([0.01, 5.0, 2.0, 3.0, 4.0, 1.0])
    monkeypatch.setattr(trial, "time", clock)
    monkeypatch.setattr(trial, "advance", clock.advance)
    monkeypatch.setattr(trial, "TURN", turn)
    monkeypatch.setattr(trial, "LEAST_SECONDS", 14.0 * turn)
    method = dataclasses.replace(cs.methods.Tv(SHAPE), steps=100, tolerance=0.0, mu=jnp.arange(1.0, 6.0))
    found = trial.trial(method, problem(), KEY, fits_at_once=2)
    assert found.step_seconds == pytest.approx(2.0) and found.blocks == 3
    assert found.bytes == driver.prepare(method, problem(), KEY, fits_at_once=2).chunk.bytes
