"""Images in the user's units: the note, the range of the metrics, and the way back in every file and picture."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

import csdip_jax as cs
from csdip_jax.commands import row_tables
from csdip_jax.runs import saved
from csdip_jax.runs.row import errors
from tests.commands.typed import rows_of, run
from tests.runs.test_row import ROW

METHOD = ["--config.methods=tv", "--config.tv.steps=5", "--config.num_measurements=60"]
SWEEP = ["--config.methods=tv", "--config.tv.steps=5", "--config.num_measurements=(60,)"]
SWEEP += ["--config.noise_variance=(0.0,)", "--config.operator=gaussian"]
COMMANDS = {
    "reconstruct": ("--images", METHOD),
    "sweep": ("--config.data", SWEEP),
    "tune": ("--config.data", [*SWEEP, '--config.grids=("tv.mu=16,64",)', "--config.image_shape=(12,10,1)"]),
}


@pytest.fixture
def cells(tmp_path):
    """12 bits in a 16-bit file."""
    pixels = np.full((12, 10), 100, np.uint16)
    pixels[3:9, 2:7] = 700
    pixels[5, 5] = 1000
    np.save(tmp_path / "cells.npy", pixels)
    return pixels


@pytest.mark.parametrize("command", COMMANDS)
def test_a_part_of_the_range_is_noted_once_and_files_are_in_the_users_units(command, cells, tmp_path):
    source, options = COMMANDS[command]
    options = [f"{source}={tmp_path / 'cells.npy'}", *options, "--config.num_images=1"]
    plain = run(command, *options, f"--workdir={tmp_path / 'plain'}")
    assert plain.returncode == 0, plain.stderr
    note = "note: cells.npy uses 1 % of the range 0 to 65535 (100 to 1000), so its picture is nearly black: "
    note += "--pixel_range=100,1000 sets it\n"
    assert plain.stdout.count("uses 1 %") == 1 and note in plain.stdout and "Warning" not in plain.stderr
    assert not set("\r\x1b") & set(plain.stdout + plain.stderr)  # written to a file
    with np.load(tmp_path / "plain" / "originals" / "cells.npz") as arrays:
        assert set(arrays) == {"image"} and abs(arrays["image"]).max() <= 1  # as it always was

    told = run(command, *options, "--pixel_range=100,1000", f"--workdir={tmp_path / 'told'}")
    assert told.returncode == 0, told.stderr
    assert "uses" not in told.stdout
    with np.load(tmp_path / "told" / "originals" / "cells.npz") as arrays:
        assert arrays["pixel_range"].tolist() == [100, 1000]
        np.testing.assert_allclose(arrays["image"][..., 0], cells, rtol=1e-6)
    for row in rows_of(tmp_path / "told"):
        path = saved.reconstruction(tmp_path / "told", row["file"])
        with np.load(path) as arrays:
            stored = arrays["image"]
        signed = saved.load(path)["image"]
        np.testing.assert_allclose(stored, 550 + 450 * signed, rtol=1e-6)
        original = saved.load(saved.original(tmp_path / "told", "", "cells"))["image"]
        np.testing.assert_allclose(cs.metrics.mse(signed, original), row["mse"], rtol=1e-6)
        assert row["data_range"] == 2
    assert all(row["data_range"] == pytest.approx(2 * 900 / 65535, rel=1e-3) for row in rows_of(tmp_path / "plain"))
    if command != "tune":
        assert "of range" in plain.stdout and "of range" not in told.stdout


def test_a_larger_value_may_be_black_and_then_a_note_says_so(cells, tmp_path):
    np.save(tmp_path / "unit.npy", cells / 1000)
    options = ["reconstruct", f"--images={tmp_path / 'unit.npy'}", *METHOD]
    told = run(*options, "--pixel_range=1,0", f"--workdir={tmp_path / 'run'}")
    assert told.returncode == 0, told.stderr
    assert "note: --pixel_range=1,0: the larger value is black, pictures are drawn that way\n" in told.stdout
    (row,) = rows_of(tmp_path / "run")
    path = saved.reconstruction(tmp_path / "run", row["file"])
    with np.load(path) as arrays, Image.open(path.with_suffix(".png")) as picture:
        drawn, values = np.asarray(picture, float) / 255, np.clip(arrays["image"][..., 0], 0, 1)
    np.testing.assert_allclose(drawn, 1 - values, atol=0.5 / 255 + 1e-6)
    assert "larger value" not in run(*options, "--pixel_range=0,1", f"--workdir={tmp_path / 'other'}").stdout


def test_pictures_map_back(cells, tmp_path, monkeypatch):
    """What is drawn is the same with the range told as with files that hold [-1, 1], as old workdirs do."""
    seen = []
    monkeypatch.setattr("csdip_jax.commands.pictures.save_comparison", lambda path, images: seen.append(images))
    np.save(tmp_path / "signed.npy", (cells - 550.0) / 450)
    for name, more in (("cells", ["--pixel_range=100,1000"]), ("signed", [])):
        done = run("reconstruct", f"--images={tmp_path / name}.npy", *METHOD, *more, f"--workdir={tmp_path / name}")
        assert done.returncode == 0, done.stderr
    (told,), (old,) = seen
    np.testing.assert_allclose(told.original, old.original, rtol=0, atol=1e-6)
    assert abs(told.reconstructions["tv"]).max() <= 1


@pytest.mark.parametrize("half", [1.0, 0.7, 0.5, 0.01, 1e-4])
@pytest.mark.parametrize("offset", [0.0, -0.3])
@pytest.mark.parametrize("shape", [(9, 8, 1), (9, 8, 3), (4, 4, 1)])
def test_psnr_and_ssim_are_over_the_range_that_is_used(half, offset, shape):
    """Of skimage's when it is told that range: so they do not depend on the unit of the pixels."""
    rng = np.random.default_rng(0)
    original = (offset + half * rng.uniform(-1, 1, shape)).astype(np.float32)
    image = (original + 0.1 * half * rng.standard_normal(shape)).astype(np.float32)
    found = errors(image, original)
    own = float(original.max()) - float(original.min())
    assert found["data_range"] == (own if own < 1.2 else 2.0)
    assert found["mse"] == float(cs.metrics.mse(image, original))
    if own >= 1.2:  # as it always was, to the last bit
        assert found["psnr"] == float(cs.metrics.psnr(image, original))
        assert "ssim" not in found or found["ssim"] == float(cs.metrics.ssim(image, original))
    a, b = original.astype(float), image.astype(float)
    expected = peak_signal_noise_ratio(a, b, data_range=found["data_range"])
    assert found["psnr"] == pytest.approx(expected, abs=1e-4)
    assert ("ssim" in found) == (min(shape[:2]) >= 7)
    if "ssim" in found:
        expected = structural_similarity(a, b, data_range=found["data_range"], channel_axis=-1)
        assert found["ssim"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("error", [0.0, 0.1])
def test_a_constant_image_has_no_psnr(value, error):
    flat = np.full((9, 9, 1), value, np.float32)
    found = errors(flat + np.float32(error), flat)
    assert found["data_range"] == 0 and found["psnr"] is None and found["ssim"] is None
    row = dataclasses.replace(ROW, **found)
    assert json.dumps(found, allow_nan=False) and f"PSNR {'inf' if error == 0 else '-'} dB" in row_tables.caption(row)


def test_an_exact_image_has_an_infinite_psnr_and_no_infinity_in_its_row():
    image = np.linspace(-1, 1, 81, dtype=np.float32).reshape(9, 9, 1)
    found = errors(image, image)
    assert found["psnr"] is None and found["ssim"] == pytest.approx(1) and found["mse"] == 0
    assert "inf dB" in row_tables.caption(dataclasses.replace(ROW, **found))


@pytest.mark.parametrize(
    ("ranges", "told"), [((2.0, 2.0), ""), ((0.0275,), " of range 0.0275"), ((2.0, 0.5), " of range 0.5 to 2")]
)
def test_the_range_is_told_where_it_is_not_the_whole(ranges, told):
    assert row_tables.of_range(ranges) == told
