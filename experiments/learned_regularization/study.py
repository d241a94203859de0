"""What is asked for: images, cells, arms, and the method they share; what can be refused is, before any fit."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections.config_dict import ConfigDict

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.checks import require, require_count, require_distinct, require_number
from csdip_jax.commands import settings
from csdip_jax.files import content_digest
from csdip_jax.io.lines import NUMBER, NUMBER_OR_NULL, TEXT, require_fields
from csdip_jax.methods import CsDip
from csdip_jax.runs.measurement import Measurement
from csdip_jax.runs.row import Row
from csdip_jax.runs.study import Study
from csdip_jax.runs.workdir import Workdir
from csdip_jax.types import InputError, with_fields

WARM_START, LEARNED_START = "warm_start", "learned_start"
ARMS = (*priors.READINGS, WARM_START, *(f"{reading}+{WARM_START}" for reading in priors.READINGS), LEARNED_START)
MORE = {"cell": TEXT, "stage": TEXT, "arm": TEXT, "held_out_loss": NUMBER_OR_NULL._replace(optional=True)}
"""What `Row.more` has; the last of training images alone."""
FREE_SETTINGS = (
    *("num_images", "first_image", "num_measurements", "noise_variance", "arms", "training_counts"),
    *priors.READINGS,  # the grids of lr_weights
)


class Arm(NamedTuple):
    """One way to use a prior.

    Attributes:
        reading: which one; for a warm start alone `layer_means`, which knows the means of all tensors; None for a
            learned start, which has no prior.
        penalized: whether its penalty is in the objective.
        warm: whether the fit starts from its means, or from a learned start.
        count: from how many training images it is learned.
        label: its name in tables.
    """

    reading: str | None
    penalized: bool
    warm: bool
    count: int
    label: str


class Cell(NamedTuple):
    """One number of measurements and one noise variance."""

    measurement: Measurement

    @property
    def name(self) -> str:
        """Of its folder and its rows."""
        return f"m{self.measurement.count}-noise{self.measurement.noise_variance:g}"


class Plan(NamedTuple):
    """The whole study.

    Attributes:
        config: it is from.
        method: CS-DIP without a prior.
        training_method: the same, for the fits that the prior is learned from; it may initialise in another way.
        training, test: name -> image [h, w, c].
        cells, arms: see there.
    """

    config: ConfigDict
    method: CsDip
    training_method: CsDip
    training: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    cells: Sequence[Cell]
    arms: Sequence[Arm]

    @property
    def readings(self) -> list[str]:
        """Of the arms with a penalty, whose lr_weight is to be chosen."""
        return list(dict.fromkeys(arm.reading for arm in self.arms if arm.reading and arm.penalized))

    def lr_weights(self, reading: str) -> tuple[float, ...]:
        """The grid of a reading; 0, which is off, competes too."""
        return tuple(self.config.lr_weights[reading])


def plan(config: ConfigDict, data_dir: str | None) -> Plan:
    """The study that a configuration describes.

    Raises:
        InputError: images that cannot be read or stand on both sides, or settings out of range.
    """
    if "lr_weights" not in config:
        raise InputError("this study needs fields of its own: give a --config like configs/learned_regularization.py")
    require(config.operator == "gaussian", "operator", config.operator, "gaussian: further measurements are held out")
    require(config.methods == "csdip", "methods", config.methods, "csdip, whose regularization is learned")
    require(config.prior is None, "prior", config.prior, "left out: it is learned here")
    for name in ("lr_weight", "warm_start"):
        require(config.csdip[name] is None, f"csdip.{name}", config.csdip[name], "left out: lr_weights and arms set it")
    require(config.num_training_images >= 2, "num_training_images", config.num_training_images, "at least 2")
    choosing = config.num_choosing
    require(1 <= choosing <= config.num_training_images, "num_choosing", choosing, "1 to num_training_images")
    require_count("held_out", config.held_out)
    require_count("rounds", config.rounds)
    require_count("start_steps", config.start_steps)
    require(config.samples is None or config.samples >= 2, "samples", config.samples, "at least 2, or left out")
    asked = settings.study(config, data_dir)
    test = dict(zip(*asked.load_images(), strict=True))
    shape = next(iter(test.values())).shape
    require(config.held_out <= math.prod(shape), "held_out", config.held_out, f"at most the {math.prod(shape)} pixels")
    try:
        named = cs.data.load_named(
            config.training_data, data_dir, image_shape=shape, num_images=config.num_training_images
        )
    except InputError as error:
        raise InputError(f"training images: {error}") from error
    training = dict(zip(*named, strict=True))
    seen = {content_digest(image): name for name, image in training.items()}
    for name, image in test.items():
        if name in training or content_digest(image) in seen:
            raise InputError(f"test image {name} is a training image too: choose other --config.training_data")
    method = asked.method("csdip", shape)
    training_method = with_fields(
        method, {"generator.initializer": config.training_initializer or method.generator.initializer}
    )
    return Plan(config, method, training_method, training, test, _cells(asked, config, shape), _arms(config))


def _cells(asked: Study, config: ConfigDict, shape: tuple[int, int, int]) -> list[Cell]:
    for m in config.num_measurements:
        require_count("num_measurements", m)
    cells = [Cell(measurement) for same_but_noise in asked.measurements(shape) for measurement in same_but_noise]
    if not cells:
        raise InputError("num_measurements and noise_variance: give at least one of each")
    return cells


def _arms(config: ConfigDict) -> list[Arm]:
    names = tuple(map(str.strip, config.arms.split(",")))
    for name, values in {"training_counts": config.training_counts, "arms": names, **config.lr_weights}.items():
        require_distinct(name, values)
    for count in config.training_counts:
        allowed = f"1 to num_training_images = {config.num_training_images}"
        require_count("training_counts", count)
        require(count <= config.num_training_images, "training_counts", config.training_counts, allowed)
    arms = []
    for name in names:
        if name not in ARMS:
            raise InputError(f"unknown arm {name!r} in --config.arms: choose from {', '.join(ARMS)}")
        reading = name.partition("+")[0]
        penalized, warm = reading in priors.READINGS, name.endswith((WARM_START, LEARNED_START))
        reading = reading if penalized else None if name == LEARNED_START else "layer_means"
        if penalized:
            require(len(config.lr_weights[reading]) > 0, f"lr_weights.{reading}", (), "a tuple of numbers above 0")
            for value in config.lr_weights[reading]:
                require_number(f"lr_weights.{reading}", value, strictly=True)
        for count in config.training_counts or (config.num_training_images,):
            label = name if not config.training_counts else f"{name} of {count}"
            arms.append(Arm(reading, penalized, warm, count, label))
    return arms


def open_workdir(plan: Plan, path: str | None) -> Workdir:
    """The workdir of the study, which its settings and training images have to agree with."""
    training = content_digest(*plan.training.values())
    return settings.open_workdir(
        path, "learned_regularization", plan.config, FREE_SETTINGS, read_row, training=training
    )


def read_row(line: Any) -> Row:
    """The row of a fit of this study; ValueError where it is none."""
    row = Row.read(line)
    require_fields(row.more, MORE, "study")
    require_fields(row.swept, {"lr_weight": NUMBER}, "study")
    return row
