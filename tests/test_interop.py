"""In and out of SciPy, pylops, PyTorch and scikit-image."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, aslinearoperator, lsqr

import csdip_jax as cs
from csdip_jax.checks import as_floating, as_numbers
from csdip_jax.solve.checkpoint import fingerprint
from tests.conftest import REPOSITORY
from tests.test_operators import LINEAR as EVERY_LINEAR

SHAPE, KEY, RNG = (8, 8, 1), jax.random.key(0), np.random.default_rng(0)
REAL = RNG.standard_normal((30, 64))
MATRICES = {"real": REAL, "complex": REAL + 1j * RNG.standard_normal(REAL.shape), "float32": REAL.astype("float32")}
IMAGE = RNG.uniform(-1, 1, SHAPE).astype(np.float32)


class Duck:
    """Without a dtype, and no class of SciPy's."""

    shape = REAL.shape

    def matvec(self, x):
        x *= 1  # what it is given is its own
        return REAL @ x

    def rmatvec(self, y):
        return REAL.T @ y


def of_functions(matvec, rmatvec, dtype=float):
    return LinearOperator((30, 64), matvec, rmatvec, dtype=dtype)


@pytest.mark.parametrize("form", [aslinearoperator, scipy.sparse.csr_array, np.asarray])
@pytest.mark.parametrize("name", MATRICES)
def test_from_scipy_is_the_matrix(name, form):
    matrix = MATRICES[name]
    found, dense = cs.operators.from_scipy(form(matrix), SHAPE), cs.operators.Dense(matrix, SHAPE)
    y = dense.forward(IMAGE)
    assert found.measurements_like == dense.measurements_like
    np.testing.assert_allclose(found.forward(IMAGE), y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.adjoint(y), dense.adjoint(y), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [Duck, lambda: scipy.sparse.csr_array(REAL.round().astype(int))])
def test_whatever_has_products(make):
    products = make()
    found = cs.operators.from_scipy(products, SHAPE)
    matrix = REAL if isinstance(products, Duck) else products.toarray()
    np.testing.assert_allclose(found.forward(IMAGE), matrix @ IMAGE.ravel(), rtol=1e-5, atol=1e-5)


def test_precision_of_host_products(x64):
    found = cs.operators.from_scipy(aslinearoperator(REAL), SHAPE)
    x = np.asarray(IMAGE, float)
    assert found.forward(x).dtype == np.float64 and found.forward(IMAGE).dtype == np.float32
    np.testing.assert_allclose(found.forward(x), REAL @ x.ravel(), rtol=1e-13)
    np.testing.assert_allclose(found.adjoint(found.forward(x)).ravel(), REAL.T @ (REAL @ x.ravel()), rtol=1e-12)
    z = MATRICES["complex"]
    found = cs.operators.from_scipy(aslinearoperator(z), SHAPE)
    np.testing.assert_allclose(found.forward(x), z @ x.ravel(), rtol=1e-12)
    np.testing.assert_allclose(found.normal(x).ravel(), (z.conj().T @ (z @ x.ravel())).real, rtol=1e-12)
    eye = cs.operators.from_scipy(scipy.sparse.eye_array(270_000), (300, 300, 3))  # enough to be called by a thread
    made = jax.jit(lambda x: eye.forward(jnp.fft.fft2(x, axes=(0, 1)).real))(np.ones(eye.image_shape))
    np.testing.assert_allclose(made.sum(), 270_000, rtol=1e-14)


@pytest.mark.parametrize("name", ["tv", "lasso_dct", "damp_tv", "csdip"])
def test_every_method_takes_host_products(name):
    """Of columns of norm 1, so that the gain, estimated or exact, is 1."""
    matrix = REAL / np.linalg.norm(REAL, axis=0)
    found, dense = cs.operators.from_scipy(aslinearoperator(matrix), SHAPE), cs.operators.Dense(matrix, SHAPE)
    y = jnp.stack([dense.forward(IMAGE), dense.forward(-IMAGE)])
    method = dataclasses.replace(cs.methods.METHODS[name].preset("paper", SHAPE), steps=5)
    ours, theirs = (cs.reconstruct(method, cs.Problem(operator, y), KEY).image for operator in (found, dense))
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_restarts_and_magnitudes_of_host_products():
    magnitudes = jnp.abs @ cs.operators.from_scipy(aslinearoperator(MATRICES["complex"]), SHAPE)
    method = cs.methods.CsDip(SHAPE, steps=3, restarts=2, generator=cs.generators.DCGAN(SHAPE, latent_dim=4))
    y = magnitudes.forward((IMAGE + 1) / 2)
    assert cs.reconstruct(method, cs.Problem(magnitudes, y), KEY, pixel_range=(0, 1)).ok


def test_a_checkpoint_knows_the_matrix():
    def of(matrix):
        operator = cs.operators.from_scipy(aslinearoperator(matrix), SHAPE)
        return fingerprint(cs.methods.Tv(SHAPE), operator, KEY)

    assert of(REAL) == of(REAL.copy()) != of(np.roll(REAL, 1, axis=0))


ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import jax, numpy as np, csdip_jax as cs
from scipy.sparse.linalg import LinearOperator
shape = (200, 200, 3)
same = LinearOperator((120000, 120000), lambda x: 2 * x, lambda x: 2 * x, dtype=np.float32)
operator = cs.operators.from_scipy(same, shape)
for _ in range(20):
    made = jax.jit(operator.normal)(np.ones(shape, np.float32))
print(float(made.sum()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="cores are chosen on Linux")
def test_large_arrays_on_one_core(on_cpu):
    """Where jax.pure_callback waits for ever."""
    done = subprocess.run([sys.executable, "-c", ONE_CORE], capture_output=True, text=True, cwd=REPOSITORY, timeout=300)
    assert (done.stdout, done.returncode) == ("480000.0\n", 0), done.stderr


def refused():
    z, transposed = MATRICES["complex"], "adjoint is not that of its forward: <A u, y> = .* off by .* %; mend rmatvec"

    def times(matrix):
        return lambda x: matrix @ x

    return {
        "twice": (of_functions(times(REAL), times(2 * REAL.T)), transposed),
        "another row": (of_functions(times(REAL), times(np.roll(REAL, 1, 0).T)), transposed),
        "not conjugated": (of_functions(times(z), times(z.T), complex), transposed),
        "missing": (of_functions(times(REAL), None), "rmatvec of op, of an array .30., ends in NotImplementedError"),
        "failing": (of_functions(lambda x: 1 / 0, times(REAL.T)), "matvec of op, .* ends in ZeroDivisionError"),
        "too short": (of_functions(times(REAL[:9]), times(REAL.T)), r"matvec of op, .* ends in ValueError.* \(30,\)"),
        "affine": (of_functions(lambda x: REAL @ x + 1, times(REAL.T)), "not linear: A 0 is not 0, it is of size 1"),
        "absolute": (of_functions(lambda x: abs(REAL @ x), times(REAL.T)), r"not linear: A \(2 u - 3 v\) differs"),
        "NaN": (of_functions(times(np.nan * REAL), times(REAL.T)), "30 of 30 measurements of a random image"),
        "shape": (aslinearoperator(REAL[:, :9]), r"op of shape \(30, 9\) does not fit images of shape \(8, 8, 1\)"),
        "function": (abs, "op is a builtin_function_or_method: give a scipy.sparse.linalg.LinearOperator"),
    }


@pytest.mark.parametrize("name", refused())
def test_what_is_no_operator_is_refused_in_one_line(name):
    op, message = refused()[name]
    with pytest.raises(cs.InputError, match=message) as caught:
        cs.operators.from_scipy(op, SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gaussian", "gaussian_int8", "radial_fourier", "linear", "fourier_of_coils"])
def test_to_scipy(name):
    """<A x, y> = <x, A^H y> in flat vectors, and lsqr finds what it does with the matrix, its two parts apart."""
    operator = EVERY_LINEAR[name]()
    op = cs.operators.to_scipy(operator)
    assert op.shape == (operator.measurements_like.size, 240) and op.dtype == operator.measurements_like.dtype
    x = RNG.standard_normal(240)
    y = RNG.standard_normal(op.shape[0]) + (1j * RNG.standard_normal(op.shape[0]) if op.dtype.kind == "c" else 0)
    back = op.rmatvec(y)
    assert back.dtype.kind == "f"
    np.testing.assert_allclose(np.vdot(op.matvec(x), y).real, x @ back, rtol=1e-4)
    matrix = np.asarray(op @ np.eye(240), complex)
    found = lsqr(op, y, damp=0.3, iter_lim=400)[0]
    expected = lsqr(np.vstack([matrix.real, matrix.imag]), np.append(y.real, y.imag), damp=0.3, iter_lim=400)[0]
    np.testing.assert_allclose(found, expected, atol=1e-3 * abs(expected).max())


def test_there_and_back():
    dense = cs.operators.Dense(REAL, SHAPE)
    again = cs.operators.from_scipy(cs.operators.to_scipy(dense) * 2, SHAPE)
    np.testing.assert_allclose(again.forward(IMAGE), 2 * dense.forward(IMAGE), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("operator", "message"),
    [
        (
            cs.operators.Nonlinear(jnp.abs, SHAPE),
            "operator is a Nonlinear: give a linear operator, or operators.Linear",
        ),
        (cs.operators.Stack(cs.operators.Dense(np.ones((2, 3, 64)), SHAPE)), r"a Stack: .* stack.take\(0\)"),
        (REAL, "operator is a ndarray: give a linear operator"),
    ],
)
def test_what_to_scipy_does_not_take(operator, message):
    with pytest.raises(cs.InputError, match=message):
        cs.operators.to_scipy(operator)


def test_pylops_in_and_out():
    pylops = pytest.importorskip("pylops", reason="needs pylops, of the extra dev")
    blur = pylops.signalprocessing.Convolve2D(SHAPE[:2], np.ones((3, 3)) / 9, offset=(1, 1))
    fourier = pylops.signalprocessing.FFT2D(SHAPE[:2], real=True)
    for op in (blur, pylops.Restriction(64, np.arange(0, 64, 3)) * blur, fourier):
        operator = cs.operators.from_scipy(op, SHAPE)
        measured = op.matvec(IMAGE.ravel().astype(float))
        assert operator.measurements_like.dtype == (np.complex64 if op is fourier else np.float32)
        np.testing.assert_allclose(operator.forward(IMAGE), measured, rtol=1e-5, atol=1e-5)
    ours = pylops.aslinearoperator(cs.operators.to_scipy(cs.operators.Dense(REAL, SHAPE)))
    np.testing.assert_allclose((ours * blur) @ IMAGE.ravel(), REAL @ (blur @ IMAGE.ravel()), rtol=1e-4, atol=1e-4)


class OnlyDlpack:
    """As an array on a GPU is: NumPy does not take it."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


TORCH = "float16 bfloat16 float32 float64 complex64 complex128 uint8 int16 int64 bool".split()


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("wrap", [lambda tensor: tensor, OnlyDlpack])
def test_tensors_of_every_type(wrap, x64):
    torch = pytest.importorskip("torch", reason="needs PyTorch, of the extra dev")
    with jax.enable_x64(x64):
        for name in TORCH:
            tensor = torch.ones(50_000, dtype=getattr(torch, name))
            found = as_floating(wrap(tensor), "y")
            tensor[:] = 0
            assert (found == 1).all(), f"{name}: what PyTorch writes afterwards is seen"
            wide = x64 and name in ("float64", "complex128", "uint8", "int16", "int64", "bool")
            assert found.dtype.itemsize == (8 if wide else 4) * (1 + name.startswith("complex")), name
        large = wrap(torch.tensor([2**40, -1]))
        np.testing.assert_array_equal(as_floating(large, "y"), [2.0**40, -1])
        assert as_numbers(large, "y").dtype == np.int64


def test_tensors_into_a_problem_and_its_image_out():
    torch = pytest.importorskip("torch", reason="needs PyTorch, of the extra dev")
    matrix, image = torch.as_tensor(REAL), torch.as_tensor(IMAGE)
    method = cs.methods.Tv(SHAPE, steps=5)

    def solved(matrix, image, convert=lambda values: values):
        operator = cs.operators.Dense(matrix, SHAPE)
        y = convert(operator.forward(image))
        return cs.reconstruct(method, cs.Problem(operator, y), KEY).image

    expected = solved(REAL, IMAGE)
    found = torch.from_dlpack(solved(matrix, image, torch.from_dlpack))
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found, expected)
    for strided in (matrix.T.contiguous().T, torch.cat([matrix, matrix])[:30], matrix.to_sparse()):
        np.testing.assert_array_equal(solved(strided, image), expected)
    np.testing.assert_allclose(cs.metrics.psnr(found, image), cs.metrics.psnr(expected, IMAGE))


def test_tensors_that_say_what_to_do_first():
    torch = pytest.importorskip("torch", reason="needs PyTorch, of the extra dev")
    for tensor, remedy in [
        (torch.ones(3, requires_grad=True), "Use tensor.detach"),
        (torch.ones(3, dtype=torch.complex64).conj(), "Use tensor.resolve_conj"),
        (torch.ones(3, device="meta"), "meta device"),
    ]:
        with pytest.raises(cs.InputError, match=f"measurements are of type Tensor .*{remedy}"):
            as_floating(tensor, "measurements")


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "uint16"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_skimage_there_and_back(shape, dtype):
    unit = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
    theirs = unit.astype(dtype) if dtype[0] == "f" else np.rint(unit * np.iinfo(dtype).max).astype(dtype)
    ours = cs.io.from_skimage(theirs)
    assert ours.dtype == np.float32 and ours.shape == (*shape, 1)[:3] and (ours.min(), ours.max()) == (-1, 1)
    again = cs.io.to_skimage(ours, dtype)
    assert again.dtype == dtype and again.shape == shape
    np.testing.assert_allclose(again, theirs, atol=1e-6 if dtype[0] == "f" else 0)


def test_skimage_of_bool_and_of_other_ranges():
    assert cs.io.from_skimage([[True, False]]).tolist() == [[[1], [-1]]]
    assert cs.io.from_skimage([[0, 4095]], pixel_range=(0, 4095)).tolist() == [[[-1], [1]]]
    assert cs.io.to_skimage(np.array([[[-0.1], [0.5], [7]]]), "uint8", pixel_range=(0, 1)).tolist() == [[0, 128, 255]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cs.io.from_skimage(np.ones(3)), r"image of shape \(3,\): give \[h, w\] or \[h, w, c\]"),
        (lambda: cs.io.from_skimage([[-0.5, 1.0]]), r"pixels go from -0.5 to 1, they leave pixel_range \(0, 1\)"),
        (lambda: cs.io.from_skimage([[1, 2]]), r"int64 pixels .* do not say .* pass `pixel_range="),
        (lambda: cs.io.from_skimage([[np.nan]]), "1 of 1 pixels are NaN"),
        (lambda: cs.io.from_skimage("a.png"), "image is of type str: give an array of numbers"),
        (lambda: cs.io.to_skimage(np.ones((2, 4, 4, 1))), r"shape \(2, 4, 4, 1\): give a real \[h, w, c\], of a batch"),
        (lambda: cs.io.to_skimage(np.ones((4, 4, 1), complex)), r"image complex128 .*: give a real"),
        (lambda: cs.io.to_skimage(np.full((1, 1, 1), np.inf)), "1 of 1 pixels are NaN or infinite"),
        (
            lambda: cs.io.to_skimage(np.ones((4, 4, 1)), "uint64"),
            "dtype = uint64: give a floating type, or an unsigned",
        ),
        (lambda: cs.io.to_skimage(np.ones((4, 4, 1)), "int16"), "dtype = int16: give a floating type, or an unsigned"),
    ],
)
def test_images_that_follow_no_convention(call, message):
    with pytest.raises(cs.InputError, match=message):
        call()
