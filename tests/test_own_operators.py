"""Operators of a user's own: those that serve, and one line for each kind that does not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import csdip_jax as cs
from csdip_jax.operators import Linear, LinearOperator, Nonlinear
from csdip_jax.types import pytree_dataclass, static_field

SHAPE, KEY = (8, 8, 1), jax.random.key(0)
RANDOM = np.random.default_rng(0)
MATRIX = RANDOM.standard_normal((30, 64)).astype(np.float32)
TV = cs.methods.Tv(SHAPE, steps=2)
CSDIP = cs.methods.CsDip(SHAPE, steps=2, generator=cs.generators.DCGAN(SHAPE, latent_dim=4))


def product(image):
    return MATRIX @ image.reshape(-1)


def bound(fn, leaf):
    return Linear(jax.tree_util.Partial(fn, leaf), SHAPE)


@pytree_dataclass
class Given(LinearOperator):
    matrix: jax.Array
    image_shape: tuple = static_field()

    def forward(self, image):
        return self.matrix @ image.reshape(-1)


@pytree_dataclass
class WithAnotherAdjoint(Given):
    def adjoint(self, measurements):
        return 2 * (measurements @ self.matrix).reshape(self.image_shape)


class NoPytree(LinearOperator):
    image_shape = SHAPE

    def forward(self, image):
        return product(image)


SOUND = {
    "function": Linear(product, SHAPE),
    "fft": Linear(lambda image: jnp.fft.fft2(image[..., 0])[:3], SHAPE),
    "float16 storage": bound(lambda a, image: a.astype(jnp.float32) @ image.reshape(-1), jnp.float16(MATRIX)),
    "large offset of the patterns": Linear(lambda image: (MATRIX + np.float32(1e4)) @ image.reshape(-1), SHAPE),
    "cancellation": Linear(lambda image: product(image + 100) - product(np.full(SHAPE, 100, "f4")), SHAPE),
    "tiny": Linear(lambda image: 1e-20 * product(image), SHAPE),
    "huge": Linear(lambda image: 1e15 * product(image), SHAPE),
    "indices": bound(lambda i, image: image.reshape(-1)[i], np.arange(0, 64, 3)),
    "sparse": bound(lambda a, image: a @ image.reshape(-1), scipy.sparse.csr_matrix(MATRIX)),
    "class": Given(MATRIX, SHAPE),
    "big-endian": Given(MATRIX.astype(">f8"), SHAPE),
}


@pytest.mark.parametrize("name", SOUND)
@pytest.mark.filterwarnings("ignore:the pixels seem to fill")  # where A cancels a thousandfold
def test_sound_operators_are_taken(name):
    y = cs.operators.measure(KEY, SOUND[name], np.ones(SHAPE, int))
    cs.reconstruct(TV, cs.Problem(SOUND[name], y), KEY)


def branching(image):
    return product(image) if image.sum() > 0 else -product(image)


def called(image):
    return jax.pure_callback(
        lambda x: MATRIX @ np.asarray(x).reshape(-1), jax.ShapeDtypeStruct((30,), "float32"), image
    )


def looping(image):
    return jax.lax.while_loop(lambda c: c[0] < image.sum(), lambda c: (c[0] + 1, 2 * c[1]), (0.0, product(image)))[1]


def drawn():
    return 0.1 * RANDOM.standard_normal(30).astype(np.float32)


UNTRACEABLE = r"traced by JAX for an image of shape \(8, 8, 1\), ends in {}.*; write it with jax.numpy"
UNSOUND = {
    "numpy": (lambda image: MATRIX @ np.asarray(image).reshape(-1), UNTRACEABLE.format("TracerArray")),
    "scipy": (lambda image: scipy.sparse.csr_matrix(MATRIX) @ image.reshape(-1), UNTRACEABLE.format("")),
    "control flow": (branching, UNTRACEABLE.format("TracerBool")),
    "another shape": (lambda image: image.reshape(65), UNTRACEABLE.format("TypeError: cannot reshape")),
    "arguments": (lambda image, more: image, UNTRACEABLE.format("TypeError: .* missing 1")),
    "text": (lambda image: "y", UNTRACEABLE.format("TypeError")),
    "tuple": (lambda image: (image[0], image[1]), r"gives 2 arrays \(tuple\): return one"),
    "dictionary": (lambda image: {"y": image}, r"gives 1 arrays \(dict\): return one"),
    "nothing": (lambda image: None, "gives no array: return one"),
    "empty": (lambda image: image[:0], "gives no measurements, shape"),
    "whole numbers": (lambda image: product(image).astype(int), "gives int32: return floating point"),
    "bool": (lambda image: product(image) > 0, "gives bool: return floating point"),
    "float16": (lambda image: product(image).astype(jnp.float16), "gives float16: return float32"),
    "bfloat16": (lambda image: product(image).astype(jnp.bfloat16), "gives bfloat16: return float32"),
    "constant": (lambda image: jnp.ones(30), "the same measurements of any image"),
    "noise": (lambda image: product(image) + drawn(), "other measurements of the same image the second time"),
    "NaN": (lambda image: product(image) * jnp.nan, "30 of 30 measurements of a random image .* NaN or infinite"),
    "complex": (lambda image: product(image) + 0j, "measurements are float32, but the operator's are complex64: give"),
}
UNSOUND_IF_LINEAR = {
    "absolute": (lambda image: jnp.abs(product(image)), "not linear: A .2 u - 3 v. differs .* operators.Nonlinear"),
    "saturating": (lambda image: jnp.tanh(0.2 * product(image)), "not linear: A .2 u - 3 v. differs"),
    "dark count": (lambda image: product(image) + 3, "A 0 is not 0, it is of size 3: take it off y and the function"),
    "a little": (lambda image: product(image) + 0.05, "A 0 is not 0, it is of size 0.05: take it off"),
    "callback": (called, "is linear, but its transpose ends in ValueError: Pure callbacks"),
}
UNSOUND_ELSE = {
    "callback": (called, "derivative of the operator's function ends in ValueError: Pure callbacks"),
    "loop": (looping, "derivative of the operator's function ends in ValueError: Reverse-mode"),
    "rounded": (lambda image: jnp.round(4 * product(image)), "a derivative of 0 everywhere"),
    "sign": (lambda image: jnp.sign(product(image)), "a derivative of 0 everywhere"),
    "stopped": (lambda image: jax.lax.stop_gradient(product(image)), "a derivative of 0 everywhere"),
}
KINDS = (
    [(f"Linear {name}", Linear(fn, SHAPE), TV, line) for name, (fn, line) in (UNSOUND | UNSOUND_IF_LINEAR).items()]
    + [(f"Nonlinear {name}", Nonlinear(fn, SHAPE), CSDIP, line) for name, (fn, line) in UNSOUND_ELSE.items()]
    + [(f"callable {name}", fn, CSDIP, line) for name, (fn, line) in (UNSOUND | UNSOUND_ELSE).items()]
    + [
        ("adjoint", WithAnotherAdjoint(MATRIX, SHAPE), TV, "adjoint is not that of its forward: <A u, y> = .*leave"),
        ("no pytree", NoPytree(), TV, "NoPytree, which is no pytree: decorate the class by"),
        ("text", bound(lambda a, image: image, "x"), TV, "a leaf of the operator is of type str"),
        ("class NaN", Given(np.full((30, 64), np.nan), SHAPE), TV, "operator: 1920 of 1920 entries are NaN"),
    ]
)


@pytest.mark.parametrize(("operator", "method", "line"), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS])
def test_one_line_for_each_kind_that_does_not_serve(operator, method, line):
    with pytest.raises(cs.InputError, match=line) as caught:
        cs.reconstruct(method, cs.Problem(operator, np.ones(30, np.float32)), KEY)
    assert "\n" not in str(caught.value)


def test_measure_traces_but_does_not_try():
    """Under jit as well, where no number can be looked at."""
    x = jnp.ones(SHAPE)
    measured = jax.jit(lambda x: cs.operators.measure(KEY, product, x))(x)
    np.testing.assert_allclose(measured, product(x), rtol=1e-5)


@pytest.mark.parametrize("name", ["tv", "lasso_dct", "damp_tv", "csdip"])
def test_more_measurements_than_pixels(name):
    """m = 1.2 n: least squares with whatever the method adds; an image of levels comes out nearly exact by TV."""
    shape = (16, 16, 1)
    x = np.where(np.hypot(*(np.indices(shape[:2]) - 7.5)) < 5, 0.7, -0.6).astype(np.float32)[..., None]
    operator = cs.operators.gaussian(KEY, 300, shape)
    method = dataclasses.replace(cs.methods.METHODS[name].preset("paper", shape), steps=100)
    found = cs.reconstruct(method, cs.Problem(operator, operator.forward(x)), KEY)
    assert cs.metrics.mse(found.image, x) < (1e-3 if name != "csdip" else 0.1)


@pytest.mark.parametrize("make", [cs.operators.gaussian, cs.operators.rademacher])
def test_random_matrices_may_be_tall(make):
    operator = make(KEY, 300, (4, 4, 1))
    assert operator.measurements_like.shape == (300,)
    np.testing.assert_allclose(operator.normal(np.ones((4, 4, 1))), 1, atol=0.6)  # A^T A is near the identity


def test_a_plain_function_is_linear_where_it_is_said_to_be():
    """TV does not guess; its message says what to write, and that serves."""
    y = product(np.linspace(-1, 1, 64))
    with pytest.raises(cs.InputError, match=r"write csdip_jax\.operators\.Linear\(function, image_shape\)"):
        cs.reconstruct(TV, cs.Problem(product, y), KEY)
    assert cs.reconstruct(TV, cs.Problem(Linear(product, SHAPE), y), KEY).image.shape == SHAPE
