"""Training the VAE: the ELBO rises, a killed run ends in the same bits, weights are found, bad ones refused."""

import dataclasses
import signal
import subprocess
import time

import jax
import numpy as np
import pytest
from PIL import Image

import csdip_jax as cs
from csdip_jax.generators import decoder_of, decoder_sizes
from csdip_jax.io import vae_weights
from csdip_jax.methods import Csgm
from tests.commands.typed import command, refused, rows_of, run
from tests.conftest import REPOSITORY

SHAPE = (12, 10, 1)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Bars, upright at one of eight places, of one of three greys."""
    folder = tmp_path_factory.mktemp("scans")
    for i in range(48):
        pixels = np.zeros(SHAPE[:2], np.uint8)
        pixels[:, i % 8 : i % 8 + 2] = (150, 200, 250)[i % 3]
        Image.fromarray(pixels).save(folder / f"{i:02d}.png")
    return folder


def options(scans, workdir, epochs):
    sizes = ["--config.hidden=(24, 24)", "--config.latent_dim=3", "--config.batch_size=8", "--config.num_held_out=9"]
    sizes.append("--config.learning_rate=0.01")
    images = [f"--config.data={scans}", f"--config.held_out={scans}"]
    return [*images, *sizes, f"--workdir={workdir}", f"--config.epochs={epochs}"]


@pytest.fixture(scope="module")
def straight(scans, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("runs") / "straight"
    finished = run("train_vae", *options(scans, workdir, 60))
    assert finished.returncode == 0, finished.stderr
    assert "loss=" in finished.stderr and "held out" in finished.stdout
    return workdir


def test_the_elbo_rises(straight):
    rows = rows_of(straight)
    assert [row["epoch"] for row in rows] == list(range(1, 61))
    for name in ("elbo", "held_out_elbo"):
        assert rows[-1][name] > 0.5 * rows[0][name]  # both negative
    assert (straight / "samples.png").stat().st_size > 100


def test_weights_know_where_they_come_from(straight):
    params, provenance = vae_weights.load(straight / "vae_mnist.msgpack")
    assert decoder_sizes(decoder_of(params)) == (3, 24, 24, 120)
    assert provenance["settings"]["config"]["hidden"] == [24, 24] and provenance["versions"]["jax"]
    assert provenance["held_out_elbo"] == rows_of(straight)[-1]["held_out_elbo"]


def test_csgm_reconstructs_with_them(straight, scans):
    image = cs.data.load(scans, num_images=1)[0]
    operator = cs.operators.gaussian(jax.random.key(0), 40, SHAPE)
    decoder = vae_weights.load_decoder(SHAPE, path=straight / "vae_mnist.msgpack")
    method = dataclasses.replace(Csgm(SHAPE, generator=decoder), steps=100, restarts=3, learning_rate=0.1)
    solution = cs.reconstruct(method, cs.Problem(operator, operator.forward(image)), jax.random.key(0))
    assert np.mean((solution.image - image) ** 2) < 0.3 * np.var(image)


def test_a_killed_training_goes_on_and_ends_the_same(straight, scans, tmp_path):
    process = subprocess.Popen(
        command("train_vae", *options(scans, tmp_path, 10**6)),
        cwd=REPOSITORY,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "checkpoint.msgpack").exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert 1 <= len(rows_of(tmp_path)) < 60 and not (tmp_path / "vae_mnist.msgpack").exists()

    finished = run("train_vae", *options(scans, tmp_path, 60))
    assert finished.returncode == 0, finished.stderr
    assert rows_of(tmp_path) == rows_of(straight)
    killed, uninterrupted = (vae_weights.load(workdir / "vae_mnist.msgpack")[0] for workdir in (tmp_path, straight))
    jax.tree.map(np.testing.assert_array_equal, killed, uninterrupted)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("--config.epochs=59", "straight holds 60; choose another --workdir"),
        ("--config.batch_size=49", "there are 48 training images"),
        ("--config.latent_dim=0", "config.latent_dim = 0: it must be at least 1"),
    ],
)
def test_bad_input_is_one_line(extra, message, straight, scans):
    assert message in refused(run("train_vae", *options(scans, straight, 60), extra))


def test_mnist_is_the_default(real_data, tmp_path):
    options = [f"--data_dir={real_data}", f"--workdir={tmp_path}", "--config.num_images=1000", "--config.epochs=1"]
    finished = run("train_vae", *options)
    assert finished.returncode == 0, finished.stderr
    decoder = vae_weights.load_decoder((28, 28, 1), path=tmp_path / "vae_mnist.msgpack")
    assert decoder_sizes(decoder.weights) == (20, 500, 500, 784)
    assert -400 < rows_of(tmp_path)[0]["held_out_elbo"] < -150  # nats; grey noise would have -543
