"""Numbers in whatever holds them: the same answer as in float64, or one line."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from jax.experimental import sparse

import csdip_jax as cs
from csdip_jax.checks import as_floating
from csdip_jax.types import pytree_dataclass

ZEROS_AND_ONES = (np.indices((6, 8)).sum(0) % 3 == 0).astype(int)


class OfAnotherLibrary:
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


def strided(values):
    return np.repeat(values, 2, axis=0)[::2]


def read_only(values):
    values = values.copy()
    values.flags.writeable = False
    return values


DTYPES = "bool uint8 int8 uint16 >u2 int16 int64 >i4 uint64 float16 >f2 float32 >f4 float64 >f8 longdouble".split()
FORMS = {name: lambda values, name=name: values.astype(name) for name in DTYPES} | {
    "list": np.ndarray.tolist,
    "list of arrays": list,
    "fortran": np.asfortranarray,
    "strided": strided,
    "read-only": read_only,
    "masked nowhere": np.ma.masked_array,
    "another library": OfAnotherLibrary,
    "jax int32": lambda values: jnp.asarray(values, jnp.int32),
    "jax float16": lambda values: jnp.asarray(values, jnp.float16),
    "jax bfloat16": lambda values: jnp.asarray(values, jnp.bfloat16),
}
SPARSE = {
    f"{kind.__name__} {name}": lambda values, kind=kind, name=name: kind(values).asformat(name)
    for kind in (scipy.sparse.csr_matrix, scipy.sparse.coo_array)
    for name in "bsr coo csc csr dia dok lil".split()
} | {
    kind.__name__: lambda values, kind=kind: kind.fromdense(jnp.asarray(values)) for kind in (sparse.BCOO, sparse.BCSR)
}
COMPLEX = "complex64 >c8 complex128 >c16 clongdouble".split()
WIDER = ("bool", "uint8", "int8", "uint16", ">u2", "int16", "int64", ">i4", "uint64", "float64", ">f8", "longdouble")


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", FORMS | SPARSE)
def test_any_type_of_numbers_is_taken(name, x64):
    with jax.enable_x64(x64):
        found = as_floating((FORMS | SPARSE)[name](ZEROS_AND_ONES), "matrix")
        np.testing.assert_array_equal(found, ZEROS_AND_ONES)
        if name in DTYPES:
            assert found.dtype == ("float64" if x64 and name in WIDER else "float32")


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_stay_complex(name, x64):
    values = (ZEROS_AND_ONES + 2j).astype(name)
    with jax.enable_x64(x64):
        found = as_floating(values, "matrix")
        np.testing.assert_array_equal(found, ZEROS_AND_ONES + 2j)
        assert found.dtype == ("complex128" if x64 and name not in ("complex64", ">c8") else "complex64")
        with pytest.raises(cs.InputError, match="image is complex.*, but pixels are real"):
            as_floating(values, "image", real=True)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64", ">f8", "longdouble"])
def test_large_numbers_do_not_wrap_round(dtype):
    np.testing.assert_allclose(as_floating(np.array([3e9, 2.0**62], dtype), "y"), [3e9, 2.0**62], rtol=1e-7)


def test_what_is_floating_already_costs_nothing():
    for values in (jnp.ones(3), jnp.ones(3, complex)):
        assert as_floating(values, "y") is values
        assert not jax.make_jaxpr(lambda x: as_floating(x, "y"))(values).eqns


def refused():
    masked = np.ma.masked_array(np.ones(3), [False, True, False])
    return {
        "NoneType: give an array": None,
        "str: give an array": "y.npy",
        "dict: give an array": {},
        "generator: give an array": (i for i in range(3)),
        "list: give an array of numbers .*inhomogeneous": [[1, 2], [3]],
        "dtype object": np.array([1, 2], object),
        "dtype <U1": np.array(["1"]),
        r"dtype \|S1": np.array([b"1"]),
        "dtype datetime64": np.zeros(2, "datetime64[s]"),
        "dtype timedelta64": np.zeros(2, "timedelta64[s]"),
        r"dtype \[\('f0'": np.zeros(3, "i4,f4"),
        "dtype key": jax.random.key(0),
        "1 entries are masked": masked,
        "2 entries are masked": [masked, masked],
        "1 of 2 entries are above the range of float32, the largest is 1e.39": np.array([1e39, 1]),
        "2 of 2 entries are above the range": np.array([1e39 + 1j, -1e39j]),
        "all 2 entries are below the range of float32, the largest is 1e-50": np.array([1e-50, 0]),
    }


@pytest.mark.parametrize("message", refused())
def test_what_holds_no_numbers_is_refused_in_one_line(message):
    with pytest.raises(cs.InputError, match=message) as caught:
        as_floating(refused()[message], "measurements")
    assert "\n" not in str(caught.value) and str(caught.value).startswith("measurements")


def test_checks_run_once_and_not_whenever_jax_rebuilds_a_pytree():
    @pytree_dataclass
    class Positive:
        value: float

        def __post_init__(self):
            if not self.value > 0:
                raise cs.InputError("value: it must be above 0")

    with pytest.raises(cs.InputError):
        Positive(-1.0)
    rebuilt = jax.tree.map(lambda x: [-x, "anything"], Positive(1.0))
    assert type(rebuilt) is Positive and rebuilt.value == [-1.0, "anything"]
    assert jax.tree_util.keystr(jax.tree_util.tree_leaves_with_path(Positive(1.0))[0][0]) == ".value"
