"""One list of operators, every property; then what is special to each."""

import csv
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.sparse

import csdip_jax as cs
from csdip_jax import operators
from csdip_jax.operators import radial_mask
from tests.test_types import FORMS, SPARSE, ZEROS_AND_ONES

SHAPE = (12, 10, 2)


def key(i=0):
    return jax.random.key(i)


def checkerboard():
    return np.indices(SHAPE[:2]).sum(0) % 3 == 0


def finite_differences(image):
    return jnp.concatenate([jnp.diff(image, axis=0).reshape(-1), image[0].reshape(-1)])


KINDS = {name: partial(kind.make, key(1), kind.toy, SHAPE) for name, kind in operators.OPERATORS.items()}


def blurred(image):
    return (image + jnp.roll(image, 1, axis=0)) / 2


def coils(image):
    """Three sensitivities, complex: [coils, h, w, c]."""
    return jnp.exp(1j * jnp.arange(3))[:, None, None, None] * image


def kspace_of_complex():
    h, w, _ = SHAPE
    return operators.cartesian_fourier(checkerboard(), (h, w, 1), centred=False) @ operators.ComplexImage(SHAPE)


def every_coefficient(shape=SHAPE):
    return operators.subsampled_dct(key(2), math.prod(shape), shape, 1.5)


LINEAR = {name: make for name, make in KINDS.items() if operators.OPERATORS[name].is_linear} | {
    "gaussian_float16": lambda: operators.gaussian(key(1), 101, SHAPE, "float16"),  # two blocks of rows, and a rest
    "gaussian_int8": lambda: operators.gaussian(key(1), 101, SHAPE, "int8"),
    "dense_bfloat16": lambda: operators.Dense(jax.random.normal(key(2), (50, 240), jnp.bfloat16), SHAPE),
    "dense_complex": lambda: operators.Dense(jax.random.normal(key(2), (20, 240), jnp.complex64), SHAPE),
    "orthonormal_dct": lambda: operators.subsampled_dct(key(1), 50, SHAPE),
    "orthonormal_hadamard": lambda: operators.subsampled_hadamard(key(1), 50, SHAPE),
    "cartesian_fourier": lambda: operators.cartesian_fourier(checkerboard(), SHAPE),
    "identity": lambda: operators.Identity(SHAPE),
    "inpainting": lambda: operators.inpainting(checkerboard(), SHAPE),
    "complex_image": lambda: operators.ComplexImage(SHAPE),
    "linear": lambda: operators.Linear(finite_differences, SHAPE),
    "from_scipy": lambda: operators.from_scipy(scipy.sparse.random_array((50, 240), density=0.1, rng=0), SHAPE),
    "from_scipy_complex": lambda: operators.from_scipy(np.exp(1j * np.arange(20 * 240).reshape(20, 240) ** 2), SHAPE),
    "gaussian_of_linear": lambda: operators.gaussian(key(1), 30, SHAPE) @ operators.Linear(blurred, SHAPE),
    "int8_of_randomized": lambda: operators.gaussian(key(1), 101, SHAPE, "int8") @ every_coefficient(),
    "fourier_of_identity": lambda: operators.radial_fourier(3, SHAPE) @ operators.Identity(SHAPE),
    "fourier_of_randomized": lambda: operators.radial_fourier(3, SHAPE) @ every_coefficient(),
    "randomized_of_inpainting": lambda: every_coefficient((1, 80, 1)) @ operators.inpainting(checkerboard(), SHAPE),
    "fourier_of_coils": lambda: operators.cartesian_fourier(checkerboard(), SHAPE) @ operators.Linear(coils, SHAPE),
    "fourier_of_complex": kspace_of_complex,
    "of_three": lambda: operators.Identity(SHAPE) @ operators.Linear(blurred, SHAPE) @ every_coefficient(),
}
ORTHONORMAL_ROWS = ("radial_fourier", "identity", "inpainting", "orthonormal_dct", "orthonormal_hadamard")
EVERY = (
    KINDS
    | LINEAR
    | {
        "nonlinear": lambda: operators.Nonlinear(lambda x: jnp.abs(x).sum(-1), SHAPE),
        "linear_of_nonlinear": lambda: operators.gaussian(key(1), 30, SHAPE) @ jnp.abs,
        "nonlinear_of_linear": lambda: jnp.abs @ operators.radial_fourier(3, SHAPE),
    }
)


def image(i=0):
    return jax.random.uniform(key(100 + i), SHAPE, minval=-1.0)


def vdot(a, b):
    return jnp.vdot(a, b).real


@pytest.mark.parametrize("name", LINEAR)
def test_linear(name):
    operator, x, y = LINEAR[name](), image(0), image(1)
    np.testing.assert_allclose(
        operator.forward(2.0 * x - 3.0 * y), 2.0 * operator.forward(x) - 3.0 * operator.forward(y), atol=2e-5
    )


@pytest.mark.parametrize("name", LINEAR)
def test_adjoint(name):
    operator, x = LINEAR[name](), image()
    y = jax.random.normal(key(5), operator.measurements_like.shape, operator.measurements_like.dtype)
    back = operator.adjoint(y)
    assert back.shape == SHAPE and back.dtype == jnp.float32
    np.testing.assert_allclose(vdot(operator.forward(x), y), vdot(x, back), rtol=1e-4)


@pytest.mark.parametrize("name", LINEAR)
def test_one_pass_is_forward_and_adjoint(name):
    """The residual and its adjoint, the normal operator, and the gradients of the loss, by jax's own rules."""
    operator, x = LINEAR[name](), image()
    y = operator.forward(image(1))
    residual, back = operator.residual_and_adjoint(y, x)
    np.testing.assert_allclose(residual, y - operator.forward(x), atol=2e-5)
    np.testing.assert_allclose(back, operator.adjoint(y - operator.forward(x)), atol=1e-4)
    np.testing.assert_allclose(operator.normal(x), operator.adjoint(operator.forward(x)), atol=1e-4)

    def plain(operator, y, x):
        return operators.squared_norm(operator.forward(x) - y)

    found, expected = (
        jax.jit(jax.grad(loss, argnums=(0, 1, 2), allow_int=True))(operator, y, x)
        for loss in (operators.measurement_loss, plain)
    )
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        if ours.dtype != jax.dtypes.float0:
            theirs = np.asarray(theirs, ours.dtype if ours.dtype.itemsize > 2 else np.float32)
            np.testing.assert_allclose(np.asarray(ours, theirs.dtype), theirs, atol=1e-2 * np.abs(theirs).max())
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5 * jnp.abs(expected[2]).max())


def test_a_complex_image_is_two_channels():
    """Its k-space beside NumPy's, there and back; and an inverse that is exact for orthonormal rows."""
    operator, x = kspace_of_complex(), np.asarray(image())
    spectrum = np.fft.fft2(x[..., 0] + 1j * x[..., 1], norm="ortho")
    np.testing.assert_allclose(operator.forward(x), spectrum[checkerboard()], atol=1e-5)
    back = np.fft.ifft2(np.where(checkerboard(), spectrum, 0), norm="ortho")
    np.testing.assert_allclose(operator.normal(x), np.stack([back.real, back.imag], -1), atol=1e-5)
    solved = np.fft.ifft2(spectrum / (checkerboard() + 0.1), norm="ortho")
    found = operator.regularized_solve(x, 0.1)
    np.testing.assert_allclose(found, np.stack([solved.real, solved.imag], -1), atol=1e-4)
    np.testing.assert_array_equal(operators.ComplexImage(SHAPE).adjoint((x[..., 0] + 1j * x[..., 1]).ravel()), x)
    with pytest.raises(cs.InputError, match="channels = 3: it must be even"):
        operators.ComplexImage((8, 8, 3))


def test_second_derivatives_of_the_loss():
    operator, x, direction = LINEAR["gaussian"](), image(), image(1)
    gradient = jax.grad(operators.measurement_loss, 2)
    found = jax.grad(lambda x: vdot(gradient(operator, operator.forward(image(2)), x), direction))(x)
    np.testing.assert_allclose(found, 2 * operator.normal(direction), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("dtype", "entry"), [("float16", 2**-11), ("int8", 1 / 254)])
def test_narrow_storage(dtype, entry):
    """The matrix that float32 draws, rounded by no more than is said, whatever the range of its rows."""
    wide, drawn = (operators.gaussian(key(1), 101, SHAPE, name) for name in ("float32", dtype))
    scales = 10.0 ** jnp.linspace(-12, 12, 101)[:, None]
    scaled = operators.Dense(wide.matrix * scales, SHAPE).astype(dtype)
    np.testing.assert_allclose(scaled.matrix, drawn.matrix, rtol=2**-10, atol=dtype == "int8")
    assert drawn.matrix.dtype == dtype and drawn.matrix.nbytes * (4 if dtype == "int8" else 2) == wide.matrix.nbytes
    largest = jnp.abs(wide.matrix).max(1, keepdims=True)
    widened = drawn.matrix.astype(jnp.float32) * drawn.row_scale[:, None]
    bound = entry * (jnp.abs(wide.matrix) + 1e-3 * largest if dtype == "float16" else largest)
    assert (jnp.abs(widened - wide.matrix) <= 1.001 * bound).all()
    np.testing.assert_allclose(drawn.frobenius_norm(), wide.frobenius_norm(), rtol=1e-3)
    np.testing.assert_allclose(wide.frobenius_norm(), jnp.linalg.norm(wide.matrix), rtol=1e-5)


def test_a_zero_row_is_stored_as_one():
    matrix = jnp.ones((3, 4)).at[1].set(0)
    stored = operators.Dense(matrix, (2, 2, 1)).astype("int8")
    np.testing.assert_allclose(stored.forward(jnp.ones((2, 2, 1))), [4, 0, 4], rtol=1e-6)


@pytest.mark.parametrize("name", EVERY)
def test_vmap_is_a_loop(name):
    operator, batch = EVERY[name](), jnp.stack([image(0), image(1), image(2)])
    looped = jnp.stack([operator.forward(x) for x in batch])
    np.testing.assert_allclose(jax.vmap(operator.forward)(batch), looped, rtol=1e-5, atol=1e-5)


def parts(operator, seed):
    """Indices of the measurements that are kept and held out, those that belong together together."""
    groups, together = operator.measurements_like.size // operator.held_together, operator.held_together
    order = np.random.default_rng(seed).permutation(groups)
    return tuple(
        np.concatenate([np.sort(part) + i * groups for i in range(together)])
        for part in np.split(order, [groups - groups // 5])
    )


@pytest.mark.parametrize("name", EVERY)
def test_some_measurements_are_those_entries_of_all(name):
    """One index array per image, traced, as the driver has it; and any few of them in any order."""
    operator = EVERY[name]()
    size, few = operator.measurements_like.size, jnp.asarray([5, 2, 7])
    kept, held = map(np.stack, zip(*(parts(operator, seed) for seed in range(2)), strict=True))

    @jax.jit
    def measured(operator, kept, held, x):
        def of_parts(kept, held):
            return [part.forward(x).reshape(-1) for part in operator.split(kept, held)]

        y = operator.forward(x).reshape(-1)
        made = jax.vmap(of_parts)(kept, held)
        return (*made, operator.subset(few).forward(x)), (y[kept], y[held], y[few]), jnp.abs(y).max()

    made, expected, largest = measured(operator, kept, held, image())
    for found, entries in zip(made, expected, strict=True):
        np.testing.assert_allclose(found, entries, atol=3e-6 * largest)
    assert made[0].shape[1] + made[1].shape[1] == size


@pytest.mark.parametrize("name", LINEAR)
def test_one_pass_of_what_is_kept_leaves_what_is_held_out_alone(name):
    operator = LINEAR[name]()
    kept, held = parts(operator, 0)

    @jax.jit
    def passes(operator, x):
        part, _ = operator.split(jnp.asarray(kept), jnp.asarray(held))
        y = part.forward(x)
        residual, back = part.residual_and_adjoint(2 * y, x)
        like = operator.measurements_like
        scattered = jnp.zeros(like.size, y.dtype).at[kept].set(y.reshape(-1)).reshape(like.shape)
        return y, residual, operator.adjoint(scattered), back

    y, residual, expected, back = passes(operator, image())
    np.testing.assert_allclose(residual, y, atol=6e-6 * np.abs(y).max())
    np.testing.assert_allclose(back, expected, atol=1e-5 * np.abs(expected).max())


def test_of_what_a_method_can_do_without():
    """Not of the centre of k-space, of all channels and coils together; solved exactly as before."""
    shape = (32, 30, 2)
    some = operators.cartesian_fourier(np.arange(960).reshape(32, 30) % 3 > 0, shape)
    free = np.zeros((32, 30), bool)
    free.reshape(-1)[some.indices[some.may_be_held_out]] = True
    assert not np.fft.fftshift(free)[15:18, 14:17].any() and free.sum() == len(some.indices) - 6
    both = some @ operators.Linear(lambda x: jnp.stack([x, 2 * x]), shape)
    assert (some.held_together, both.held_together) == (2, 4)
    part, rest = some.split(*parts(some, 0))
    assert part.is_solved_exactly and len(part.indices) + len(rest.indices) == len(some.indices)


@pytest.mark.parametrize("name", EVERY)
def test_a_stack_is_recognised_by_its_arrays(name):
    """As `jax.vmap` of a constructor, or `jax.tree.map` of jnp.stack, leaves them; one operator is no stack."""
    operator = EVERY[name]()
    m = operator.measurements_like.shape
    several = jax.tree.map(lambda x: jnp.stack([x, x]), operator)
    assert operators.functions.recognised(operator, (2, *m)) is operator
    assert operators.functions.recognised(operator, m) is operator
    for shape in (m, (2, *m)):
        found = operators.functions.recognised(several, shape)
        assert (found.size == 2) if jax.tree.leaves(operator) else found is several


def test_a_function_with_arrays_is_a_stack_where_it_fits_as_nothing_else():
    def times(matrix, x):
        return matrix.reshape(7, 240) @ x.reshape(-1)

    each = operators.Linear(jax.tree_util.Partial(times, jnp.ones((2, 7, 240))), SHAPE)
    assert operators.functions.recognised(each, (2, 7)).size == 2
    coils = operators.Linear(
        jax.tree_util.Partial(lambda maps, x: jnp.tensordot(maps, x, axes=1), jnp.ones((2, 7, 12))), SHAPE
    )
    assert coils.measurements_like.shape == (2, 7, 10, 2)
    assert operators.functions.recognised(coils, (2, 7, 10, 2)) is coils  # of one image, as ever
    assert operators.functions.recognised(coils, (3, 2, 7, 10, 2)) is coils
    assert operators.Stack(coils).measurements_like.shape == (7, 10, 2)


@pytest.mark.parametrize("name", EVERY)
def test_is_a_pytree_that_jit_takes(name):
    operator = EVERY[name]()
    once = jax.jit(lambda operator, x: operator.forward(x))(operator, image())
    np.testing.assert_allclose(once, operator.forward(image()), rtol=1e-5, atol=1e-5)
    assert jax.tree.unflatten(jax.tree.structure(operator), jax.tree.leaves(operator)).image_shape == SHAPE


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_what_it_says(name):
    """Columns of norm 1 where it is drawn, its bytes, what its key and its dtype do, and numbers out of range."""
    kind, operator = operators.OPERATORS[name], KINDS[name]()
    assert kind.name == name and kind.label and kind.about and kind.stem(7).endswith("7")
    n, drawn = math.prod(SHAPE), [kind.make(key(i), kind.toy, SHAPE).forward(image()) for i in (1, 2)]
    assert kind.is_drawn == bool((drawn[0] != drawn[1]).any())
    assert kind.is_linear == isinstance(operator, operators.LinearOperator)
    if kind.is_drawn and kind.is_linear:
        np.testing.assert_allclose(operator.frobenius_norm() / math.sqrt(n), 1.0, rtol=0.05)
    large = sum(leaf.nbytes for leaf in jax.tree.leaves(operator) if leaf.size >= 10 * n)
    assert kind.bytes(kind.toy, n) == large and kind.takes_dtype == bool(large)
    assert 1 <= kind.count.default(SHAPE) <= n
    kind.require(kind.toy, SHAPE)
    with pytest.raises(cs.InputError, match=f"{kind.count.name}.* = 0"):
        kind.require(0, SHAPE)


def test_the_kind_that_is_meant_where_none_is_named():
    """That of the number which is given, else dense rows unless they are large."""

    def meant(shape=SHAPE, **given):
        return operators.unnamed_kind(operators.OPERATORS, shape, given).name

    assert meant() == meant((4000, 4000, 1), num_measurements=9) == "gaussian"
    assert meant((4000, 4000, 1)) == meant(num_lines=3) == meant(num_lines=3, num_measurements=9) == "radial_fourier"


def repeated_fourier():
    """On this grid of 12 x 10: 0, 5, 60, 65 are their own mirror images, 117 and 13 each other's; some come twice."""
    indices = jnp.array([0, 5, 7, 7, 13, 60, 65, 23, 117, 117])
    return operators.Fourier(indices, jnp.linspace(0.5, 2.0, indices.size), SHAPE)


@pytest.mark.parametrize("name", EVERY)
def test_images_of_any_type(name):
    """A phantom of whole numbers, in every type: what the same in float32 gives."""
    operator, x = EVERY[name](), np.indices(SHAPE).sum(0) % 2
    expected = operator.forward(x.astype(np.float32))
    for form in ("bool", "uint8", "int64", ">i4", "float16", ">f8", "longdouble", "list", "strided", "jax int32"):
        np.testing.assert_array_equal(operator.forward(FORMS[form](x)), expected, err_msg=form)
    np.testing.assert_array_equal(operators.measure(key(), operator, x), expected)
    if name in LINEAR:
        ones = np.ones(expected.shape, int)
        whole, floating = (
            (operator.adjoint(y), operator.normal(z), *operator.residual_and_adjoint(y, z))
            for y, z in ((ones, x), (ones.astype(np.float32), x.astype(np.float32)))
        )
        jax.tree.map(np.testing.assert_array_equal, whole, floating)


@pytest.mark.parametrize("name", LINEAR)
def test_images_and_measurements_that_do_not_fit(name):
    operator = LINEAR[name]()
    for call in (operator.forward, operator.normal):
        with pytest.raises(cs.InputError, match=r"image of shape \(10, 12, 2\), but the operator's images are"):
            call(np.ones((10, 12, 2)))
        with pytest.raises(cs.InputError, match="image is complex64, but pixels are real"):
            call(np.ones(SHAPE, np.complex64))
    with pytest.raises(cs.InputError, match=r"measurements float32 of shape \(3,\), but the operator's are"):
        operator.adjoint(np.ones(3))
    if operator.measurements_like.dtype == np.float32:
        with pytest.raises(cs.InputError, match="measurements complex64"):
            operator.adjoint(np.ones(operator.measurements_like.shape, complex))


@pytest.mark.parametrize("name", ["gaussian_int8", "dense_complex", "radial_fourier", "linear"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adjoint_in_either_precision(name, dtype, x64):
    """<A x, y> = <x, A^H y> also where image and measurements are of another precision than the operator."""
    operator, x = LINEAR[name](), np.asarray(image(), dtype)
    y = np.random.default_rng(0).standard_normal(operator.measurements_like.shape).astype(dtype)
    np.testing.assert_allclose(vdot(operator.forward(x), y), vdot(x, operator.adjoint(y)), rtol=1e-4, atol=1e-4)
    double = operators.Dense(np.eye(240), SHAPE)
    np.testing.assert_allclose(double.regularized_solve(x, 1.0, guess=np.float32(x)), x / 2, atol=1e-6)


@pytest.mark.parametrize("form", FORMS | SPARSE)
def test_masks_of_any_type(form):
    mask = ZEROS_AND_ONES != 0
    for make in (operators.inpainting, operators.cartesian_fourier):
        found = make((FORMS | SPARSE)[form](ZEROS_AND_ONES), (6, 8, 1))
        np.testing.assert_array_equal(found.indices, make(mask, (6, 8, 1)).indices)


@pytest.mark.parametrize("make", [operators.inpainting, operators.cartesian_fourier])
@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((6, 8), np.nan), "mask: 48 of 48 entries are NaN"),
        (np.full((6, 8), np.inf), "mask: 48 of 48 entries are NaN or infinite"),
        (np.full((6, 8), "1"), "mask is of type ndarray and dtype <U1"),
        (np.ma.masked_array(np.ones((6, 8)), ZEROS_AND_ONES), "mask: .* entries are masked"),
        (None, "mask is of type NoneType"),
        (np.full((6, 8), 1j), "mask is complex128: give 0 or 1"),
        (np.ones((6, 8), np.complex64), "mask is complex64: give 0 or 1"),
    ],
)
def test_masks_that_are_none(make, mask, message):
    with pytest.raises(cs.InputError, match=message):
        make(mask, (6, 8, 1))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int64", "float16", ">f8", "longdouble"])
def test_a_plain_matrix_is_stored_in_float32(dtype):
    matrix = ZEROS_AND_ONES.astype(dtype)
    operator = operators.Dense(matrix, (4, 2, 1))
    assert operator.matrix.dtype == jnp.float32 and operator.row_scale is None
    np.testing.assert_array_equal(operator.matrix, ZEROS_AND_ONES)
    scaled = operators.Dense(ZEROS_AND_ONES.astype(np.int8), (4, 2, 1), [2] * 6)
    assert scaled.matrix.dtype == jnp.int8
    np.testing.assert_array_equal(scaled.forward(np.ones((4, 2, 1))), 2 * ZEROS_AND_ONES.sum(1))


SOLVED = LINEAR | {
    "repeated_fourier": repeated_fourier,
    "scaled_dct": lambda: operators.subsampled_dct(key(1), 50, SHAPE, 1.7),
    "scaled_hadamard": lambda: operators.subsampled_hadamard(key(1), 50, SHAPE, 0.6),
    "repeated_inpainting": lambda: operators.Inpainting(jnp.array([3, 8, 8, 239, 3, 3]), SHAPE),
}


@pytest.mark.parametrize("name", SOLVED)
@pytest.mark.parametrize("shift", [0.05, 2.0])
def test_regularized_solve(name, shift):
    """Against a dense solve in float64."""
    operator, right = SOLVED[name](), image()
    basis = jnp.eye(right.size).reshape(-1, *SHAPE)
    matrix = np.asarray(jax.vmap(operator.forward)(basis), complex).T
    normal = (matrix.conj().T @ matrix).real + shift * np.eye(right.size)
    expected = np.linalg.solve(normal, np.asarray(right, float).reshape(-1)).reshape(SHAPE)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(operator.regularized_solve(right, shift), expected, atol=1e-4 * scale)
    guessed = operator.regularized_solve(right, shift, guess=jnp.asarray(expected, jnp.float32), tolerance=1e-3)
    np.testing.assert_allclose(guessed, expected, atol=1e-4 * scale)


def test_regularized_solve_stops_at_its_tolerance():
    operator, right, shift = LINEAR["gaussian"](), image(), 0.05
    found = operator.regularized_solve(right, shift, tolerance=0.1)
    residual = operator.adjoint(operator.forward(found)) + shift * found - right
    assert 0.02 < jnp.linalg.norm(residual) / jnp.linalg.norm(right) <= 0.1


@pytest.mark.parametrize("name", ORTHONORMAL_ROWS)
def test_orthonormal_rows(name):
    """A A^H = I, so that A^H A is a projection, and A^H y for k-space the zero-filled image."""
    operator, x = LINEAR[name](), image()
    y = operator.forward(x)
    np.testing.assert_allclose(operator.forward(operator.adjoint(y)), y, atol=1e-5)


def test_norm_of_a_gaussian():
    """Singular values of an m x n matrix of N(0, 1/m) entries lie near sqrt(n/m) +- 1."""
    m, n = 400, 28 * 28
    matrix = operators.gaussian(key(), m, (28, 28, 1)).matrix
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert abs(singular[0] - (np.sqrt(n / m) + 1)) < 0.1
    assert abs(singular[-1] - (np.sqrt(n / m) - 1)) < 0.1


def test_rademacher_rows_are_the_same_however_many_are_taken():
    m, shape = 90, (20, 31, 1)
    operator = operators.rademacher(key(3), m, shape)
    rows = operator.rows(0, m, jnp.float32)
    np.testing.assert_array_equal(operator.rows(17, 5, jnp.float32), rows[17:22])
    np.testing.assert_allclose(jnp.abs(rows), 1 / np.sqrt(m), rtol=1e-6)
    np.testing.assert_allclose(operator.forward(jnp.ones(shape)), rows.sum(1), atol=1e-5)
    np.testing.assert_allclose(operator.normal(jnp.ones(shape)).ravel(), rows.T @ rows.sum(1), atol=1e-4)
    signs = np.sign(rows)
    correlations = np.concatenate([(signs @ signs.T / 620)[np.triu_indices(m, 1)], signs.mean(1)])
    assert abs(correlations.mean()) < 1e-3 and 0.9 < correlations.std() * np.sqrt(620) < 1.1
    assert not (rows == operators.rademacher(key(4), m, shape).rows(0, m, jnp.float32)).all()


@pytest.mark.parametrize("make", [operators.subsampled_dct, operators.subsampled_hadamard])
def test_subsampled_transforms_at_the_scale_of_a_gaussian(make):
    """||A x||^2 is ||x||^2 in the mean, for an image as smooth as can be, and for a single pixel."""
    m, shape = 100, (28, 28, 1)
    for x in (jnp.ones(shape), jnp.zeros(shape).at[3, 4].set(1.0)):
        ys = jnp.stack([make(key(i), m, shape, np.sqrt(784 / m)).forward(x) for i in range(40)])
        energies = jnp.sum(jnp.square(ys), axis=1) / jnp.sum(jnp.square(x))
        assert abs(energies.mean() - 1) < 0.12 and energies.max() < 3


def test_dense_counts_pixels_row_major():
    matrix = jnp.eye(6)[:4]
    x = jnp.arange(6.0).reshape(1, 3, 2)
    np.testing.assert_array_equal(operators.Dense(matrix, (1, 3, 2)).forward(x), [0, 1, 2, 3])


def test_a_stack_of_operators_says_so():
    keys = jax.random.split(key(), 3)
    batch = operators.Stack(jax.vmap(lambda k: operators.gaussian(k, 5, SHAPE))(keys))
    assert isinstance(batch.operator, operators.Dense)
    assert batch.size == 3 and batch.measurements_like.shape == (5,) and batch.image_shape == SHAPE
    ys = jax.vmap(lambda a, x: a.forward(x))(batch.operator, jnp.stack([image()] * 3))
    np.testing.assert_allclose(ys[2], batch.take(2).forward(image()), rtol=1e-4, atol=1e-5)
    same = operators.stack([batch.take(i) for i in range(3)])
    assert jax.tree.structure(same) == jax.tree.structure(batch)
    jax.tree.map(np.testing.assert_array_equal, same, batch)
    np.testing.assert_allclose(ys[1], operators.gaussian(keys[1], 5, SHAPE).forward(image()), rtol=1e-4, atol=1e-5)


def reference_counts(real_data):
    with open(real_data.parent / "reference" / "radial_line_counts.csv") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return [(int(row["lines"]), int(row["coefficients"])) for row in rows]


def test_radial_counts_of_the_paper(real_data):
    for lines, count in reference_counts(real_data):
        assert radial_mask(lines, (256, 256)).sum() == count


@pytest.mark.parametrize(
    ("lines", "count", "full"), [(3, 381, 763), (5, 634, 1269), (10, 1260, 2521), (20, 2500, 5001)]
)
def test_radial_mask(lines, count, full):
    half = radial_mask(lines, (256, 256))
    mirrored = np.roll(half[::-1, ::-1], (1, 1), axis=(0, 1))
    assert half.sum() == count
    assert not (half & mirrored).any() and not half[128, 128]
    assert (half | mirrored).sum() + 1 == full
    assert operators.radial_fourier(lines, (256, 256, 1)).measurements_like.shape == (count + 1,)


@pytest.mark.parametrize("size", [(16, 16), (15, 15), (20, 31), (31, 20), (2, 9)])
def test_radial_lines_fit_any_size(size):
    half = radial_mask(7, size)
    assert half.shape == size and half.any() and not half[size[0] // 2, size[1] // 2]


def test_fourier_of_all_frequencies_is_numpys_fft():
    x = image()
    operator = operators.cartesian_fourier(np.ones(SHAPE[:2]), SHAPE)
    expected = np.fft.fftshift(np.fft.fft2(x, axes=(0, 1), norm="ortho"), axes=(0, 1))
    np.testing.assert_allclose(operator.forward(x).reshape(2, 12, 10), expected.transpose(2, 0, 1), atol=1e-5)
    corner = operators.cartesian_fourier(np.ones(SHAPE[:2]), SHAPE, centred=False)
    np.testing.assert_allclose(
        corner.forward(x).reshape(2, 12, 10), np.fft.ifftshift(expected, axes=(0, 1)).transpose(2, 0, 1), atol=1e-5
    )


GRIDS = [(7, 7, 1), (8, 8, 2), (6, 9, 1), (9, 6, 3), (5, 1, 1)]
"""Square and not, odd and even sides: what is flipped, rolled or transposed on one of them shows on another."""


POINTING = {
    "inpainting": lambda indices, _: operators.Inpainting(indices, (6, 8, 1)),
    "fourier": lambda indices, ones: operators.Fourier(indices, ones, (6, 8, 1)),
    "dct": lambda indices, _: operators.RandomizedTransform(jnp.ones(48), indices, 1.0, "dct", (6, 8, 1)),
}


@pytest.mark.parametrize("name", POINTING)
@pytest.mark.parametrize("form", [list, tuple, *(np.dtype(each).type for each in ("u1", "i2", "i8", "f4", "f8"))])
def test_indices_of_any_type(name, form):
    image, chosen = jax.random.normal(key(), (6, 8, 1)), [47, 0, 5]
    made, same = (POINTING[name](indices, np.ones(3)) for indices in (form(chosen), jnp.array(chosen)))
    np.testing.assert_array_equal(made.forward(image), same.forward(image))
    batch = POINTING[name](np.array([chosen, chosen[::-1]]), np.ones((2, 3)))
    if name != "dct":  # whose signs are not given once for each
        assert operators.Stack(batch).size == 2
    traced = jax.jit(lambda indices: POINTING[name](indices, jnp.ones(3)).forward(image))(jnp.array(chosen))
    np.testing.assert_allclose(traced, same.forward(image), atol=1e-6)


@pytest.mark.parametrize("name", POINTING)
@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 48, 9999], "indices: 48 .2 of 3 are wrong.: give whole numbers from 0 to 47"),
        ([-1, 3], "indices: -1 "),
        (np.array([2**32, 3]), "indices: 4294967296 "),
        (np.array([2**64 - 1, 3], np.uint64), "indices: 18446744073709551615 "),
        ([0.5, 3.0], "indices: 0.5 "),
        ([1 + 1j, 3], "indices: .1.1j. "),
        ([np.nan, 3], "indices: nan "),
        (np.arange(48) % 3 == 0, "indices are bool: give whole numbers"),
        (5, r"indices of shape \(\)"),
        (np.zeros((1, 2, 3), int), r"indices of shape \(1, 2, 3\)"),
        ([], r"indices of shape \(0,\)"),
        (["0", "1"], "indices are of type list"),
        ([[0, 1], [2]], "indices are of type list"),
        (None, "indices are of type NoneType"),
        (np.ma.masked_array([1, 2], [True, False]), "indices: 1 entries are masked"),
    ],
)
def test_indices_that_are_none_of_the_image(name, indices, message):
    with pytest.raises(cs.InputError, match=message) as error:
        POINTING[name](indices, np.ones(2))
    assert "\n" not in str(error.value)


def test_indices_of_a_randomized_transform_come_once():
    with pytest.raises(cs.InputError, match="some come twice"):
        POINTING["dct"]([3, 5, 3], None)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 0.0], "weights: 0.0 .1 of 2 are wrong.: give finite numbers above 0"),
        ([1, -2], "weights: -2"),
        ([1, np.nan], "weights: nan"),
        ([np.inf, 1], "weights: inf"),
        ([1.0, 1e-60], "weights: 0.0"),
        ([1, 1j], "weights are complex"),
        ([1.0, 1.0, 1.0], r"weights of shape \(3,\) for indices of shape \(2,\): give one for each"),
        (1.0, r"weights of shape \(\)"),
        ([[1.0, 1.0]], r"weights of shape \(1, 2\)"),
        ("none", "weights are of type str"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(cs.InputError, match=message):
        operators.Fourier([0, 5], weights, (6, 8, 1))


@pytest.mark.parametrize("small", [np.float64(1e-50), np.float64(5e-324), np.longdouble(1e-310), np.float16(6e-8)])
@pytest.mark.parametrize("make", [operators.inpainting, operators.cartesian_fourier])
def test_a_mask_is_compared_with_zero_before_it_is_rounded(make, small):
    mask = np.ones((6, 8), small.dtype)
    mask[::2] = small
    assert make(mask, (6, 8, 1)).indices.size == 48
    assert make(mask * small, (6, 8, 1)).indices.size == np.count_nonzero(mask * small)


def random_mask(shape, seed=0):
    """Half of the entries, no symmetry."""
    mask = np.random.default_rng(seed).random(shape) < 0.5
    mask.flat[-1] = not mask.flat[0]
    return mask


def random_image(shape):
    return np.random.default_rng(1).uniform(-1, 1, shape).astype(np.float32)


@pytest.mark.parametrize("dtype", [bool, np.uint8, float])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("shape", GRIDS)
def test_inpainting_is_numpys_own_indexing(shape, per_channel, dtype):
    """The adjoint too: the measured pixels at their places, zeros elsewhere."""
    mask = random_mask(shape if per_channel else shape[:2])
    operator, x = operators.inpainting(mask.astype(dtype), shape), random_image(shape)
    y = operator.forward(x)
    np.testing.assert_array_equal(y, x[mask].reshape(-1))
    expected = np.zeros(shape, np.float32)
    expected[mask] = x[mask]
    np.testing.assert_array_equal(operator.adjoint(y), expected)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shape", GRIDS)
def test_cartesian_samples_are_numpys_own_indexing(shape, centred):
    """Channel by channel, row-major; the adjoint is the real part of the zero-filled image."""
    mask, x = random_mask(shape[:2]), random_image(shape)
    operator = operators.cartesian_fourier(mask, shape, centred=centred)
    spectrum = np.fft.fft2(x, axes=(0, 1), norm="ortho")
    grid = np.fft.fftshift(spectrum, axes=(0, 1)) if centred else spectrum
    y = operator.forward(x)
    np.testing.assert_allclose(y, grid[mask].T.reshape(-1), atol=1e-5)
    selected = np.fft.ifftshift(mask) if centred else mask
    expected = np.fft.ifft2(spectrum * selected[..., None], axes=(0, 1), norm="ortho").real
    np.testing.assert_allclose(operator.adjoint(y), expected, atol=1e-5)


@pytest.mark.parametrize("shape", GRIDS[:4])
def test_radial_samples_are_those_of_their_mask(shape):
    """DC, then sqrt(2) times the mask's, in the order of the grid whose DC is in the corner."""
    x, mask = random_image(shape), np.fft.ifftshift(radial_mask(3, shape[:2]))
    spectrum = np.fft.fft2(x, axes=(0, 1), norm="ortho")
    expected = np.concatenate([spectrum[:1, 0], np.sqrt(2) * spectrum[mask]]).T.reshape(-1)
    np.testing.assert_allclose(operators.radial_fourier(3, shape).forward(x), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(9, 9), (8, 8), (7, 12), (12, 7)])
def test_the_first_radial_line_is_flat_and_the_middle_one_steep(size):
    """As far as each frequency has its mirror image on the grid."""
    h, w = size
    flat, steep = np.zeros(size, bool), np.zeros(size, bool)
    flat[h // 2, w // 2 - (w - 1) // 2 : w // 2] = True
    steep[h // 2 - (h - 1) // 2 : h // 2, w // 2] = True
    np.testing.assert_array_equal(radial_mask(1, size), flat)
    np.testing.assert_array_equal(radial_mask(2, size), flat | steep)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
def test_dense_is_numpys_own_product(dtype):
    """On a matrix without symmetry; the adjoint conjugates, and takes the real part."""
    matrix = np.random.default_rng(2).standard_normal((17, 2, 42)).astype(np.float32)
    matrix = (matrix[:, 0] + 1j * matrix[:, 1]).astype(dtype) if dtype == np.complex64 else matrix[:, 0]
    operator, x = operators.Dense(jnp.asarray(matrix), (7, 3, 2)), random_image((7, 3, 2))
    y = matrix @ x.reshape(-1)
    np.testing.assert_allclose(operator.forward(x), y, rtol=1e-4, atol=1e-5)
    expected = (matrix.conj().T @ y).real.reshape(7, 3, 2)
    np.testing.assert_allclose(operator.adjoint(y), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["dct", "hadamard"])
def test_randomised_transforms_are_their_definition(name):
    """scale S T D x, T by scipy's own matrices, distinct coefficients, signs that are not all alike."""
    shape, m, scale = (6, 4, 2), 20, 1.5
    make = {"dct": operators.subsampled_dct, "hadamard": operators.subsampled_hadamard}[name]
    operator, x = make(key(3), m, shape, scale), random_image(shape)
    signed = x * np.asarray(operator.signs, np.float32).reshape(shape)
    if name == "dct":
        coefficients = scipy.fft.dctn(signed, norm="ortho").reshape(-1)
    else:  # of 48 = 3 * 16 entries
        odd = scipy.fft.dct(np.eye(3), axis=0, norm="ortho")
        coefficients = np.kron(odd, scipy.linalg.hadamard(16) / 4) @ signed.reshape(-1)
    indices = np.asarray(operator.indices)
    np.testing.assert_allclose(operator.forward(x), scale * coefficients[indices], atol=1e-5)
    assert len(set(indices)) == m and set(np.asarray(operator.signs)) == {-1, 1}


def test_zero_filled_radial_image_keeps_the_measured_frequencies():
    x = image()[..., :1]
    operator = operators.radial_fourier(4, x.shape)
    full = radial_mask(4, x.shape[:2])
    full = full | np.roll(np.roll(full[::-1, ::-1], 1, 0), 1, 1)
    full[6, 5] = True
    spectrum = np.fft.fft2(x[..., 0]) * np.fft.ifftshift(full)
    np.testing.assert_allclose(operator.adjoint(operator.forward(x))[..., 0], np.fft.ifft2(spectrum).real, atol=1e-5)


@pytest.mark.parametrize("name", ["gaussian", "radial_fourier"])
def test_noise_has_the_stated_variance(name):
    operator = {
        "gaussian": operators.gaussian(key(), 200, (20, 20, 1)),
        "radial_fourier": operators.radial_fourier(9, (64, 64, 1)),
    }[name]
    x, s = jnp.zeros(operator.image_shape), 50.0
    noise = np.concatenate([cs.operators.measure(key(i), operator, x, s) for i in range(50)])
    m = operator.measurements_like.shape[0]
    assert np.iscomplexobj(noise) == (name == "radial_fourier")
    np.testing.assert_allclose(np.mean(np.abs(noise) ** 2), s / m, rtol=0.05)


def test_measure_takes_a_plain_callable_and_no_noise_is_exact():
    x = image()
    np.testing.assert_array_equal(cs.operators.measure(key(), lambda v: v[0, 0], x), x[0, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: operators.Dense(jnp.ones((3, 5)), (2, 2, 1)), r"\(3, 5\) does not fit images of shape \(2, 2, 1\)"),
        (lambda: operators.Dense(jnp.ones((2, 4)), (2, 2, 1), jnp.ones(3)), r"row_scale of shape \(3,\)"),
        (lambda: operators.Dense(jnp.ones((2, 4)), (2, 2, 1)).astype("float8"), "unknown dtype 'float8'"),
        (lambda: operators.Dense(jnp.ones((2, 4), complex), (2, 2, 1)).astype("int8"), "complex64: it cannot be"),
        (lambda: operators.gaussian(key(), 0, (2, 2, 1)), "m = 0 of n = 4"),
        (lambda: operators.rademacher(key(), 0, (2, 2, 1)), "m = 0 of n = 4"),
        (lambda: operators.Rademacher(jnp.zeros(2, jnp.uint32), 0, (2, 2, 1)), "m = 0 of n = 4"),
        (lambda: operators.gaussian(key(), 2.5, (2, 2, 1)), "m = 2.5 of n = 4 pixels: .* a whole number"),
        (lambda: operators.gaussian(key(), 2, (2, 2, 1), "float64"), "JAX_ENABLE_X64=1"),
        (lambda: operators.subsampled_dct(key(), 5, (2, 2, 1)), "m = 5 of n = 4 .* no more coefficients"),
        (lambda: operators.gaussian(key(), 2, (2, 2)), r"image_shape = \(2, 2\): give \(h, w, c\)"),
        (lambda: operators.gaussian(key(), 2, 28), "image_shape = 28: give"),
        (lambda: operators.gaussian(key(), 2, jnp.ones((2, 2, 1))), "image_shape = a ArrayImpl: give"),
        (lambda: operators.radial_fourier(5, (8, 8)), r"image_shape = \(8, 8\): give"),
        (lambda: operators.cartesian_fourier(np.ones((8, 8)), (8, 8)), r"image_shape = \(8, 8\): give"),
        (lambda: operators.inpainting(np.ones((8, 8)), (8, 8)), r"image_shape = \(8, 8\): give"),
        (lambda: operators.Identity((8, -8, 1)), r"image_shape = \(8, -8, 1\): give"),
        (lambda: operators.Linear(3, (8, 8, 1)), "fn is a int: give a function"),
        (lambda: operators.Linear(lambda x: x, (8.0, 8, 1)), r"image_shape = \(8.0, 8, 1\): give"),
        (lambda: operators.Dense(jnp.ones((2, 4)), 4), "image_shape = 4: give"),
        (lambda: cs.methods.CsDip.preset("paper", (28, 28)), r"image_shape = \(28, 28\): give"),
        (lambda: cs.methods.METHODS["tv"].preset("paper", (28, 28)), r"image_shape = \(28, 28\): give"),
        (lambda: operators.gaussian(jax.random.split(key()), 2, (2, 2, 1)), r"keys of shape \(2,\): give one"),
        (lambda: operators.rademacher(key(), 2, (-2, 2, 1)), r"image_shape = \(-2, 2, 1\): give"),
        (lambda: operators.gaussian(5, 2, (2, 2, 1)), "key is a int: give jax.random.key"),
        (lambda: operators.rademacher(5, 2, (2, 2, 1)), "key is a int"),
        (
            lambda: operators.subsampled_hadamard(jax.random.PRNGKey(0), 2, (2, 2, 1)),
            "key is a ArrayImpl without a key type, as jax.random.PRNGKey",
        ),
        (lambda: operators.measure(None, operators.Identity((2, 2, 1)), jnp.ones((2, 2, 1))), "key is a NoneType"),
        (lambda: operators.subsampled_hadamard(key(), 2, (2, 2, 1), -1.0), "scale = -1.0: it must be above 0"),
        (
            lambda: operators.RandomizedTransform(jnp.ones(4), jnp.arange(2), 1.0, "sine", (2, 2, 1)),
            "unknown transform 'sine': choose from dct, hadamard",
        ),
        (lambda: operators.radial_fourier(0, (8, 8, 1)), "num_lines = 0"),
        (lambda: operators.cartesian_fourier(np.zeros((8, 8)), (8, 8, 1)), "selects nothing"),
        (lambda: operators.inpainting(np.zeros((8, 8)), (8, 8, 1)), "selects nothing"),
        (lambda: operators.inpainting(np.ones((8, 7)), (8, 8, 1)), r"\(8, 7\) does not fit"),
        (lambda: operators.measure(key(), lambda x: x, jnp.ones((2, 2, 1)), -1.0), "noise_variance = -1.0"),
        (lambda: operators.as_operator(3, (2, 2, 1)), "operator is a int"),
        (lambda: operators.as_operator(operators.Identity((2, 2, 1)), (2, 3, 1)), r"\(2, 2, 1\), not \(2, 3, 1\)"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(cs.InputError, match=message):
        make()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_narrow_storage_does_not_hide_an_entry_that_is_not_finite(dtype, bad):
    matrix = jnp.ones((3, 16)).at[1, 2].set(bad)
    narrow = cs.operators.Dense(matrix, (4, 4, 1)).astype(dtype)
    with pytest.raises(cs.InputError, match="operator: .* NaN or infinite"):
        cs.reconstruct(cs.methods.Damp((4, 4, 1)), cs.Problem(narrow, jnp.ones(3)), jax.random.key(0))
