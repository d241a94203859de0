"""What every experiment's start promises."""

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from csdip_jax.commands.launcher import INTERRUPTED
from tests.commands import typed as commands
from tests.conftest import REPOSITORY

LOSES_A_SIGNAL = """
import os, signal, time
from csdip_jax.commands import launcher

class Finaliser:
    def __del__(self):
        os.kill(os.getpid(), signal.{name})
        time.sleep(0.1)

def main():
    Finaliser()  # Python prints and drops what is raised in __del__
    time.sleep(60)

launcher.run(main)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_that_python_drops_arrives_all_the_same(name):
    program = [sys.executable, "-c", LOSES_A_SIGNAL.format(name=name)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=50)
    assert "Exception ignored" in done.stderr
    assert done.returncode == INTERRUPTED
    assert "interrupted:" in done.stderr


def test_a_configuration_that_cannot_be_read_is_named():
    told = commands.refused(commands.run("sweep", "--config=nothere.py"))
    assert "--config=nothere.py" in told and "configs" in told


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("import nothere", "ModuleNotFoundError: No module named 'nothere'"),
        ("}", "SyntaxError: unmatched '}'"),
        (
            "def get_config():\n    raise TypeError('num_images is a number')",
            "fails, TypeError: num_images is a number",
        ),
    ],
)
def test_a_configuration_that_fails_is_one_line(tmp_path, program, told):
    path = tmp_path / "bad.py"
    path.write_text(program)
    assert told in commands.refused(commands.run("sweep", f"--config={path}"))


FLAGS = """
from absl import flags
from csdip_jax.commands import launcher

config = launcher.define_config("default")
paths = [flags.DEFINE_string(name, None, "A path.") for name in ("measurements", "matrix", "workdir", "images")]
launcher.run(lambda: print([path.value for path in paths], launcher.config_of(config).vae))
"""


def test_a_tilde_is_the_home_folder_in_every_flag(tmp_path):
    """Shells expand it in words of its own only, not behind --name=."""
    shutil.copy(REPOSITORY / "experiments" / "configs" / "default.py", tmp_path / "mine.py")
    (tmp_path / "more").write_text("--images=~/*.png\n")
    given = [
        "--config=~/mine.py",
        "--measurements=~/f.npz:key",
        "--matrix",
        "~/A.npy",
        "--workdir=a~/w",
        "--flagfile=~/more",
    ]
    program = [sys.executable, "-c", FLAGS, *given, "--config.vae=~/v.msgpack"]
    environment = os.environ | {"HOME": str(tmp_path)}
    done = subprocess.run(program, capture_output=True, text=True, cwd=REPOSITORY, env=environment)
    expected = [f"{tmp_path}/f.npz:key", f"{tmp_path}/A.npy", "a~/w", f"{tmp_path}/*.png"]
    assert done.stdout.strip() == f"{expected} {tmp_path}/v.msgpack", done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["--config.data=mnist"],
            "needs --data_dir, .*: run `csdip data --dataset=mnist --data_dir=",
        ),
        (["--config.data=xray", "--data_dir=nowhere"], "give the --data_dir .* --dataset=xray --data_dir=nowhere`"),
        (["--config.methods=csgm"], "train one, .*: run `python -m experiments.train_vae --data_dir=data`, in a clone"),
        (
            ["--config.methods=csdip", "--config.prior=absent.npz"],
            "learn one anew: run `python -m experiments.learned_regularization",
        ),
        (["--images=A.npy"], "pass --pixel_range=black,white that holds them"),
        (["--measurements=y.npy", "--matrix=A.npy"], "--image_shape=h,w,c is needed"),
        (
            ["--measurements=y.npy", "--matrix=A.npy", "--image_shape=2,2,1"],
            "note: .*--order=F takes .*--pixel_range sets",
        ),
        (["--measurements=k.npy", "--mask=A.npy"], "--norm=ortho; .* give --pixel_range=-?[0-9.e+]+,-?[0-9.e+]+ or so"),
    ],
)
def test_what_the_library_says_is_told_in_the_options_of_the_command(options, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("A.npy", 2 * np.ones((4, 4)))
    np.save("y.npy", np.arange(4.0))
    np.save("k.npy", np.fft.fftshift(np.fft.fft2(1000 * np.arange(16.0).reshape(4, 4))))
    found = commands.run("reconstruct", "--config.methods=tv", "--config.tv.steps=1", *options)
    assert re.search(told, found.stdout + found.stderr, re.DOTALL), found
    assert "`" not in re.sub("run `[^`]*`", "", found.stdout + found.stderr)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--config.operator=radon"], "unknown operator 'radon' in --config.operator: choose from"),
        (["--methods="], "unknown method '' in --methods: choose from csdip"),
        (["--config.methods=lass"], "unknown method 'lass' in --config.methods: choose from csdip"),
        (["--config.matrix_dtype=int8", "--config.operator=hadamard"], "choose --config.operator=gaussian"),
        (["--config.prior=a.npz", "--config.methods=tv"], "--config.prior=a.npz: csdip and dip alone use it"),
        (["--config.csdip.lr_weight=1", "--config.methods=csdip"], "give --config.prior, or leave it out"),
    ],
)
def test_fields_in_messages_of_the_library_are_told_as_options(options, told):
    assert told in commands.refused(commands.run("sweep", *options, "--dry_run"))
