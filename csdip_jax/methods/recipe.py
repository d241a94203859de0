"""What is said of a method outside of its mathematics: its name, how it is drawn, tuned and tried, what it needs.

Each method's file ends with its recipes. Commands, help, figures, tuning and the tests of every method read them, so
that a new one is its file and a line in `csdip_jax.methods`.
"""

import dataclasses
import importlib.util
import types
from collections.abc import Callable, Mapping
from typing import Any

from csdip_jax.generators import GENERATORS
from csdip_jax.methods.base import Method
from csdip_jax.rules import RULES
from csdip_jax.types import InputError

PARTS: dict[str, dict[str, type]] = {"generator": GENERATORS, **RULES}
"""Field of a method that is chosen by name -> name -> class."""

NONE: Mapping[str, Any] = types.MappingProxyType({})


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A method as it is asked for by name: `METHODS` holds one for each.

    Attributes:
        name: on the command line and in files.
        label: in tables and legends.
        colour: of its curves, as matplotlib names it.
        method: the class.
        fixed: field -> value, what makes this one of several recipes of the class; no setting of it.
        grid: field -> the values that are tried in tuning.
        toy: field -> value for images of few pixels, a fit in seconds.
        needs: what it needs besides an operator, or of one besides being linear, in words.
        extra: a package that it needs besides the library's own; None for none.
        check: called with the image shape; raises InputError where it cannot be used.
        code: a checksum of the file in which a user wrote it; None for the library's.
        candidates: image_shape -> name -> fields that differ from the preset, of the fits that `Best` makes of it; none
            by default.

    Example:
        >>> recipe = cs.methods.METHODS["tv"]
        >>> recipe.make("paper", (28, 28, 1), {"mu": 64.0, "stop": "plateau"}, {"stop": {"patience": 20}}).stop
        Plateau(tolerance=0.001, patience=20)
    """

    name: str
    label: str
    colour: str
    method: type[Method]
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    grid: Mapping[str, tuple] = dataclasses.field(default_factory=dict)
    toy: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs: str = ""
    extra: str | None = None
    check: Callable[[tuple[int, int, int]], None] | None = None
    code: str | None = None
    candidates: Callable[[tuple[int, int, int]], Mapping[str, Mapping[str, Any]]] = lambda image_shape: NONE

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there."""
        return self.extra is None or importlib.util.find_spec(self.extra) is not None

    @property
    def requirements(self) -> str:
        """All that it needs, in words."""
        operator = "a linear operator" if self.method.needs_linear_operator else "any differentiable operator"
        return ", ".join(filter(None, [operator, self.needs, self.extra and f"the extra {self.extra}"]))

    @property
    def settings(self) -> dict[str, dataclasses.Field]:
        """Its fields that are a number, a word or one of `PARTS`, by name."""
        fields = (field for field in dataclasses.fields(self.method) if field.name not in self.fixed)
        return {field.name: field for field in fields if field.name in PARTS or kind_of(field) is not None}

    def preset(self, name: str, image_shape: tuple[int, int, int]) -> Method:
        """The settings of the paper, or of its reference code where the two differ; see `Method.preset`.

        Args:
            name: "paper" or "reference".
            image_shape: (h, w, c).

        Raises:
            InputError: unknown preset, an image shape that it cannot take, or a package that is missing.
        """
        method = dataclasses.replace(self.method.preset(name, image_shape), **self.fixed)
        if self.check is not None:
            self.check(method.image_shape)
        return method

    def make(
        self,
        preset: str,
        image_shape: tuple[int, int, int],
        settings: Mapping[str, Any] = NONE,
        parts: Mapping[str, Mapping[str, Any]] = NONE,
    ) -> Method:
        """The preset with what departs from it.

        Args:
            preset: name of the preset, "paper" or "reference".
            image_shape: (h, w, c).
            settings: field -> value, None for the preset's; of one of `PARTS` its name.
            parts: field of `PARTS` -> field of that part -> value, None for its own default. What the part does not
                have is left out, since it may be meant for another method beside this one.

        Raises:
            InputError: a name that is none, or a value out of its range.
        """
        method = self.preset(preset, image_shape)
        changes = {name: value for name, value in settings.items() if value is not None and name not in PARTS}
        for part, known in PARTS.items():
            if part in self.settings:
                chosen = settings.get(part)
                if chosen is not None and chosen not in known:
                    raise InputError(f"{self.name}.{part} = {chosen!r}: choose {', '.join(known)}")
                current = part_of(method, part)
                if chosen is not None:
                    current = known[chosen](method.image_shape) if part == "generator" else known[chosen]()
                if current is None:
                    continue
                own = fields_of(current)
                wanted = parts.get(part, NONE).items()
                given = {name: value for name, value in wanted if name in own and value is not None}
                if chosen is not None or given:
                    changes[part] = dataclasses.replace(current, **given)
        return dataclasses.replace(method, **changes)


def part_of(method: Method, part: str) -> Any:
    """The part of a method that a fit uses, one of `PARTS`; None where it has none."""
    return getattr(method, "keeper" if part == "keep" else part, None)


def fields_of(part: Any) -> set[str]:
    """Names of the fields of a dataclass or of an instance of one."""
    return {field.name for field in dataclasses.fields(part)}


def kind_of(field: dataclasses.Field) -> type | None:
    """The type of a setting that a user may give as a word or a number; None for any other."""
    optional = next((kind for kind in (int, float) if field.type == kind | None), None)
    kind = type(field.default) if optional is None else optional
    return kind if kind in (bool, int, float, str) else None
