"""Matrices that are read once, where they lie, beside their two products."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from csdip_jax import operators
from csdip_jax.operators import dense, in_place
from tests.test_operators import LINEAR, SHAPE, image, key, vdot

DENSE = [name for name in LINEAR if name.startswith(("gaussian", "dense"))]


@pytest.fixture
def read_once(monkeypatch):
    """On a CPU matrices of any size are read once, where they lie."""
    monkeypatch.setattr(dense, "CACHED_BYTES", 0)


@pytest.mark.parametrize(
    ("cached_bytes", "dtype", "form"),
    [
        (10**9, "float32", operators.LinearOperator.residual_and_adjoint),
        (0, "float32", in_place.residual_and_adjoint),
        (10**9, "float16", in_place.residual_and_adjoint),
        (10**9, "int8", in_place.residual_and_adjoint),
    ],
)
def test_a_matrix_is_read_in_the_form_that_is_fastest_for_it(cached_bytes, dtype, form, on_cpu, monkeypatch):
    monkeypatch.setattr(dense, "CACHED_BYTES", cached_bytes)
    operator = operators.gaussian(key(1), 101, SHAPE, dtype)
    y, x = operator.forward(image(1)), image()
    once, expected = (
        jax.jit(function).lower(y, x) for function in (operator.residual_and_adjoint, lambda y, x: form(operator, y, x))
    )
    assert once.as_text().split("\n", 1)[1] == expected.as_text().split("\n", 1)[1]  # but for the names
    residual, back = operator.residual_and_adjoint(y, x)
    np.testing.assert_allclose(residual, y - operator.forward(x), atol=2e-5)
    np.testing.assert_allclose(back, operator.adjoint(residual), atol=1e-4)


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize(("images", "shared"), [(None, True), (3, True), (4, True), (3, False)])
def test_a_matrix_that_is_read_once(name, images, shared, read_once):
    """One image, or several that share a matrix or have one each, beside the two products of each."""
    operator = LINEAR[name]()
    batch = jnp.stack([image(i) for i in range(images or 1)])
    ys = jax.vmap(operator.forward)(batch[::-1] + 1)
    many = operator if shared else jax.tree.map(lambda leaf: jnp.stack([leaf] * len(batch)), operator)
    axis = None if shared else 0

    def once(operator, y, x):
        return operator.residual_and_adjoint(y, x)

    if images is None:
        residuals, backs = (part[None] for part in once(operator, ys[0], batch[0]))
    else:
        residuals, backs = jax.vmap(once, (axis, 0, 0))(many, ys, batch)
    for y, x, residual, back in zip(ys, batch, residuals, backs, strict=True):
        np.testing.assert_allclose(residual, y - operator.forward(x), atol=2e-5)
        np.testing.assert_allclose(back, operator.adjoint(residual), atol=1e-4)


@pytest.mark.parametrize(("m", "shape"), [(1, (1, 1, 1)), (3, (5, 1, 1)), (8, (4, 4, 1)), (17, (7, 11, 1))])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_rows_and_columns_that_are_left_over(m, shape, dtype, read_once):
    operator = operators.gaussian(key(3), m, shape, dtype)
    x, y = jax.random.normal(key(4), shape), jax.random.normal(key(5), (m,))
    residual, back = operator.residual_and_adjoint(y, x)
    np.testing.assert_allclose(residual, y - operator.forward(x), atol=1e-5)
    np.testing.assert_allclose(back, operator.adjoint(residual), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_no_block_of_rows_is_copied(dtype, on_cpu, read_once, monkeypatch):
    """What reading once rests on: XLA fuses each slice of A into the loop that uses it."""
    monkeypatch.setattr(in_place, "ROWS", 2 * in_place.PIECES)  # whose sum is no image
    shape = (64, 64, 1)
    operator = operators.gaussian(key(3), 64, shape, dtype)
    once = jax.jit(lambda operator, y, x: operator.residual_and_adjoint(y, x))
    program = once.lower(operator, jnp.ones(64), jnp.ones(shape)).compile().as_text()
    outside = "".join(
        part for part in re.split(r"\n(?=%|ENTRY)", program) if not re.match(r"%\S*fused_computation", part)
    )
    made = re.findall(r"%\S+ = \w+\[([\d,]+)\]\S* (?:fusion|copy|dynamic-slice|convert)\(", outside)
    sizes = [int(np.prod([int(side) for side in sides.split(",")])) for sides in made]
    assert sorted(sizes)[-2:] == [64 * 64, 2 * 64 * 64]  # an image, and one sum of the pieces of sixteen rows


@pytest.mark.parametrize(("outer", "inner"), [(3, None), (4, None), (3, 1), (4, 1), (1, 4), (2, 2)])
@pytest.mark.parametrize("inner_y", [True, False])
def test_images_that_share_a_matrix_are_counted_over_all_axes(outer, inner, inner_y, read_once):
    """From four on they are multiplied with copied blocks of forty rows; right in either form."""
    operator = LINEAR["gaussian_int8"]()
    xs = jax.random.normal(key(4), (outer, inner or 1, *SHAPE))
    ys = jax.random.normal(key(5), (outer, inner or 1, 101))

    def once(y, x):
        return operator.residual_and_adjoint(y, x)

    if inner is None:
        function, arrays = jax.vmap(once), (ys[:, 0], xs[:, 0])
    else:
        function = jax.vmap(jax.vmap(once, (0 if inner_y else None, 0)))
        arrays = (ys if inner_y else ys[:, 0]), xs
    if jax.default_backend() == "cpu":
        assert ("tensor<40x240xf32>" in jax.jit(function).lower(*arrays).as_text()) == (outer * (inner or 1) >= 4)
    residuals, backs = (part.reshape(xs.shape[0], xs.shape[1], -1) for part in function(*arrays))
    for i, j in np.ndindex(xs.shape[:2]):
        residual = ys[i, j if inner_y else 0] - operator.forward(xs[i, j])
        np.testing.assert_allclose(residuals[i, j], residual, atol=1e-4)
        np.testing.assert_allclose(backs[i, j], operator.adjoint(residual).reshape(-1), atol=1e-3)


@pytest.mark.parametrize("stored", ["float32", "float16", "int8"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_images_do_not_overflow(stored, dtype, read_once):
    """As two products have them, but added up in float32."""
    operator = operators.Dense(jnp.full((9, 4096), 0.1), (64, 64, 1))
    operator = operator if stored == "float32" else operator.astype(stored)
    y, x = jnp.ones(9, dtype), jnp.full((64, 64, 1), 0.01, dtype)
    found = operator.residual_and_adjoint(y, x)
    expected = jax.eval_shape(operators.LinearOperator.residual_and_adjoint, operator, y, x)
    assert [part.dtype for part in found] == [part.dtype for part in expected]
    np.testing.assert_allclose(np.asarray(found[0], "float32"), 1 - 4.096, rtol=1e-2)


@pytest.mark.parametrize("name", DENSE)
def test_second_derivatives_of_the_loss_of_a_matrix_that_is_read_once(name, read_once):
    operator, x, direction = LINEAR[name](), image(), image(1)
    gradient = jax.grad(operators.measurement_loss, 2)
    found = jax.grad(lambda x: vdot(gradient(operator, operator.forward(image(2)), x), direction))(x)
    np.testing.assert_allclose(found, 2 * operator.normal(direction), rtol=1e-3, atol=1e-4 * jnp.abs(found).max())
