"""A cell in three stages: fit the training images and learn the priors, choose lr_weight, evaluate on the test images.

Every fit becomes a row of results.jsonl when it is finished; a rerun skips it. The matrix, the noise, the latent and
the first weights of an image depend on its name and the seed alone, so all fits of an image in a cell share them.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.results import Workdir, content_digest, environment, write_arrays
from csdip_jax.types import InputError
from experiments import learned_priors, settings
from experiments.learned_regularization.study import Cell, Plan, lr_weights
from experiments.reconstruct import fits

OFF = "off"


class Row(NamedTuple):
    """What identifies a row: the stage (train, choose or test), the arm and its lr_weight, the image."""

    cell: str
    stage: str
    arm: str
    lr_weight: float
    image: str


def rows_of(workdir: Workdir) -> dict[Row, dict]:
    return {Row(*(row[name] for name in Row._fields)): row for row in workdir.rows}


def run(plan: Plan, workdir: Workdir, cell: Cell) -> None:
    """All fits of a cell that are not finished yet."""
    train(plan, workdir, cell)
    weights = [_load_weights(plan, workdir, cell, name) for name in plan.training]
    for reading in {arm.reading: None for arm in plan.arms if arm.penalized}:
        choose(plan, workdir, cell, reading, weights)
        prior = learn(plan, weights, reading)
        path = workdir.path / "priors" / f"{cell.name}-{reading}.npz"
        learned_priors.save(path, prior, chosen_weight(plan, workdir, cell, reading), _provenance(plan, cell))
    test(plan, workdir, cell, weights)


# --- the stages


def train(plan: Plan, workdir: Workdir, cell: Cell) -> None:
    """Fits the training images without regularization and keeps the weights."""
    for name in plan.training:
        if Row(cell.name, "train", OFF, 0.0, name) not in rows_of(workdir):
            _fit(plan, workdir, cell, "train", OFF, name, _sweep(plan))
        elif not _weights_path(workdir, cell, name).exists():
            raise InputError(f"{_weights_path(workdir, cell, name)} is missing: choose another --workdir")


def learn(plan: Plan, weights: Sequence, reading: str) -> priors.LayerGaussian:
    """The prior of these weights."""
    config = plan.config
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *weights)
    key = jax.random.fold_in(jax.random.key(config.seed), 4)  # settings.keys takes those before
    return priors.fit(stacked, key, reading=reading, samples=config.samples, rounds=config.rounds)


def choose(plan: Plan, workdir: Workdir, cell: Cell, reading: str, weights: Sequence) -> None:
    """Fits the first training images under each lr_weight, with a prior learned from the others."""
    grid = lr_weights(plan.config, reading)
    for number, name in enumerate(list(plan.training)[: plan.config.num_choosing]):
        if all(Row(cell.name, "choose", reading, value, name) in rows_of(workdir) for value in grid):
            continue
        others = learn(plan, [w for i, w in enumerate(weights) if i != number], reading)
        _fit(plan, workdir, cell, "choose", reading, name, _sweep(plan, grid, prior=others))


def held_out_losses(plan: Plan, workdir: Workdir, cell: Cell, reading: str) -> dict[float, float]:
    """lr_weight, 0 for off -> loss of the held-out measurements, the mean over the images of `choose`."""
    rows, names = rows_of(workdir), list(plan.training)[: plan.config.num_choosing]
    keys = {0.0: ("train", OFF)} | {value: ("choose", reading) for value in lr_weights(plan.config, reading)}
    return {
        value: float(np.mean([rows[Row(cell.name, stage, arm, value, name)]["held_out_loss"] for name in names]))
        for value, (stage, arm) in keys.items()
    }


def chosen_weight(plan: Plan, workdir: Workdir, cell: Cell, reading: str) -> float:
    """The lr_weight that predicts held-out measurements best."""
    losses = held_out_losses(plan, workdir, cell, reading)
    return min(losses, key=losses.get)


def test(plan: Plan, workdir: Workdir, cell: Cell, weights: Sequence) -> None:
    """Fits the test images without a prior and in every arm; an arm whose chosen weight is 0 is the one without."""
    for name in plan.test:
        if Row(cell.name, "test", OFF, 0.0, name) not in rows_of(workdir):
            _fit(plan, workdir, cell, "test", OFF, name, _sweep(plan))
        for arm in plan.arms:
            weight = arm_weight(plan, workdir, cell, arm)
            if is_off(arm, weight) or Row(cell.name, "test", arm.label, weight, name) in rows_of(workdir):
                continue
            prior = learn(plan, weights[: arm.count], arm.reading)
            _fit(plan, workdir, cell, "test", arm.label, name, _sweep(plan, [weight], prior=prior, warm_start=arm.warm))


def arm_weight(plan: Plan, workdir: Workdir, cell: Cell, arm) -> float:
    return chosen_weight(plan, workdir, cell, arm.reading) if arm.penalized else 0.0


def is_off(arm, weight: float) -> bool:
    """Whether an arm amounts to no regularization at all."""
    return weight == 0 and not arm.warm


# --- one fit


def _sweep(plan: Plan, lr_weights: Sequence[float] = (0.0,), **fields) -> settings.Sweep:
    """The method with these fields, under each lr_weight."""
    swept = {"lr_weight": np.asarray(lr_weights, float)}
    return settings.Sweep("csdip", dataclasses.replace(plan.method, **fields, **swept), swept)


def _fit(plan, workdir: Workdir, cell: Cell, stage: str, arm: str, name: str, sweep: settings.Sweep) -> None:
    """One image under the settings of a sweep; a row for each, and for training images the held-out loss."""
    training, keys, id_ = stage != "test", settings.keys(plan.config.seed), settings.image_id(name)
    image = (plan.training if training else plan.test)[name]
    problem, prefix = cell.measurement.problem(keys, name, image), fits.stem(cell.name, stage, arm, name)
    held_out = _held_out(plan, cell, name, image) if training else None
    for i, fit in enumerate(fits.solve(workdir, prefix, sweep, problem, keys.fit, id_, keep_params=stage == "train")):
        row = Row(cell.name, stage, arm, sweep.values(i)["lr_weight"], name)
        if row in rows_of(workdir):
            continue
        if stage == "train":
            _save_weights(workdir, cell, name, fit.solution.params)
        fits.save(
            workdir, fit, fit.solution.image, {"adjoint": np.asarray(problem.operator.adjoint(problem.measurements))}
        )
        facts = {
            **row._asdict(),
            "num_measurements": cell.measurement.count,
            "noise_variance": cell.measurement.noise_variance,
            "image_digest": content_digest(image),
            "stem": fit.stem,
            "mse": float(cs.metrics.mse(fit.solution.image, image)),  # reported, never used to choose
        }
        if held_out is not None:
            facts["held_out_loss"] = float(cs.operators.measurement_loss(*held_out, fit.solution.image))
        workdir.append(facts | fit.facts)
    fits.forget_checkpoint(workdir, prefix, sweep)


def _held_out(plan: Plan, cell: Cell, name: str, image: np.ndarray) -> cs.Problem:
    """Measurements of the same signal-to-noise ratio that no fit sees: another matrix, other noise."""
    m = cell.measurement.count
    measurement = settings.Measurement("gaussian", plan.config.held_out, cell.measurement.paper_variance(m), False)
    keys = settings.Keys(*(jax.random.fold_in(key, 2**31) for key in settings.keys(plan.config.seed)))
    return measurement.problem(keys, name, image)


def _weights_path(workdir: Workdir, cell: Cell, name: str):
    return workdir.path / "weights" / f"{cell.name}-{name}.npz"


def _save_weights(workdir: Workdir, cell: Cell, name: str, params) -> None:
    named = zip(priors.tensor_names(params), jax.tree.leaves(params), strict=True)
    write_arrays(_weights_path(workdir, cell, name), **dict(named))


def _load_weights(plan: Plan, workdir: Workdir, cell: Cell, name: str):
    like = plan.method.params_like
    with np.load(_weights_path(workdir, cell, name)) as saved:
        return jax.tree.unflatten(jax.tree.structure(like), [saved[tensor] for tensor in priors.tensor_names(like)])


def _provenance(plan: Plan, cell: Cell) -> dict:
    images = {name: content_digest(image) for name, image in plan.training.items()}
    return {"cell": cell.name, "images": images, "config": plan.config.to_dict(), **environment()}
