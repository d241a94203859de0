"""What every experiment's start promises."""

import subprocess
import sys

import pytest

from experiments.launcher import INTERRUPTED
from tests.experiments import commands

LOSES_A_SIGNAL = """
import os, signal, time
from experiments import launcher

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
    assert "--config=nothere.py" in told and "experiments/configs/" in told


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
