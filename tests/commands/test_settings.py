"""Configurations: every one builds, overrides fill in, bad values are refused."""

import importlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.commands import settings
from csdip_jax.commands.configs import default
from csdip_jax.runs import plan
from csdip_jax.runs.measurement import Measurement, image_id, keys_of
from csdip_jax.types import InputError, ReconstructionWarning
from tests.commands import typed as commands

SHAPES = {"default": (40, 30, 3), "demo": None, "mnist": (28, 28, 1), "xray": (256, 256, 1), "retino": (128, 128, 3)}


def config(**changes):
    result = default.get_config()
    result.update(changes)
    return result


def measurement(config, shape):
    return settings.study(config).measurements(shape)[0][0]


@pytest.mark.parametrize("name", SHAPES)
def test_every_configuration_describes_a_run(name):
    loaded = importlib.import_module(f"experiments.configs.{name}").get_config()
    for part in settings.parts(loaded).values():
        shape = part.image_shape or SHAPES[name]
        study = settings.study(part)
        assert study.measurements(shape)[0][0].count >= 1
        for method in study.methods:
            assert study.method(method, shape).image_shape == shape


def test_a_field_of_the_command_line_wins_over_a_part():
    loaded = importlib.import_module("experiments.configs.demo").get_config()
    loaded.num_measurements = 77
    parts = settings.parts(loaded)
    assert parts["few"].num_measurements == parts["phase"].num_measurements == 77
    assert parts["few"].operator == "hadamard" and parts["kspace"].num_lines > 0
    assert loaded.operator is None


def test_what_needs_a_linear_operator_is_left_out_where_there_is_none():
    loaded = config(
        data="demo", num_images=1, image_shape=(8, 8, 1), operator="phase_retrieval", methods="tv,csdip,lasso_dct"
    )
    with pytest.warns(ReconstructionWarning, match="tv, lasso_dct need a linear operator, and phase_retrieval is none"):
        (program,) = plan.programs(settings.studies(loaded, None))
    assert program.sweep.name == "csdip"
    loaded.methods = "tv"
    with pytest.raises(InputError, match="tv needs a linear .*: choose `methods=csdip` or `methods=aseq_dip` or "):
        plan.programs(settings.studies(loaded, None))
    linear = config(data="demo", num_images=1, image_shape=(8, 8, 1), methods="tv")
    with pytest.warns(ReconstructionWarning, match="tv needs a linear"):
        (program,) = plan.programs([settings.study(loaded, part="a"), settings.study(linear, part="b")])
    assert program.study.part == "b"


def test_departures_from_the_preset():
    changed = config()
    changed.csdip.steps = 7
    changed.csdip.tv_weight = 0.5
    method = settings.study(changed).method("csdip", (28, 28, 1))
    assert (method.steps, method.tv_weight, method.restarts) == (7, 0.5, 5)


def test_reference_shares_the_matrix_and_takes_the_noise_for_a_deviation():
    paper = measurement(config(num_measurements=50, noise_variance=10.0), (28, 28, 1))
    reference = measurement(config(num_measurements=50, noise_variance=10.0, preset="reference"), (28, 28, 1))
    key, nothing = jax.random.key(0), jnp.zeros((28, 28, 1))
    for measured, deviation in ((paper, math.sqrt(10 / 50)), (reference, 10 / 50)):
        operator = measured.operator(key, 0, (28, 28, 1))
        noise = jnp.stack([measured.measure(jax.random.key(i), operator, nothing) for i in range(40)])
        assert float(noise.std()) == pytest.approx(deviation, rel=0.05)
    lines = measurement(config(num_lines=5, noise_variance=10.0, preset="reference"), (28, 28, 1))
    operator = lines.operator(key, 0, (28, 28, 1))
    noise = jnp.stack([lines.measure(jax.random.key(i), operator, nothing) for i in range(40)])
    assert float(noise.std()) == pytest.approx(10 / operator.measurements_like.size, rel=0.05)
    matrices = [[m.operator(key, image, (28, 28, 1)).matrix for image in (1, 2)] for m in (paper, reference)]
    assert not (matrices[0][0] == matrices[0][1]).all()
    assert (matrices[1][0] == matrices[1][1]).all()


def test_the_default_measurement_stays_small():
    assert measurement(config(), (64, 64, 1)).kind == "gaussian"
    assert measurement(config(), (512, 512, 3)).kind == "radial_fourier"
    assert measurement(config(num_lines=9), (64, 64, 1)).count == 9


def test_a_matrix_may_be_stored_narrowly():
    key, shape = jax.random.key(0), (28, 28, 1)
    wide, narrow = (measurement(config(matrix_dtype=name), shape) for name in ("float32", "int8"))
    assert narrow.operator(key, 1, shape).matrix.dtype == "int8"
    assert wide.operator_bytes(784) == 4 * narrow.operator_bytes(784) == 4 * 78 * 784
    image = cs.data.load("demo", image_shape=shape, num_images=1)[0]
    ys = [measured.operator(key, 1, shape).forward(image) for measured in (wide, narrow)]
    assert 0 < jnp.linalg.norm(ys[0] - ys[1]) < 0.02 * jnp.linalg.norm(ys[0])


@pytest.mark.parametrize(
    ("method", "field", "value"),
    [("csdip", "tv_weight", 0.0), ("csdip", "warm_start", False), ("damp_tv", "probe", 0.0), ("tv", "isotropic", True)],
)
def test_a_departure_may_be_nothing_at_all(method, field, value):
    """Zero and False are values; only None leaves the preset's."""
    changed = config()
    changed[method][field] = value
    assert getattr(settings.study(changed).method(method, (28, 28, 1)), field) == value


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("kind", ["gaussian", "rademacher", "dct", "hadamard", "radial_fourier"])
def test_a_problem_is_what_its_keys_and_its_name_make_of_it(kind, reference):
    """The operator of the image (of no image in the reference code), and noise of another key, the image's as well."""
    shape, name, keys = (9, 8, 1), "some image", keys_of(5)
    image = jnp.linspace(-1, 1, 72).reshape(shape)
    found = Measurement(kind, 5, 2.0, reference).problem(keys, name, image)
    id_ = image_id(name)
    key, scale = jax.random.fold_in(keys.operator, 0 if reference else id_), math.sqrt(72 / 5)
    expected = {
        "gaussian": lambda: cs.operators.gaussian(key, 5, shape),
        "rademacher": lambda: cs.operators.rademacher(key, 5, shape),
        "dct": lambda: cs.operators.subsampled_dct(key, 5, shape, scale),
        "hadamard": lambda: cs.operators.subsampled_hadamard(key, 5, shape, scale),
        "radial_fourier": lambda: cs.operators.radial_fourier(5, shape),
    }[kind]()
    clean = expected.forward(image)
    noise = jax.random.normal(jax.random.fold_in(keys.noise, id_), clean.shape, clean.dtype)
    deviation = 2.0 / clean.size if reference else math.sqrt(2.0 / clean.size)
    assert jax.tree.structure(found.operator) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found.operator, expected)
    np.testing.assert_allclose(found.measurements, clean + deviation * noise, rtol=1e-5, atol=1e-6)


def test_the_keys_of_a_run_are_three_and_its_seed_s():
    drawn = {tuple(jax.random.key_data(key).tolist()) for seed in (0, 1) for key in keys_of(seed)}
    assert len(drawn) == 6


@pytest.mark.parametrize(
    ("shape", "changes", "kind", "count"),
    [
        ((64, 40, 1), {}, "gaussian", 256),
        ((3, 2, 1), {}, "gaussian", 1),
        ((228, 227, 1), {}, "gaussian", 5175),  # the last below 2^30 bytes
        ((228, 228, 1), {}, "radial_fourier", 23),
        ((600, 400, 3), {}, "radial_fourier", 60),
        ((228, 228, 1), {"num_measurements": 100}, "gaussian", 100),
        ((64, 40, 1), {"operator": "radial_fourier"}, "radial_fourier", 6),
        ((3, 2, 1), {"operator": "radial_fourier"}, "radial_fourier", 1),
        ((64, 40, 1), {"operator": "hadamard", "num_lines": 9}, "hadamard", 256),
    ],
)
def test_what_is_measured_by_default(shape, changes, kind, count):
    """A tenth of the pixels, or lines for a tenth of the longer side where their matrix would be too large."""
    found = measurement(config(**changes), shape)
    assert (found.kind, found.count) == (kind, count)


def test_values_of_a_sweep_that_are_close_are_told_apart():
    (sweep,) = settings.study(config(), sweep=["csdip.tv_weight=0.012345,0.012346,0.5"]).sweeps((28, 28, 1))
    assert sweep.labels == [f"csdip tv_weight={value}" for value in ("0.012345", "0.012346", "0.5")]
    assert [sweep.values(i)["tv_weight"] for i in range(3)] == sweep.method.tv_weight.tolist()
    with pytest.raises(cs.InputError, match="with different numbers"):
        settings.study(config(), sweep=["csdip.tv_weight=1,2,2,3"]).sweeps((28, 28, 1))


def test_image_ids_are_stable():
    assert image_id("mnist_test_00000") == 952807647 != image_id("mnist_test_00001")


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        ({"num_measurements": 785, "operator": "dct"}, (28, 28, 1), "m = 785 of n = 784"),
        ({"num_measurements": 785, "operator": "hadamard"}, (28, 28, 1), "m = 785 of n = 784"),
        ({"num_measurements": 0}, (28, 28, 1), "m = 0 of n = 784"),
        ({"operator": "wavelet"}, (28, 28, 1), "unknown operator 'wavelet'"),
        ({"noise_variance": -1.0}, (28, 28, 1), "noise_variance = -1.0"),
        ({"num_lines": 0}, (28, 28, 1), "num_lines = 0"),
        ({"matrix_dtype": "float8"}, (28, 28, 1), "unknown dtype 'float8'"),
        ({"matrix_dtype": "float64"}, (28, 28, 1), "needs JAX_ENABLE_X64=1"),
        (
            {"matrix_dtype": "int8", "operator": "hadamard"},
            (28, 28, 1),
            "`matrix_dtype=int8` .* hadamard has none",
        ),
        ({"num_measurements": 10**7}, (4096, 4096, 3), "in float32 needs .* GB, where .* GB can be used"),
    ],
)
def test_bad_measurements(changes, shape, message):
    with pytest.raises(cs.InputError, match=message):
        measurement(config(**changes), shape)


def test_unknown_method():
    with pytest.raises(cs.InputError, match="unknown method 'lass' .* choose from csdip"):
        settings.study(config()).method("lass", (28, 28, 1))


def test_a_sweep_is_the_product_of_its_fields():
    (sweep,) = settings.study(config(), sweep=["csdip.tv_weight=0,0.1", "csdip.learning_rate=1e-3,1e-2,1"]).sweeps(
        (28, 28, 1)
    )
    assert len(sweep.labels) == 6 and len(set(sweep.labels)) == 6
    assert sweep.labels[1] == "csdip tv_weight=0 learning_rate=0.01"
    assert sweep.values(5) == {"tv_weight": 0.1, "learning_rate": 1.0}
    assert sweep.method.tv_weight.tolist() == [0, 0, 0, 0.1, 0.1, 0.1]


def test_a_single_setting_keeps_its_name():
    (sweep,) = settings.study(config()).sweeps((28, 28, 1))
    assert sweep.labels == ["csdip"] and sweep.values(0) == {} and sweep.method.tv_weight == 0.01


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("csdip.tv_weight", "write <method>.<field>=<value>"),
        ("csdip.tv_weight=1,x", "write <method>.<field>=<value>"),
        ("csdip.tv_weight=1,1.0", "with different numbers"),
        ("tv.mu=1", "'tv' is not among `methods=csdip`"),
        ("csdip.steps=1,2", "csdip can sweep room, learning_rate, .*tv_weight, .*fail.residual"),
        ("csdip.tv_weight=1,-1", "tv_weight = -1.0"),
    ],
)
def test_bad_sweeps(flag, message):
    with pytest.raises(cs.InputError, match=message):
        settings.study(config(), sweep=[flag]).sweeps((28, 28, 1))


@pytest.mark.parametrize("seed", [99999999999999999999, 2**63, -1, -(2**80), 1.5, True, "0", None])
def test_a_seed_that_no_generator_takes_is_refused(seed):
    with pytest.raises(cs.InputError, match="^seed = .*: it must be a whole number from 0 on, below 2.63$"):
        keys_of(seed)


@pytest.mark.parametrize(
    ("experiment", "options"),
    [
        ("sweep", ["--config.seed=(99999999999999999999,)"]),
        ("reconstruct", ["--config.methods=tv"]),
        ("theorem_check", ["--config.quick=True"]),
        ("train_vae", ["--data_dir=data"]),
    ],
)
def test_a_seed_of_twenty_digits_is_one_line_in_every_command(experiment, options, tmp_path):
    given = [] if experiment == "sweep" else ["--config.seed=99999999999999999999"]
    told = commands.refused(commands.run(experiment, *given, *options, f"--workdir={tmp_path / 'run'}"))
    assert "seed = 99999999999999999999: it must be a whole number" in told and not (tmp_path / "run").exists()
