"""Several processes, on one machine or many, that share the batches of a sweep: see docs/clusters.md.

They compute nothing together: having learned which of them it is, a process has nothing more to say to the others. One
may finish hours before another, or be killed, and what it leaves undone is done by the next run.
"""

import contextlib
import socket
import time
from collections.abc import Sequence

import jax

from csdip_jax.types import InputError
from experiments.sweep.plan import Batch

WAIT_SECONDS = 120.0
"""For how long the coordinator may not have started yet."""
AGAIN_SECONDS = 0.5


def join(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
    """Makes this process one of several; to be called before JAX is used.

    Args:
        coordinator: host:port of the first process; with None all three are asked of the cluster's environment (Slurm,
            Open MPI, Kubernetes, TPU).
        num_processes: how many.
        process_id: which one this is, from 0.

    Raises:
        InputError: the environment does not tell, or the coordinator does not answer.
    """
    given = [value is not None for value in (coordinator, num_processes, process_id)]
    if any(given) and not all(given):
        raise InputError("--coordinator, --num_processes and --process_id: give all three, or none under Slurm")
    if coordinator is not None:
        host, port = _address(coordinator)
        if process_id:
            _await(host, port)
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
        jax.devices()  # the processes tell each other of their devices
        jax.distributed.shutdown()  # JAX would end every process as soon as one is gone, or done early
    except (RuntimeError, ValueError, IndexError) as error:
        raise InputError(
            f"cannot join the other processes ({' '.join(str(error).split())}): give --coordinator=<host>:<port> of "
            "process 0, --num_processes and each its own --process_id, or leave all three out under Slurm"
        ) from error


def _address(coordinator: str) -> tuple[str, int]:
    host, _, port = coordinator.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise InputError(f"--coordinator={coordinator}: give <host>:<port> of process 0")
    return host.strip("[]"), int(port)


def _await(host: str, port: int) -> None:
    """Returns when the coordinator answers: if it never did, JAX would crash after five silent minutes."""
    print(f"waiting for process 0 at {host}:{port}", flush=True)
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((host, port), AGAIN_SECONDS):
            return
        time.sleep(AGAIN_SECONDS)
    raise InputError(
        f"--coordinator={host}:{port} has not answered for {WAIT_SECONDS:g} s: is process 0 running there with the "
        "same --coordinator, and does a firewall let its port through?"
    )


def share(batches: Sequence[Batch]) -> list[Batch]:
    """This process's part, which it can tell without asking the others: of each method as much as anybody's."""
    dealt = sorted(range(len(batches)), key=lambda i: batches[i].program.sweep.name)
    return [batches[i] for i in sorted(dealt[jax.process_index() :: jax.process_count()])]
