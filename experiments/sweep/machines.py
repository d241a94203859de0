"""Several processes, on one machine or many, that share the batches of a sweep: see docs/clusters.md.

They compute nothing together: having learned which of them it is, a process has nothing more to say to the others. One
may finish hours before another, or be killed, and what it leaves undone is done by the next run.
"""

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence

import jax

from csdip_jax.types import InputError
from experiments.sweep.plan import Batch

WAIT_SECONDS = 240.0
"""For how long the other processes may not have started yet; after 300 JAX would crash."""


def join(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Makes this process one of several; to be called before JAX is used.

    Args:
        coordinator: host:port of the first process; with None all three are asked of the cluster's environment (Slurm,
            Open MPI, Kubernetes, TPU).
        num_processes: how many.
        process_id: which one this is, from 0.

    Raises:
        InputError: the environment does not tell, or JAX cannot join the others.

    Where the others have not come in WAIT_SECONDS the process ends with exit code 1, after a line that says so; a
    signal to end it during the wait ends it at once, without a line.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise InputError("--coordinator, --num_processes and --process_id: give all three, or none under Slurm")
    if coordinator is not None:
        port = _port_of(coordinator)
        if process_id == 0:
            _require_free(port, coordinator)
    print(f"waiting for the other processes, at most {WAIT_SECONDS:g} s", flush=True)
    try:
        with _at_most(WAIT_SECONDS):
            jax.distributed.initialize(coordinator, num_processes, process_id)
            jax.devices()  # the processes tell each other of their devices
            jax.distributed.shutdown()  # JAX would end every process as soon as one is gone, or done early
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(
            f"cannot join the other processes ({' '.join(str(error).split())}): give --coordinator=<host>:<port> of "
            "process 0, --num_processes and each its own --process_id, or leave all three out under Slurm"
        ) from error


def _port_of(coordinator: str) -> int:
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise InputError(f"--coordinator={coordinator}: give <host>:<port> of process 0")
    return int(port)


def _require_free(port: int, coordinator: str) -> None:
    """JAX would end in a segmentation fault."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # free as soon as nobody listens
        try:
            taken.bind(("", port))
        except OSError as error:
            raise InputError(f"--coordinator={coordinator}: {error.strerror}: choose another port") from error


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Ends the process where it takes longer, and at once when it is told to: Python cannot interrupt JAX's waiting."""
    timer = threading.Timer(seconds, _give_up, [seconds])
    timer.daemon = True
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _give_up(seconds: float) -> None:
    print(
        f"error: the other processes have not come in {seconds:g} s: start all --num_processes of them with the "
        "same --coordinator, the host and a free port of process 0, which a firewall must let through",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


def share(batches: Sequence[Batch]) -> list[Batch]:
    """This process's part, which it can tell without asking the others: of each method as much as anybody's."""
    dealt = sorted(range(len(batches)), key=lambda i: batches[i].program.sweep.name)
    return [batches[i] for i in sorted(dealt[jax.process_index() :: jax.process_count()])]
