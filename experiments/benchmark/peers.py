"""Section `peers`: this library beside other packages at what each is made for, on the same A and y.

Each reconstruction has a process of its own, one after the other. The true image stays here, where it is compared with
what comes back. Pixels are in [0, 1], in which a data range of 1 is that of 2 in [-1, 1].
"""

import importlib.metadata
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import csdip_jax as cs
from csdip_jax.commands import tables
from csdip_jax.runs.workdir import cpu_model
from experiments.benchmark import cases
from experiments.benchmark.cases import Counts, PeerCase
from experiments.benchmark.turns import cores, tell
from experiments.benchmark.worker import Worker

ORIGINAL, ADJOINT = "original", "adjoint"
"""Kept beside the images that are found: the true one, and A^T y."""


class Peer(NamedTuple):
    """One way to reconstruct.

    Attributes:
        package: of `peer_side.PACKAGES`.
        method: as that calls it.
        share: of `Counts.peer_steps`, its number of steps; 0 where the method has its own.
        magnitudes: what it can take: |A x|, A x, or both (None).
        needs: what has to be installed for it, and the extra that brings it.
        is_pictured: whether README.md's pictures show it.
    """

    package: str
    method: str
    share: float = 0
    magnitudes: bool | None = False
    needs: tuple[str, str] | None = None
    is_pictured: bool = True

    def steps(self, counts: Counts) -> int:
        """How many it takes, 0 for its own number."""
        return max(2, round(self.share * counts.peer_steps)) if self.share else 0

    def label(self, counts: Counts) -> str:
        """What it is called in tables, and its file."""
        steps = f", {self.steps(counts)} steps" if self.share else ""
        return f"{self.package} {self.method}{steps}"

    @property
    def is_there(self) -> bool:
        """Whether it can run here."""
        return self.needs is None or importlib.util.find_spec(self.needs[0]) is not None


DEEPINV, SIGPY = ("deepinv", "peers"), ("sigpy", "peers")
PEERS = (
    Peer("csdip_jax", "csdip", 1, None),
    Peer("csdip_jax", "tv"),
    Peer("csdip_jax", "bm3d_amp", needs=("bm3d", "bm3d"), is_pictured=False),
    Peer("sigpy", "total variation, ADMM", 0.03, needs=SIGPY, is_pictured=False),
    Peer("deepinv", "total variation, ADMM", 0.1, needs=DEEPINV, is_pictured=False),
    Peer("deepinv", "spectral start, gradient descent", 1, True, needs=DEEPINV),
    Peer("deepinv", "DeepImagePrior", 0.2, None, needs=DEEPINV, is_pictured=False),
    Peer("deepinv", "DeepImagePrior", 1, None, needs=DEEPINV),
)


def peers(counts: Counts, folder: Path) -> dict:
    """One reconstruction from the same A and y each.

    Args:
        counts: how much.
        folder: gets <case>/<method>.npy, images of float32 [h, w, c] as they came back, and table.md.

    Returns:
        case -> method -> seconds, CPU seconds, those in JAX's compiler, and the PSNR of the image clipped to [0, 1].
    """
    for line in missing():
        tell(f"peers: {line}")
    results: dict[str, dict] = {}
    for name in counts.peers:
        case = cases.PEER_CASES[name]
        image = photograph(case)
        save(folder, name, ORIGINAL, image)
        y, adjoint = measured(case, image)
        save(folder, name, ADJOINT, adjoint)
        for peer in chosen(case):
            label = peer.label(counts)
            tell(f"peers: {name}: {label}")
            answer, found = reconstruct(peer, name, y, peer.steps(counts))
            save(folder, name, label, found)
            psnr = cs.metrics.psnr(2 * found.clip(0, 1) - 1, 2 * image - 1)
            results.setdefault(name, {})[label] = answer | {"psnr": float(psnr)}
            told = tables.as_markdown(frame(results)) + f"\n\n{versions()}\n"
            (folder / "table.md").write_text(told)  # what is there stays if a later one is interrupted
    return results


def photograph(case: PeerCase) -> np.ndarray:
    """The true image, [h, w, c] in [0, 1]."""
    names, images = cs.data.load_named("demo", image_shape=case.image_shape)
    return (np.asarray(images[names.index(case.photograph)]) + 1) / 2


def measured(case: PeerCase, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y, and A^T y in the shape of the image."""
    matrix = cases.matrix(case.num_measurements, case.image_shape)
    y = matrix @ image.reshape(-1)
    y = abs(y) if case.magnitudes else y
    return y, (y @ matrix).reshape(image.shape)


def chosen(case: PeerCase) -> Iterator[Peer]:
    """Those that can run here and are made for such measurements."""
    return (peer for peer in PEERS if peer.is_there and peer.magnitudes in (None, case.magnitudes))


def missing() -> list[str]:
    """A line for each package that is not installed: how to install it."""
    needed = dict.fromkeys(peer.needs for peer in PEERS if not peer.is_there)
    return [f"{package} is skipped: `python -m pip install -e '.[{extra}]'` installs it" for package, extra in needed]


def reconstruct(peer: Peer, case: str, y: np.ndarray, steps: int) -> tuple[dict, np.ndarray]:
    """What a fresh process says of its time, and its image."""
    with tempfile.TemporaryDirectory() as folder, worker(peer.package) as side:
        np.save(f"{folder}/measurements.npy", y)
        asked = {"package": peer.package, "method": peer.method, "case": case, "folder": folder, "steps": steps}
        return side.ask("reconstruct", **asked), np.load(f"{folder}/image.npy")


def worker(package: str) -> Worker:
    """A fresh process on all cores, for which JAX compiles all anew."""
    settings = {"OMP_NUM_THREADS": str(cores()), "JAX_ENABLE_COMPILATION_CACHE": "false"}
    return Worker(package, ["-W", "ignore", "-m", "experiments.benchmark.peer_side"], settings)


def save(folder: Path, case: str, label: str, image: np.ndarray) -> None:
    """As <case>/<label>.npy, with no more than letters, digits and hyphens."""
    path = image_path(folder, case, label)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, image.astype(np.float32))


def image_path(folder: Path, case: str, label: str) -> Path:
    """Where `save` puts it."""
    plain = ["-".join("".join(c if c.isalnum() else " " for c in text).split()) for text in (case, label)]
    return folder / plain[0] / f"{plain[1]}.npy"


def frame(results: Mapping) -> pd.DataFrame:
    """The table, of texts; seconds include compiling."""
    rows = []
    for case, answers in results.items():
        for label, answer in answers.items():
            times = [f"{answer[key]:.0f}" for key in ("seconds", "cpu_seconds", "compile_seconds")]
            rows.append([case, label, *times, f"{answer['psnr']:.1f}"])
    return pd.DataFrame(rows, columns=["", "method", "s", "CPU s", "compiling", "PSNR, dB"])


def versions() -> str:
    """A line: machine, and what is compared in which versions."""
    packages = ("jax", "bm3d", "deepinv", "torch", "sigpy", "numpy")
    there = [name for name in packages if importlib.util.find_spec(name)]
    told = [f"csdip_jax {cs.__version__}", *(f"{name} {importlib.metadata.version(name)}" for name in there)]
    return f"{cpu_model()}, {cores()} cores, load average {os.getloadavg()[0]:.1f} at the end; {', '.join(told)}"
