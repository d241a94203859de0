"""What a sweep consists of: cells (rows to be), the programs they share, and the batches that run together."""

import itertools
import math
import warnings
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from csdip_jax.methods import METHODS, Method
from csdip_jax.operators import COUNTS, OPERATORS, LinearOperator
from csdip_jax.runs.measurement import Measurement
from csdip_jax.runs.row import code_of, stem
from csdip_jax.runs.study import Study, Sweep
from csdip_jax.runs.workdir import Share
from csdip_jax.solve.memory import require_room
from csdip_jax.types import InputError, ReconstructionWarning, with_fields

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
    measurement: Measurement
    setting: int


class Program(NamedTuple):
    """Cells that share a compiled program: one method, one kind and number of measurements, one shape of images.

    Attributes:
        study: that it is of.
        sweep: the method under all its settings.
        measurements: those that differ in noise alone; they run together, so a cell's last bits depend on which ones
            there are.
        images: name -> image [h, w, c].
    """

    study: Study
    sweep: Sweep
    measurements: Sequence[Measurement]
    images: Mapping[str, np.ndarray]

    @property
    def name(self) -> str:
        """In files and on the screen."""
        return stem(self.study.part, self.count_name, self.sweep.name)

    @property
    def count_name(self) -> str:
        """The kind of operator and its number, where one of them is an axis."""
        if not {"operator", *COUNTS}.intersection(self.study.axes):
            return ""
        first = self.measurements[0]
        return OPERATORS[first.kind].stem(first.count)

    @property
    def scenes(self) -> list[Scene]:
        """Each image under each seed."""
        return [Scene(*parts) for parts in itertools.product(self.images, self.study.seed)]

    @property
    def cells_per_scene(self) -> int:
        """Each measurement under each setting."""
        return len(self.measurements) * len(self.sweep.labels)

    @property
    def shares_operator(self) -> bool:
        """Whether all scenes are measured by the same operator."""
        first = self.measurements[0]
        return not OPERATORS[first.kind].is_drawn or (first.reference and len(self.study.seed) == 1)

    @property
    def is_possible(self) -> bool:
        """Whether its method can do with its operator, which may have no adjoint."""
        return not self.sweep.method.needs_linear_operator or self._is_linear

    @property
    def _is_linear(self) -> bool:
        first = self.measurements[0]
        kind = OPERATORS[first.kind]
        if kind.code is None:
            return kind.is_linear
        return isinstance(first.operator(jax.random.key(0), 0, self.image_shape), LinearOperator)  # a user's own

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(h, w, c) of all its images."""
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
        return program.name if others else stem(program.study.part, image, program.count_name, program.sweep.name)

    @property
    def begins(self) -> str:
        """How the names of its checkpoints begin, and of those of batches cut otherwise from the same scene on."""
        return f"checkpoint-{stem(self.program.name, self.scenes[0].image, f'seed{self.scenes[0].seed}')}-"

    @property
    def checkpoint(self) -> str:
        """A file name that no other batch of the workdir has, nor this one on another number of devices."""
        program = self.program
        content = repr((self.scenes, program.measurements, program.sweep.labels, jax.local_device_count()))
        code = code_of(program.sweep.name, program.measurements[0].kind)
        content += repr(code) if code else ""
        return f"{self.begins}{zlib.crc32(content.encode()):08x}.npz"


def cell_stem(program: Program, cell: Cell) -> str:
    """Name of a cell's files."""
    part, axes = program.study.part, program.study.axes
    noise = f"noise{cell.measurement.noise_variance:g}" if "noise_variance" in axes else ""
    seed = f"seed{cell.scene.seed}" if "seed" in axes else ""
    return stem(part, cell.scene.image, program.count_name, noise, seed, program.sweep.label(cell.setting))


def programs(studies: Sequence[Study]) -> list[Program]:
    """Everything that is asked for, in the order in which it is computed.

    Raises:
        InputError: images that cannot be read, settings out of range, or large images whose single fit does not fit
            into memory; nothing but memory is left to be refused later.
    """
    asked = [program for study in studies for program in _programs_of(study)]
    possible = [program.is_possible for program in asked]  # once: a user's own operator is drawn to find out
    found = list(itertools.compress(asked, possible))
    _tell_left_out([program for program, able in zip(asked, possible, strict=True) if not able], bool(found))
    names = (cell_stem(program, cell) for program in found for cell in Batch(program, program.scenes).cells)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(
            f"several cells would be written as {twice[0]}: rename an image, or leave out one of the values"
        )
    for program in found:
        first = program.measurements[0]
        own = OPERATORS[first.kind].code is not None  # which JAX may not trace
        if math.prod(program.image_shape) >= LARGE_IMAGE and not own:
            require_room(program.sweep.method, partial(first.operator, image=0, image_shape=program.image_shape))
    return found


def _programs_of(study: Study) -> list[Program]:
    images = dict(zip(*study.load_images(), strict=True))
    shape = next(iter(images.values())).shape
    sweeps, measurements = study.sweeps(shape), study.measurements(shape)
    if not measurements:
        raise InputError(f"the sweep is empty: operator = {study.operator} needs {' or '.join(COUNTS)}")
    return [Program(study, sweep, same_but_noise, images) for same_but_noise in measurements for sweep in sweeps]


def _tell_left_out(left_out: Sequence[Program], others_are_left: bool) -> None:
    """Warns of methods that cannot do with an operator; raises InputError where there are no others."""
    unable: dict[str, dict[str, None]] = {}
    for program in left_out:
        unable.setdefault(program.measurements[0].kind, {})[program.sweep.name] = None
    for kind, names in unable.items():
        told = f"{', '.join(names)} {'needs' if len(names) == 1 else 'need'} a linear operator, and {kind} is none"
        if not others_are_left:
            others = [name for name, recipe in METHODS.items() if not recipe.method.needs_linear_operator]
            raise InputError(f"{told}: choose {' or '.join(f'`methods={name}`' for name in others)}")
        warnings.warn(f"{told}: left out there", ReconstructionWarning, stacklevel=3)


def scene_by_scene(some: Sequence[Batch]) -> list[Batch]:
    """Batches in the order in which they run: a part after the other, and each scene by every method."""
    scenes = dict.fromkeys((batch.program.study.part, scene) for batch in some for scene in batch.program.scenes)
    places = {scene: place for place, scene in enumerate(scenes)}
    return sorted(some, key=lambda batch: places[batch.program.study.part, batch.scenes[0]])


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
    if not program.shares_operator and OPERATORS[program.measurements[0].kind].code is not None:
        return 1  # a user's own is drawn by itself: JAX may not trace it, and those of two images may differ in form
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
