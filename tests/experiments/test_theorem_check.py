"""The sweeps of the theorem check beside single runs, its verdicts, and the command."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import csdip_jax as cs
from csdip_jax.commands.tables import as_markdown
from csdip_jax.files import finite
from csdip_jax.solve.driver import prepare
from csdip_jax.types import InputError
from experiments.configs import theorem_check
from experiments.theorem_check import (
    claims,
    compressed,
    descent,
    early_stopping,
    figures,
    lemmas,
    one_layer,
    spectra,
    theory,
)
from experiments.theorem_check.sections import check
from tests.commands.typed import refused, run
from tests.conftest import REPOSITORY

N, D, SCALES, SEEDS = 6, 60, (1 / 16, 0.3, 1.0), range(3)
KEY = jax.random.key(7)


def fit(target, width=D, scales=SCALES, seeds=3, max_steps=400, memory=1.0, **options):
    config = SimpleNamespace(num_seeds=seeds, max_steps=max_steps, memory=memory)
    return one_layer.fit(config, KEY, target.size, width, target, scales, **options)


@pytest.fixture(scope="module")
def target():
    return one_layer.random_target(KEY, N, jnp.float32)


@pytest.fixture(scope="module")
def result(target):
    return fit(target, record={"output": lambda image, state: state.output})


@pytest.fixture(scope="module")
def outer(target):
    return one_layer.outer_weights(KEY, jnp.arange(3), N, D, target)


def test_sweep_is_single_runs_seed_by_seed(target, result, outer):
    for seed in SEEDS:
        for column, scale in enumerate(SCALES):
            hidden, step = result.initial[seed, column], theory.step_size(scale, N, D, 1.0)
            np.testing.assert_array_equal(hidden, result.initial[seed, 0])
            for t in range(10):
                output = outer[seed] @ jnp.maximum(hidden, 0)
                misfit = result.misfit[seed, column, t]
                np.testing.assert_allclose(misfit, jnp.linalg.norm(output - target), rtol=1e-4)
                recorded = result.recorded["output"][seed, column, t]
                np.testing.assert_allclose(jnp.linalg.norm(recorded - target), misfit, rtol=1e-4)
                gradient = theory.active(hidden) * (outer[seed].T @ (output - target))
                hidden = hidden - step * one_layer.LATENT_NORM**2 * gradient


def test_starts_differ_and_do_not_depend_on_the_other_seeds(target, result):
    assert len({float(hidden[0, 0]) for hidden in result.initial}) == 3
    np.testing.assert_array_equal(fit(target, seeds=1, max_steps=3).initial[0], result.initial[0])


def test_reconstruct_leaves_the_problem_as_it_is():
    """Even where flat images stand out, which it would else weigh as others."""
    target, width = one_layer.random_target(KEY, N, jnp.float32), 30
    outer = one_layer.outer_weights(KEY, jnp.arange(2), N, width, target) + 1.0
    operators = cs.operators.Stack(one_layer.Outer(outer, (1, width, 1)))
    problem = cs.Problem(operators, jnp.stack([target] * 2))
    method = one_layer.OneLayer((1, width, 1), steps=1)
    job = prepare(method, problem, KEY)
    assert job.units.untouched and job.cases.problem.operator.operator.matrix is outer


def test_fits_end_at_the_tolerance_or_where_nothing_moves(target, result):
    tolerance = one_layer.tolerance_of(target.dtype)
    assert result.fitted.any() and (result.misfit[..., -1][result.fitted] <= tolerance).all()
    assert not (result.fitted & result.stuck).any()
    narrow = fit(target, N, SCALES[:2], max_steps=4000)
    assert narrow.stuck.all() and (one_layer.first_violation(narrow) > 0).all()


def test_single_precision_gives_the_verdicts_of_double_precision():
    """The same networks at the width where the bound begins to hold; small steps must not get lost in rounding."""
    target, found, verdicts = np.asarray(one_layer.random_target(KEY, 20, jnp.float32)), {}, {}
    for dtype in (jnp.float32, jnp.float64):
        with jax.enable_x64(dtype == jnp.float64):
            found[dtype] = fit(jnp.asarray(target, dtype), 160, [1 / 16], seeds=8, max_steps=4000)
        assert found[dtype].misfit.dtype == dtype
        verdicts[dtype] = one_layer.first_violation(found[dtype]) < 0
    np.testing.assert_array_equal(found[jnp.float32].initial, found[jnp.float64].initial)
    assert verdicts[jnp.float64].sum() >= 4
    np.testing.assert_array_equal(verdicts[jnp.float32], verdicts[jnp.float64])


def test_steps_that_were_not_taken_prove_nothing(target):
    short = fit(target, max_steps=3)
    assert short.misfit.shape[-1] == 4 and not short.stuck.any()
    assert (one_layer.first_violation(short)[:, :2] < 0).all()  # c = 1 breaks it at once
    row = one_layer.outcome(short, 3)
    row |= {"pixels": N, "width": D, "ratio": 10.0, "scales": list(SCALES)}
    fits = claims.of_fits([row])
    assert descent.bound_claim(fits[fits.scale == 1 / 16]).verdict.startswith("undecided at max_steps")


def fits_of(*misfits, fitted, stuck):
    """Of n = 1, d = 4, c = 1."""
    misfit, fitted, stuck = np.array(misfits, np.float32)[:, None], np.array(fitted)[:, None], np.array(stuck)[:, None]
    hidden = np.zeros((len(misfits), 1, 4))
    return one_layer.Fits(1, np.array([1.0]), misfit, {}, hidden, hidden, fitted, stuck)


def test_first_violation_now_or_later_but_not_after_the_fit():
    # n = 1, d = 4, c = 1: the bound is 3 (15/16)^t.
    kept, above, halted = [1, 0.5, 1e-7, 1e-7], [1, 2, 2.9, 2], [1, 0.9, 0.9, 0.9]
    found = one_layer.first_violation(fits_of(kept, above, halted, halted, fitted=[1, 0, 0, 0], stuck=[0, 0, 1, 0]))
    later = int(np.ceil(np.log(0.9 / 3) / np.log(15 / 16)))
    assert found[:, 0].tolist() == [-1, 2, later, -1]
    long = np.full(300, 1e-7)  # the bound falls below what "fitted" means
    assert one_layer.first_violation(fits_of(long, fitted=[1], stuck=[0]))[0, 0] == -1
    overflow = [1, np.inf, np.nan, np.nan]
    assert one_layer.first_violation(fits_of(overflow, fitted=[0], stuck=[1]))[0, 0] == 1


def test_measured_rate_of_a_geometric_decay():
    rate = one_layer.measured_rate(np.stack([0.8 ** np.arange(80), np.full(80, 0.5)]), 1e-6)
    assert rate[0] == pytest.approx(0.2) and np.isnan(rate[1])


def test_memory_decides_the_batches():
    def batches(seeds, memory, entries=2**20):
        return [batch.tolist() for batch in one_layer.seed_batches(seeds, entries, jnp.float32, memory)]

    network = 3 * 2**22 / 2**30
    assert batches(3, 10.0) == [[0, 1, 2]]
    assert batches(3, 2.5 * network) == [[0, 1], [2]]
    assert batches(2, 1.5 * network) == [[0], [1]]
    with pytest.raises(InputError, match="--config.memory is 0.001"):
        batches(3, 0.001)


def test_batches_change_nothing(target, result):
    apart = fit(target, memory=1.5 * 3 * N * D * 4 / 2**30, record={"output": lambda image, state: state.output})
    for name in ("misfit", "hidden", "fitted"):
        np.testing.assert_array_equal(getattr(apart, name), getattr(result, name))
    np.testing.assert_array_equal(apart.recorded["output"], result.recorded["output"])


def test_outcome_is_a_row(result):
    row = one_layer.outcome(result, 400)
    assert np.shape(row["fitted"]) == (3, 3) and row["fitted"][2] == result.fitted[2].tolist()
    assert np.shape(row["curve"]["median"]) == (3, len(row["steps"]))
    fits = claims.of_fits([json.loads(json.dumps(finite(row))) | {"scales": SCALES, "ratio": 10.0}])
    assert len(fits) == 9 and fits.scale.tolist() == list(SCALES) * 3
    np.testing.assert_array_equal(fits.held, (result.fitted & (np.array(row["violated_at"]) < 0)).ravel())
    on = np.mean(np.asarray(result.hidden) > 0, axis=-1)
    np.testing.assert_allclose(fits.active, on.ravel())


def test_transition_is_interpolated():
    assert descent.transition({1.0: 0.0, 2.0: 0.25, 8.0: 0.75}) == pytest.approx(4.0)
    assert descent.transition({1.0: 0.9, 2.0: 0.2, 4.0: 0.8, 8.0: 1.0}) == pytest.approx(2 * np.sqrt(2))
    assert np.isnan(descent.transition({1.0: 0.0, 2.0: 0.1})) and np.isnan(descent.transition({1.0: 1.0}))


@pytest.mark.parametrize(
    ("shares", "threshold", "verdict"),
    [
        ({1: 1.0, 2: 1.0}, None, "pass"),
        ({1: 0.2, 2: 1.0, 4: 1.0}, None, "pass from d = 2 n"),
        ({1: 1.0, 2: 0.5}, None, "FAIL"),
        ({1: 1.0, 2: 1.0}, 100, "below threshold (100 n), holds"),
        ({1: 0.0, 2: 1.0}, 100, "below threshold (100 n), holds from d = 2 n"),
        ({1: 0.0, 2: 0.9}, 100, "below threshold (100 n), does not hold"),
        ({1: 0.0, 200: 1.0}, 100, "pass from d = 200 n"),
        ({1: 1.0, 200: 0.9}, 100, "FAIL"),
    ],
)
def test_verdicts(shares, threshold, verdict):
    claim = claims.over_widths("name", shares, "this", threshold)
    assert claim.verdict == verdict and claim.measured.endswith("this")
    table = as_markdown(pd.DataFrame([claim]))
    assert claim.name in table and verdict in table


def test_margins_by_plain_linear_algebra(target, result, outer):
    z, hidden, final = one_layer.LATENT_NORM, result.initial[0, 0], result.hidden[0, 0]
    found = lemmas.margins(outer[0], hidden, final, target)
    first = np.linalg.norm(outer[0] @ np.maximum(hidden, 0) - target)
    outer, hidden, final = z * np.asarray(outer[0]), hidden / z, final / z  # as with ||z|| = 1
    start, end = hidden > 0, final > 0
    nu, norm = np.linalg.norm(target) / np.sqrt(N * D), float(np.linalg.norm(target))
    assert float(found["B.1"]) == pytest.approx(
        np.linalg.svd(outer[:, start])[1].min() / (nu * np.sqrt(D) / 2), rel=1e-3
    )
    assert float(found["B.3"]) == pytest.approx(
        np.linalg.norm(outer, 2) / (nu * (np.sqrt(D) + 2 * np.sqrt(N))), rel=1e-3
    )
    assert float(found["B.4"]) == pytest.approx(first / (3 * norm), rel=1e-3)
    alpha = norm / (4 * np.sqrt(N))
    died = start & ~end
    assert died.any()
    assert float(found["B.2, gradient descent"]) == pytest.approx(np.linalg.norm(outer[:, died], 2) / alpha, rel=1e-3)
    radius = float(np.linalg.norm(final - hidden))
    assert float(found["path"]) == pytest.approx(radius, rel=1e-4)
    bound = 2 * np.ceil((2 * D * radius) ** (2 / 3))
    assert float(found["C.2 allows, path"]) == pytest.approx(bound / D, rel=1e-4)
    assert float(found["C.2, path"]) * bound >= died.sum()


def test_measurements_have_orthonormal_rows_or_not():
    shape = (8, 8, 1)
    fourier = cs.operators.radial_fourier(2, shape)
    image = jax.random.normal(KEY, shape)
    real = compressed.real_measurements(fourier, image)
    np.testing.assert_allclose(jnp.sum(real**2), jnp.sum(jnp.abs(fourier.forward(image)) ** 2), rtol=1e-5)
    assert compressed.orthonormality_gap(fourier, real.size) < 1e-5
    gaussian = cs.operators.gaussian(KEY, real.size, shape)
    assert compressed.orthonormality_gap(gaussian, real.size) > 0.5
    outer = one_layer.outer_weights(KEY, jnp.arange(3), 64, 10, real)
    rows = jax.vmap(lambda x: compressed.real_measurements(fourier, x.reshape(shape)), 1, 1)(outer[1])
    np.testing.assert_allclose(compressed.of_columns(fourier, outer)[1], rows, rtol=1e-4, atol=1e-6)


def test_grams_in_blocks_are_those_of_the_whole(monkeypatch):
    monkeypatch.setattr(spectra, "BLOCK", 16)
    width = 40  # two blocks and a half
    some, every = spectra.grams(KEY, 5, width, jnp.float32)
    columns, on = [], []
    for block in range(3):
        key_outer, key_hidden = jax.random.split(jax.random.fold_in(KEY, block))
        columns.append(np.asarray(jax.random.normal(key_outer, (5, 16))))
        on.append(np.asarray(jax.random.normal(key_hidden, (16,))) > 0)
    outer, on = np.concatenate(columns, axis=1)[:, :width], np.concatenate(on)[:width]
    np.testing.assert_allclose(every, outer @ outer.T / width, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(some, outer[:, on] @ outer[:, on].T / width, rtol=1e-4, atol=1e-6)


def test_marchenko_pastur_is_a_distribution_between_its_edges():
    x, share = figures.marchenko_pastur(100, 2000)
    assert (x[0], x[-1]) == pytest.approx(theory.marchenko_pastur_edges(100, 2000))
    assert share[0] == 0 and share[-1] == pytest.approx(1) and (np.diff(share) >= 0).all()
    mean = np.sum(np.diff(share) * (x[1:] + x[:-1]) / 2)
    assert mean == pytest.approx(1, abs=0.01)  # E V V^T = nu^2 d/2


def test_expected_error_starts_right_and_ends_at_the_noise():
    start, end = early_stopping.expected_error(np.array([0, 10**6]), 0.5, 100, 10_000)
    assert start == pytest.approx(np.sqrt(1 + 1.25 / 2)) and end == pytest.approx(0.5)


def test_every_section_runs_and_a_rerun_does_nothing(tmp_path):
    options = ["--config.quick=True", "--config.num_pixels=(20,)", "--config.ratios=(30.0,)", "--config.num_seeds=4"]
    options += ["--config.lemmas.ratios=(30.0,)", "--config.early_stopping.dcgan_steps=100"]
    options += ["--config.early_stopping.image_shape=(16,16)", "--config.early_stopping.pixels=20"]
    options += ["--config.spectra.num_pixels=(16,)", "--config.spectra.threshold_pixels=(5,)"]
    first = run("theorem_check", *options, f"--workdir={tmp_path}/a")
    assert first.returncode == 0, first.stderr
    pictures = {"convergence", "steps", "lemmas", "compressed", "early_stopping", "spectra"}
    assert {path.stem for path in (tmp_path / "a").glob("*.png")} == pictures
    written = (tmp_path / "a" / "results.jsonl").read_text()
    for claim in ("Theorem 4.1, c = 1 (printed)", "B.1", "C.2", "radial Fourier", "Stopping early pays"):
        assert claim in first.stdout
    certified = next(line for line in first.stdout.splitlines() if "(certified)" in line)
    assert "below threshold (4.3e+15 n), holds" in certified
    again = run("theorem_check", *options, f"--workdir={tmp_path}/a")
    assert again.stdout == first.stdout and (tmp_path / "a" / "results.jsonl").read_text() == written


SHARED_SEEDS = """
import jax, numpy as np
from types import SimpleNamespace
from unittest import mock
from unittest import mock
from csdip_jax.solve import driver
from experiments.theorem_check import one_layer

key, layouts = jax.random.key(7), []
finish = driver.finish
def seen(method, cases, fits, *, layout, keep_params):
    layouts.append((layout.devices, fits.steps.sharding.device_set))
    return finish(method, cases, fits, layout=layout, keep_params=keep_params)

target = one_layer.random_target(key, 6, "float32")
config = SimpleNamespace(num_seeds=5, max_steps=400, memory=1.0)
with mock.patch.object(driver, "finish", seen):
    result = one_layer.fit(config, key, 6, 60, target, [1 / 16, 0.3, 1.0])
assert [(count, len(devices)) for count, devices in layouts] == [(5, 5)], layouts
np.save("misfit.npy", result.misfit)
"""


def test_several_devices_share_the_seeds(tmp_path, on_cpu, result):
    variables = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "PYTHONPATH": str(REPOSITORY)}
    command, variables = [sys.executable, "-c", SHARED_SEEDS], os.environ | variables
    ran = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    shared = np.load(tmp_path / "misfit.npy")
    assert shared.shape[:2] == (5, 3)
    np.testing.assert_allclose(shared[:3, :, :20], result.misfit[..., :20], rtol=1e-4)


def settings(**fields):
    """The quick configuration with other fields (dots as two underscores)."""
    config = theorem_check.get_config()
    config.update(config.quick_grid)
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in fields.items()})
    return config


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sections", "descent,nonsense", "'nonsense' is not among"),
        ("dtype", "float16", "dtype = 'float16'"),
        ("num_seeds", 0, "num_seeds = 0: give positive whole numbers"),
        ("num_pixels", (20, 0), "num_pixels = "),
        ("ratios", (2.0, -1.0), "ratios = "),
        ("ratios", (1e-3,), "is a width below 1"),
        ("step_scales", (), "step_scales = "),
        ("lemmas__ratios", (), "lemmas.ratios = "),
        ("early_stopping__dcgan_steps", 0, "dcgan_steps = 0"),
        ("early_stopping__noise", (0.0,), "noise = "),
        ("spectra__num_seeds", 0, "spectra.num_seeds = 0"),
    ],
)
def test_bad_settings_are_refused(field, value, message):
    check(settings())
    with pytest.raises(InputError, match=message):
        check(settings(**{field: value}))


def test_bad_input_is_one_line():
    result = run("theorem_check", "--config.quick=True", "--config.num_pixels=(0,)")
    assert "num_pixels = (0,)" in refused(result)  # quick gives way to what is given
