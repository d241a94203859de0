"""An experiment's command as a user types it: in this process, or, slower by an import of JAX, in one of its own."""

import contextlib
import io
import json
import runpy
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
from absl import app, flags

from csdip_jax.methods import METHODS
from csdip_jax.operators import OPERATORS
from tests.conftest import REPOSITORY

HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)  # by a command, for itself


class Terminal(io.StringIO):
    """What says of itself that it is one."""

    def isatty(self):
        return True


def run(experiment: str, *options: str, stream: type[io.StringIO] = io.StringIO) -> subprocess.CompletedProcess:
    """`python -m experiments.<experiment>` in this process: its flags, output and exit code are those of a program."""
    app.define_help_flags()
    before, handlers = set(flags.FLAGS), {number: signal.getsignal(number) for number in HANDLED}
    output, errors, code = stream(), stream(), None
    try:
        with (
            mock.patch.object(sys, "argv", [experiment, *options]),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
            mock.patch.dict(METHODS),  # a user's own are registered for a process
            mock.patch.dict(OPERATORS),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", DeprecationWarning)  # as Python does outside of tests
            warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)  # other tests import it
            runpy.run_module(f"experiments.{experiment}", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
    if isinstance(code, str):  # which Python prints to stderr
        print(code, file=errors)
        code = 1
    return subprocess.CompletedProcess(sys.argv, code or 0, output.getvalue(), errors.getvalue())


def command(experiment: str, *options: str) -> list[str]:
    return [sys.executable, "-m", f"experiments.{experiment}", *options]


def run_process(experiment: str, *options: str) -> subprocess.CompletedProcess:
    """The same in a process of its own."""
    return subprocess.run(command(experiment, *options), cwd=REPOSITORY, capture_output=True, text=True, check=False)


def refused(result: subprocess.CompletedProcess) -> str:
    """The one line of a refusal."""
    lines = result.stderr.strip().splitlines()
    assert result.returncode == 1, result.stderr
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    return lines[0]


def rows_of(workdir: Path) -> list[dict]:
    return [json.loads(line) for line in (workdir / "results.jsonl").read_text().splitlines()]


def image_of(workdir: Path, name: str) -> np.ndarray:
    with np.load(workdir / "reconstructions" / f"{name}.npz") as saved:
        return saved["image"]
