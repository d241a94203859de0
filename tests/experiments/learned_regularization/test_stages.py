"""The stages: what is fitted, learned and chosen from what, what the fits share, and resuming them."""

import dataclasses
import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import priors
from csdip_jax.commands import settings
from csdip_jax.commands.configs import default
from csdip_jax.io import learned_priors
from csdip_jax.runs import saved
from csdip_jax.runs.measurement import image_id, keys_of
from csdip_jax.runs.row import Status
from csdip_jax.runs.workdir import Workdir
from experiments.learned_regularization import study
from experiments.learned_regularization.stages import CellRun, Key
from tests.experiments.learned_regularization.toy import CELL, NOISE, config, run


def test_one_program_per_kind_of_arm(finished_and_programs):
    """Without a prior, with each of two readings, and from a warm start: however many images, weights and priors."""
    assert finished_and_programs[1] == 4


def test_every_stage_has_its_rows(finished):
    rows, workdir = finished.rows, finished.workdir
    assert len(rows) == len(workdir.rows)
    assert sum(row.stage == "train" for row in rows) == 3
    assert sum(row.stage == "choose" for row in rows) == 2 * (2 + 1)
    assert all("held_out_loss" in rows[row].more for row in rows if row.stage != "test")
    arms = {row.arm for row in rows if row.stage == "test"}
    assert {"off", "warm_start of 1", "warm_start of 3"} <= arms
    assert len([row for row in rows if row.arm == "off" and row.stage == "test"]) == 2


def test_the_weight_is_chosen_by_held_out_measurements(finished):
    """By hand from the saved reconstructions; the true image enters through its measurements only."""
    (plan, workdir, cell), losses = finished, {}
    for name in list(plan.training)[:2]:
        operator, y = finished.held_out(name)
        noise = float(jnp.sum((y - operator.forward(plan.training[name])) ** 2))
        assert y.shape == (50,) and 0.5 * NOISE < noise < 1.6 * NOISE  # 50 times N(0, NOISE / 50), four deviations
        fitted = cell.measurement.problem(keys_of(0), name, plan.training[name]).operator.matrix
        correlations = np.corrcoef(np.concatenate([operator.matrix, fitted]))[:50, 50:]
        assert np.abs(correlations).max() < 0.5
        for key, row in finished.rows.items():
            if key.image == name and key.stage in ("train", "choose") and key.arm in ("off", "weights"):
                image = np.load(saved.reconstruction(workdir.path, row.file))["image"]
                losses.setdefault(key.lr_weight, []).append(float(jnp.sum((y - operator.forward(image)) ** 2)))
    assert sorted(losses) == [0.0, 1e-2, 1.0]
    means = {weight: np.mean(values) for weight, values in losses.items()}
    for weight, loss in finished.held_out_losses("weights").items():
        np.testing.assert_allclose(loss, means[weight], rtol=1e-4)
    assert finished.chosen_weight("weights") == min(means, key=means.get)


def test_the_prior_is_learned_from_the_kept_weights(finished):
    plan, workdir, _ = finished
    weights = [np.load(workdir.path / "weights" / f"{CELL}-{name}.npz") for name in plan.training]
    prior, lr_weight = learned_priors.load(
        workdir.path / "priors" / f"{CELL}-weights.npz", priors.tensor_names(plan.method.generator.params_like)
    )
    kernels = [np.stack([w[tensor] for w in weights]) for tensor in prior.tensors]
    np.testing.assert_allclose(prior.mean, [kernel.mean() for kernel in kernels], rtol=1e-4, atol=1e-7)
    assert lr_weight == finished.chosen_weight("weights")
    # ... which are those that the row's fit ended with
    name, image = next(iter(plan.training.items()))
    again = fitted_by_hand(finished, name, image, 0.0)
    for tensor, leaf in zip(priors.tensor_names(again.params), jax.tree.leaves(again.params), strict=True):
        np.testing.assert_allclose(weights[0][tensor], leaf, atol=1e-4)


def learned_by_hand(finished, reading, names, **options):
    """The prior of these training images, from the files of their weights."""
    weights = [np.load(finished.workdir.path / "weights" / f"{CELL}-{name}.npz") for name in names]
    like = finished.plan.method.generator.params_like
    leaves = [np.stack([w[tensor] for w in weights]) for tensor in priors.tensor_names(like)]
    return priors.fit(jax.tree.unflatten(jax.tree.structure(like), leaves), reading=reading, **options)


def fitted_by_hand(finished, name, image, lr_weight, **fields):
    """A fit of the study without its code; under a sweep of one weight, as there, it is the same compiled program."""
    method = dataclasses.replace(finished.plan.method, lr_weight=np.array([lr_weight]), **fields)
    problem, keys = finished.cell.measurement.problem(keys_of(0), name, image), keys_of(0)
    solution = cs.reconstruct(method, problem, keys.fit, image_ids=[image_id(name)], keep_params=True)
    return jax.tree.map(lambda x: x[0], solution)


def saved_image(finished, row):
    return np.load(saved.reconstruction(finished.workdir.path, finished.rows[row].file))["image"]


def test_the_choice_uses_a_prior_of_the_other_images(finished):
    first, *others = finished.plan.training
    prior = learned_by_hand(finished, "weights", others)
    image = fitted_by_hand(finished, first, finished.plan.training[first], 1.0, prior=prior).image
    np.testing.assert_allclose(image, saved_image(finished, Key("choose", "weights", 1.0, first)), atol=1e-3)


@pytest.mark.parametrize("count", [1, 3])
def test_an_arm_learns_from_as_many_images_as_it_says(finished, count):
    name, image = next(iter(finished.plan.test.items()))
    prior = learned_by_hand(finished, "layer_means", list(finished.plan.training)[:count])
    image = fitted_by_hand(finished, name, image, 0.0, prior=prior, warm_start=True).image
    row = Key("test", f"warm_start of {count}", 0.0, name)
    np.testing.assert_allclose(image, saved_image(finished, row), atol=1e-3)


def test_algorithm_1_on_request(finished):
    config = finished.plan.config.copy_and_resolve_references()
    config.samples, config.rounds = 30, 20
    prior = finished._replace(plan=finished.plan._replace(config=config)).prior("layer_means")
    key = jax.random.fold_in(jax.random.key(0), 3)
    by_hand = learned_by_hand(finished, "layer_means", finished.plan.training, key=key, samples=30, rounds=20)
    np.testing.assert_allclose(prior.covariance, by_hand.covariance, rtol=1e-5)
    assert np.abs(prior.covariance[0, 1]) > 0


def test_the_networks_learned_from_may_begin_in_another_way(finished, folders, tmp_path, monkeypatch):
    """Which network every fit starts from; the fits themselves are not run."""
    changed = config(folders, training_initializer="torch_0_4", arms="layer_means", training_counts=())
    changed.generator.initializer = "dcgan"
    plan, started = study.plan(changed, None), []
    trained = fitted_by_hand(finished, *next(iter(plan.training.items())), 0.0)

    def record(method, *_, **options):
        started.append((method.generator.initializer, method.prior is not None))
        return jax.tree.map(lambda x: np.stack([x] * len(method.lr_weight)), trained)

    monkeypatch.setattr(saved.cs, "reconstruct", record)
    CellRun(plan, study.open_workdir(plan, str(tmp_path)), plan.cells[0]).run()
    assert started[:3] == [("torch_0_4", False)] * 3
    assert started[3:7] == [("dcgan", False), ("dcgan", True)] * 2  # chosen beside fits that begin as test images' do
    assert set(started[7:]) <= {("dcgan", False), ("dcgan", True)} and ("dcgan", False) in started[7:]


def test_a_test_image_that_has_changed_is_refused(finished):
    changed = finished.plan._replace(test={name: -image for name, image in finished.plan.test.items()})
    with pytest.raises(cs.InputError, match="image disc_3 has changed since .*: choose another `workdir`"):
        finished._replace(plan=changed).run()


def test_failed_training_fits_are_left_out(finished, tmp_path):
    """Copies of the rows, one or two of them marked as failed."""
    names = list(finished.plan.training)
    for failed, left in (([names[0]], names[1:]), (names[1:], None)):
        workdir = Workdir(tmp_path / str(len(failed)), {}, read=study.read_row)
        for row in finished.workdir.rows:
            status = Status.COLLAPSED if row.image in failed else Status.CONVERGED
            workdir.append(dataclasses.replace(row, status=status))
        run = finished._replace(workdir=workdir)
        if left is None:
            with pytest.raises(cs.InputError, match="1 training fits succeeded, 2 are needed"):
                run.trained()
        else:
            assert run.trained() == left


def test_arms_share_everything_but_the_prior(finished):
    """The first loss of the trace is before any step: the same matrix, noise, latent and weights give the same."""
    plan, workdir, _ = finished
    for name in plan.test:
        firsts = {
            row.arm: np.load(saved.reconstruction(workdir.path, content.file))["trace"][0]
            for row, content in finished.rows.items()
            if row.stage == "test" and row.image == name
        }
        assert {"off", "warm_start of 1", "warm_start of 3"} <= firsts.keys()
        cold = [first for arm, first in firsts.items() if "warm_start" not in arm]
        np.testing.assert_allclose(cold, firsts["off"], rtol=1e-6)
        assert len({float(firsts[arm]) for arm in ("off", "warm_start of 1", "warm_start of 3")}) == 3


def test_a_prior_file_follows_the_choice(finished, monkeypatch, tmp_path):
    shutil.copytree(finished.workdir.path, tmp_path / "copy")
    copy = finished._replace(workdir=SimpleNamespace(path=tmp_path / "copy", rows=finished.workdir.rows))
    tensors = priors.tensor_names(finished.plan.method.generator.params_like)
    monkeypatch.setattr(CellRun, "chosen_weight", lambda self, reading: 7.0)
    copy._save_prior("weights")
    assert learned_priors.load(tmp_path / "copy" / "priors" / f"{CELL}-weights.npz", tensors)[1] == 7.0


def test_a_finished_run_is_not_run_again_and_more_may_be_asked_for(finished, folders, monkeypatch):
    workdir = finished.workdir
    before = (workdir.path / "results.jsonl").read_text()
    monkeypatch.setattr(saved.cs, "reconstruct", lambda *_, **__: pytest.fail("nothing is left to fit"))
    run(folders, workdir.path)
    run(folders, workdir.path, num_images=1, arms="weights")
    assert (workdir.path / "results.jsonl").read_text() == before
    with pytest.raises(cs.InputError, match="other settings .*held_out"):
        run(folders, workdir.path, held_out=60)


def test_a_killed_study_ends_in_the_same_rows(finished, folders, tmp_path, monkeypatch):
    reconstruct, started = cs.reconstruct, []

    def die_on_every_third(*arguments, **options):
        started.append(1)
        if len(started) % 3 == 0:
            raise KeyboardInterrupt
        return reconstruct(*arguments, **options)

    monkeypatch.setattr(saved.cs, "reconstruct", die_on_every_third)
    for _ in range(30):
        try:
            other = run(folders, tmp_path).workdir
            break
        except KeyboardInterrupt:
            continue
    assert len(started) >= 9

    def comparable(workdir):
        return [dataclasses.replace(row, seconds=None) for row in workdir.rows]

    assert comparable(other) == comparable(finished.workdir)


def test_a_saved_prior_serves_reconstruct(finished):
    """The method that --config.prior=<file> makes gives the arm's image."""
    plan, workdir, _ = finished
    used = default.get_config()
    used.prior = str(workdir.path / "priors" / f"{CELL}-layer_means.npz")
    used.csdip.steps, used.csdip.warm_start = 12, True
    method, name = settings.study(used).method("csdip", (16, 16, 1)), next(iter(plan.test))
    row = finished.rows[Key("test", "layer_means+warm_start of 3", method.lr_weight, name)]
    fields = {field: getattr(method, field) for field in ("prior", "warm_start")}
    image = fitted_by_hand(finished, name, plan.test[name], method.lr_weight, **fields).image
    np.testing.assert_allclose(image, np.load(saved.reconstruction(workdir.path, row.file))["image"], atol=1e-3)


def test_fits_whose_files_are_damaged_are_run_again(finished, monkeypatch, tmp_path):
    shutil.copytree(finished.workdir.path, tmp_path / "copy")
    again = finished._replace(workdir=study.open_workdir(finished.plan, str(tmp_path / "copy")))
    name, other = list(finished.plan.training)[:2]
    weights = tmp_path / "copy" / "weights" / f"{CELL}-{name}.npz"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:400] + bytes(400) + whole[800:])
    row = finished.rows[Key("train", "off", 0.0, other)]
    saved.reconstruction(again.workdir.path, row.file).unlink()
    solved, solve = [], saved.solve
    monkeypatch.setattr(saved, "solve", lambda *a, **o: solved.append(a[1]) or solve(*a, **o))
    again.run()
    assert len(solved) == 2 and all("train" in prefix for prefix in solved)
    with np.load(weights) as fitted, np.load(finished.workdir.path / "weights" / weights.name) as before:
        for tensor in before.files:
            np.testing.assert_allclose(fitted[tensor], before[tensor], atol=1e-6)


@pytest.mark.parametrize("field", [*study.MORE, "lr_weight", "swept"])
def test_a_row_without_one_of_its_fields_is_named(field, finished, tmp_path):
    row = next(iter(finished.rows.values())).as_json()
    workdir = study.open_workdir(finished.plan, str(tmp_path))
    for fields in (row, row["more"], row["swept"]):
        fields.pop(field, None)
    workdir.append(row)
    run = finished._replace(workdir=workdir)
    if field in study.MORE and study.MORE[field].optional:
        assert run.rows
        return
    with pytest.raises(cs.InputError, match=f"line 1 is damaged, .*without {field}: remove it"):
        run.rows  # noqa: B018
