"""A cell in three stages: fit the training images and learn a prior, choose its lr_weight, evaluate on test images.

Every fit becomes a row of results.jsonl when it is finished; a rerun skips it. The matrix, the noise, the latent and
the first weights of an image depend on its name and the seed alone, so all fits of an image in a cell share them.
"""

import dataclasses
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.files import content_digest, is_whole, read_arrays, write_arrays
from csdip_jax.io import learned_priors, learned_starts
from csdip_jax.runs import saved
from csdip_jax.runs.measurement import Keys, Measurement, image_id, keys_of
from csdip_jax.runs.row import Row, errors, stem
from csdip_jax.runs.study import Sweep
from csdip_jax.runs.workdir import Workdir, device_name, environment
from csdip_jax.types import InputError
from experiments.learned_regularization.study import Arm, Cell, Plan

OFF = "off"


class Key(NamedTuple):
    """What identifies a row within a cell: the stage (train, choose or test), the arm, its lr_weight, the image.

    The row has the first two, the cell and the loss of held-out measurements in `Row.more`.
    """

    stage: str
    arm: str
    lr_weight: float
    image: str


class CellRun(NamedTuple):
    """The fits of one cell, those finished and those to come."""

    plan: Plan
    workdir: Workdir
    cell: Cell

    def run(self) -> None:
        """All fits that are not finished yet, and the priors as files."""
        self._require_same_images()
        for name in self.plan.training:
            self._fit("train", OFF, name)
        for reading in self.plan.readings:
            self._choose(reading)
        for reading in dict.fromkeys(arm.reading for arm in self.plan.arms if arm.reading):
            self._save_prior(reading)
        for name in self.plan.test:
            self._fit("test", OFF, name)
        for arm in self.plan.arms:
            weight = self.weight_of(arm)
            if not is_off(arm, weight):
                fields = self.added(arm)
                for name in self.plan.test:
                    self._fit("test", arm.label, name, [weight], **fields)

    def added(self, arm: Arm) -> dict[str, Any]:
        """What the method of an arm has that the one without does not."""
        names = self.trained()[: arm.count]
        if arm.reading is None:
            return priors.FEW_STEPS | {"steps": self.plan.config.start_steps, "learned_start": self.start(names)}
        return {"prior": self.prior(arm.reading, names), "warm_start": arm.warm}

    @property
    def rows(self) -> dict[Key, Row]:
        """The finished rows."""
        mine = (row for row in self.workdir.rows if row.more.get("cell") == self.cell.name)
        return {Key(row.more["stage"], row.more["arm"], row.swept["lr_weight"], row.image): row for row in mine}

    def _require_same_images(self) -> None:
        """Raises InputError if a test image is no longer the one of its rows."""
        for key, row in self.rows.items():
            image = self.plan.test.get(key.image) if key.stage == "test" else None
            if image is not None and row.image_digest != content_digest(image):
                raise InputError(
                    f"image {key.image} has changed since {self.workdir.path} was written: choose another `workdir`"
                )

    def trained(self) -> list[str]:
        """The training images whose fit did not fail, whose weights can be learned from."""
        rows = self.rows
        names = [name for name in self.plan.training if rows[Key("train", OFF, 0.0, name)].ok]
        if len(names) < 2:
            raise InputError(
                f"{self.cell.name}: {len(names)} training fits succeeded, 2 are needed: give it more images"
            )
        return names

    def prior(self, reading: str, names: Sequence[str] | None = None) -> priors.LayerGaussian:
        """The prior learned from the weights of these training images, by default all."""
        config, like = self.plan.config, self.plan.method.generator.params_like
        tensors, stacked = priors.tensor_names(like), []
        for name in self.trained() if names is None else names:
            saved = read_arrays(self._weights(name), **dict.fromkeys(tensors, ("f", None)))
            stacked.append([saved[tensor] for tensor in tensors])
        leaves = [np.stack(leaves) for leaves in zip(*stacked, strict=True)]
        params = jax.tree.unflatten(jax.tree.structure(like), leaves)
        key = jax.random.fold_in(jax.random.key(config.seed), len(Keys._fields))
        return priors.fit(params, key, reading=reading, samples=config.samples, rounds=config.rounds)

    def start(self, names: Sequence[str]) -> priors.Start:
        """The start learned from the measurements of these training images, once; its rounds go on after a kill."""
        stem, generator = f"{self.cell.name}-learned_start-of-{len(names)}", self.plan.method.generator
        path, checkpoint = (self.workdir.path / "priors" / end for end in (f"{stem}.npz", f"{stem}-rounds"))
        if not path.exists():
            keys, images = keys_of(self.plan.config.seed), [self.plan.training[name] for name in names]
            each = [self.cell.measurement.problem(keys, *pair) for pair in zip(names, images, strict=True)]
            operators, measurements = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
            problem = cs.Problem(cs.operators.Stack(operators), measurements)
            checkpoint.mkdir(parents=True, exist_ok=True)
            few = priors.FEW_STEPS | {"steps": self.plan.config.round_steps, "schedule": "cosine"}
            method, rounds = dataclasses.replace(self.plan.training_method, **few), self.plan.config.start_rounds
            options = {"rounds": rounds, "progress": stem, "checkpoint": checkpoint}
            start = cs.learn_start(method, problem, keys.fit, **options)
            digests = {name: content_digest(image) for name, image in zip(names, images, strict=True)}
            provenance = {"cell": self.cell.name, "images": digests, "config": self.plan.config.to_dict()}
            learned_starts.save(path, start, provenance | environment())
            shutil.rmtree(checkpoint)
        return learned_starts.load(path, generator)

    def _choose(self, reading: str) -> None:
        """Fits the first training images under each lr_weight, with a prior learned from the others."""
        trained = self.trained()
        for name in trained[: self.plan.config.num_choosing]:
            if self._off_stage == "choose":
                self._fit("choose", OFF, name)
            others = self.prior(reading, [other for other in trained if other != name])
            self._fit("choose", reading, name, self.plan.lr_weights(reading), prior=others)

    @property
    def _off_stage(self) -> str:
        """The stage that fits training images without a prior as test images are fitted."""
        return "train" if self.plan.training_method == self.plan.method else "choose"

    def held_out_losses(self, reading: str) -> dict[float, float]:
        """lr_weight, 0 for off -> loss of the held-out measurements, the mean over the images that `_choose` fits."""
        rows, names = self.rows, self.trained()[: self.plan.config.num_choosing]
        stages = {0.0: (self._off_stage, OFF)} | {value: ("choose", reading) for value in self.plan.lr_weights(reading)}
        return {
            value: float(np.mean([_held_out_loss(rows[Key(*stage, value, name)]) for name in names]))
            for value, stage in stages.items()
        }

    def chosen_weight(self, reading: str) -> float:
        """The lr_weight that predicts held-out measurements best."""
        losses = self.held_out_losses(reading)
        return min(losses, key=losses.get)

    def weight_of(self, arm: Arm) -> float:
        """The lr_weight of an arm."""
        return self.chosen_weight(arm.reading) if arm.penalized else 0.0

    def held_out(self, name: str) -> cs.Problem:
        """Measurements of a training image that no fit sees: another matrix and noise, the same signal-to-noise."""
        measurement = Measurement(
            kind="gaussian",
            count=self.plan.config.held_out,
            noise_variance=self.cell.measurement.paper_variance(self.cell.measurement.count),
            reference=False,
            matrix_dtype=self.cell.measurement.matrix_dtype,
        )
        keys = Keys(*(jax.random.fold_in(key, 2**31) for key in keys_of(self.plan.config.seed)))
        return measurement.problem(keys, name, self.plan.training[name])

    def _fit(self, stage: str, arm: str, name: str, lr_weights: Sequence[float] = (0.0,), **fields) -> None:
        """One image under each lr_weight, and a row for each, unless they are there."""
        training, rows = stage != "test", self.rows
        image = (self.plan.training if training else self.plan.test)[name]
        done = {key for key in (Key(stage, arm, value, name) for value in lr_weights) if key in rows}
        done = {key for key in done if self._has_files(key, rows[key].file, image.shape)}
        if len(done) == len(lr_weights):
            return
        keys, id_ = keys_of(self.plan.config.seed), image_id(name)
        operator, measurements = problem = self.cell.measurement.problem(keys, name, image)
        swept = {"lr_weight": np.asarray(lr_weights, float)}
        method = self.plan.training_method if stage == "train" else self.plan.method
        sweep = Sweep("csdip", dataclasses.replace(method, **fields, **swept), swept)
        prefix = stem(self.cell.name, stage, arm, name)
        measured = self.cell.measurement
        known = {
            "image": name,
            "image_digest": content_digest(image),
            "preset": self.plan.config.preset,
            "seed": self.plan.config.seed,
            "operator": measured.kind,
            "count": measured.count,
            "measurement": measured.description,
            "num_measurements": int(measurements.size),
            "noise_variance": measured.noise_variance,
            "device": device_name(),
        }
        options = {"known": known, "keep_params": stage == "train"}
        solved = saved.solve(self.workdir, prefix, sweep, problem, keys.fit, id_, **options)
        for value, fit in zip(lr_weights, solved, strict=True):
            if Key(stage, arm, value, name) in done:
                continue
            if stage == "train":
                params = fit.solution.params
                tensors = zip(priors.tensor_names(params), jax.tree.leaves(params), strict=True)
                write_arrays(self._weights(name), **dict(tensors))
            saved.save(self.workdir, fit, fit.solution.image, {"adjoint": np.asarray(operator.adjoint(measurements))})
            more = {"cell": self.cell.name, "stage": stage, "arm": arm}
            if training:
                loss = cs.operators.measurement_loss(*self.held_out(name), fit.solution.image)
                more["held_out_loss"] = float(loss)
            reported = errors(fit.solution.image, image)  # never used to choose
            self.workdir.append(dataclasses.replace(fit.row, more=more, **reported))
        saved.forget_checkpoint(self.workdir, prefix, sweep)

    def _has_files(self, key: Key, name: str, shape: tuple) -> bool:
        """Whether what a finished fit left is there and undamaged."""
        found = saved.is_whole(saved.reconstruction(self.workdir.path, name), shape, "trace", "adjoint")
        return found and (key.stage != "train" or is_whole(self._weights(key.image)))

    def _weights(self, name: str) -> Path:
        return self.workdir.path / "weights" / f"{self.cell.name}-{name}.npz"

    def _save_prior(self, reading: str) -> None:
        """The prior of all training images as a file, once: its provenance is that of the saved."""
        path = self.workdir.path / "priors" / f"{self.cell.name}-{reading}.npz"
        chosen = reading in self.plan.readings  # if not, it serves a warm start alone
        weight = self.chosen_weight(reading) if chosen else None
        tensors = priors.tensor_names(self.plan.method.generator.params_like)
        if path.exists() and (not chosen or learned_priors.load(path, tensors)[1] == weight):
            return
        images = {name: content_digest(self.plan.training[name]) for name in self.trained()}
        provenance = {"cell": self.cell.name, "images": images, "config": self.plan.config.to_dict(), **environment()}
        learned_priors.save(path, self.prior(reading), weight, provenance)


def _held_out_loss(row: Row) -> float:
    """Of a training image's row; null, which no number of JSON is, was infinite or NaN: never the best."""
    if "held_out_loss" not in row.more:
        raise InputError(f"the row of {row.file} has no held_out_loss: remove it from results.jsonl")
    return math.inf if row.more["held_out_loss"] is None else row.more["held_out_loss"]


def is_off(arm: Arm, weight: float) -> bool:
    """Whether an arm amounts to no regularization at all: its images are those of the arm without."""
    return weight == 0 and not arm.warm
