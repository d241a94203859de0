"""Units: the same image whatever those of A, y and pixels, and a common offset of the rows; what is said of others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.methods import METHODS, Network
from csdip_jax.operators import Dense, Fourier, Linear, RandomizedTransform
from csdip_jax.solve.normalise import normalise
from csdip_jax.types import pytree_dataclass
from tests.methods.test_contract import SHAPE, disc, make
from tests.methods.toys import ITERATED

KEY = jax.random.key(3)
PIXELS = 256

LOOKED_AT = [name for name in ITERATED if name not in ("dip", "aseq_dip")]
"""Units are undone before a method sees a problem: of the fits of a network two are enough, one of each kind."""


def patterns(count=120, seed=0):
    """Random signs, [count, n]."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], (count, PIXELS))


def solve(method, matrix, image, **options):
    """Measures in float64 and reconstructs."""
    matrix = np.asarray(matrix)
    operator = Dense(matrix.astype(np.float32), SHAPE)
    return cs.reconstruct(method, cs.Problem(operator, matrix @ np.ravel(image)), KEY, **options)


def ended_well(solution):
    """By its tolerance, by its rule, or by all its steps where it has none; and its measurements are explained."""
    return solution.status < cs.Status.OUT_OF_STEPS


def relative_error(image, reference):
    return np.linalg.norm(np.asarray(image, float) - reference) / np.linalg.norm(reference)


@pytest.fixture(scope="module")
def plain():
    """Name of a method -> its solution of patterns with columns of norm 1."""
    matrix = patterns() / np.sqrt(120)
    return {name: solve(make(name), matrix, disc()) for name in LOOKED_AT}


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("factor", [1e-6, 0.02, 7.0, 1e6])
def test_the_unit_of_a_and_y_does_not_matter(plain, name, factor):
    one, other = plain[name], solve(make(name), factor / np.sqrt(120) * patterns(), disc())
    assert relative_error(other.image, one.image) < 0.01
    assert one.status == other.status
    np.testing.assert_allclose(other.unexplained, one.unexplained, rtol=0.2, atol=1e-6)
    np.testing.assert_allclose(other.measurement_loss / factor**2, one.measurement_loss, rtol=0.2, atol=1e-4)
    last = np.nanmin(np.asarray(other.trace["measurement_loss"])) / factor**2
    np.testing.assert_allclose(last, np.nanmin(np.asarray(one.trace["measurement_loss"])), rtol=0.2, atol=1e-4)


OFFSETS = {
    "0/1": lambda signs: (signs + 1) / 2,
    "8-bit": lambda signs: 127.5 * (signs + 1),
    "16-bit": lambda signs: 32767.5 * (signs + 1),
    "offset": lambda signs: signs + 10,
    "weak": lambda signs: 0.5 + 0.05 * signs,
    "far": lambda signs: 3e4 + signs,
    "negative": lambda signs: -3 - signs,
    "vignetted": lambda signs: (signs + 1) * np.linspace(0.8, 1.2, PIXELS),
}
ENOUGH = 200
"""Patterns from which the image is determined: the mean of 0/1 patterns tells something that signs do not."""


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("method", [make("tv", steps=400), make("damp_tv", steps=40), make("csdip", steps=400)])
def test_a_common_offset_of_the_rows_does_not_matter(method, offset):
    solution = solve(method, OFFSETS[offset](patterns(ENOUGH)), disc())
    assert relative_error(solution.image, disc()) < (0.05 if "CsDip" in type(method).__name__ else 0.01)
    assert solution.ok and solution.unexplained < 0.01


@pytest.mark.parametrize("name", LOOKED_AT)
@pytest.mark.parametrize("black, white", [(0, 255), (0, 65535), (0, 1e-6), (-1000, 2000), (1, 0)])
def test_the_unit_of_the_pixels_does_not_matter(plain, name, black, white):
    image = black + (white - black) * (disc() + 1) / 2
    matrix = patterns() / np.sqrt(120)
    solution = solve(make(name), matrix, image, pixel_range=(black, white))
    signed = (np.asarray(solution.image, float) - black) / (white - black) * 2 - 1
    assert relative_error(signed, plain[name].image) < 0.01
    expected = np.sum((matrix @ (image.ravel() - np.asarray(solution.image, float).ravel())) ** 2)
    np.testing.assert_allclose(solution.measurement_loss, expected, rtol=0.02, atol=1e-8 * (white - black) ** 2)


@pytest.mark.parametrize("factor", [255.0, 1e5, 1e-6, 1e-12])
def test_pixels_of_another_unit_are_refused_with_what_they_are(factor):
    with pytest.raises(cs.InputError, match=r"pixels of about .* not of -1 to 1: give `pixel_range") as refusal:
        solve(make("tv"), patterns(), factor * (disc() + 1.2))
    low, high = (float(text) for text in str(refusal.value).split("about ")[1].split(", not")[0].split(" to "))
    assert low < factor * 0.6 and factor * 1.5 < high < factor * 4


@pytest.mark.parametrize("offset", [1e7, -3e8])
def test_an_offset_that_hides_the_patterns_is_refused(offset):
    with pytest.raises(cs.InputError, match="differ by less than rounding .* take that offset off A and y"):
        solve(make("tv"), patterns() + offset, disc())


@pytest.mark.parametrize("name", ["csdip", "tv", "lasso_dct", "damp_tv"])
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_flat_image_is_explained(name, level):
    solution = solve(make(name, steps=300), patterns(), np.full(SHAPE, level))
    np.testing.assert_allclose(solution.image, level, atol=0.05)
    assert solution.ok and solution.unexplained < 1


def test_a_range_that_is_too_narrow_for_random_rows_is_noted():
    with pytest.warns(cs.ReconstructionWarning, match="pixels of about .* not of -0.2 to 0.2"):
        solve(make("tv"), patterns(), disc() - disc().mean(), pixel_range=(-0.2, 0.2))


def test_a_contrast_beyond_the_range_is_noted():
    with pytest.warns(cs.ReconstructionWarning, match="pixels of about -.* not of -1 to 1: give `pixel_range"):
        solution = solve(make("tv"), patterns(), 300 * (disc() - disc().mean()))
    assert not ended_well(solution) and solution.unexplained > 0.5


@pytest.mark.parametrize("low, high", [(0, 255), (-3e-6, 4e-6), (-5, -4)])
def test_an_estimated_range_gives_the_image(low, high):
    image = low + (high - low) * (disc() + 1) / 2
    operator = Dense(patterns(ENOUGH).astype(np.float32), SHAPE)
    problem = cs.Problem(operator, patterns(ENOUGH) @ image.ravel())
    black, white = cs.estimate_pixel_range(problem)
    assert black <= image.min() and image.max() <= white and white - black < 8 * (high - low)
    solution = cs.reconstruct(make("tv", steps=400), problem, KEY, pixel_range="auto")
    assert relative_error(solution.image, image) < 0.02


def test_a_range_far_too_wide_is_refused_or_noted_and_explains_nothing():
    image = 10 * (disc() + 1.2)
    with pytest.raises(cs.InputError, match="pixels of about .* give `pixel_range"):
        solve(make("tv"), patterns(), image, pixel_range=(-5e4, 5e4))
    with pytest.warns(cs.ReconstructionWarning, match="fill about .* a narrower pixel_range"):
        solution = solve(make("tv"), patterns(), image, pixel_range=(0, 1e9))  # or a dark picture, and noise
    assert solution.unexplained > 1 and not ended_well(solution)


@pytest.mark.parametrize("level", [-1.0, -0.3, 0.0, 0.7])
def test_a_flat_image_is_an_image(level):
    solution = solve(make("tv"), patterns(), np.full(SHAPE, level))
    np.testing.assert_allclose(solution.image, level, atol=0.01)


def test_an_image_that_uses_little_of_the_range_is_noted():
    with pytest.warns(cs.ReconstructionWarning, match="fill about .* % of the range -1 to 1"):
        solve(make("tv"), patterns(), -0.9 + 0.005 * disc())


AS_THE_PAPER = {
    "gaussian": lambda key: cs.operators.gaussian(key, 25, (28, 28, 1)),
    "many": lambda key: cs.operators.gaussian(key, 700, (28, 28, 1)),
    "small": lambda key: cs.operators.gaussian(key, 12, (8, 8, 1)),
    "colour": lambda key: cs.operators.gaussian(key, 100, (16, 16, 3)),
    "rademacher": lambda key: cs.operators.rademacher(key, 100, SHAPE),
    "float16": lambda key: cs.operators.gaussian(key, 100, SHAPE, "float16"),
    "hadamard": lambda key: cs.operators.subsampled_hadamard(key, 64, SHAPE, 2.0),
    "radial": lambda key: cs.operators.radial_fourier(5, SHAPE),
    "cartesian": lambda key: cs.operators.cartesian_fourier(np.eye(16), SHAPE),
    "identity": lambda key: cs.operators.Identity(SHAPE),
    "inpainting": lambda key: cs.operators.inpainting(np.eye(16), SHAPE),
}


@pytest.mark.parametrize("name", AS_THE_PAPER)
def test_problems_as_the_paper_has_them_are_left_as_they_are(name):
    for seed in range(20 if name in ("gaussian", "small") else 2):
        operator = AS_THE_PAPER[name](jax.random.key(seed))
        given = cs.Problem(operator, operator.forward(jnp.full(operator.image_shape, -0.5))[None])
        problem, units = normalise(given)
        assert units.untouched and problem.operator is operator and problem.measurements is given.measurements


SCALED = {
    "dense": lambda c: Dense(jnp.asarray(c * patterns() / 11, jnp.float32), SHAPE),
    "complex": lambda c: Dense(jnp.asarray(c * (patterns() + 1j * patterns(seed=1)) / 15, jnp.complex64), SHAPE),
    "complex with offset": lambda c: Dense(jnp.asarray(c * (patterns() + 1j * patterns(seed=1) + 4 + 2j)), SHAPE),
    "narrow": lambda c: Dense(jnp.asarray(c * patterns() / 11, jnp.float32), SHAPE).astype("int8"),
    "narrow with offset": lambda c: Dense(jnp.asarray(c * (patterns() + 1), jnp.float32), SHAPE).astype("float16"),
    "linear": lambda c: Linear(lambda x: c * (patterns().astype(np.float32) @ x.reshape(-1)), SHAPE),
    "linear with offset": lambda c: Linear(lambda x: c * ((1 + patterns().astype(np.float32)) @ x.reshape(-1)), SHAPE),
    "fourier": lambda c: Fourier(jnp.arange(100), jnp.full(100, c, jnp.float32), SHAPE),
    "dct": lambda c: RandomizedTransform(
        jnp.asarray(patterns(1)[0], jnp.int8), jnp.arange(0, 256, 2), float(c), "dct", SHAPE
    ),
}


@pytest.mark.parametrize("name", SCALED)
def test_any_linear_operator_may_have_any_unit(name):
    images, method = [], make("tv", steps=80)
    for c in (1.0, 3e4, 1e-5):
        operator = SCALED[name](c)
        images.append(cs.reconstruct(method, cs.Problem(operator, operator.forward(disc())), KEY).image)
    assert max(relative_error(image, images[0]) for image in images[1:]) < 0.01
    assert relative_error(images[0], disc()) < 0.7


@pytest.mark.parametrize("name", SCALED)
def test_a_normalised_operator_is_one(name):
    """Linear, with its adjoint, the residual in one pass and solves."""
    given = SCALED[name](30.0)
    (operator, y), units = normalise(cs.Problem(given, given.forward(disc())[None]))
    assert not units.untouched
    x, other = jax.random.normal(KEY, (2, *SHAPE))
    made = operator.forward(x)
    np.testing.assert_allclose(y[0], operator.forward(disc()), atol=2e-3)
    np.testing.assert_allclose(operator.forward(x - 2 * other), made - 2 * operator.forward(other), atol=1e-3)
    np.testing.assert_allclose(jnp.vdot(y[0], made).real, jnp.vdot(operator.adjoint(y[0]), x), rtol=1e-3, atol=1e-3)
    residual, back = operator.residual_and_adjoint(y[0], x)
    np.testing.assert_allclose(residual, y[0] - made, atol=2e-3)
    np.testing.assert_allclose(back, operator.adjoint(y[0] - made), atol=5e-3)
    solved = operator.regularized_solve(x, 0.7)
    np.testing.assert_allclose(operator.normal(solved) + 0.7 * solved, x, atol=5e-3)
    norms = jnp.linalg.norm(jax.vmap(operator.forward)(jnp.eye(PIXELS).reshape(-1, *SHAPE)))
    np.testing.assert_allclose(operator.frobenius_norm(), norms, rtol=0.05)


def test_images_of_a_batch_are_normalised_each_by_itself():
    matrices = [patterns(seed=1) / np.sqrt(120), 50 * patterns(seed=2), (patterns(seed=3) + 1) / 2]
    problems = [
        cs.Problem(Dense(jnp.asarray(a, jnp.float32), SHAPE), jnp.asarray(a @ disc().ravel())) for a in matrices
    ]
    together = cs.reconstruct(make("tv"), jax.tree.map(lambda *x: jnp.stack(x), *problems), KEY)
    for i, problem in enumerate(problems):
        alone = cs.reconstruct(make("tv"), problem, KEY, image_ids=[i])
        np.testing.assert_allclose(together.image[i], alone.image, atol=2e-3)
        np.testing.assert_allclose(together.measurement_loss[i], alone.measurement_loss, rtol=0.05, atol=1e-6)
        np.testing.assert_allclose(together.unexplained[i], alone.unexplained, rtol=0.05, atol=1e-7)


def test_a_swept_setting_with_a_range_of_ones_own():
    method = dataclasses.replace(make("tv"), mu=np.array([16.0, 256.0]))
    solution = solve(method, 5 * patterns(), 100 * (disc() + 1), pixel_range=(0, 200))
    for i, mu in enumerate((16.0, 256.0)):
        alone = solve(make("tv", mu=mu), 5 * patterns(), 100 * (disc() + 1), pixel_range=(0, 200))
        np.testing.assert_allclose(solution.image[i], alone.image, atol=0.1)
        np.testing.assert_allclose(solution.measurement_loss[i], alone.measurement_loss, rtol=1e-2)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_what_does_not_explain_its_measurements_never_converged(name):
    matrix, rng = patterns() / np.sqrt(120), np.random.default_rng(1)
    operator = Dense(jnp.asarray(matrix, jnp.float32), SHAPE)
    y = np.tile(matrix[:60] @ disc().ravel(), 2)  # two rows each would have to make the same
    y = np.where(rng.random(120) < 0.5, y, -y)
    solution = cs.reconstruct(make(name), cs.Problem(operator, y), KEY, max_redraws=0)
    assert solution.unexplained < 0.25 or not ended_well(solution)
    left = np.sum(np.square(y - matrix @ np.asarray(solution.image, float).ravel()))
    assert left < 0.3 * np.sum(np.square(y)) or not ended_well(solution)


@pytest.mark.parametrize("name", LOOKED_AT)
def test_measurements_of_zeros_are_of_an_image_of_mid_grey(name):
    operator = Dense(jnp.asarray(patterns() / np.sqrt(120), jnp.float32), SHAPE)
    solution = cs.reconstruct(make(name), cs.Problem(operator, np.zeros(120)), KEY, max_redraws=0)
    assert jnp.isfinite(solution.image).all() and jnp.isfinite(solution.unexplained)
    if not issubclass(METHODS[name].method, Network):  # which start elsewhere, and take a few steps here
        np.testing.assert_allclose(solution.image, 0.0, atol=1e-6)
        np.testing.assert_allclose(solution.measurement_loss, 0.0, atol=1e-9)


def test_unexplained_is_relative_to_a_flat_image():
    """Of 0/1 patterns, whose mean explains nearly all of y; Lasso with so large a weight keeps the mean alone."""
    method = make("lasso_dct", alpha=0.02, steps=400)
    solution = solve(method, (patterns() + 1) / 2, 0.3 * disc() + 0.6)
    relative = float(solution.measurement_loss) / np.sum(np.square((patterns() + 1) / 2 @ (0.3 * disc() + 0.6).ravel()))
    assert relative < 0.1 < 0.5 < solution.unexplained and not ended_well(solution)


def test_pixels_at_the_ends_are_noted():
    with pytest.warns(cs.EndsOfRangeWarning, match="of the pixels of a channel lie at the ends"):
        solve(make("tv", steps=300), patterns(), np.where(np.indices(SHAPE)[0] < 15, -1.0, 0.3))
    with pytest.warns(cs.EndsOfRangeWarning):  # a range that is too narrow
        solve(make("tv"), patterns(), disc() + 0.9)


def test_damp_takes_a_row_of_ones_among_others():
    matrix = patterns(ENOUGH)
    matrix[3] = 1
    solution = solve(make("damp_tv", steps=30), matrix, disc() - 0.3)
    assert solution.ok and relative_error(solution.image, disc() - 0.3) < 0.02


def test_functions_that_are_not_linear_may_have_any_unit():
    found = {}
    for factor in (1e-4, 1.0, 1e4):
        matrix = jnp.asarray(factor * patterns() / 11, jnp.float32)
        problem = cs.Problem(lambda x, a=matrix: jnp.exp(x[0, 0, 0]) * (a @ x.reshape(-1)), matrix @ disc().ravel())
        found[factor] = cs.reconstruct(make("csdip"), problem, KEY)
    for factor, solution in found.items():
        assert relative_error(solution.image, found[1.0].image) < 0.01
        np.testing.assert_allclose(solution.unexplained, found[1.0].unexplained, rtol=0.05)
        np.testing.assert_allclose(solution.measurement_loss / factor**2, found[1.0].measurement_loss, rtol=0.05)


def test_moduli_tell_no_sign_and_a_range_of_one_sign_mends_it():
    matrix = jnp.asarray(patterns(500) / 22, jnp.float32)

    def moduli(image):
        return jnp.abs(matrix @ image.reshape(-1))

    method = make("csdip", steps=300, restarts=1)
    with pytest.warns(cs.ReconstructionWarning, match="the same for an image and its negative"):
        cs.reconstruct(make("csdip"), cs.Problem(moduli, moduli(disc())), KEY)
    bright = (disc() + 1) / 2
    solution = cs.reconstruct(method, cs.Problem(moduli, moduli(bright)), KEY, pixel_range=(0, 1))
    assert relative_error(solution.image, bright) < 0.1


@pytree_dataclass
class Turned(Dense):
    """A user's own, which counts the pixels from the last."""

    def forward(self, image):
        return self.matrix @ image[::-1, ::-1].reshape(-1)

    residual_and_adjoint = cs.operators.LinearOperator.residual_and_adjoint
    adjoint = cs.operators.LinearOperator.adjoint


def test_a_users_own_kind_of_matrix_stays_what_it_is():
    operator = Turned(jnp.asarray(OFFSETS["0/1"](patterns(ENOUGH)), jnp.float32), SHAPE)
    image = disc() + np.linspace(0, 0.2, 16).reshape(16, 1, 1).astype(np.float32)
    solution = cs.reconstruct(make("tv", steps=400), cs.Problem(operator, operator.forward(image)), KEY)
    assert relative_error(solution.image, image) < 0.02


@pytest.mark.parametrize("wrap", [lambda fn: fn, lambda fn: cs.operators.Nonlinear(fn, SHAPE)])
def test_a_function_that_is_linear_is_normalised_as_one(wrap):
    matrix = jnp.asarray(OFFSETS["0/1"](patterns(ENOUGH)), jnp.float32)
    problem = cs.Problem(wrap(lambda x: matrix @ x.reshape(-1)), matrix @ disc().ravel())
    solution = cs.reconstruct(make("csdip", steps=400), problem, KEY)
    assert relative_error(solution.image, disc()) < 0.05
    left = np.sum(np.square(problem.measurements - matrix @ solution.image.ravel()))
    assert left < 0.01 * np.sum(np.square(matrix @ (disc() - disc().mean()).ravel()))


def blind(matrix):
    """Rows without a mean: they tell nothing of the mean pixel."""
    return matrix - matrix.mean(1, keepdims=True)


MEANLESS = {
    "rows without a mean": lambda: Dense(blind(np.random.default_rng(2).standard_normal((150, PIXELS))), SHAPE),
    "balanced signs": lambda: Dense(np.hstack([patterns(150)[:, :128], -patterns(150)[:, :128]]), SHAPE),
    "k-space without DC": lambda: cs.operators.cartesian_fourier(np.arange(256).reshape(16, 16) > 0, SHAPE, False),
}


@pytest.mark.parametrize("name", MEANLESS)
def test_a_mean_that_is_not_measured_is_neither_refused_nor_guessed(name):
    operator = MEANLESS[name]()
    problem = cs.Problem(operator, operator.forward(550 + 400 * (disc() - disc().mean())))
    solution = cs.reconstruct(make("tv"), problem, KEY, pixel_range=(100, 1000))
    assert solution.ok
    with pytest.raises(cs.InputError, match="do not tell the mean pixel"):
        cs.estimate_pixel_range(problem)


@pytest.mark.parametrize(("m", "shape"), [(1, (4, 4, 1)), (3, (4, 4, 3)), (2, (5, 5, 1))])
def test_few_measurements_tell_no_mean_to_be_refused(m, shape):
    for seed in range(20):
        image = np.random.default_rng(seed).uniform(-1, 1, shape)
        operator = cs.operators.gaussian(jax.random.key(seed), m, shape)
        normalise(cs.Problem(operator, operator.forward(image)[None]))


def test_weights_of_k_space_that_differ_do_not_decide_by_the_smallest():
    rows, columns = np.nonzero(np.random.default_rng(0).random((16, 16)) < 0.6)
    indices = jnp.asarray(np.unique(np.concatenate([[0], rows * 16 + columns])), jnp.int32)
    images = []
    for smallest in (1.0, 1e-6):
        operator = Fourier(indices, jnp.ones(indices.size).at[-1].set(smallest), SHAPE)
        images.append(cs.reconstruct(make("tv"), cs.Problem(operator, operator.forward(disc())), KEY).image)
    assert relative_error(images[1], images[0]) < 0.05


@pytest.mark.parametrize("y", [np.full(120, np.nan), np.zeros(5), ["a"], np.zeros((2, 2, 120))])
def test_a_range_is_estimated_of_good_measurements_alone(y):
    with pytest.raises(cs.InputError):
        cs.estimate_pixel_range(cs.Problem(Dense(patterns(), SHAPE), y))
    with pytest.raises(cs.InputError, match="with a linear operator"):
        cs.estimate_pixel_range(cs.Problem(lambda x: jnp.abs(x), np.zeros(3)))


def test_functions_of_positive_pixels_and_functions_without_a_value_at_flat_images():
    matrix = jnp.asarray(np.abs(patterns()), jnp.float32) / 16

    def root(image):
        return matrix @ jnp.sqrt(image).reshape(-1)

    image = (disc() + 1.5) / 3
    solution = cs.reconstruct(make("csdip"), cs.Problem(root, root(image)), KEY, pixel_range=(0.1, 1))
    assert solution.ok and jnp.isfinite(solution.unexplained)

    def direction(image):
        return jnp.asarray(patterns(), jnp.float32) @ image.reshape(-1) / jnp.linalg.norm(image)

    with np.errstate(invalid="ignore"):
        solution = cs.reconstruct(make("csdip"), cs.Problem(direction, direction(disc())), KEY)
    assert jnp.isfinite(solution.unexplained) and cs.verdict(solution)


def test_measurements_far_beyond_a_functions_range_are_noted():
    matrix = jnp.asarray(patterns() / 11, jnp.float32)
    with pytest.warns(cs.ReconstructionWarning, match="far larger than those of images of pixels from 0 to 1"):
        problem = cs.Problem(lambda x: jnp.abs(matrix @ x.reshape(-1)), 8000 * jnp.abs(matrix @ disc().ravel()))
        cs.reconstruct(make("csdip"), problem, KEY, pixel_range=(0, 1))


def test_a_range_without_digits_is_noted():
    with pytest.warns(cs.ReconstructionWarning, match="leaves single precision too few digits"):
        solve(make("tv"), patterns(), 1e7 + 5 * (disc() + 1), pixel_range=(1e7, 1e7 + 10))


@pytest.mark.parametrize("given", [(1, 1), (0, np.nan), "wide", (0, 1, 2), 5])
def test_a_range_that_is_none_is_refused(given):
    with pytest.raises(cs.InputError, match="pixel_range"):
        solve(make("tv"), patterns(), disc(), pixel_range=given)


def test_an_operator_that_measures_nothing_is_refused():
    with pytest.raises(cs.InputError, match="measures nothing"):
        solve(make("tv"), np.zeros((5, PIXELS)), disc())
