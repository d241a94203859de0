"""The command as a user runs it, on small images and few steps."""

import json
import re
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from csdip_jax.commands import pictures
from csdip_jax.commands.reconstruct import images
from csdip_jax.io import vae_weights
from csdip_jax.io.lines import read_all_rows
from csdip_jax.runs.row import Row
from tests.commands.typed import command, image_of, refused, rows_of, run, run_process
from tests.conftest import REPOSITORY
from tests.methods.decoders import random_decoder

STEPS = "--config.csdip.steps=20"
FAST = ("--config.methods=tv", "--config.tv.steps=3")


@pytest.fixture
def scans(tmp_path):
    return draw_scans(tmp_path)


def draw_scans(parent):
    """A folder of three pictures of a disc."""
    folder = parent / "scans"
    folder.mkdir()
    rows, columns = np.indices((24, 20))
    for i in range(3):
        disc = np.hypot(rows - 10 - i, columns - 9) < 6
        Image.fromarray(np.where(disc, 220, 40).astype(np.uint8)).save(folder / f"scan_{i}.png")
    return folder


def test_own_images_then_more_of_them(scans, tmp_path):
    workdir = tmp_path / "run"
    options = [f"--images={scans}/*.png", f"--workdir={workdir}", STEPS, "--config.num_measurements=100"]
    first = run("reconstruct", *options, "--config.num_images=2")
    assert first.returncode == 0, first.stderr
    assert "scan_0" in first.stdout and "mean MSE of 2 images" in first.stdout
    assert "loss=" in first.stderr
    for name in ("config.json", "comparison.png", "loss.png", "reconstructions/scan_1-csdip.png"):
        assert (workdir / name).stat().st_size > 100
    assert not list(workdir.glob("checkpoint*"))
    before = rows_of(workdir)
    assert [row["image"] for row in before] == ["scan_0", "scan_1"]
    assert all(row["num_measurements"] == 100 and 0 < row["mse"] < 1 for row in before)
    assert not {row["status"] for row in before} & {"DIVERGED", "COLLAPSED"}

    again = run("reconstruct", *options, "--config.num_images=3")
    assert again.returncode == 0, again.stderr
    assert rows_of(workdir)[:2] == before and rows_of(workdir)[2]["image"] == "scan_2"
    assert "scan_0-csdip" not in again.stderr  # no progress bar: it was skipped

    other = run("reconstruct", *options, "--config.seed=5")
    assert "other settings (config.seed)" in refused(other)


def test_a_changed_input_of_the_same_name_is_refused(scans, tmp_path):
    options = [f"--images={scans}/scan_0.png", f"--workdir={tmp_path / 'run'}", "--config.csdip.steps=2"]
    assert run("reconstruct", *options).returncode == 0
    Image.fromarray(np.full((24, 20), 9, np.uint8)).save(scans / "scan_0.png")
    assert "image scan_0 has changed" in refused(run("reconstruct", *options))


LONG = ["--config.csdip.steps=3000", "--config.num_measurements=100"]


@pytest.fixture(scope="module")
def straight_run(tmp_path_factory):
    """Row and image of a run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    options = [f"--images={draw_scans(folder)}/scan_0.png", f"--workdir={folder / 'run'}"]
    assert run("reconstruct", *options, *LONG).returncode == 0
    return rows_of(folder / "run")[0], image_of(folder / "run", "scan_0-csdip")


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_goes_on_and_ends_the_same(kill, straight_run, scans, tmp_path):
    options = [f"--images={scans}/scan_0.png", f"--workdir={tmp_path / 'killed'}", *LONG]
    process = subprocess.Popen(
        command("reconstruct", *options),
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("checkpoint*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(kill)
    errors = process.communicate(timeout=60)[1]
    if kill != signal.SIGKILL:
        assert process.returncode == 130 and "interrupted: the same command goes on" in errors
    assert not (tmp_path / "killed" / "results.jsonl").exists()
    assert len(list((tmp_path / "killed").glob("checkpoint*"))) == 1

    finished = run("reconstruct", *options)
    assert finished.returncode == 0, finished.stderr
    straight, image = straight_run
    np.testing.assert_array_equal(image_of(tmp_path / "killed", "scan_0-csdip"), image)
    (killed,) = rows_of(tmp_path / "killed")
    assert killed["seconds"] is None and straight["seconds"] > 0
    assert killed | {"seconds": 0} == straight | {"seconds": 0}


def test_methods_and_sweeps_in_one_table(scans, tmp_path):
    """Rows by method and swept value, one picture; a method or a value added later joins them."""
    pytest.importorskip("bm3d", reason="needs the extra bm3d")
    weights = tmp_path / "vae.msgpack"
    vae_weights.save(weights, {"params": {"decoder": random_decoder(5, 30, 480)["params"]}}, {})
    options = [f"--images={scans}/scan_0.png", f"--workdir={tmp_path / 'run'}", STEPS, f"--config.vae={weights}"]
    options += ["--config.num_measurements=150", "--sweep=tv.mu=16,64", "--config.csgm.steps=20"]
    first = run("reconstruct", *options, "--config.methods=csdip,lasso_dct,tv,csgm")
    assert first.returncode == 0, first.stderr
    labels = ["csdip", "lasso_dct", "tv mu=16", "tv mu=64", "csgm"]
    rows = rows_of(tmp_path / "run")
    assert [row["label"] for row in rows] == labels
    assert [row["swept"] for row in rows] == [{}, {}, {"mu": 16.0}, {"mu": 64.0}, {}]
    assert (image_of(tmp_path / "run", "scan_0-tv-mu=16") != image_of(tmp_path / "run", "scan_0-tv-mu=64")).any()

    more = run("reconstruct", *options, "--config.methods=csdip,lasso_dct,tv,csgm,bm3d_amp")
    assert more.returncode == 0, more.stderr
    assert rows_of(tmp_path / "run")[:5] == rows and rows_of(tmp_path / "run")[5]["label"] == "bm3d_amp"
    assert all(label in more.stdout for label in labels)

    options.remove("--sweep=tv.mu=16,64")
    again = run("reconstruct", *options, "--config.methods=tv", "--sweep=tv.mu=64,256")
    assert again.returncode == 0, again.stderr
    assert [row["label"] for row in rows_of(tmp_path / "run")][6:] == ["tv mu=256"] and "tv mu=64" in again.stdout


def test_each_way_of_measuring_has_its_place_in_the_picture(scans, tmp_path):
    """A sweep's configuration will do: its axes name the files, and tell images of the picture apart."""
    options = ["--config=experiments/configs/sweep.py", f"--images={scans}/scan_0.png", f"--workdir={tmp_path / 'run'}"]
    options += ["--config.methods=tv", "--config.num_measurements=(100,200)", "--config.tv.steps=5"]
    done = run("reconstruct", *options, "--config.noise_variance=(0.0,)", "--config.seed=(0,)")
    assert done.returncode == 0, done.stderr
    rows = rows_of(tmp_path / "run")
    assert [row["file"] for row in rows] == [f"scan_0-m{m}-noise0-seed0-tv" for m in (100, 200)]
    rows = read_all_rows(tmp_path / "run", Row.read)
    assert images.by_scene(rows) == [[row] for row in rows]
    assert (tmp_path / "run" / "comparison.png").exists()


def test_what_is_left_of_measurements_is_drawn_beside_their_image(tmp_path, monkeypatch):
    """A^H (y - A x) of a linear operator, beside the adjoint; the caption has the verdict."""
    drawn = {}
    monkeypatch.setattr(pictures, "save_explained", lambda path, *shown: drawn.update({path.name: shown}))
    rng = np.random.default_rng(0)
    matrix, y = rng.standard_normal((60, 48)) / 8, rng.standard_normal(60)
    np.save(tmp_path / "A.npy", matrix)
    np.save(tmp_path / "y.npy", y)
    files = [f"--measurements={tmp_path}/y.npy", f"--matrix={tmp_path}/A.npy", "--image_shape=8,6,1"]
    done = run("reconstruct", *files, *FAST, "--pixel_range=0,1", "--noise=0.01", f"--workdir={tmp_path}/run")
    assert done.returncode == 0, done.stderr
    adjoint, (fit,) = drawn["comparison.png"]
    image = np.load(tmp_path / "run" / "tv.npy").ravel()
    np.testing.assert_allclose(adjoint.ravel(), matrix.T @ y, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fit.residual.ravel(), matrix.T @ (y - matrix @ image), rtol=1e-3, atol=1e-3)
    assert fit.residual.shape == (8, 6, 1) and "times the noise" in fit.caption and "--config" not in fit.caption
    assert "take more steps (--config.tv.steps=9)" in done.stdout and "of the adjoint, in norm" in fit.residual_caption


def test_an_offset_or_a_bright_pixel_does_not_hide_the_residual(tmp_path, monkeypatch):
    """As patterns of 0 and 1 leave them."""
    figures = []
    monkeypatch.setattr(pictures, "save_figure", lambda path, figure: figures.append(figure))
    noise = np.random.default_rng(0).standard_normal((20, 20, 1))
    residual = noise + 1000
    residual[3, 4] += 500
    fit = pictures.Explained("tv", np.zeros((20, 20, 1)), "explains all", residual, "0 % of y", {})
    pictures.save_explained(tmp_path / "a.png", None, [fit])
    (shown,) = figures[0].axes[2].images
    assert abs(np.median(np.asarray(shown.get_array()))) < 2 and 2 < shown.get_clim()[1] < 6
    assert "mean is taken out" in figures[0].axes[2].get_xlabel()


@pytest.mark.parametrize("adjoint", [True, False])
@pytest.mark.parametrize("residual", [(8, 6, 3), (40,), (5, 7)])
def test_a_picture_of_measurements_has_a_place_for_whatever_there_is(adjoint, residual, tmp_path):
    image = np.linspace(-1, 1, 8 * 6 * 3).reshape(8, 6, 3)
    fits = [
        pictures.Explained(f"tv $mu$={i}", image, "explains all", np.zeros(residual), "0 % of y", maps)
        for i, maps in enumerate([{}, {"spread": image}])
    ]
    pictures.save_explained(tmp_path / "a.png", image if adjoint else None, fits)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 500 and picture.height > 300


def test_a_method_has_one_colour_in_the_loss_picture():
    """From dark to light over its images; the colour of its recipe where it is alone."""
    labels = ["csdip, a", "tv mu=1, a", "csdip, b", "csdip, c"]
    figure = pictures.draw_losses([(label, np.ones(3)) for label in labels])
    found = {line.get_label(): np.array(line.get_color()) for line in figure.axes[0].lines}
    pictures.plt.close(figure)
    np.testing.assert_allclose(found["tv mu=1, a"], pictures.to_rgb("C2"))
    sums = [found[label].sum() for label in ("csdip, a", "csdip, b", "csdip, c")]
    assert sums == sorted(sums) and all(np.argmax(found[label]) == 0 for label in found if "csdip" in label)


@pytest.mark.parametrize("count", [1, 2, 12, 13, 100])
def test_each_curve_of_the_loss_picture_has_its_name_and_colour(count):
    """As many as can be told apart; of the others it says how many there are."""
    names = [f"tv, image {i}" for i in range(count)]
    figure = pictures.draw_losses([(name, np.geomspace(1, 0.1, 5 + i)) for i, name in enumerate(names)])
    (axis,) = figure.axes
    told = [text.get_text() for text in axis.get_legend().get_texts()]
    named = min(count, pictures.NAMED_CURVES)
    assert told == names[:named] + ([f"and {count - named} more"] if count > named else [])
    colours = {line.get_label(): line.get_color() for line in axis.lines}
    assert len(axis.lines) == count and len({str(colours[name]) for name in names[:named]}) == named
    assert [line.get_label() for line in axis.get_legend().get_lines()][:named] == names[:named]
    pictures.plt.close(figure)


def test_curves_are_named_by_method_and_image(scans, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save_losses", lambda path, curves: drawn.append([name for name, _ in curves]))
    options = [f"--images={scans}/*.png", "--config.methods=tv", "--sweep=tv.mu=16,64", f"--workdir={tmp_path / 'run'}"]
    options += ["--config.num_measurements=50", "--config.tv.steps=2"]
    for num_images in (1, 2):
        assert run("reconstruct", *options, f"--config.num_images={num_images}").returncode == 0
    alone, both = drawn
    assert alone == ["tv mu=16", "tv mu=64"]
    assert both == [f"{label}, scan_{i}, Gaussian, m = 50" for i in range(2) for label in alone]


def test_own_measurements_have_no_metrics(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "A.npy", rng.standard_normal((60, 16 * 12)))
    np.save(tmp_path / "y.npy", rng.standard_normal(60))
    result = run(
        "reconstruct",
        f"--measurements={tmp_path}/y.npy",
        f"--matrix={tmp_path}/A.npy",
        "--image_shape=16,12,1",
        f"--workdir={tmp_path}/run",
        "--config.methods=csdip,lasso_dct",
        "--sweep=lasso_dct.alpha=0.01,0.1",
        STEPS,
    )
    assert result.returncode == 0, result.stderr
    assert np.load(tmp_path / "run" / "csdip.npy").shape == (16, 12, 1)
    there = {"csdip.png", "loss-csdip.png", "config.json", "comparison.png"}
    assert there <= {path.name for path in (tmp_path / "run").iterdir()}
    with (
        Image.open(tmp_path / "run" / "csdip.png") as enlarged,
        Image.open(tmp_path / "run" / "reconstructions" / "csdip.png") as stored,
    ):
        enlarged, stored = np.asarray(enlarged), np.asarray(stored)
    np.testing.assert_array_equal(enlarged, stored.repeat(16, 0).repeat(16, 1))
    assert f"picture: {tmp_path}/run/comparison.png" in result.stdout
    row, *others = rows_of(tmp_path / "run")
    assert {row[name] for name in ("mse", "psnr", "ssim")} == {None} and row["steps"] == 20
    assert [other["label"] for other in others] == ["lasso_dct alpha=0.01", "lasso_dct alpha=0.1"]
    assert np.load(tmp_path / "run" / "lasso_dct-alpha=0.1.npy").shape == (16, 12, 1)
    assert "MSE" not in result.stdout and "relative residual" in result.stdout


def test_counts_of_patterns_in_any_units(tmp_path):
    """Patterns of 0 and 1, counts of photons, a range to be estimated: an image in their units, and a verdict."""
    rng = np.random.default_rng(0)
    image = np.full((16, 12), 200.0)
    image[4:11, 3:8] = 900
    patterns = (rng.random((150, 192)) < 0.5).astype(np.uint8)
    np.savez(tmp_path / "m.npz", A=patterns, y=rng.poisson(patterns @ image.ravel()), nothing=np.zeros(150, int))
    options = [f"--matrix={tmp_path}/m.npz:A", "--image_shape=16,12,1", "--config.methods=tv"]
    own = [f"--measurements={tmp_path}/m.npz:y", *options]
    refusal = refused(run("reconstruct", *own, f"--workdir={tmp_path}/none"))
    assert "pixels of about" in refusal and "give --pixel_range=black,white" in refusal
    noise = np.sqrt(np.mean(patterns @ image.ravel()))
    found = run("reconstruct", *own, f"--workdir={tmp_path}/run", "--pixel_range=auto", f"--noise={noise}")
    assert found.returncode == 0, found.stderr
    assert "estimated from the measurements; --pixel_range sets it" in found.stdout
    assert "explains 9" in found.stdout and "times the noise" in found.stdout
    np.testing.assert_allclose(np.load(tmp_path / "run" / "tv.npy")[..., 0], image, atol=120)
    dark = [f"--measurements={tmp_path}/m.npz:nothing", *options, f"--workdir={tmp_path}/dark"]
    for _ in range(2):  # a rerun reads the row
        found = run("reconstruct", *dark)
        assert found.returncode == 0, found.stderr
        assert "relative residual 0 " in found.stdout
    assert not np.load(tmp_path / "dark" / "tv.npy").any()


def test_own_kspace_by_its_conventions(tmp_path):
    """A centred image comes out in its place, and what was taken, or told, is in its notes."""
    image = np.zeros((16, 12))
    image[4:11, 3:8] = 0.8
    np.save(tmp_path / "mask.npy", np.ones((16, 12)))
    np.save(tmp_path / "k.npy", np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image))))
    options = [f"--measurements={tmp_path}/k.npy", f"--mask={tmp_path}/mask.npy", "--config.methods=tv"]
    found = run("reconstruct", *options, f"--workdir={tmp_path}/run", "--pixel_range=0,1")
    assert found.returncode == 0, found.stderr
    assert "origin of the image taken to lie in the centre; --origin sets it" in found.stdout
    np.testing.assert_allclose(np.load(tmp_path / "run" / "tv.npy")[..., 0], image, atol=0.02)
    told = ["--origin=centre", "--norm=backward", "--dc=centre", "--pixel_range=auto"]
    told = run("reconstruct", *options, f"--workdir={tmp_path}/told", *told)
    assert "pixels of about" in told.stdout and "origin" not in told.stdout
    np.testing.assert_allclose(np.load(tmp_path / "told" / "tv.npy")[..., 0], image, atol=0.02)
    np.save(tmp_path / "k.npy", np.fft.fftshift(np.fft.fft2(image * np.exp(0.2j * np.arange(12)))))
    assert "contradict a real image" in refused(run("reconstruct", *options, "--pixel_range=0,1"))
    forced = run("reconstruct", *options, "--pixel_range=0,1", "--force_real", f"--workdir={tmp_path}/forced")
    assert forced.returncode == 0 and "contradict a real image" in forced.stdout


OF_KSPACE = ("--norm=ortho", "--dc=corner", "--origin=centre", "--force_real")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config.nope=1"], "no field 'nope'"),
        (["--config.num_measurements=many"], "invalid literal"),
        (["--config=nowhere.py"], "cannot read --config=nowhere.py"),
        (["--nope=1"], "Unknown command line flag 'nope'"),
        (["--images={tmp}/empty"], "empty"),
        (["--images={tmp}/text.png"], "text.png: not readable as an image"),
        (["--images={tmp}/scans", "--config.num_measurements=481", "--config.operator=hadamard"], "m = 481 of n = 480"),
        (["--images={tmp}/scans", "--workdir={tmp}/text.png/run"], "cannot be used"),
        (["--measurements={tmp}/y.npy", "--matrix={tmp}/A.npy", "--image_shape=4,4,1"], "1 of 8 entries are NaN"),
        (["--images={tmp}/scans", "--pixel_range=auto"], "--pixel_range=auto is told by --measurements"),
        (
            ["--matrix={tmp}/A.npy", "--mask={tmp}/A.npy"],
            "--matrix and --mask describe --measurements, which is missing",
        ),
        *(
            (
                [begin, option, *FAST, "--image_shape=16,12,1"],
                f"{option.partition('=')[0]} describes --measurements, which is missing: leave it out",
            )
            for begin in ("--images={tmp}/scans", "--config.data=demo")
            for option in (*OF_KSPACE, "--order=F", "--order=C", "--noise=1", "--mask={tmp}/A.npy")
        ),
        *(
            (
                ["--measurements={tmp}/y.npy", "--matrix={tmp}/A.npy", option],
                f"{option.partition('=')[0]} describes --mask",
            )
            for option in OF_KSPACE
        ),
        *(
            (["--measurements={tmp}/y.npy", "--matrix={tmp}/A.npy", f"--noise={value}"], "give a standard deviation")
            for value in ("nan", "inf", "-inf", "0", "-0.1", "1e200", "1e-200")
        ),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(options, message, scans, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("this is no picture")
    np.save(tmp_path / "A.npy", np.ones((8, 16)))
    np.save(tmp_path / "y.npy", np.array([np.nan, *np.ones(7)]))
    options = [option.format(tmp=tmp_path) for option in options]
    if not any(option.startswith("--workdir") for option in options):
        options.append(f"--workdir={tmp_path / 'run'}")
    assert message in refused(run("reconstruct", *options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["--config.nope=1", "--config.operator=nope"])
def test_bad_input_of_a_process(option, tmp_path):
    """Refused while the flags are defined, and by the run."""
    assert "nope" in refused(run_process("reconstruct", option, f"--workdir={tmp_path / 'run'}"))
    assert not (tmp_path / "run").exists()


def test_the_picture_grows_scene_by_scene(scans, tmp_path, monkeypatch):
    """Each image goes through all methods before the next one does."""
    drawn = []
    monkeypatch.setattr(pictures, "save_comparison", lambda path, images: drawn.append(images))
    options = [f"--images={scans}/*.png", "--config.methods=tv,lasso_dct", f"--workdir={tmp_path / 'run'}"]
    result = run("reconstruct", *options, "--config.tv.steps=3", "--config.lasso_dct.steps=3")
    assert result.returncode == 0, result.stderr
    assert [len(images) for images in drawn] == [1, 2, 3]
    assert all(set(image.reconstructions) == {"tv", "lasso_dct"} for images in drawn for image in images)
    assert result.stdout.count(f"picture: {tmp_path / 'run' / 'comparison.png'}") == 2
    assert [row["method"] for row in rows_of(tmp_path / "run")] == 3 * ["tv", "lasso_dct"]


def test_the_demo_tells_who_wins_and_what_each_method_needs(tmp_path):
    """Two of its parts at toy size, one of which is not linear; what is done is not done again."""
    (tmp_path / "small.py").write_text(
        "from csdip_jax.commands.configs import demo\n"
        "def get_config():\n    config = demo.get_config()\n    del config.parts['kspace']\n    return config\n"
    )
    options = [f"--config={tmp_path / 'small.py'}", f"--workdir={tmp_path / 'run'}", "--config.methods=csdip,tv", STEPS]
    options += ["--config.tv.steps=3", "--config.image_shape=(16, 16, 1)", "--config.num_measurements=100"]
    first, again = (run("reconstruct", *options) for _ in range(2))
    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    for result in (first, again):
        for told in (
            "note: tv needs a linear operator, and phase_retrieval is none: left out there",
            "few-camera, randomised Hadamard, m = 100: ",
            "phase-cell, |Gaussian|, m = 100: csdip ",
            "(tv cannot)",
            "  tv: a linear operator",
            "csdip reconstruct --images=photo.jpg --max_side=64",
        ):
            assert told in result.stdout
    assert "20/20 step" in first.stderr and "step" not in again.stderr
    assert [row["method"] for row in rows_of(tmp_path / "run")] == ["csdip", "tv", "csdip"]


def test_a_file_as_data_gets_its_results_below_runs(scans, tmp_path, monkeypatch):
    """Not beside the user's files, whatever their path."""
    monkeypatch.chdir(tmp_path)
    before = sorted(scans.iterdir())
    options = [f"--config.data={scans / 'scan_0.png'}", "--image_shape=8,8,1", "--methods=tv", "--config.tv.steps=2"]
    done = run("reconstruct", *options)
    assert done.returncode == 0, done.stderr
    assert [path.name[:7] for path in (tmp_path / "runs").iterdir()] == ["scan_0-"]
    assert sorted(scans.iterdir()) == before


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ("photo.jpg", "photo"),
        ("/data/my scans/", "my-scans"),
        ("scans/*.png", "scans"),
        ("scan_*.png", "scan"),
        ("../*", "images"),
        ("a" * 200 + ".png", "a" * 40),
        ("a\udcff.png", "a"),
    ],
)
def test_results_are_called_like_the_images(files, name):
    assert images.called(files) == name


def test_nothing_given_means_a_photograph_of_the_demo(tmp_path, monkeypatch):
    """In a process of its own, which keeps its compiled programs where a user's are kept."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ["--image_shape=16,16,1", "--config.methods=lasso_dct", f"--workdir={tmp_path / 'run'}"]
    result = run_process("reconstruct", *options)
    assert result.returncode == 0, result.stderr
    assert "the first photograph of the demo" in result.stdout and len(rows_of(tmp_path / "run")) == 1
    assert any((tmp_path / "cache" / "csdip_jax" / "xla").iterdir())


def test_help_names_the_options():
    shown = run("reconstruct", "--help").stdout
    for word in (
        "--images",
        "--measurements",
        "--matrix",
        "--mask",
        "--origin",
        "--order",
        "--[no]force_real",
        "--workdir",
        "--data_dir",
        "csdip reconstruct --images",
    ):
        assert word in shown


@pytest.mark.parametrize("name", ["x\udcff", "$\\frac$", "a $b$ c"])
def test_names_of_images_are_no_formulas_and_may_be_no_text(name, tmp_path):
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / f"{name}.png")
    done = run("reconstruct", f"--images={tmp_path / name}.png", *FAST, f"--workdir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    (row,) = rows_of(tmp_path / "run")
    assert row["image"] == name


def test_own_measurements_again_when_a_file_is_damaged_or_a_number_is_null(tmp_path):
    matrix = np.random.default_rng(0).standard_normal((20, 36))
    np.save(tmp_path / "A.npy", matrix)
    np.save(tmp_path / "y.npy", matrix @ np.linspace(-1, 1, 36))
    files = [f"--measurements={tmp_path / 'y.npy'}", f"--matrix={tmp_path / 'A.npy'}", "--image_shape=6,6,1"]

    def again():
        return run("reconstruct", *files, *FAST, f"--workdir={tmp_path / 'run'}")

    assert again().returncode == 0
    before = image_of(tmp_path / "run", "tv")
    path = tmp_path / "run" / "reconstructions" / "tv.npz"
    path.write_bytes(path.read_bytes()[:300] + bytes(300) + path.read_bytes()[600:])
    assert again().stdout.count("relative residual") == 1
    np.testing.assert_array_equal(image_of(tmp_path / "run", "tv"), before)
    rows = tmp_path / "run" / "results.jsonl"
    (*_, row) = rows_of(tmp_path / "run")
    rows.write_text(json.dumps(row | {"relative_residual": None}) + "\n")
    assert "relative residual - after" in again().stdout
    rows.write_text(json.dumps(row | {"steps": "3"}) + "\n")
    assert "line 1 is damaged, steps =" in refused(again())


@pytest.fixture
def own_files(tmp_path):
    """Measurements of pixels of 10 to 170, real and complex, and the options that name them."""
    rng = np.random.default_rng(0)
    matrix, image = rng.standard_normal((60, 192)), rng.uniform(10, 170, (16, 12))
    np.save(tmp_path / "A.npy", matrix)
    np.save(tmp_path / "complex.npy", matrix + 0j)
    np.save(tmp_path / "y.npy", matrix @ image.ravel())
    np.save(tmp_path / "mask.npy", np.ones((16, 12)))
    np.save(tmp_path / "k.npy", np.fft.fft2(image, norm="ortho"))
    matrix = [f"--measurements={tmp_path}/y.npy", f"--matrix={tmp_path}/A.npy", "--image_shape=16,12,1"]
    mask = [f"--measurements={tmp_path}/k.npy", f"--mask={tmp_path}/mask.npy"]
    return {name: [*files, *FAST, f"--workdir={tmp_path}/run"] for name, files in {"A": matrix, "k": mask}.items()}


@pytest.mark.parametrize(
    ("files", "wrong", "message"),
    [
        ("A", [], "the measurements are of pixels of about"),
        ("A", ["--pixel_range=0,1"], "the measurements are of pixels of about"),
        ("k", [], "the measurements are of pixels of about"),
        ("A", ["--pixel_range=0,180", "--matrix={tmp}/complex.npy"], "the operator's are complex64"),
        ("A", ["--pixel_range=0,180", "--sweep=tv.mu=-1"], "mu = -1.0: it must be"),
        ("A", ["--pixel_range=0,0"], "give two different finite numbers"),
    ],
)
def test_a_refused_problem_leaves_no_workdir_in_the_way_of_its_remedy(files, wrong, message, own_files, tmp_path):
    wrong = [option.format(tmp=tmp_path) for option in wrong]
    assert message in refused(run("reconstruct", *own_files[files], *wrong))
    assert not (tmp_path / "run").exists()
    done = run("reconstruct", *own_files[files], "--pixel_range=0,180")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("relative residual") == 1


@pytest.mark.parametrize("files", ["A", "k"])
def test_the_noise_is_compared_with_whenever_it_is_told(files, own_files, tmp_path):
    """A rerun with another one, or with none, does nothing but say so."""
    told = []
    for option in ([], ["--noise=2"], ["--noise=1"], []):
        found = run("reconstruct", *own_files[files], "--pixel_range=0,180", *option)
        assert found.returncode == 0, found.stderr
        told.append(re.findall(r"leaves (\S+) times the noise", found.stdout))
    (row,) = rows_of(tmp_path / "run")
    sizes = {"A": 60, "k": 192}
    assert told[0] == told[3] == []
    for found, noise in zip(told[1:3], (2, 1), strict=True):
        np.testing.assert_allclose(float(*found), row["measurement_loss"] / sizes[files] / noise**2, rtol=0.06)
    config = tmp_path / "run" / "config.json"
    before = json.loads(config.read_text())
    before["settings"]["flags"]["noise"] = 2.0  # as earlier versions wrote it
    config.write_text(json.dumps(before))
    assert run("reconstruct", *own_files[files], "--pixel_range=0,180", "--noise=3").returncode == 0
