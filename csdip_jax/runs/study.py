"""What is asked for: images, how they are measured, and the methods that reconstruct them under which settings."""

import dataclasses
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from csdip_jax import data, operators
from csdip_jax.checks import require, require_distinct, require_number
from csdip_jax.files import content_digest
from csdip_jax.io import learned_starts, vae_weights
from csdip_jax.methods import METHODS, PARTS, Method
from csdip_jax.methods.recipe import NONE, fields_of, part_of
from csdip_jax.operators import COUNTS, OPERATORS
from csdip_jax.runs.measurement import Measurement, require_seed
from csdip_jax.solve.memory import USABLE, as_size, host_bytes
from csdip_jax.types import InputError, ReconstructionWarning, with_fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """Every combination of its images, seeds, operators, noise variances, methods and settings of these.

    Fields that are left at None take what suits the images, or the value of the preset.

    Attributes:
        data: the images, see `csdip_jax.data.load_named`: the name of a data set, a folder, a glob or a file.
        data_dir: folder of the data sets, and of what was trained for methods.
        image_shape, max_side, num_images, first_image, pixel_range: of the images, see there. Files are written in the
            units of a pixel range.
        operator: names of `operators.OPERATORS`; of None what a number or the size of the images makes it.
        counts: name of what operators count (`operators.COUNTS`) -> numbers.
        noise_variance: each s, the variance of the whole noise vector, not of one measurement; see `Measurement`.
        matrix_dtype: of a dense matrix, one of `operators.DTYPES`.
        hold_out: share of the measurements that no fit is given, see `reconstruct`.
        seed: of operators, noise and fits.
        methods: names of `METHODS`.
        preset: of the methods, "paper" or "reference".
        settings: name of a method, or of one of their `PARTS` -> field -> value, where it departs from the preset.
        grids: name of a method -> field -> values; those of a method's fields are combined.
        vae: path of a trained decoder.
        prior: path of a learned prior, or of a learned start, which `priors.FEW_STEPS` then comes with.
        part: of several studies that share a folder, its name.
        axes: fields of the above that file names tell the value of.

    Raises:
        InputError: a value of another type, one that comes twice, or none where one is needed.
    """

    data: str | None = None
    data_dir: str | None = None
    image_shape: tuple[int, int, int] | None = None
    max_side: int | None = None
    num_images: int | None = None
    first_image: int = 0
    pixel_range: tuple[float, float] | None = None
    operator: tuple[str | None, ...] = (None,)
    counts: Mapping[str, tuple[int | None, ...]] = dataclasses.field(default_factory=dict)
    noise_variance: tuple[float, ...] = (0.0,)
    matrix_dtype: str = "float32"
    hold_out: float = 0.0
    seed: tuple[int, ...] = (0,)
    methods: tuple[str, ...] = ("csdip",)
    preset: str = "paper"
    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    grids: Mapping[str, Mapping[str, tuple[float, ...]]] = dataclasses.field(default_factory=dict)
    vae: str | None = None
    prior: str | None = None
    part: str = ""
    axes: tuple[str, ...] = ()

    def __post_init__(self):
        for name in ("operator", "noise_variance", "seed", "methods"):
            require(isinstance(getattr(self, name), tuple), name, getattr(self, name), "a tuple of values")
        for name, values in self.settings.items():
            require(name in METHODS or name in PARTS, "settings", name, f"one of {', '.join((*METHODS, *PARTS))}")
            classes = [METHODS[name].method] if name in METHODS else list(PARTS[name].values())
            known = set().union(*map(fields_of, classes))
            for field in values:
                require(field in known, f"settings.{name}", field, f"one of {', '.join(sorted(known))}")
        for value in self.noise_variance:
            require(type(value) in (int, float), "noise_variance", value, "a number")
        for value in self.seed:
            require_seed(value)
        for name, values in self.counts.items():
            require(name in COUNTS, "counts", name, f"one of {', '.join(COUNTS)}")
            for value in values:
                require(value is None or type(value) is int, name, value, "a whole number")
            require_distinct(name, values)
        for name in ("seed", "operator", "noise_variance", "methods"):
            require_distinct(name, getattr(self, name))
            require(bool(getattr(self, name)), name, (), "one value at least")
        for name, grid in self.grids.items():
            for field in grid:
                if name not in self.methods:
                    raise InputError(f"grid {name}.{field}: {name!r} is not among `methods={','.join(self.methods)}`")

    def load_images(self) -> tuple[list[str], np.ndarray]:
        """Names and images [b, h, w, c] in [-1, 1].

        Raises:
            InputError: images that cannot be read.
        """
        if self.data is None:
            raise InputError("no images: name a data set, a folder, a glob or a file by `data`")
        return data.load_named(
            self.data,
            self.data_dir,
            image_shape=self.image_shape,
            num_images=self.num_images,
            first=self.first_image,
            pixel_range=self.pixel_range,
            max_side=self.max_side,
        )

    def measurements(self, image_shape: tuple[int, int, int]) -> list[list[Measurement]]:
        """For each operator and number its measurements, which differ in noise alone.

        Raises:
            InputError: unknown operator, a number out of range, or a matrix that does not fit into memory.
        """
        return [
            [self._measurement(image_shape, operator, numbers, noise) for noise in self.noise_variance]
            for operator in self.operator
            for numbers in self._numbers(operator)
        ]

    def _numbers(self, operator: str | None) -> Iterator[dict[str, int | None]]:
        """Name of each count -> its number, of an operator; where none is named, of whichever the numbers make it."""
        known = {name: self.counts.get(name, ()) for name in COUNTS}
        if operator is None:
            values = {name: known[name] or (None,) for name in COUNTS}
            given = [name for name in COUNTS if values[name] != (None,)]
            kinds = [kind.name for name, kind in operators.first_of_each_count(OPERATORS).items() if name in given]
            allowed = f"{' or '.join(kinds)} where {' and '.join(given)} are given"
            require(len(given) <= 1, "operator", None, allowed)
        else:
            own = OPERATORS[operator].count.name if operator in OPERATORS else None  # refused with the rest of it
            values = {name: known[name] if name == own else (None,) for name in COUNTS}
        return (dict(zip(values, numbers, strict=True)) for numbers in itertools.product(*values.values()))

    def _measurement(self, image_shape, name, numbers, noise_variance) -> Measurement:
        pixels, kinds = math.prod(image_shape), operators.OPERATORS
        if name is not None and name not in kinds:
            raise InputError(f"unknown operator {name!r} in `operator`: choose from {', '.join(kinds)}")
        kind = operators.unnamed_kind(kinds, image_shape, numbers) if name is None else kinds[name]
        require_number("noise_variance", noise_variance)
        given = numbers.get(kind.count.name)
        number = given if given is not None else kind.count.default(image_shape)
        kind.require(number, image_shape)
        operators.require_dtype(self.matrix_dtype)
        if self.matrix_dtype != "float32" and not kind.takes_dtype:
            dense = " or ".join(f"`operator={name}`" for name, one in kinds.items() if one.takes_dtype)
            raise InputError(
                f"`matrix_dtype={self.matrix_dtype}` is for a dense matrix, and the operator {kind.name} has none: "
                f"leave it out, or choose {dense}"
            )
        reference = self.preset == "reference"
        chosen = Measurement(kind.name, number, float(noise_variance), reference, self.matrix_dtype)
        _require_memory(chosen, pixels)
        return chosen

    def method(self, name: str, image_shape: tuple[int, int, int]) -> Method:
        """The preset of this name with what departs from it, and with what was trained for it.

        Raises:
            InputError: unknown name, settings out of range, or files that are missing or damaged.
        """
        if name not in METHODS:
            raise InputError(f"unknown method {name!r} in `methods`: choose from {', '.join(METHODS)}")
        given = {field: value for field, value in self.settings.get(name, NONE).items() if value is not None}
        named = {field: value for field, value in given.items() if field in PARTS}
        parts = {part: self.settings.get(part, NONE) for part in PARTS}
        method = METHODS[name].make(self.preset, image_shape, named, parts)
        generator: Any = getattr(method, "generator", None)
        changes = {}
        if generator is not None and generator.needs_weights and generator.trained is None:
            changes["generator"] = vae_weights.load_decoder(image_shape, self.data_dir, self.vae)
        if self.prior is not None and generator is not None and _takes_prior(name):
            learned = learned_starts.fields(self.prior, generator)
            changes |= {field: value for field, value in learned.items() if field not in given}
        return dataclasses.replace(method, **{field: given[field] for field in given.keys() - named}, **changes)

    def sweeps(self, image_shape: tuple[int, int, int]) -> list["Sweep"]:
        """Each method with its grid.

        Raises:
            InputError: a field that cannot be swept, or a value out of its range; see also `method`.
        """
        able = [name for name in METHODS if _takes_prior(name)]
        if self.prior is not None and not {*self.methods} & {*able}:
            used = f"{' and '.join(able)} alone use{'s' * (len(able) == 1)} it"
            raise InputError(f"`prior={self.prior}`: {used}, not `methods={','.join(self.methods)}`")
        methods = {name: self.method(name, image_shape) for name in self.methods}
        for name in self.methods:
            if name in able:
                self._require_that_lr_weight_acts(name, methods[name])
        self._warn_of_idle_parts(methods.values())
        return [self._sweep(name, methods[name]) for name in self.methods]

    def _sweep(self, name: str, method: Method) -> "Sweep":
        grid, own = self.grids.get(name, NONE), self.settings.get(name, NONE)
        parts = {part: own[part] for part in PARTS if own.get(part) is not None}
        for field in grid:
            if field not in method.sweepable():
                raise InputError(f"grid {name}.{field}: {name} can sweep {', '.join(method.sweepable())}")
        if not grid:
            return Sweep(name, method, {}, parts)
        points = list(itertools.product(*grid.values()))
        for point in points:
            with_fields(method, dict(zip(grid, point, strict=True)))  # the method refuses what is out of range
        swept = dict(zip(grid, np.array(points).T, strict=True))
        return Sweep(name, with_fields(method, swept), swept, parts)

    def _warn_of_idle_parts(self, methods: Iterable[Method]) -> None:
        """Warns where a setting of a part is given that no method's part has; a rerun may have left methods out."""
        for part, known in PARTS.items():
            used = [one for one in (part_of(method, part) for method in methods) if one is not None]
            for field, value in self.settings.get(part, NONE).items():
                able = [name for name, cls in known.items() if field in fields_of(cls)]
                if value is not None and not any(field in fields_of(one) for one in used):
                    told = (
                        f"`{part}.{field}` is of {' or '.join(able)}, which no method here has: choose it by "
                        f"`{self.methods[0]}.{part}={able[0]}`, or leave it out"
                    )
                    warnings.warn(told, ReconstructionWarning, stacklevel=2)

    def _require_that_lr_weight_acts(self, name: str, method: Any) -> None:
        """Raises InputError where lr_weight is given without a prior; warns where a prior was found not to help."""
        swept = "lr_weight" in self.grids.get(name, NONE)
        given = swept or self.settings.get(name, NONE).get("lr_weight") is not None
        if method.prior is None and given:
            raise InputError(f"{name}.lr_weight without a prior changes nothing: give `prior`, or leave it out")
        if method.prior is not None and not given and method.lr_weight == 0:
            told = f"{self.prior} is off: none helped where it was learned; set `{name}.lr_weight`"
            warnings.warn(told, ReconstructionWarning, stacklevel=2)


def _takes_prior(name: str) -> bool:
    """Whether a method can be given a prior over its weights."""
    return "prior" in fields_of(METHODS[name].method)


def _require_memory(measurement: Measurement, pixels: int) -> None:
    needed, usable = measurement.operator_bytes(pixels), USABLE * host_bytes()
    if needed > usable:
        raise InputError(
            f"a dense matrix of {measurement.count} x {pixels} in {measurement.matrix_dtype} needs "
            f"{as_size(needed)}, where {as_size(usable)} can be used: choose fewer `num_measurements`, a narrower "
            "`matrix_dtype`, or `operator=hadamard`, which stores no matrix"
        )


class Sweep(NamedTuple):
    """A method under one setting or several, which run as one vectorized program.

    Attributes:
        name: of the method.
        method: its swept fields are arrays [s].
        swept: field -> values [s]; empty for a single setting.
        parts: those of `PARTS` that were chosen by name -> their names.
    """

    name: str
    method: Method
    swept: Mapping[str, np.ndarray]
    parts: Mapping[str, str] = NONE

    @property
    def labels(self) -> list[str]:
        """The method's name, its parts that were chosen, and what is swept, of each setting."""
        count = len(next(iter(self.swept.values()))) if self.swept else 1
        return [self.label(i) for i in range(count)]

    def label(self, i: int) -> str:
        """Of setting i."""
        parts = (f"{part}={name}" for part, name in self.parts.items())
        return " ".join([self.name, *parts, *(f"{field}={value:g}" for field, value in self.values(i).items())])

    def values(self, i: int) -> dict[str, float]:
        """Field -> value of setting i."""
        return {field: float(values[i]) for field, values in self.swept.items()}


def digests(sweeps: Iterable[Sweep]) -> dict[str, str]:
    """Method -> a checksum of what was trained for it; methods without training are left out."""
    trained = {}
    for sweep in sweeps:
        method: Any = sweep.method
        trained[sweep.name] = jax.tree.leaves(getattr(getattr(method, "generator", None), "trained", None))
        if getattr(method, "prior", None) is not None:
            trained[sweep.name] += jax.tree.leaves((method.prior, method.lr_weight))
        trained[sweep.name] += jax.tree.leaves(getattr(method, "learned_start", None))
    return {name: content_digest(*leaves) for name, leaves in trained.items() if leaves}
