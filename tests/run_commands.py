"""Runs every command line of README.md and the documentation as printed, for a release check; no part of the suite.

    python -m tests.run_commands                     # hours: the paper's items among them
    python -m tests.run_commands --only=csdip        # those that contain a word
    python -m tests.run_commands --minutes=5 --data_dir=data

Each runs in one folder that holds what the pages speak of: small files of measurements, a photograph, scans. A command
that needs data sets is left out unless --data_dir has them. Ends with 1 where a command failed or took too long.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import skimage.io

import csdip_jax as cs
from tests.conftest import REPOSITORY
from tests.pages import READ_BY_USERS, commands, files

LEFT_OUT = {"make": "sets up environments: run it by itself", "csdip data": "downloads"}
"""Beginning of a command -> why it is not run here."""


def main() -> None:
    """Runs them; a line each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="a word that the command holds")
    parser.add_argument("--minutes", type=float, default=60, help="the most that one may take")
    parser.add_argument("--data_dir", type=Path, help="folder of the data sets")
    given = parser.parse_args()
    lines = dict.fromkeys(line for page in READ_BY_USERS for line in commands(page) if given.only in line)
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), given.data_dir)
        failed = [line for line in lines if not run(line, Path(folder), 60 * given.minutes, given.data_dir)]
    print(f"{len(lines)} command lines, {len(failed)} failed")
    sys.exit(bool(failed))


def run(line: str, folder: Path, seconds: float, data_dir: Path | None) -> bool:
    """Whether a command line ends well, or is left out; prints which, and how long it took."""
    reason = next((why for start, why in LEFT_OUT.items() if line.startswith(start)), None)
    if reason is None and data_dir is None and "--data_dir" in line:
        reason = "no --data_dir"
    if reason is not None:
        print(f"left out    {line}: {reason}", flush=True)
        return True
    words = shlex.split(line)
    words[:1] = [sys.executable, "-m", "csdip_jax"] if words[0] == "csdip" else [sys.executable]
    environment = os.environ | {"PYTHONPATH": os.fspath(REPOSITORY), "MPLBACKEND": "Agg"}
    began = time.perf_counter()
    try:
        done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds)
        ended = "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]
    except subprocess.TimeoutExpired:
        ended = "too long"
    print(f"{time.perf_counter() - began:8.1f} s  {line}" + (f": FAILED, {ended}" if ended else ""), flush=True)
    return not ended


def write_files(folder: Path, data_dir: Path | None) -> None:
    """What the command lines of the pages read, small."""
    for name in ("examples", "experiments", "docs"):
        (folder / name).symlink_to(REPOSITORY / name)
    if data_dir is not None:
        (folder / "data").symlink_to(data_dir.resolve())
    rng, image = np.random.default_rng(0), (cs.data.load("demo", image_shape=(32, 32, 1), num_images=1)[0] + 1) / 2
    patterns = rng.integers(0, 2, (500, 1024)).astype(np.uint8)
    mask = (rng.random((32, 1)) < 0.5) | (np.abs(np.arange(32)[:, None] - 16) < 3)
    k_space = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image[..., 0]), norm="ortho"))
    arrays = {"A": patterns, "y": patterns @ image.ravel(), "mask": mask & np.ones((32, 32), bool), "kspace": k_space}
    arrays |= {"patterns": patterns, "counts": rng.poisson(500 * (patterns @ image.ravel()))}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    skimage.io.imsave(folder / "photo.jpg", skimage.data.astronaut())
    for page in READ_BY_USERS:
        for name, text in files(page).items():
            (folder / name).write_text(text)
    (folder / "scans").mkdir()
    for name in ("coffee", "chelsea"):
        skimage.io.imsave(folder / "scans" / f"{name}.png", getattr(skimage.data, name)()[:256:4, :256:4])


if __name__ == "__main__":
    main()
