"""From a configuration to the problems it describes: its parts, methods and their sweeps, operators, keys."""

import copy
import dataclasses
import itertools
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import config_dict

from csdip_jax import data, operators, priors
from csdip_jax.checks import require, require_distinct, require_number
from csdip_jax.files import content_digest
from csdip_jax.io import learned_priors, vae_weights
from csdip_jax.methods import METHODS, PARTS, Method
from csdip_jax.solve.memory import USABLE, as_size, host_bytes
from csdip_jax.types import Array, InputError, Problem, with_fields


class Keys(NamedTuple):
    """Independent random keys of a run, all from its seed."""

    operator: Array
    noise: Array
    fit: Array


def require_seed(seed: int) -> None:
    """Raises InputError unless it is one that JAX can take."""
    require(type(seed) is int and 0 <= seed < 2**63, "seed", seed, "a whole number from 0 on, below 2^63")


def keys(seed: int) -> Keys:
    require_seed(seed)
    root = jax.random.key(seed)
    return Keys(*(jax.random.fold_in(root, i) for i in range(3)))


def image_id(name: str) -> int:
    """A stable integer for an image's name, so that its keys do not depend on which other images are there."""
    return zlib.crc32(name.encode(errors="surrogateescape"))


def load_images(
    config: config_dict.ConfigDict,
    data_dir: str | None,
    files: str | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> tuple[list[str], np.ndarray]:
    """Names and images [b, h, w, c] of the configuration, or of the user's files."""
    return data.load_named(
        files or config.data,
        data_dir,
        image_shape=config.image_shape,
        num_images=config.num_images,
        first=config.first_image,
        pixel_range=pixel_range,
    )


def parts(config: config_dict.ConfigDict) -> dict[str, config_dict.ConfigDict]:
    """Name -> settings. A configuration is one part (""), unless its field `parts` names several.

    A part's value holds where the configuration itself leaves the field open (None).
    """
    if "parts" not in config:
        return {"": config}
    result = {}
    for name, values in config.parts.items():
        part = copy.deepcopy(config)
        with part.unlocked():
            del part["parts"]
        for field, value in values.items():
            if part[field] is None:
                part[field] = value
        result[name] = part
    return result


def method_names(config: config_dict.ConfigDict) -> list[str]:
    return [name.strip() for name in config.methods.split(",")]


def make_method(
    name: str, config: config_dict.ConfigDict, image_shape: tuple[int, int, int], data_dir: str | None = None
) -> Method:
    """The method's preset with the configuration's departures from it; `data_dir` may hold what was trained for it."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r} in --config.methods: choose from {', '.join(METHODS)}")
    given = {field: value for field, value in config[name].items() if value is not None}
    named = {field: value for field, value in given.items() if field in PARTS}
    method = METHODS[name].make(config.preset, image_shape, named, {part: config[part] for part in PARTS})
    generator, changes = getattr(method, "generator", None), {}
    if generator is not None and generator.needs_weights and generator.trained is None:
        changes["generator"] = vae_weights.load_decoder(image_shape, data_dir, config.vae)
    if config.prior is not None and takes_prior(name):
        changes["prior"], lr_weight = learned_priors.load(config.prior, priors.tensor_names(generator.params_like))
        changes |= {} if lr_weight is None or "lr_weight" in given else {"lr_weight": lr_weight}
    return dataclasses.replace(method, **{field: given[field] for field in given.keys() - named}, **changes)


def takes_prior(name: str) -> bool:
    """Whether a method can be given a prior over its weights."""
    return any(field.name == "prior" for field in dataclasses.fields(METHODS[name].method))


class Sweep(NamedTuple):
    """A method under one setting or several, which run as one vectorized program.

    Attributes:
        name: of the method.
        method: its swept fields are arrays [s].
        swept: field -> values [s]; empty for a single setting.
    """

    name: str
    method: Method
    swept: Mapping[str, np.ndarray]

    @property
    def labels(self) -> list[str]:
        """The method's name, and what is swept, of each setting."""
        count = len(next(iter(self.swept.values()))) if self.swept else 1
        return [self.label(i) for i in range(count)]

    def label(self, i: int) -> str:
        """Of setting i."""
        return " ".join([self.name, *(f"{field}={value:g}" for field, value in self.values(i).items())])

    def values(self, i: int) -> dict[str, float]:
        """Field -> value of setting i."""
        return {field: float(values[i]) for field, values in self.swept.items()}


def sweeps(
    config: config_dict.ConfigDict, image_shape: tuple[int, int, int], data_dir: str | None, flags: Sequence[str]
) -> list[Sweep]:
    """Each method of the configuration, with the fields that `flags`, "<method>.<field>=<value>,...", sweep.

    Raises:
        InputError: a flag that cannot be read, or of a method or field that is not there.
    """
    grids = {name: {} for name in method_names(config)}
    able = [name for name in METHODS if takes_prior(name)]
    if config.prior is not None and not grids.keys() & able:
        raise InputError(
            f"--config.prior={config.prior}: {', '.join(able)} alone uses it, not --config.methods={config.methods}"
        )
    require_distinct("methods", method_names(config))
    for flag in flags:
        method, field, values = _read_sweep(flag)
        if method not in grids:
            raise InputError(f"grid {flag}: {method!r} is not among --config.methods={config.methods}")
        if field in grids[method]:
            raise InputError(f"grid {flag}: {method}.{field} has a grid already: write all its values into one")
        grids[method][field] = values
    methods = {name: make_method(name, config, image_shape, data_dir) for name in grids}
    for name in grids.keys() & able:
        _require_that_lr_weight_acts(config, name, methods[name], "lr_weight" in grids[name])
    return [_sweep(name, methods[name], grid) for name, grid in grids.items()]


def _require_that_lr_weight_acts(config: config_dict.ConfigDict, name: str, method: Method, swept: bool) -> None:
    """Raises InputError where lr_weight is given without a prior; says so where a prior was found not to help."""
    given = swept or config[name].lr_weight is not None
    if config.prior is None and given:
        raise InputError(f"{name}.lr_weight without a prior changes nothing: give --config.prior, or leave it out")
    if config.prior is not None and not given and method.lr_weight == 0:
        print(f"note: {config.prior} is off: none helped where it was learned; set --config.{name}.lr_weight")


def _read_sweep(flag: str) -> tuple[str, str, list[float]]:
    target, _, values = str(flag).partition("=")
    method, _, field = target.partition(".")
    try:
        numbers = [float(value) for value in values.split(",")]
    except ValueError:
        numbers = []
    if not (method and field and numbers) or len(set(numbers)) < len(numbers):
        raise InputError(f"grid {flag}: write <method>.<field>=<value>,<value>,... with different numbers")
    return method, field, numbers


def _sweep(name: str, method: Method, grid: Mapping[str, list[float]]) -> Sweep:
    for field in grid:
        if field not in method.sweepable():
            raise InputError(f"grid {name}.{field}: {name} can sweep {', '.join(method.sweepable())}")
    if not grid:
        return Sweep(name, method, {})
    points = list(itertools.product(*grid.values()))
    for point in points:
        with_fields(method, dict(zip(grid, point, strict=True)))  # the method refuses what is out of range
    swept = dict(zip(grid, np.array(points).T, strict=True))
    return Sweep(name, with_fields(method, swept), swept)


def digests(sweeps: Iterable[Sweep]) -> dict[str, str]:
    """Method -> a checksum of what was trained for it; methods without training are left out."""
    trained = {}
    for sweep in sweeps:
        method = sweep.method
        trained[sweep.name] = jax.tree.leaves(getattr(getattr(method, "generator", None), "trained", None))
        if getattr(method, "prior", None) is not None:
            trained[sweep.name] += jax.tree.leaves((method.prior, method.lr_weight))
    return {name: content_digest(*leaves) for name, leaves in trained.items() if leaves}


class Measurement(NamedTuple):
    """How one part's images are measured.

    Attributes:
        kind: a name of `operators.OPERATORS`.
        count: what the kind counts, m or a number of lines.
        noise_variance: s. The noise of one of m measurements has variance s / m (the paper), or that as its standard
            deviation (the reference code).
        reference: as the reference code does it, which also shares one operator among all images.
        matrix_dtype: what a dense matrix is stored in, one of `operators.DTYPES`.
    """

    kind: str
    count: int
    noise_variance: float
    reference: bool
    matrix_dtype: str = "float32"

    def operator(self, key: Array, image: int, image_shape: tuple[int, int, int]) -> operators.Operator:
        key = jax.random.fold_in(key, 0 if self.reference else image)
        return operators.OPERATORS[self.kind].make(key, self.count, image_shape, self.matrix_dtype)

    def operator_bytes(self, pixels: int) -> int:
        """Of the operator's arrays; those that are no dense matrix are small."""
        return operators.OPERATORS[self.kind].bytes(self.count, pixels, self.matrix_dtype)

    def measure(self, key: Array, operator: operators.Operator, image: Array) -> Array:
        return operators.measure(key, operator, image, self.paper_variance(operator.measurements_like.size))

    def paper_variance(self, num_measurements: int) -> float:
        """The paper's s that this noise amounts to: one measurement's variance is it divided by their number m."""
        return self.noise_variance**2 / num_measurements if self.reference else self.noise_variance

    def problem(self, keys: Keys, name: str, image: Array) -> Problem:
        """The image of this name measured, by keys that depend on its name alone."""
        id_ = image_id(name)
        operator = self.operator(keys.operator, id_, image.shape)
        return Problem(operator, self.measure(jax.random.fold_in(keys.noise, id_), operator, image))

    @property
    def description(self) -> str:
        return operators.OPERATORS[self.kind].described(self.count)


def measurement(config: config_dict.ConfigDict, image_shape: tuple[int, int, int], **instead) -> Measurement:
    """The configuration's measurement; where it leaves the kind open, a dense Gaussian matrix if it is small enough.

    Args:
        config: of a run.
        image_shape: (h, w, c).
        instead: values for fields of it, where they are axes there.

    Raises:
        InputError: unknown operator, counts out of range, or a matrix that does not fit into memory.
    """
    if instead:
        config = config_dict.ConfigDict(config.to_dict() | instead)
    pixels = math.prod(image_shape)
    name, kinds = config.operator, operators.OPERATORS
    if name is not None and name not in kinds:
        raise InputError(f"unknown operator {name!r} in --config.operator: choose from {', '.join(kinds)}")
    given = {count: config[count] for count in operators.COUNTS}
    kind = operators.unnamed_kind(kinds, image_shape, given) if name is None else kinds[name]
    require_number("noise_variance", config.noise_variance)
    number = given[kind.count.name] if given[kind.count.name] is not None else kind.count.default(image_shape)
    kind.require(number, image_shape)
    operators.require_dtype(config.matrix_dtype)
    if config.matrix_dtype != "float32" and not kind.takes_dtype:
        dense = " or ".join(f"--config.operator={name}" for name, one in kinds.items() if one.takes_dtype)
        raise InputError(
            f"--config.matrix_dtype={config.matrix_dtype} is for a dense matrix, and the operator {kind.name} has "
            f"none: leave it out, or choose {dense}"
        )
    reference = config.preset == "reference"
    chosen = Measurement(kind.name, number, float(config.noise_variance), reference, config.matrix_dtype)
    _require_memory(chosen, pixels)
    return chosen


def _require_memory(measurement: Measurement, pixels: int) -> None:
    needed, usable = measurement.operator_bytes(pixels), USABLE * host_bytes()
    if needed > usable:
        raise InputError(
            f"a dense matrix of {measurement.count} x {pixels} in {measurement.matrix_dtype} needs "
            f"{as_size(needed)}, where {as_size(usable)} can be used: choose fewer --config.num_measurements, a "
            "narrower --config.matrix_dtype, or --config.operator=hadamard, which stores no matrix"
        )
