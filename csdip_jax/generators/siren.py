"""SIREN: an image as a function of its coordinates, a perceptron of sines.

    x_0 = (row, column) in [-1, 1]^2,    x_{i+1} = sin(w0 (x_i W_i + b_i)),    G(x; W, b) = tanh(x_d W_d + b_d)

Sitzmann, Martel, Bergman, Lindell, Wetzstein: Implicit neural representations with periodic activation functions,
NeurIPS 2020 (arXiv 2006.09661).
"""

import math
from itertools import pairwise
from typing import Any

import jax.numpy as jnp

from csdip_jax.checks import require_count, require_number
from csdip_jax.generators.base import Generator
from csdip_jax.generators.drawing import Draw, draw_plan
from csdip_jax.types import Array, pytree_dataclass, static_field


@pytree_dataclass
class Siren(Generator):
    """G(x; W, b): coordinates x [h, w, 2] -> image [h, w, c] in (-1, 1), untrained.

    Its weights are {"layer_<i>": {"kernel", "bias"}}, kernels [in, out]. No pixel sees its neighbours: what makes the
    image smooth is that w0 bounds its frequencies at first.

    Differs from the paper, whose last layer is linear: tanh behind it keeps the pixels in (-1, 1).

    Attributes:
        image_shape: (h, w, c). The longer side of the image is [-1, 1], the shorter one in proportion.
        hidden: units of each hidden layer.
        layers: hidden layers, of sines.
        frequency: w0 > 0, radians that the first layer's sines turn for a way of 1, and the scale of all others. It is
            right for images of about 256 pixels; smaller ones can do with less.

    Raises:
        InputError: a setting out of its range.

    Example:
        >>> generator = cs.generators.Siren((64, 64, 1), hidden=64)
        >>> coordinates, params = generator.init(jax.random.key(0))
        >>> coordinates[0, 0].tolist(), generator.apply(params, coordinates).shape
        ([-1.0, -1.0], (64, 64, 1))
    """

    hidden: int = static_field(256)
    layers: int = static_field(4)
    frequency: float = static_field(30.0)
    name = "siren"

    def __post_init__(self):
        super().__post_init__()
        require_count("generator.hidden", self.hidden)
        require_count("generator.layers", self.layers)
        require_number("generator.frequency", self.frequency, strictly=True)

    def init(self, key: Array, dtype: Any = jnp.float32) -> tuple[Array, dict]:
        """The grid of coordinates, and W as the paper draws it (section 3.2), b as PyTorch does."""
        h, w, _ = self.image_shape
        longest = max(h, w, 2) - 1
        rows, columns = ((2 * jnp.arange(n, dtype=dtype) - (n - 1)) / longest for n in (h, w))
        return jnp.stack(jnp.meshgrid(rows, columns, indexing="ij"), axis=-1), draw_plan(key, self._plan(), dtype)

    def _plan(self) -> dict[str, dict[str, Draw]]:
        """Uniform: the first layer's within 1 / in, the others' within sqrt(6 / in) / w0; then sines stay arcsine."""
        sizes = [2, *[self.hidden] * self.layers, self.image_shape[2]]
        plan = {}
        for i, (inputs, outputs) in enumerate(pairwise(sizes)):
            spread = math.sqrt(6 / inputs) / self.frequency if i else 1 / inputs
            plan[f"layer_{i}"] = {
                "kernel": Draw((inputs, outputs), spread),
                "bias": Draw((outputs,), 1 / math.sqrt(inputs)),
            }
        return plan

    def apply(self, params: dict, latent: Array) -> Array:
        h, w, c = self.image_shape
        x = latent.reshape(h * w, 2)
        for i in range(self.layers):
            layer = params[f"layer_{i}"]
            x = jnp.sin(self.frequency * (x @ layer["kernel"] + layer["bias"]))
        last = params[f"layer_{self.layers}"]
        return jnp.tanh(x @ last["kernel"] + last["bias"]).reshape(h, w, c)
