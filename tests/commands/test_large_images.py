"""Large images: told before their fits begin, refused where they would take hours, and shrunk."""

import numpy as np
import pytest
from PIL import Image

from csdip_jax.commands.reconstruct import large_images
from csdip_jax.solve import trial
from tests.commands.typed import image_of, refused, rows_of, run


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """A picture of 40 x 24 pixels, which is large here, and the options that name it."""
    monkeypatch.setattr(large_images, "LARGE_SIDE", 32)
    monkeypatch.setattr(trial, "LEAST_SECONDS", 0.0)
    rows, columns = np.indices((24, 40))
    Image.fromarray((4 * rows + 3 * columns).astype(np.uint8)).save(tmp_path / "photo.png")
    return [
        f"--images={tmp_path / 'photo.png'}",
        "--methods=tv",
        "--config.tv.steps=9",
        f"--workdir={tmp_path / 'run'}",
    ]


def test_time_and_memory_are_told_before_the_fits_and_only_then(photo):
    done = run("reconstruct", *photo)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stdout.splitlines() if "40 x 24" in line]
    assert len(told) == 2 and "take at most 0" in told[1] and "MB here" in told[1]
    assert told[1].endswith("--max_side=32 shrinks them to 32 x 19")
    assert done.stdout.index(told[1]) < done.stdout.index("workdir:")
    assert "40 x 24" not in run("reconstruct", *photo).stdout  # finished


@pytest.mark.parametrize("wanted", ["--max_side=0", "--max_side=36", "--image_shape=24,40,1"])
def test_hours_are_refused_unless_the_size_was_asked_for(wanted, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(large_images, "LONG_SECONDS", 0.0)
    told = refused(run("reconstruct", *photo))
    assert "40 x 24 pixels take at most" in told
    assert "--max_side=32 shrinks them to 32 x 19, --max_side=0 takes them as they are" in told
    assert not (tmp_path / "run").exists()
    assert run("reconstruct", *photo, wanted).returncode == 0


def test_shrunk_by_the_mean_of_areas(photo, tmp_path):
    done = run("reconstruct", *photo, "--max_side=20")
    assert done.returncode == 0 and "pixels take" not in done.stdout
    assert image_of(tmp_path / "run", "photo-tv").shape == (12, 20, 1)
    with np.load(tmp_path / "run" / "originals" / "photo.npz") as saved:
        pixels = np.asarray(Image.open(tmp_path / "photo.png"), float)
        means = pixels.reshape(12, 2, 20, 2).mean((1, 3)) / 127.5 - 1
        np.testing.assert_allclose(saved["image"][..., 0], means, atol=1e-6)
    assert "other settings (config.max_side)" in refused(run("reconstruct", *photo, "--max_side=10"))
    assert len(rows_of(tmp_path / "run")) == 1


def test_another_size_in_the_same_folder_is_named_before_anything_is_timed(photo):
    assert run("reconstruct", *photo).returncode == 0
    assert "other settings (config.max_side)" in refused(run("reconstruct", *photo, "--max_side=36"))


@pytest.mark.parametrize("value", [-1, 0])
def test_a_side_is_a_whole_number(value, photo):
    assert "max_side" in refused(run("reconstruct", *photo, f"--config.max_side={value}"))
