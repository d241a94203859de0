"""What a sweep consists of: cells (rows to be), the programs they share, and the batches that run together."""

import itertools
import math
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from ml_collections.config_dict import ConfigDict

from csdip_jax.checks import require, require_distinct
from csdip_jax.methods import Method
from csdip_jax.operators import COUNTS, OPERATORS, first_of_each_count
from csdip_jax.runs.workdir import Share
from csdip_jax.solve.memory import require_room
from csdip_jax.types import InputError, with_fields
from experiments import fits, settings
from experiments.configs.sweep import AXES

SCENES_AT_ONCE = 32
"""On each accelerator: beyond, a batch gains little, and a killed run loses more."""

LARGE_IMAGE = 2**22
"""Values of an image from which on its room is looked at first: drawing and measuring take seconds to minutes then."""


class Scene(NamedTuple):
    """An image, and the seed of its operator, noise and fits."""

    image: str
    seed: int


class Cell(NamedTuple):
    """A row to be: a scene measured in one way, by a program's method under one of its settings (an index)."""

    scene: Scene
    measurement: settings.Measurement
    setting: int


class Program(NamedTuple):
    """Cells that share a compiled program: one method, one kind and number of measurements, one shape of images.

    Attributes:
        part: see `settings.parts`.
        preset: of the method.
        sweep: the method under all its settings.
        measurements: those that differ in noise alone; they run together, so a cell's last bits depend on which ones
            there are.
        seeds: of the scenes.
        images: name -> image [h, w, c].
        axes: fields of the configuration that list their values: those that a cell's name tells.
        pixel_range: (black, white) in the user's units, which files are written in; None for [-1, 1].
    """

    part: str
    preset: str
    sweep: settings.Sweep
    measurements: Sequence[settings.Measurement]
    seeds: Sequence[int]
    images: Mapping[str, np.ndarray]
    axes: Collection[str]
    pixel_range: tuple[float, float] | None = None

    @property
    def name(self) -> str:
        """In files and on the screen."""
        return fits.stem(self.part, self.count_name, self.sweep.name)

    @property
    def count_name(self) -> str:
        """The kind of operator and its number, where one of them is an axis."""
        if not {"operator", *COUNTS}.intersection(self.axes):
            return ""
        first = self.measurements[0]
        return OPERATORS[first.kind].stem(first.count)

    @property
    def scenes(self) -> list[Scene]:
        return [Scene(*parts) for parts in itertools.product(self.images, self.seeds)]

    @property
    def cells_per_scene(self) -> int:
        return len(self.measurements) * len(self.sweep.labels)

    @property
    def shares_operator(self) -> bool:
        """Whether all scenes are measured by the same operator."""
        first = self.measurements[0]
        return not OPERATORS[first.kind].is_drawn or (first.reference and len(self.seeds) == 1)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return next(iter(self.images.values())).shape


class Batch(NamedTuple):
    """Scenes of a program that are computed together, with all their cells."""

    program: Program
    scenes: Sequence[Scene]

    @property
    def cells(self) -> list[Cell]:
        """Scene by scene, in it measurement by measurement."""
        settings_ = range(len(self.program.sweep.labels))
        return [Cell(*parts) for parts in itertools.product(self.scenes, self.program.measurements, settings_)]

    @property
    def method(self) -> Method:
        """The method; what is swept has a value per cell."""
        sweep = self.program.sweep
        repeats = len(self.scenes) * len(self.program.measurements)
        return with_fields(sweep.method, {name: np.tile(x, repeats) for name, x in sweep.swept.items()})

    @property
    def name(self) -> str:
        """On the screen: of its program, and of its image where it has one."""
        (image, *others), program = [scene.image for scene in self.scenes], self.program
        return program.name if others else fits.stem(program.part, image, program.count_name, program.sweep.name)

    @property
    def begins(self) -> str:
        """How the names of its checkpoints begin, and of those of batches cut otherwise from the same scene on."""
        return f"checkpoint-{fits.stem(self.program.name, self.scenes[0].image, f'seed{self.scenes[0].seed}')}-"

    @property
    def checkpoint(self) -> str:
        """A file name that no other batch of the workdir has, nor this one on another number of devices."""
        content = repr((self.scenes, self.program.measurements, self.program.sweep.labels, jax.local_device_count()))
        return f"{self.begins}{zlib.crc32(content.encode()):08x}.npz"


def stem(program: Program, cell: Cell) -> str:
    """Name of a cell's files."""
    noise = f"noise{cell.measurement.noise_variance:g}" if "noise_variance" in program.axes else ""
    seed = f"seed{cell.scene.seed}" if "seed" in program.axes else ""
    label = program.sweep.label(cell.setting)
    return fits.stem(program.part, cell.scene.image, program.count_name, noise, seed, label)


def make_programs(
    config: ConfigDict,
    data_dir: str | None,
    files: str | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> list[Program]:
    """The whole sweep, in the order in which it is computed.

    Args:
        config: like experiments/configs/sweep.py, or default.py, where a field of `AXES` has a single value.
        data_dir: folder of the data sets.
        files: the user's images instead of the configuration's.
        pixel_range: (black, white) of the images, those that become -1 and 1; None as `data.load_named` has it.

    Raises:
        InputError: images that cannot be read, settings out of range, or large images whose single fit does not fit
            into memory; nothing but memory is left to be refused later.
    """
    programs = []
    for part, settings_ in settings.parts(config).items():
        images = dict(zip(*settings.load_images(settings_, data_dir, files, pixel_range), strict=True))
        programs += _programs_of_part(part, settings_, images, data_dir, pixel_range)
    names = (stem(program, cell) for program in programs for cell in Batch(program, program.scenes).cells)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"several cells would be written as {twice[0]}: rename an image, or leave out one of the values"
        )
    for program in programs:
        if math.prod(program.image_shape) >= LARGE_IMAGE:
            first = program.measurements[0]
            require_room(program.sweep.method, partial(first.operator, image=0, image_shape=program.image_shape))
    return programs


def listed_axes(config: ConfigDict) -> tuple[str, ...]:
    """Those of `AXES` that list their values."""
    return tuple(name for name in AXES if isinstance(config[name], (tuple, list)))


def _programs_of_part(part: str, config: ConfigDict, images: dict, data_dir, pixel_range) -> list[Program]:
    shape = next(iter(images.values())).shape
    axes = {name: axis(config, name) for name in AXES}
    sweeps = settings.sweeps(config, shape, data_dir, config.get("grids", ()))
    programs = []
    for kind in axes["operator"]:
        for counts in _counts(kind, axes):
            one, noises = {"operator": kind, **counts}, axes["noise_variance"]
            measurements = [settings.measurement(config, shape, **one, noise_variance=noise) for noise in noises]
            common = (measurements, axes["seed"], images, listed_axes(config), pixel_range)
            programs += [Program(part, config.preset, x, *common) for x in sweeps]
    if not programs:
        raise InputError(f"the sweep is empty: operator = {axes['operator']} needs {' or '.join(COUNTS)}")
    return programs


def _counts(operator: str | None, axes: Mapping[str, tuple]) -> Iterator[dict[str, int | None]]:
    """Name of each count -> its number, of an operator; where none is named, of whichever the numbers make it."""
    if operator is None:
        values = {name: axes[name] or (None,) for name in COUNTS}
        given = [name for name in COUNTS if values[name] != (None,)]
        kinds = [kind.name for name, kind in first_of_each_count(OPERATORS).items() if name in given]
        allowed = f"{' or '.join(kinds)} where {' and '.join(given)} are given"
        require(len(given) <= 1, "operator", None, allowed)
    else:
        own = OPERATORS[operator].count.name if operator in OPERATORS else None  # refused with the rest of it
        values = {name: axes[name] if name == own else (None,) for name in COUNTS}
    return (dict(zip(values, numbers, strict=True)) for numbers in itertools.product(*values.values()))


def axis(config: ConfigDict, name: str) -> tuple[Any, ...]:
    """The values of a field that may be an axis."""
    values = config[name] if name in listed_axes(config) else (config[name],)
    if name == "operator":  # a list of names may come as one text, as --config.operator=gaussian,hadamard does
        listed = [value.split(",") if isinstance(value, str) else [value] for value in values]
        values = [kind.strip() if isinstance(kind, str) else kind for kinds in listed for kind in kinds]
    for value in values:
        if name == "noise_variance":
            require(type(value) in (int, float), name, value, "a number")
        elif name == "seed":
            settings.require_seed(value)
        elif name != "operator":
            require(value is None or type(value) is int, name, value, "a whole number")
    require_distinct(name, values)
    optional = name in COUNTS  # needed by some kinds of operators each
    require(bool(values) or optional, name, (), "one value at least")
    return tuple(values)


def batches(program: Program) -> list[Batch]:
    """All scenes of a program, those that run together in a batch.

    They are cut from the plan, not from what is still missing: the composition of a batch may show in the last bits.
    """
    scenes, size = program.scenes, scenes_at_once(program)
    return [Batch(program, scenes[first : first + size]) for first in range(0, len(scenes), size)]


def dealt(batches: Sequence[Batch], share: Share) -> list[Batch]:
    """A process's part, which it can tell without asking the others: of each method as much as anybody's."""
    order = sorted(range(len(batches)), key=lambda i: batches[i].program.sweep.name)
    return [batches[i] for i in sorted(order[share.index :: share.count])]


def scenes_at_once(program: Program) -> int:
    """On a CPU one for each device; on accelerators as many as have operators that fill half of the first's memory.

    There they are drawn; those of a block are copied to the device that needs them.
    """
    devices = jax.local_devices()
    memory = devices[0].memory_stats() if devices[0].platform != "cpu" else None
    if memory is None:
        return len(devices)
    needed = 1 if program.shares_operator else max(1, operator_bytes(program))
    # Of all its memory, not of what is free now: a rerun, and every process, has to come to the same batches.
    return max(len(devices), min(SCENES_AT_ONCE * len(devices), memory["bytes_limit"] // (2 * needed)))


def operator_bytes(program: Program) -> int:
    """Of one operator."""
    return program.measurements[0].operator_bytes(math.prod(program.image_shape))
