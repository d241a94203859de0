"""Measurement operators A: image [h, w, c] -> measurements [m], as frozen dataclass pytrees.

Every operator acts on ONE image. Its arrays are data fields, `image_shape` is part of the program. Pixels are counted
row-major over (h, w, c), as `image.reshape(-1)` does. A @ B is one after the other, a `Stack` one for each image.

Any differentiable function serves as an operator too: `Linear` (adjoint by transposition), `Nonlinear`, or
the plain callable itself.
"""

from csdip_jax.operators.base import LinearOperator, Operator, measurement_loss, squared_norm
from csdip_jax.operators.compositions import Composition, compose
from csdip_jax.operators.dense import DTYPES, GAUSSIAN, Dense, gaussian, require_dtype, require_num_measurements
from csdip_jax.operators.fourier import RADIAL_FOURIER, Fourier, cartesian_fourier, radial_fourier, radial_mask
from csdip_jax.operators.functions import Linear, Nonlinear, as_operator
from csdip_jax.operators.inpainting import Identity, Inpainting, inpainting
from csdip_jax.operators.kinds import Count, Kind, first_of_each_count, unnamed_kind
from csdip_jax.operators.normalised import Normalised, NormalisedFunction
from csdip_jax.operators.rademacher import RADEMACHER, Rademacher, rademacher
from csdip_jax.operators.randomized import DCT, HADAMARD, RandomizedTransform, subsampled_dct, subsampled_hadamard
from csdip_jax.operators.rows import RowOperator
from csdip_jax.operators.simulation import measure
from csdip_jax.operators.stacks import Stack, form_of, one_of, stack

OPERATORS = {kind.name: kind for kind in (GAUSSIAN, RADEMACHER, DCT, HADAMARD, RADIAL_FOURIER)}
"""Name -> kind, of what a run can be asked to measure with."""

COUNTS = {kind.count.name: kind.count for kind in OPERATORS.values()}
"""Name of a setting -> the count that it is."""

__all__ = [
    "COUNTS",
    "DTYPES",
    "OPERATORS",
    "Composition",
    "Count",
    "Dense",
    "Fourier",
    "Identity",
    "Inpainting",
    "Kind",
    "Linear",
    "LinearOperator",
    "Nonlinear",
    "Normalised",
    "NormalisedFunction",
    "Operator",
    "Rademacher",
    "RandomizedTransform",
    "RowOperator",
    "Stack",
    "as_operator",
    "cartesian_fourier",
    "compose",
    "first_of_each_count",
    "form_of",
    "gaussian",
    "inpainting",
    "measure",
    "measurement_loss",
    "one_of",
    "rademacher",
    "radial_fourier",
    "radial_mask",
    "require_dtype",
    "require_num_measurements",
    "squared_norm",
    "stack",
    "subsampled_dct",
    "subsampled_hadamard",
    "unnamed_kind",
]
