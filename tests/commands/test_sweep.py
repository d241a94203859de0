"""A sweep: its plan, what it computes beside single runs, growing, and what is refused."""

import contextlib
import dataclasses
import io
import itertools
import math
import os
import random
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image
from tqdm import tqdm

import csdip_jax as cs
from csdip_jax import files
from csdip_jax.commands import launcher, row_tables, settings
from csdip_jax.commands.configs import sweep as sweep_config
from csdip_jax.commands.sweep import computing, dry_run
from csdip_jax.io import lines
from csdip_jax.runs import plan, run as engine, time_left
from csdip_jax.runs.measurement import image_id, keys_of
from csdip_jax.runs.workdir import Share
from csdip_jax.solve import fits, memory
from csdip_jax.solve.trial import Trial
from csdip_jax.types import InputError
from experiments.configs import paper_items as items
from experiments.paper import numbers
from tests.commands import typed as commands
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.filterwarnings("ignore:.generator.latent_dim. is of dcgan")  # also where only TV is left

TINY = (16, 16, 1)
GRIDS = {"csdip": (), "tv": ("tv.mu=64,256",)}
AXES = {"seed": (0, 1), "operator": ("gaussian",), "num_measurements": (40,), "noise_variance": (0.0, 10.0)}


def config(**changes):
    """24 cells of CS-DIP and TV in two programs."""
    config = sweep_config.with_axes(sweep_config.get_config(), **AXES)
    config.data, config.image_shape, config.num_images, config.methods = "demo", TINY, 2, "csdip,tv"
    config.csdip.steps, config.generator.latent_dim, config.csdip.restarts = 40, 4, 2
    config.tv.steps, config.grids = 20, GRIDS["tv"]
    for name, value in changes.items():
        config[name] = value
    return config


def programs_of(**changes):
    return plan.programs(settings.studies(config(**changes), None))


def content(folder: Path) -> dict:
    """Name of a cell -> (its row but for what is said of time, its image)."""
    found = {}
    for row in lines.read_all_rows(folder):
        assert row["file"] not in found, "a cell has two rows"
        with np.load(folder / "reconstructions" / f"{row['file']}.npz") as saved:
            same = {name: row[name] for name in row if name not in ("seconds", "compiled")}
            found[row["file"]] = (same, saved["image"].tobytes())
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    before = fits.advance._cache_size()
    rows = computing.sweep(config(), folder, None)
    return folder, rows, fits.advance._cache_size() - before


def test_every_cell_has_its_row(undisturbed):
    folder, rows, _ = undisturbed
    names = ("num_measurements", "noise_variance", "image", "seed", "label")
    labels = ("csdip", "tv mu=64", "tv mu=256")
    expected = set(itertools.product((40,), (0.0, 10.0), ("camera", "cell"), (0, 1), labels))
    assert len(rows) == len(expected) == len(content(folder))
    assert {tuple(getattr(row, name) for name in names) for row in rows} == expected
    assert all(row.ok and row.seconds > 0 for row in rows)
    # In the order of the plan, whatever the order in which they were written.
    batches = [batch for program in programs_of() for batch in plan.batches(program)]
    cells = [(batch.program, cell) for batch in batches for cell in batch.cells]
    assert [row.file for row in rows] == [plan.cell_stem(*cell) for cell in cells]
    first = {batch.program.name: batch for batch in reversed(batches)}
    compiled = {plan.cell_stem(batch.program, cell) for batch in first.values() for cell in batch.cells}
    assert {row.file for row in rows if row.compiled} == compiled
    for row, (program, ((image, seed), measurement, setting)) in zip(rows, cells, strict=True):
        told = (row.image, row.seed, row.noise_variance, row.count, row.label)
        labels = program.sweep.labels
        assert told == (image, seed, measurement.noise_variance, measurement.count, labels[setting])


def test_one_compile_for_each_distinct_shape(undisturbed, tmp_path):
    assert undisturbed[2] == len(programs_of()) == 2
    before = fits.advance._cache_size()
    computing.sweep(config(num_measurements=(40, 80), methods="tv", num_images=3), tmp_path, None)
    assert fits.advance._cache_size() == before + 1


def test_a_cell_is_what_reconstruct_gives(undisturbed):
    folder, rows, _ = undisturbed
    names, images = settings.study(config()).load_images()
    for label, method in {
        "tv mu=256": cs.methods.Tv(TINY, steps=20, mu=256.0),
        "csdip": cs.methods.CsDip(TINY, 40, generator=cs.generators.DCGAN(TINY, latent_dim=4), restarts=2),
    }.items():
        (row,) = [
            row
            for row in rows
            if (row.label, row.image, row.seed, row.num_measurements) == (label, "cell", 1, 40)
            and row.noise_variance == 10
        ]
        root, id_ = keys_of(1), image_id("cell")
        operator = cs.operators.gaussian(jax.random.fold_in(root.operator, id_), 40, TINY)
        noise = jax.random.fold_in(root.noise, id_)
        y = cs.operators.measure(noise, operator, images[names.index("cell")], noise_variance=10.0)
        solution = cs.reconstruct(method, cs.Problem(operator, y), root.fit, image_ids=[id_])
        with np.load(folder / "reconstructions" / f"{row.file}.npz") as saved:
            np.testing.assert_allclose(saved["image"], solution.image, atol=2e-4)
        assert row.mse == pytest.approx(float(cs.metrics.mse(solution.image, images[names.index("cell")])), rel=1e-2)


@pytest.mark.parametrize("preset", ["paper", "reference"])
@pytest.mark.parametrize("seeds", [(0,), (3, 1)])
@pytest.mark.parametrize("kind", ["gaussian", "radial_fourier"])
def test_a_batch_measures_what_each_of_its_cells_would(kind, seeds, preset):
    """However many scenes and noise variances are beside it; those that may share an operator do."""
    axes = {"operator": (kind,), "num_measurements": (40,), "num_lines": (3,), "seed": seeds}
    (program,) = programs_of(**axes, preset=preset, methods="tv")
    assert program.shares_operator == (kind == "radial_fourier" or (preset == "reference" and len(seeds) == 1))
    batch = plan.Batch(program, program.scenes)
    measured = engine.measure(batch)
    operator = measured.problem.operator
    assert isinstance(operator, cs.operators.Stack) != program.shares_operator
    assert program.shares_operator or operator.size == len(batch.scenes)
    assert batch.method.mu.tolist() == [64, 256] * (len(batch.cells) // 2)
    for i, ((image, seed), measurement, setting) in enumerate(batch.cells):
        keys, found = keys_of(seed), measured.problem_of(i)
        expected = measurement.problem(keys, image, program.images[image])
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), found, expected)
        assert measured.keys[i] == keys.fit and measured.image_ids[i] == image_id(image)
        assert program.sweep.values(setting)["mu"] == batch.method.mu[i]


@pytest.mark.parametrize(
    ("limit", "preset", "expected"),
    [
        (40 * 256 * 4 * 2 * 10, "paper", 10),  # a dense matrix of each scene, in half of the memory
        (40 * 256 * 4 * 2 * 10 - 1, "paper", 9),
        (10**12, "paper", 64),
        (1, "paper", 2),
        (40 * 256 * 4, "reference", 64),  # one for all, whatever its size
    ],
)
def test_an_accelerator_gets_as_many_scenes_as_half_its_memory_holds(limit, preset, expected, monkeypatch):
    """At most 32 and at least one on each of two."""
    device = SimpleNamespace(platform="gpu", memory_stats=lambda: {"bytes_limit": limit, "bytes_in_use": limit})
    (program,) = programs_of(methods="tv", num_measurements=(40,), seed=(0,), preset=preset)
    monkeypatch.setattr(jax, "local_devices", lambda: [device, device])
    assert plan.scenes_at_once(program) == expected


def test_it_grows_and_computes_only_what_is_missing(tmp_path, monkeypatch):
    small = config(num_images=1, methods="tv", seed=(0,), num_measurements=(40,), noise_variance=(0.0,))
    computing.sweep(small, tmp_path, None)
    solved = []
    reconstruct = cs.reconstruct
    monkeypatch.setattr(cs, "reconstruct", lambda *a, **o: solved.append(o["image_ids"]) or reconstruct(*a, **o))
    assert len(computing.sweep(small, tmp_path, None)) == 2 and not solved
    grown = config(num_images=2, methods="tv", seed=(0,), num_measurements=(40,), noise_variance=(0.0,))
    assert len(computing.sweep(grown, tmp_path, None)) == 4 and len(solved) == 1
    assert len(computing.sweep(small, tmp_path, None)) == 2 and len(content(tmp_path)) == 4
    # Files that were lost or cut off are made again.
    (tmp_path / "reconstructions" / "camera-m40-noise0-seed0-tv-mu=64.npz").write_bytes(b"")
    (tmp_path / "originals" / "camera.npz").unlink()
    assert len(computing.sweep(small, tmp_path, None)) == 2 and len(solved) == 2
    assert all(files.is_whole(path) for path in tmp_path.rglob("*.npz"))
    # What its batch had besides is left alone.
    again = [row["file"] for row in lines.read_all_rows(tmp_path)]
    assert len(again) == 5 and again.count("camera-m40-noise0-seed0-tv-mu=64") == 2


def test_rows_of_other_images_or_of_another_training_are_refused(undisturbed, monkeypatch):
    """A single pixel is enough; images that this run has not do not matter."""
    folder, rows, _ = undisturbed
    programs = programs_of()
    assert len(engine.finished_rows(folder, programs)) == len(rows)
    changed = programs[1].images["cell"].copy()
    changed[3, 4] += 1e-6
    other = programs[1]._replace(images={"cell": changed})
    with pytest.raises(InputError, match="image cell has changed since .*: choose another `workdir`"):
        engine.finished_rows(folder, [other])
    assert not engine.finished_rows(folder, [programs[1]._replace(images={"new": changed})])
    monkeypatch.setattr(engine, "digests", lambda sweeps: {"tv": "of another training"})
    with pytest.raises(InputError, match="tv was trained otherwise when .*: choose another `workdir`"):
        engine.finished_rows(folder, programs)


@pytest.mark.parametrize("line", ['{"part": "", "mse": 1}', "[1]", "3"])
def test_a_row_that_is_no_cell_is_refused(line, tmp_path):
    (tmp_path / "results.jsonl").write_text(f"{line}\n")
    with pytest.raises(InputError, match="a row that is no reconstruction's, without .*: remove it"):
        computing.sweep(config(methods="tv"), tmp_path, None)


def one_cell(**changes):
    return config(num_images=1, methods="tv", grids=(), seed=(0,), noise_variance=(0.0,), **changes)


def damaged(path):
    """Contents that are not what was written."""
    whole = path.read_bytes()
    with np.load(path) as saved:
        arrays = dict(saved)
    yield whole[: len(whole) // 2]
    yield whole[:-1]
    yield b""
    yield whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
    yield whole[:200] + bytes(600) + whole[800:]
    for change in ("missing", "shape", "kind", "object"):
        instead = {"shape": arrays["image"][1:], "kind": arrays["image"].astype(int), "object": np.array([{}])}
        others = {name: array for name, array in arrays.items() if name != "image"}
        buffer = io.BytesIO()
        np.savez(buffer, **others, **({} if change == "missing" else {"image": instead[change]}))
        yield buffer.getvalue()


@pytest.mark.parametrize("pixel_range", [None, (0, 255)])
@pytest.mark.parametrize("folder", ["originals", "reconstructions"])
def test_a_damaged_file_is_made_anew(folder, pixel_range, tmp_path):
    computing.sweep(one_cell(), tmp_path, None, pixel_range=pixel_range)
    (path,) = (tmp_path / folder).glob("*.npz")
    with np.load(path) as saved:
        before = saved["image"]
    for content in damaged(path):
        path.write_bytes(content)
        (row,) = computing.sweep(one_cell(), tmp_path, None, curves=True, pixel_range=pixel_range)
        assert row.label == "tv"
        with np.load(path) as saved:
            np.testing.assert_array_equal(saved["image"], before)


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_null_among_the_metrics_is_a_dash(nothing, undisturbed, capsys):
    rows = [dataclasses.replace(row, mse=nothing, psnr=nothing, ssim=nothing) for row in undisturbed[1]]
    row_tables.print_means([])
    assert capsys.readouterr().out == ""
    row_tables.print_means(rows)
    row_tables.print_images(rows)
    shown = capsys.readouterr().out
    assert "None" not in shown and "nan" not in shown and shown.count(" - ") >= 2 * len(rows)
    assert row_tables.caption(rows[0]).startswith("MSE -, PSNR - dB")
    as_csdip = [dataclasses.replace(row, method="csdip") for row in rows]
    points = numbers.points(items.ITEMS["fig4a"], as_csdip, {})
    assert points["mse"].isna().all() and numbers.seconds(rows, ("csdip", "tv"), {})["mse"].isna().all()


def test_an_exact_recovery_is_null_on_the_disk_and_infinite_in_the_table(tmp_path, capsys):
    (row,) = computing.sweep(one_cell(), tmp_path, None)
    lines.append_row(tmp_path / "results.jsonl", dataclasses.replace(row, mse=0.0, psnr=math.inf).as_json())
    assert '"psnr": null' in (tmp_path / "results.jsonl").read_text()
    (row,) = computing.sweep(one_cell(), tmp_path, None)
    assert row.psnr == math.inf
    row_tables.print_images([row])
    row_tables.print_means([row])
    assert capsys.readouterr().out.count(" inf ") == 2


def test_shared_operators_and_curves(tmp_path):
    axes = {"operator": ("radial_fourier", "gaussian"), "num_lines": (3,), "num_measurements": (40,), "seed": (0,)}
    settings_ = config(**axes, preset="reference", methods="tv")
    assert all(program.shares_operator for program in plan.programs(settings.studies(settings_, None)))
    computing.sweep(settings_, tmp_path, None)
    rows = computing.sweep(settings_, tmp_path, None, curves=True)  # of finished cells, too
    assert {(row.operator, row.count) for row in rows} == {("radial_fourier", 3), ("gaussian", 40)}
    curve = np.loadtxt(tmp_path / "curves" / f"{rows[0].file}.csv", delimiter=",", skiprows=1)
    with np.load(tmp_path / "reconstructions" / f"{rows[0].file}.npz") as saved:
        np.testing.assert_allclose(curve[:, 1], saved["trace"][: len(curve)], rtol=1e-6)
    assert len(curve) == rows[0].steps


@pytest.mark.parametrize(
    ("message", "changes"),
    {
        r"num_measurements = \(40, 40\): it must be without repetitions": {"num_measurements": (40, 40)},
        r"noise_variance = \(\): it must be one value at least": {"noise_variance": ()},
        "the sweep is empty": {"operator": ("radial_fourier",), "num_lines": ()},
        "unknown operator 'radon'": {"operator": ("radon",)},
        "m = 0 of n = 256": {"num_measurements": (0,)},
        "m = 300 of n = 256": {"num_measurements": (300,), "operator": ("hadamard",)},
        "'lasso_dct' is not among": {"grids": ("lasso_dct.alpha=1",)},
        "tv.mu has a grid already": {"grids": ("tv.mu=16", "tv.mu=64")},
        r"num_measurements = 40.5: it must be a whole number": {"num_measurements": (40.5,)},
        "num_measurements = True: it must be a whole number": {"num_measurements": (True,)},
        "seed = 'a': it must be a whole number": {"seed": ("a",)},
        "seed = 99999999999999999999: it must be": {"seed": (99999999999999999999,)},
        "noise_variance = None: it must be a number": {"noise_variance": (None,)},
        r"methods = \('tv', 'tv'\): it must be without repetitions": {"methods": "tv,tv"},
        "grid 3: write <method>": {"grids": (3,)},
        "several cells would be written as camera-m40-noise1e": {"noise_variance": (1000000.0, 1000001.0)},
        "operator = None: it must be gaussian or radial": {"operator": (None,), "num_lines": (3,)},
    }.items(),
)
def test_what_is_refused_before_anything_is_computed(message, changes, tmp_path):
    with pytest.raises(InputError, match=message):
        computing.sweep(config(**changes), tmp_path / "run", None)
    assert not (tmp_path / "run").exists()


def test_images_whose_files_would_be_the_same_are_refused(tmp_path):
    for name in ("a b", "a-b"):
        Image.new("L", (16, 16), 9).save(tmp_path / f"{name}.png")
    with pytest.raises(InputError, match="several cells would be written as a-b-m40"):
        programs_of(data=str(tmp_path))


def test_large_images_are_refused_before_anything_is_drawn_or_written(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "LARGE_IMAGE", 1)
    monkeypatch.setattr(memory, "usable_bytes", lambda: 10**4)
    with pytest.raises(cs.InputError, match="a single fit needs .* where 0.01 MB can be used"):
        computing.sweep(config(), tmp_path / "sweep", None)
    assert not (tmp_path / "sweep").exists()


def test_a_new_axis_is_refused(tmp_path):
    """Cells would get other names, and those that are there be computed again."""
    small = config(num_images=1, methods="tv", seed=(0,), noise_variance=(0.0,))
    del small["num_measurements"]
    small.num_measurements = 40
    computing.sweep(small, tmp_path, None)
    with pytest.raises(InputError, match=r"other settings \(flags.axes\)"):
        computing.sweep(config(num_images=1, methods="tv", seed=(0,), noise_variance=(0.0,)), tmp_path, None)


def test_a_checkpoint_of_another_cut_is_left_alone_until_its_cells_are_done(tmp_path, monkeypatch):
    """As after a kill on another number of devices: the batch begins anew, and the checkpoint goes with its own."""
    small = config(num_images=1, methods="tv", seed=(0,), noise_variance=(0.0,))
    (batch,) = plan.batches(plan.programs(settings.studies(small, None))[0])
    monkeypatch.setattr(jax, "local_device_count", lambda: 3)
    stale = tmp_path / batch.checkpoint
    stale.write_bytes(b"of another fit")
    monkeypatch.undo()
    assert stale.name != batch.checkpoint
    assert len(computing.sweep(small, tmp_path, None)) == 2 and not stale.exists()


def test_no_two_batches_share_a_checkpoint(monkeypatch):
    """Nor does one that is cut otherwise: by its noise variances, settings, scenes, or number of devices."""
    names = set()
    changes = [{}, {"noise_variance": (0.0,)}, {"grids": ("tv.mu=64",)}, {"num_measurements": (80,)}, {"seed": (2, 3)}]
    for change in changes:
        (program,) = programs_of(**{"methods": "tv"} | change)
        batches = plan.batches(program)
        names |= {batch.checkpoint for batch in batches} | {plan.Batch(program, program.scenes[:2]).checkpoint}
    monkeypatch.setattr(jax, "local_device_count", lambda: 3)
    names |= {batch.checkpoint for batch in batches}
    assert len(names) == 5 * 5 + 4 and all(name.endswith(".npz") for name in names)


def test_time_left_is_that_of_the_same_program_or_method():
    programs = programs_of(num_measurements=(40, 80), seed=(0,), noise_variance=(0.0,), grids=())
    every = time_left.parts([batch for program in programs for batch in plan.batches(program)])
    assert [part.program for part in every][::2] == ["m40-csdip", "m40-tv", "m80-csdip", "m80-tv"]
    assert time_left.seconds_left(every, {}) is None
    took = {seconds: SimpleNamespace(seconds=seconds) for seconds in (10.0, 1.0, 30.0, None)}
    rows = {every[0].cell: took[10.0], every[2].cell: took[1.0], every[4].cell: took[30.0]}
    # One cell left of each of the first three programs; of the last both, whose method took 1 s elsewhere.
    assert time_left.seconds_left(every, rows) == pytest.approx(10 + 1 + 30 + 2)
    assert time_left.seconds_left(every, rows | {every[5].cell: took[30.0]}) == pytest.approx(10 + 1 + 2)
    assert time_left.seconds_left(every[:2], {every[0].cell: took[None]}) is None


@pytest.mark.parametrize("count", [2, 3, 4])
def test_processes_share_every_method_alike(count):
    every = programs_of(num_measurements=(40, 80), methods="csdip,lasso_dct,tv,damp_tv", grids=())
    every = [batch for program in every for batch in plan.batches(program)]
    parts = [[batch.checkpoint for batch in plan.dealt(every, Share(i, count))] for i in range(count)]
    assert sorted(itertools.chain(*parts)) == sorted(batch.checkpoint for batch in every)
    for method in ("csdip", "lasso_dct", "tv", "damp_tv"):
        counts = [sum(f"-{method}-" in name for name in part) for part in parts]
        assert max(counts) - min(counts) <= 1 and sum(counts) == 8


def test_operators_may_be_listed_in_one_text():
    programs = programs_of(operator=("gaussian,hadamard",), methods="tv", num_measurements=(40,))
    assert [program.measurements[0].kind for program in programs] == ["gaussian", "hadamard"]


@pytest.mark.parametrize("count", [0, -1, 9])
def test_the_number_of_images_counts_without_data_too(count):
    told = commands.refused(commands.run("sweep", f"--config.num_images={count}", "--dry_run"))
    assert f"num_images={count}: 'demo' has 4 images" in told


@pytest.mark.parametrize("given", ["3", "3/", "/8", "8/8", "-1/8", "0/0", "1.0/2", "a/b"])
def test_a_share_that_is_none(given, monkeypatch):
    told = commands.refused(commands.run("sweep", f"--share={given}", "--dry_run"))
    assert f"--share={given}: write --share=<process>/<processes>, for eight 0/8 to 7/8" in told
    monkeypatch.setenv("SLURM_PROCID", "8")
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert "SLURM_PROCID/SLURM_NTASKS=8/8: write --share=" in commands.refused(commands.run("sweep", "--dry_run"))


def test_slurm_tells_the_share_unless_it_is_given(monkeypatch):
    flag = SimpleNamespace(value=None)
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert launcher.share_of(flag) == (0, 1)
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert launcher.share_of(flag) == (3, 8)
    assert launcher.share_of(SimpleNamespace(value="1/2")) == (1, 2)


@pytest.mark.parametrize("gone", ["distributed", "coordinator=node0:12345", "num_processes=2", "process_id=0"])
def test_what_a_share_replaces_is_refused(gone):
    assert "write --share=0/8 to --share=7/8" in commands.refused(commands.run("sweep", f"--{gone}"))


def test_a_dry_run_writes_nothing_and_tells_all(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dry_run.dry_run(config(methods="tv", num_measurements=(40,)), None, None)
    shown = capsys.readouterr().out
    assert "16 cells of 1 programs, at most" in shown and re.search(r"\d [MG]B", shown)
    assert not list(tmp_path.iterdir())


def test_a_dry_run_knows_what_is_done(undisturbed, capsys):
    with pytest.raises(InputError, match=r"other settings \(config.tv.steps\)"):
        changed = config()
        changed.tv.steps = 21
        dry_run.dry_run(changed, undisturbed[0], None)
    dry_run.dry_run(config(methods="tv", num_images=3), undisturbed[0], None)
    assert "24 cells of 1 programs, 16 of them done, at most" in capsys.readouterr().out
    dry_run.dry_run(config(methods="tv"), undisturbed[0], None)
    assert "16 cells of 1 programs, 16 of them done, at most 00:00" in capsys.readouterr().out


@pytest.mark.parametrize(("blocks", "step_seconds"), [(1, 0.5), (3, 2.0)])
def test_a_dry_run_adds_up_what_its_trials_took(blocks, step_seconds, undisturbed, capsys, monkeypatch):
    """A program: batches still to be done x blocks x steps; all: the sum, and each program's compiling once."""
    monkeypatch.setattr(dry_run, "trial", lambda *_, **__: Trial(5 * 10**6, 40.0, step_seconds, blocks))
    shown = {}
    for images, folder in ((2, None), (4, undisturbed[0])):  # the second finds half of its cells done
        dry_run.dry_run(config(num_images=images), folder, None)
        *_, csdip, tv, total = capsys.readouterr().out.splitlines()
        shown[images] = [re.sub(".*at most |.* s +| on this.*", "", line) for line in (csdip, tv, total)]
    seconds = [4 * blocks * step_seconds * steps for steps in (40, 20)]  # 2 images with 2 seeds, one at a time on a CPU
    expected = [tqdm.format_interval(value) for value in (*seconds, sum(seconds) + 80)]
    assert shown == {2: expected, 4: expected}


CHILD = """
import os, signal, sys
from csdip_jax.commands.sweep import computing  # imports JAX, starts nothing of it
from tests.commands.test_sweep import config
for line in sys.stdin:
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        from csdip_jax.solve import driver
        driver.CHUNK_SECONDS = 0.05
        computing.sweep(config(), sys.argv[1], None)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


def test_twenty_kills_at_random_moments_change_nothing(undisturbed, tmp_path):
    dice, unfinished = random.Random(0), 0
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | jax_settings(), **pipes) as parent:

        def start() -> int:
            parent.stdin.write("\n")
            parent.stdin.flush()
            return next(int(line) for line in parent.stdout if line.strip().isdigit())

        def wait_until_gone() -> None:
            assert any(line == "gone\n" for line in parent.stdout)

        for _ in range(20):
            child = start()
            select.select([parent.stdout], [], [], dice.uniform(0.1, 1.6))  # less where the child ends before
            with contextlib.suppress(ProcessLookupError):  # it had finished
                os.kill(child, signal.SIGKILL)
            wait_until_gone()
            unfinished += len(lines.read_all_rows(tmp_path)) < len(undisturbed[1])
        start()
        wait_until_gone()
    assert unfinished >= 5
    assert content(tmp_path) == content(undisturbed[0])


def jax_settings(devices: int = 1) -> dict[str, str]:
    """The compilation cache and flags of this process, for another one."""
    flags = os.environ.get("XLA_FLAGS", "") + f" --xla_force_host_platform_device_count={devices}" * (devices > 1)
    return {
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "XLA_FLAGS": flags,
    }


PROCESS = """
import sys
import jax
from csdip_jax.runs.workdir import Share
from csdip_jax.commands.sweep import computing
from tests.commands.test_sweep import GRIDS, config
folder, number, count, method = sys.argv[1:]
assert jax.device_count() == 8 // int(count)
share = Share(int(number), int(count))
computing.sweep(config(num_images=4, methods=method, grids=GRIDS[method]), folder, None, share=share)
"""


@pytest.mark.parametrize(("processes", "method"), [(1, "csdip"), (2, "tv")])
def test_eight_devices_give_what_one_gives(processes, method, tmp_path, on_cpu, undisturbed):
    run_ = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), str(i), str(processes), method],
            cwd=REPOSITORY,
            env=os.environ | jax_settings(8 // processes),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for i in range(processes)
    ]
    for process in run_:
        errors = process.communicate(timeout=300)[1]
        assert process.returncode == 0, errors
    found = content(tmp_path)
    expected = {name: cell for name, cell in content(undisturbed[0]).items() if cell[0]["method"] == method}
    assert len(found) == 2 * len(expected) == {"csdip": 16, "tv": 32}[method]
    assert len(list(tmp_path.glob("results*.jsonl"))) == processes
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "--config.num_measurements='(400,800,1600)' and --config.noise_variance='(0,100)': one cell for each"),
        (("--config.num_measurements=(40,80)",), "by default --config.noise_variance='(0,100)': one cell for each"),
        (("--operator=radial_fourier", "--config.num_lines=(5,)"), "by default --config.noise_variance='(0,100)': "),
        (("--config.num_measurements=40", "--config.noise_variance=0"), ""),
    ],
)
def test_defaults_that_multiply_the_cells_are_told(options, told, monkeypatch):
    """A user who asks for one operator gets twice the cells, half of them noisy."""
    monkeypatch.setattr(dry_run, "dry_run", lambda *_: None)
    done = commands.run("sweep", "--dry_run", "--config.image_shape=(16,16,1)", *options)
    assert done.returncode == 0, done.stderr
    assert (told in done.stdout) and ("by default" in done.stdout) == bool(told)
