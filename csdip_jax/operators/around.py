"""What operators share that change another's measurements or images entry by entry."""

import dataclasses
from typing import Any

from csdip_jax.operators.base import Shape
from csdip_jax.types import Array


class Around:
    """Part of an operator that has another one, each of whose measurements becomes one of its own.

    Some of them are then an operator around some of the other's. Derive from it first, then from `Operator` or
    `LinearOperator`.

    Attributes:
        operator: the other one.
    """

    operator: Any

    @property
    def image_shape(self) -> Shape:
        """As the other operator has it."""
        return self.operator.image_shape

    @property
    def held_together(self) -> int:
        """As the other operator has it."""
        return self.operator.held_together

    @property
    def may_be_held_out(self) -> Array | None:
        """As the other operator has it."""
        return self.operator.may_be_held_out

    def subset(self, indices: Array) -> Any:
        """As `Operator` says: around those of the other."""
        return self._around(self.operator.subset(indices))

    def split(self, kept: Array, held: Array) -> tuple[Any, Any]:
        """As `Operator` says: as the other operator splits them."""
        kept_part, held_part = self.operator.split(kept, held)
        return self._around(kept_part), self._around(held_part)

    def _around(self: Any, operator: Any) -> Any:
        return dataclasses.replace(self, operator=operator)
