"""Worker processes that compute only in their turn: between two requests a worker is stopped (SIGSTOP).

Idle OpenMP threads may spin, above all with OMP_WAIT_POLICY=active, and would take the cores from whoever is
being timed. Nothing but the standard library is imported here: the worker decides what its process loads.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_PR_SET_PDEATHSIG = 1


class Worker:
    """The parent's end. Use it in a `with` block: at its end the process is continued and ended."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]):
        """Starts a Python process that calls `serve`.

        Args:
            name: for messages.
            arguments: of the Python interpreter.
            environment: variables added to this process's own.
        """
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments) -> Any:
        """What the worker's method `do` returns.

        Raises:
            ChildProcessError: the worker ended instead of answering.
        """
        self.process.send_signal(signal.SIGCONT)
        with contextlib.suppress(BrokenPipeError):  # then there is no answer either
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            raise ChildProcessError(
                f"the {self.name} process ended with code {code}: see its message above"
                + (", or free some memory" if code == -signal.SIGKILL else "")
            )
        self.process.send_signal(signal.SIGSTOP)
        return json.loads(line)

    def close(self, *_) -> None:
        """Ends the process."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def __enter__(self) -> "Worker":
        return self

    __exit__ = close


class Side:
    """What a worker can be asked for are its methods; a subclass adds those that fill `runs`.

    Attributes:
        runs: variant -> what takes so many steps of it.
    """

    runs: dict[str, Callable[[int], Any]]

    def turn(self, variant: str, warm_up: int, steps: int) -> float:
        """Seconds per step, after untimed ones."""
        self.runs[variant](warm_up)
        began = time.perf_counter()
        self.runs[variant](steps)
        return (time.perf_counter() - began) / steps


def serve(side: Side) -> None:
    """The worker's end: answers {"do": method of `side`, **arguments}, a JSON line each, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends its workers
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        # A stopped process does not notice that the pipe is closed, should the parent be killed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever a library prints must not get between the answers
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(side, request.pop("do"))(**request)
        print(json.dumps(answer), file=answers, flush=True)
