"""Downloads the images of the paper from their public homes, in the layout that `csdip_jax.data` reads.

    csdip data --dataset=mnist,xray,retino --data_dir=data

    data/mnist/*.gz       the four files of LeCun, Cortes and Burges, from the mirror torchvision uses; 11 MB
    data/xray/*.png       70 Shenzhen chest x-rays (NLM), 256x256 grey; manifest.csv: roles test and lr_train
    data/retino/*.png     the 20 hand-labelled STARE images (Clemson), 128x128 colour; manifest.csv
    data/originals/       what was downloaded for those two, about 0.4 GB and 20 MB; may be deleted afterwards

Run it again after an interruption: it goes on within a file, and leaves alone what is there and intact.

- mnist: the official md5 of each file is checked.
- xray: the paper takes 60 of the 662 images at random and does not list them. Here 70 are taken evenly over
  their numbers, every seventh of those for the learned statistics (10), the others for the test (60). The
  paper's 512x512 crop is taken to the letter: the centre of an image of about 3000x3000, then a 2x2 mean.
  That is a sixth of the width, a close crop and smooth, as the paper's pictures are. For whole chests load
  the originals: source "data/originals/xray", image_shape (256, 256, 1). No checksum is published: the sha256
  of each original goes to manifest.csv (source_sha256), and a later download is checked against it.
- retino: the central 512x512 of 700x605, then a 4x4 mean. No checksum is published either; the sha256 checked
  is what public users of the archive, torch-em among them, have recorded.

Licences: MNIST is commonly listed as CC BY-SA 3.0. For the x-rays cite Jaeger et al. and Candemir et al.,
IEEE TMI 33(2), 2014. STARE is "publicly available": cite Hoover et al., IEEE TMI 19(3), 2000.
"""

import contextlib
import gzip
import hashlib
import io
import os
import re
import tarfile
import time
import zlib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pooch
import requests
from absl import flags
from PIL import Image
from skimage.color import rgb2gray
from skimage.transform import downscale_local_mean
from tqdm import tqdm

from csdip_jax.checks import in_one_line
from csdip_jax.commands import launcher
from csdip_jax.data import sources
from csdip_jax.data.decode import read_pixels
from csdip_jax.data.file_kinds import is_hidden
from csdip_jax.data.pixels import center_crop
from csdip_jax.files import open_own, room_for, write_atomically
from csdip_jax.solve.progress import progress_bar, shows_bars
from csdip_jax.types import InputError

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
XRAY_URL = "https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/Shenzhen-Hospital-CXR-Set/CXR_png/"
RETINO_URL = "https://cecas.clemson.edu/~ahoover/stare/probing/stare-images.tar"
RETINO_HASH = "sha256:5f7b509b6067cad4f1be84933145d783de9ec087b3eaaf4db0103dd0144dd433"
CROP = 512
MOST_BYTES = 2**28
"""Of one file; the largest, an x-ray, has less than a tenth of it."""
MOST_SECONDS = 3600.0
"""For one file in one go."""
RETRIES = 2
"""Of a file, after a lost connection or with the wrong checksum."""
POOCHS_OWN = re.compile(r"tmp[a-z0-9_]{8}")
"""What pooch calls the empty file that it makes before a download, and leaves behind when it is killed."""


class FetchError(InputError):
    """Data that cannot be fetched. One line: what, why, and the remedy."""


def shenzhen_roles() -> dict[str, str]:
    """File name -> role of the 70 x-rays. Numbers 1 to 326 are normal (_0), 327 to 662 tuberculosis (_1)."""
    numbers = [1 + round(661 * i / 69) for i in range(70)]
    roles = {f"CHNCXR_{n:04d}_{int(n > 326)}.png": "test" for n in numbers}
    return roles | dict.fromkeys(list(roles)[3::7], "lr_train")


def fetch(datasets: Iterable[str], data_dir: Path) -> None:
    """Fetches each of `datasets` into data_dir.

    Raises:
        FetchError: unknown data set (before any download), no network, wrong checksum, no room on the disk.
    """
    fetchers = {"mnist": fetch_mnist, "xray": fetch_xray, "retino": fetch_retino}
    datasets = list(datasets)
    unknown = [name for name in datasets if name not in fetchers]
    if unknown or not datasets:
        raise FetchError(f"unknown data set {','.join(unknown)!r}; choose from {','.join(fetchers)}")
    for name in datasets:
        try:
            fetchers[name](data_dir)
        except OSError as error:
            raise FetchError(f"{name}: {error}; make room, or choose another --data_dir") from error
        print(f"{name}: ready in {data_dir / name}")


def fetch_mnist(data_dir: Path, url: str = MNIST_URL, files: Mapping[str, str] = MNIST_FILES) -> None:
    """data_dir/mnist/*.gz as they are; `files` maps names under `url` to checksums."""
    for name, checksum in files.items():
        download(url + name, data_dir / "mnist" / name, checksum)


def fetch_xray(data_dir: Path, url: str = XRAY_URL, roles: Mapping[str, str] | None = None) -> None:
    """data_dir/xray/*.png and manifest.csv; `roles` maps names under `url` to roles, see `shenzhen_roles`."""
    folder = data_dir / "xray"
    roles = shenzhen_roles() if roles is None else roles
    rows = read_manifest(folder)
    if is_intact(folder, rows) and set(roles) <= {row["file"] for row in rows}:
        return
    known = {row["source"]: "sha256:" + row["source_sha256"] for row in rows}
    crops = {}
    names = sorted(roles, key=lambda name: (roles[name] != "test", name))
    for name in progress_bar(names, desc="xray", unit="image"):
        path = data_dir / "originals" / "xray" / name
        download(url + name, path, known.get(name))
        try:
            pixels = read_pixels(path)
        except InputError as error:
            path.unlink()  # half a file, or a page in its place: there is no checksum that would have told
            raise FetchError(f"{error}; it was removed: run this again") from error
        if pixels.dtype != np.uint8:
            raise FetchError(f"{path} has pixels of type {pixels.dtype}, not uint8: changed at its source")
        grey = pixels if pixels.ndim == 2 else np.rint(rgb2gray(pixels.astype(np.float64)))
        crops[name] = crop_and_row(grey, 2, name, roles[name], path.read_bytes())
    write_crops(folder, crops)


def fetch_retino(data_dir: Path, url: str = RETINO_URL, checksum: str = RETINO_HASH) -> None:
    """data_dir/retino/*.png and manifest.csv, of the archive of gzipped .ppm files at `url`."""
    folder = data_dir / "retino"
    if is_intact(folder, read_manifest(folder)):
        return
    path = data_dir / "originals" / "retino" / url.rpartition("/")[2]
    download(url, path, checksum)
    try:
        crops = _crops_of_archive(path)
    except (
        tarfile.TarError,
        OSError,
        EOFError,
        ValueError,
        SyntaxError,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        reason = in_one_line(error)
        raise FetchError(f"{path} is not the archive it should be ({reason}): remove it, and run this again") from error
    write_crops(folder, dict(sorted(crops.items())))


def _crops_of_archive(path: Path) -> dict[str, tuple[bytes, dict[str, str | int]]]:
    crops = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if not member.name.endswith(".ppm.gz"):
                continue
            if not member.isfile():
                raise ValueError(f"{member.name} is no file")
            source = Path(member.name).stem
            with gzip.GzipFile(fileobj=archive.extractfile(member)) as packed:
                content = packed.read(MOST_BYTES)
            with Image.open(io.BytesIO(content)) as image:
                pixels = np.asarray(image)
            crops[Path(source).stem + ".png"] = crop_and_row(pixels, 4, source, "test", content)
    if not crops:
        raise ValueError("no .ppm.gz in it")
    return crops


def crop_and_row(
    pixels: np.ndarray, factor: int, source: str, role: str, original: bytes
) -> tuple[bytes, dict[str, str | int]]:
    """The central CROP x CROP of 8-bit pixels, averaged over factor x factor: (PNG file, manifest row)."""
    height, width = pixels.shape[:2]
    if min(height, width) < CROP:
        raise FetchError(f"{source} is {height}x{width}, too small for its central {CROP}x{CROP}")
    blocks = (factor, factor) + (1,) * (pixels.ndim - 2)
    mean = downscale_local_mean(center_crop(pixels, CROP, CROP), blocks)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(mean).astype(np.uint8)).save(buffer, format="png")
    row = {
        "role": role,
        "source": source,
        "src_w": width,
        "src_h": height,
        "crop_x": (width - CROP) // 2,
        "crop_y": (height - CROP) // 2,
        "crop_side": CROP,
        "factor": factor,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "source_sha256": hashlib.sha256(original).hexdigest(),
    }
    return buffer.getvalue(), row


def read_manifest(folder: Path) -> list[dict[str, str]]:
    """Rows of folder/manifest.csv, none where there is no such folder yet.

    Raises:
        InputError: the manifest cannot be read.
        FetchError: the folder holds images that are not of this program, which would be mixed with its own.
    """
    path = folder / "manifest.csv"
    rows = sources.read_manifest(path) if path.exists() else []
    own = all(row.get(column) for row in rows for column in ("source", "sha256", "source_sha256"))
    if not own or (not rows and any(not is_hidden(image) for image in folder.glob("*.png"))):
        raise FetchError(f"{folder} holds other images; choose another --data_dir, or move them away")
    return rows


def is_intact(folder: Path, rows: list[dict[str, str]]) -> bool:
    """Whether there are rows, and each names a file in the folder with the sha256 that it says."""
    expected = {folder / row["file"]: row["sha256"] for row in rows}
    intact = (path.exists() and pooch.file_hash(path) == sha for path, sha in expected.items())
    return bool(rows) and all(intact)


def write_crops(folder: Path, crops: Mapping[str, tuple[bytes, dict[str, str | int]]]) -> None:
    """Writes manifest.csv, then the images.

    In this order, since the loader refuses a manifest that names a missing image: an interruption in between
    cannot pass for a smaller data set.
    """
    manifest = pd.DataFrame([{"file": name} | row for name, (_, row) in crops.items()])
    contents = {"manifest.csv": manifest.to_csv(index=False).encode()}
    contents |= {name: content for name, (content, _) in crops.items()}
    for name, content in contents.items():
        write_atomically(folder / name, lambda file, content=content: file.write(content))


def download(url: str, path: Path, checksum: str | None) -> None:
    """Fetches url to path, unless it is there already; checksum as in pooch ("md5:..."), None where unknown.

    Raises:
        FetchError: no network or no such file, connection lost (the next call resumes), wrong checksum, more than
            MOST_BYTES or MOST_SECONDS.
    """
    part = path.with_name(path.name + ".part")
    for leftover in path.parent.glob("tmp*"):
        if POOCHS_OWN.fullmatch(leftover.name) and leftover.is_file() and not leftover.stat().st_size:
            leftover.unlink()
    store = pooch.Pooch(path.parent, "", {path.name: checksum}, {path.name: url}, RETRIES)
    try:
        store.fetch(path.name, downloader=partial(resume, part=part))
    except InputError:
        raise
    except OverflowError as error:
        part.unlink()
        raise FetchError(
            f"{url}: more than {MOST_BYTES} bytes, so it is not the file it should be; check the network"
        ) from error
    except TimeoutError as error:
        raise FetchError(
            f"{url}: not done after {MOST_SECONDS:g} s; run this again, it resumes, or download it by hand"
        ) from error
    except requests.RequestException as error:
        status = getattr(error.response, "status_code", None)
        reason = f"HTTP status {status}" if status else f"no connection ({type(error).__name__})"
        wrong = ", where a file with the wrong checksum lies now" if path.exists() else ""
        raise FetchError(
            f"cannot download {url}: {reason}; check the network and run this again, it resumes, "
            f"or download it by hand to {path}{wrong}"
        ) from error
    except ValueError as error:  # what pooch raises for a wrong checksum
        raise FetchError(
            f"{url}: what was downloaded has not the checksum {checksum}; run this again, "
            "and if that does not help, the file has changed at its source"
        ) from error


def resume(url: str, output_file: str, _pooch: object, *, part: Path) -> None:
    """A downloader for pooch that writes to `part` and goes on at its end, if an earlier call left one.

    Should the file have changed at its source in between, the checksum tells, or the one within a PNG.

    Raises:
        OverflowError, TimeoutError: more than MOST_BYTES, MOST_SECONDS; pooch tries again after neither.
    """
    began = time.monotonic()

    class Bar(tqdm):
        def __bool__(self):  # pooch asks whether there is one; tqdm's answer is whether it has a total
            return True

        def update(self, n=1):
            if file.tell() > MOST_BYTES:
                raise OverflowError
            if time.monotonic() - began > MOST_SECONDS:
                raise TimeoutError
            return super().update(n)

    def begin(response, **_):
        """Drops the part, unless what comes begins at its end."""
        stack.callback(response.close)  # which pooch leaves open
        response.raw.headers.pop("Content-Encoding", None)  # some call a .gz one, which is not to be unpacked here
        sent = response.headers.get("Content-Range", "")
        misplaced = response.status_code == 206 and not sent.startswith(f"bytes {offset}-")
        if misplaced or response.status_code in (200, 416):  # 416: nothing lies beyond the part
            file.truncate(0)
        if misplaced:
            raise requests.ConnectionError(f"asked for bytes from {offset} on, sent was {sent!r}")

    with room_for(part), open_own(part, os.O_RDWR | os.O_APPEND) as file, contextlib.ExitStack() as stack:
        offset = file.seek(0, os.SEEK_END)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        bar = Bar(desc=part.stem, unit="B", unit_scale=True, leave=False, disable=not shows_bars())
        stack.enter_context(bar)
        pooch.HTTPDownloader(bar, headers=headers, hooks={"response": begin}, timeout=60)(url, file, None)
    os.replace(part, output_file)


def main() -> None:
    # It would repeat what the progress bars show.
    pooch.get_logger().setLevel("WARNING")
    fetch(flags.FLAGS.dataset, Path(flags.FLAGS.data_dir).expanduser())


if __name__ == "__main__":
    # Not at import: other launchers have a --data_dir as well, and absl refuses a flag that is defined twice.
    flags.DEFINE_list("dataset", ["mnist", "xray", "retino"], "Which data sets to fetch.")
    flags.DEFINE_string("data_dir", "data", "Folder to fetch them into.")
    launcher.run(main, needs_arguments=True)
