"""A @ B beyond the properties of every operator (tests/test_operators.py), and stacks of operators in `reconstruct`."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import operators
from csdip_jax.operators import Composition, Dense, Identity, Linear, Nonlinear, Stack, radial_fourier, stack

SHAPE, KEY = (8, 6, 1), jax.random.key(0)
TV = cs.methods.Tv(SHAPE, steps=30)


def blurred(image):
    return (image + jnp.roll(image, 1, axis=0)) / 2


def turned(scale=1.0):
    """An isometry but for its scale."""
    return operators.subsampled_dct(KEY, 48, SHAPE, scale)


def gaussian(i=0):
    return operators.gaussian(jax.random.key(i), 20, SHAPE)


def disc(radius=2.0):
    rows, columns = np.indices(SHAPE[:2])
    return jnp.asarray(2.0 * ((rows - 3.5) ** 2 + (columns - 2.5) ** 2 < radius**2) - 1)[..., None]


def matrix_of(operator):
    return np.asarray(jax.vmap(operator.forward)(jnp.eye(48).reshape(-1, *SHAPE))).reshape(48, -1).T


COMPOSED = {
    "a matrix of an isometry": (lambda: gaussian() @ turned(2.0), False),
    "k-space of an isometry": (lambda: radial_fourier(2, SHAPE) @ turned(2.0), True),
    "k-space of the image": (lambda: radial_fourier(2, SHAPE) @ Identity(SHAPE), True),
    "an isometry of pixels": (lambda: operators.subsampled_dct(KEY, 24, (1, 24, 1), 1.5) @ half_of_the_pixels(), True),
    "isometries": (lambda: turned(2.0) @ Identity(SHAPE) @ turned(0.5), True),
    "a matrix of a function": (lambda: gaussian() @ Linear(blurred, SHAPE), False),
}


def half_of_the_pixels():
    return operators.Inpainting(jnp.arange(0, 48, 2), SHAPE)


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_operators_are_products_of_matrices(name):
    """Their norm, exactly where a part is an isometry but for its scale; and what is solved exactly."""
    make, is_solved_exactly = COMPOSED[name]
    operator = make()
    assert isinstance(operator, Composition) and operator.is_solved_exactly == is_solved_exactly
    assert not isinstance(operator.outer, Composition)
    matrix = matrix_of(operator)
    exact = operator.outer.isometry is not None or operator.inner.isometry is not None
    np.testing.assert_allclose(matrix, matrix_of_parts(operator), atol=1e-4)
    norm = operator.frobenius_norm()
    np.testing.assert_allclose(norm, np.linalg.norm(matrix), rtol=1e-5 if exact else 0.1)
    u = np.linalg.svd(matrix)[0][:, 0]
    rest = np.linalg.norm(matrix - np.outer(u, u.conj() @ matrix))
    np.testing.assert_allclose(operator.frobenius_norm(jnp.asarray(u)), rest, rtol=0.2)
    if operator.isometry is not None:
        np.testing.assert_allclose(matrix @ matrix.T, operator.isometry * np.eye(48), atol=1e-4)


def matrix_of_parts(operator):
    pixels = math.prod(operator.outer.image_shape)
    outer = jax.vmap(operator.outer.forward)(jnp.eye(pixels).reshape(-1, *operator.outer.image_shape)).T
    return outer @ matrix_of(operator.inner)


def test_the_gain_is_that_of_columns_or_of_samples():
    """The root mean square of the columns, which noise and weights are meant for; k-space keeps its own unit."""
    columns = gaussian() @ Linear(lambda x: 3 * x, SHAPE)
    np.testing.assert_allclose(columns.gain(columns.frobenius_norm()), 3, rtol=0.15)
    samples = radial_fourier(2, SHAPE) @ turned(3.0)
    np.testing.assert_allclose(samples.gain(samples.frobenius_norm()), 3, rtol=1e-5)
    assert (radial_fourier(2, SHAPE) @ Identity(SHAPE)).is_balanced
    assert not samples.is_balanced and not (gaussian() @ Identity(SHAPE)).is_balanced


def test_images_that_b_makes_for_a():
    """Flat ones, stacks and complex ones; A of each, and of both parts."""
    x = disc()
    several = radial_fourier(2, SHAPE) @ Linear(lambda image: jnp.stack([image, 2 * image]), SHAPE)
    one = radial_fourier(2, SHAPE).forward(x)
    np.testing.assert_allclose(several.forward(x), jnp.concatenate([one, 2 * one]), rtol=1e-6)
    phases = gaussian() @ Linear(lambda image: 1j * image, SHAPE)
    np.testing.assert_allclose(phases.forward(x), 1j * gaussian().forward(x), rtol=1e-6)
    flat = gaussian() @ Identity(SHAPE)
    np.testing.assert_array_equal(flat.forward(x), gaussian().forward(x))


def test_functions_on_either_side():
    x = disc()
    magnitudes, of_square = jnp.abs @ radial_fourier(2, SHAPE), gaussian() @ jnp.square
    assert isinstance(magnitudes, Nonlinear) and isinstance(of_square, Nonlinear)
    np.testing.assert_allclose(magnitudes.forward(x), jnp.abs(radial_fourier(2, SHAPE).forward(x)))
    np.testing.assert_allclose(of_square.forward(x), gaussian().forward(x**2), rtol=1e-6)
    assert operators.as_operator(magnitudes, SHAPE) is not None
    assert operators.measure(KEY, of_square, x).shape == (20,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian() @ half_of_the_pixels(), r"B makes \(24,\) of an image, but A takes images of \(8, 6, 1\)"),
        (lambda: gaussian() @ np.ones((48, 48)), "A @ B of a ndarray: give operators or functions; a matrix as Dense"),
        (lambda: np.ones((48, 48)) @ gaussian(), "A @ B of a ndarray"),
        (lambda: jnp.ones((48, 48)) @ gaussian(), "A @ B of a ArrayImpl"),
        (lambda: gaussian() @ stack([gaussian()]), "A @ B of a stack of operators"),
        (lambda: Nonlinear(jnp.abs, SHAPE) @ Linear(lambda x: 1j * x, SHAPE), "complex images, and A is not linear"),
        (lambda: gaussian() @ (lambda x: np.asarray(x)), "traced by JAX .* ends in TracerArrayConversionError"),
        (lambda: Stack(3), "a stack of a int: give an operator"),
        (lambda: Stack(Identity(SHAPE)), "a stack of Identity: it has no arrays"),
        (lambda: stack([gaussian(), Identity(SHAPE)]), "a stack of Dense, Identity: give operators of one form"),
        (lambda: stack([]), "a stack of none"),
        (lambda: operators.as_operator(stack([gaussian()]), SHAPE), "a stack of 1: give one"),
        (lambda: operators.measure(KEY, stack([gaussian()]), disc()), "a stack of 1: give one"),
        (
            lambda: cs.reconstruct(TV, cs.Problem(Stack(gaussian()), jnp.ones((20, 20))), KEY),
            r"do not fit the operator: it makes \(\) per image",
        ),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(cs.InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def times(matrix, image):
    return matrix @ image.reshape(-1)


STACKED = {
    "matrices": gaussian,
    "functions": lambda i: Linear(jax.tree_util.Partial(times, gaussian(i).matrix), SHAPE),
    "compositions": lambda i: gaussian(i) @ Linear(blurred, SHAPE),
}


@pytest.mark.parametrize("name", STACKED)
def test_a_stack_is_reconstructed_as_its_operators_are(name):
    """Said by a `Stack`, or found by the arrays where these do not fit otherwise."""
    singles = [STACKED[name](i) for i in range(2)]
    problems = [cs.Problem(a, a.forward(disc(1.5 + i))) for i, a in enumerate(singles)]
    together = cs.Problem(stack(singles), jnp.stack([p.measurements for p in problems]))
    found = cs.reconstruct(TV, together, KEY, image_ids=[0, 0])
    for i, problem in enumerate(problems):
        np.testing.assert_allclose(found.image[i], cs.reconstruct(TV, problem, KEY).image, atol=1e-3)
    if name != "functions":  # a product with several matrices fits as it stands
        plain = together._replace(operator=together.operator.operator)
        np.testing.assert_array_equal(cs.reconstruct(TV, plain, KEY, image_ids=[0, 0]).image, found.image)


def test_a_stack_of_nonlinear_functions():
    """Each image by its own, in its own unit."""
    method = dataclasses.replace(cs.methods.CsDip(SHAPE), steps=2)
    singles = [jnp.abs @ Dense(scale * gaussian(i).matrix, SHAPE) for i, scale in enumerate((1.0, 30.0))]
    problems = [cs.Problem(a, a.forward(disc(1.5 + i))) for i, a in enumerate(singles)]
    together = cs.Problem(stack(singles), jnp.stack([p.measurements for p in problems]))
    found = cs.reconstruct(method, together, KEY, image_ids=[0, 0], pixel_range=(0, 1))
    for i, problem in enumerate(problems):
        alone = cs.reconstruct(method, problem, KEY, pixel_range=(0, 1))
        np.testing.assert_allclose(found.image[i], alone.image, atol=1e-3)
        np.testing.assert_allclose(found.measurement_loss[i], alone.measurement_loss, rtol=1e-3)


def test_a_composition_is_reconstructed_as_its_matrix_is():
    composed = gaussian() @ Linear(blurred, SHAPE)
    y = composed.forward(disc())
    ours = cs.reconstruct(TV, cs.Problem(composed, y), KEY)
    theirs = cs.reconstruct(TV, cs.Problem(Dense(matrix_of(composed), SHAPE), y), KEY)
    assert cs.metrics.mse(ours.image, theirs.image) < 1e-3  # its norm is estimated
