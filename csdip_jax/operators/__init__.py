"""Measurement operators A: what took the measurements y = A x of an image x, [h, w, c] -> [m].

Take the one of your instrument (a matrix, masks of k-space, a blur, chosen pixels), draw a random one to try things
out, or give any function that JAX can differentiate: the plain function, `Linear` if it is linear, or a class of your
own derived from `LinearOperator` or `Operator`. `measure` simulates measurements of a known image.

>>> operator = cs.operators.gaussian(jax.random.key(0), 20, (8, 8, 1))
>>> y = operator.forward(np.zeros((8, 8, 1)))  # A x
>>> x = operator.adjoint(y)  # A^H y
>>> y.shape, x.shape
((20,), (8, 8, 1))

Every operator acts on ONE image and is a frozen dataclass and a pytree. Its arrays are data, its `image_shape` is part
of the program. Pixels are counted row by row over (h, w, c), as `image.reshape(-1)` does. `A @ B` is one after the
other, a `Stack` one for each image.

A SciPy LinearOperator or one of pylops comes in by `from_scipy`, and goes out by `to_scipy`.

A new operator that a run can be asked for by name is one file, which ends with its `Kind`, and one import here.
"""

from csdip_jax.operators.base import (
    LinearOperator as LinearOperator,
    Operator as Operator,
    Shape as Shape,
    measurement_loss as measurement_loss,
    squared_norm as squared_norm,
)
from csdip_jax.operators.blur import BLUR as BLUR, Blur as Blur, gaussian_psf as gaussian_psf
from csdip_jax.operators.complex_image import ComplexImage as ComplexImage
from csdip_jax.operators.compositions import Composition as Composition, compose as compose
from csdip_jax.operators.dense import (
    DTYPES as DTYPES,
    GAUSSIAN as GAUSSIAN,
    Dense as Dense,
    gaussian as gaussian,
    require_dtype as require_dtype,
    require_num_measurements as require_num_measurements,
)
from csdip_jax.operators.fourier import (
    RADIAL_FOURIER as RADIAL_FOURIER,
    Fourier as Fourier,
    cartesian_fourier as cartesian_fourier,
    radial_fourier as radial_fourier,
    radial_mask as radial_mask,
)
from csdip_jax.operators.functions import Linear as Linear, Nonlinear as Nonlinear, as_operator as as_operator
from csdip_jax.operators.host import HostOperator as HostOperator, from_scipy as from_scipy, to_scipy as to_scipy
from csdip_jax.operators.inpainting import Identity as Identity, Inpainting as Inpainting, inpainting as inpainting
from csdip_jax.operators.kinds import (
    UNCOUNTED as UNCOUNTED,
    Count as Count,
    Kind as Kind,
    first_of_each_count as first_of_each_count,
    unnamed_kind as unnamed_kind,
)
from csdip_jax.operators.magnitude import PHASE_RETRIEVAL as PHASE_RETRIEVAL, Magnitude as Magnitude
from csdip_jax.operators.normalised import Normalised as Normalised, NormalisedFunction as NormalisedFunction
from csdip_jax.operators.rademacher import RADEMACHER as RADEMACHER, Rademacher as Rademacher, rademacher as rademacher
from csdip_jax.operators.randomized import (
    DCT as DCT,
    HADAMARD as HADAMARD,
    RandomizedTransform as RandomizedTransform,
    subsampled_dct as subsampled_dct,
    subsampled_hadamard as subsampled_hadamard,
)
from csdip_jax.operators.rows import RowOperator as RowOperator
from csdip_jax.operators.simulation import measure as measure
from csdip_jax.operators.stacks import Stack as Stack, form_of as form_of, one_of as one_of, stack as stack
from csdip_jax.operators.subsets import Subset as Subset
from csdip_jax.registry import named

__all__ = [
    "DTYPES",
    "OPERATORS",
    "Blur",
    "ComplexImage",
    "Composition",
    "Count",
    "Dense",
    "Fourier",
    "HostOperator",
    "Identity",
    "Inpainting",
    "Kind",
    "Linear",
    "LinearOperator",
    "Magnitude",
    "Nonlinear",
    "Operator",
    "Rademacher",
    "RandomizedTransform",
    "RowOperator",
    "Shape",
    "Stack",
    "Subset",
    "as_operator",
    "cartesian_fourier",
    "compose",
    "from_scipy",
    "gaussian",
    "gaussian_psf",
    "inpainting",
    "measure",
    "measurement_loss",
    "rademacher",
    "radial_fourier",
    "radial_mask",
    "squared_norm",
    "stack",
    "subsampled_dct",
    "subsampled_hadamard",
    "to_scipy",
]

OPERATORS = named(globals(), Kind)
"""Name -> kind, of what a run can be asked to measure with."""

COUNTS = {kind.count.name: kind.count for kind in OPERATORS.values()}
"""Name of a setting -> the count that it is."""
