"""What lies under a folder: items of the paper, and workdirs of runs. What cannot be read is said, not raised."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from csdip_jax.files import read_json
from csdip_jax.io.lines import read_rows
from csdip_jax.runs.workdir import OWN_FOLDERS
from csdip_jax.types import InputError


class PaperItem(NamedTuple):
    """A table or figure of the paper, see experiments.paper.

    Attributes:
        path: of its .json.
        name, title, scale, command, notes: as it says.
        table: header and rows for people; an empty header where it has none, and its CSV has to do.
        sweep: folder of its results; None where it has none.
        files: suffix ("png", "pdf", "csv", "md") -> path, of those that are there.
        problems: what of it cannot be used.
    """

    path: Path
    name: str
    title: str
    scale: str
    command: str
    notes: Sequence[str]
    table: Sequence[Sequence[str]]
    sweep: Path | None
    files: Mapping[str, Path]
    problems: Sequence[str]


class Run(NamedTuple):
    """A workdir.

    Attributes:
        path: folder.
        config: contents of config.json, empty where there is none.
        rows: of all its results*.jsonl, which were last written to at the time `written`.
        files: its own .png, .md and .csv.
        unfinished: number of checkpoints, each of fits that run or were interrupted.
        problems: what of it cannot be used.
    """

    path: Path
    config: Mapping
    rows: Sequence[Mapping]
    written: float | None
    files: Sequence[Path]
    unfinished: int
    problems: Sequence[str]


class Findings(NamedTuple):
    """Everything under a folder."""

    root: Path
    items: Sequence[PaperItem]
    runs: Sequence[Run]
    problems: Sequence[str]


def find(root: Path, own_files: Sequence[Path] = ()) -> Findings:
    """Everything under a folder, in the order of the paths.

    Args:
        root: where to look.
        own_files: what an earlier report wrote, which is no result.

    Raises:
        InputError: there is no such folder, or nothing in it.
    """
    if not root.is_dir():
        raise InputError(f"--workdir={root}: no such folder; name one that a run wrote, or one above several")
    items, folders, problems, unread = [], [], [], []
    for folder, below, names in os.walk(root, onerror=unread.append):
        path = Path(folder)
        is_run = "config.json" in names or any(_is_results(name) for name in names)
        below[:] = sorted(name for name in below if not (name.startswith(".") or (is_run and name in OWN_FOLDERS)))
        folders += [path] * is_run
        for name in sorted(names):
            if name.endswith(".json") and name != "config.json" and not name.startswith("."):
                described, reason = _json(path / name)
                problems += [f"{path / name}: {reason}"] if reason else []
                if isinstance(described, dict) and {"item", "title", "files"} <= described.keys():
                    items.append(_read_item(path / name, described))
    problems += [f"{error.filename}: {error}" for error in unread]
    taken = {file for item in items for file in item.files.values()} | set(own_files)
    runs = [read_run(path, taken) for path in folders]
    if not (items or runs or problems):
        raise InputError(
            f"--workdir={root} holds no results (no config.json or results.jsonl): name a folder that "
            "csdip reconstruct or sweep, or an experiment of the paper wrote"
        )
    return Findings(root, sorted(items, key=_place_of), runs, problems)


def unusable(path: Path, folder: Path) -> str | None:
    """Why the report does not read a file of this folder; None where it may.

    What lies outside, by a name or a link that leads there, is not ours to show; a pipe would be waited for.
    """
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            return f"lies outside of {folder}"
        if path.is_file():
            return None
        return "no regular file" if path.exists() else "missing"
    except (OSError, ValueError, RuntimeError) as error:  # of names that cannot be, and of links in a circle
        return getattr(error, "strerror", None) or "no name of a file"


def _is_results(name: str) -> bool:
    return name.startswith("results") and name.endswith(".jsonl")


def _place_of(item: PaperItem) -> tuple:
    """Scales apart, names in the order of their numbers: fig2 before fig10."""
    letters = item.name.rstrip("abcdefghijklmnopqrstuvwxyz")
    number = letters.lstrip("abcdefghijklmnopqrstuvwxyz_")
    place = int(number) if number.isdecimal() and len(number) < 10 else 0
    return str(item.path.parent), letters.removesuffix(number), place, item.name


def _json(path: Path) -> tuple[object, str | None]:
    """What a file says, or why that cannot be told."""
    reason = unusable(path, path.parent)
    try:
        return (None, reason) if reason else (read_json(path.read_bytes()), None)
    except (OSError, ValueError) as error:
        return None, str(error)


def _read_item(path: Path, described: Mapping) -> PaperItem:
    files, problems, sweep = {}, [], None
    named = described["files"] if isinstance(described["files"], dict) else {}
    for suffix, name in named.items():
        file = path.parent / str(name)
        reason = unusable(file, path.parent)
        if reason:
            problems.append(f"{_short(file)}: {reason}, {path.name} names it")
        else:
            files[suffix] = file
    if described.get("sweep"):
        sweep = path.parent / str(described["sweep"])
        reason = unusable(sweep, path.parent)
        if reason != "no regular file":  # a folder is none
            problems.append(f"{_short(sweep)}: {reason or 'no folder'}, {path.name} names it as that of its results")
            sweep = None
    words = (str(described.get(name) or "") for name in ("item", "title", "scale", "command"))
    rows = described.get("table") or [[]]
    table = [_texts(row) for row in rows] if isinstance(rows, list) else [[]]
    return PaperItem(path, *words, _texts(described.get("notes")), table, sweep, files, problems)


def _texts(value) -> list[str]:
    return [*map(str, value)] if isinstance(value, list) else []


def _short(path: Path, most: int = 200) -> str:
    return text if len(text := str(path)) <= most else f"{text[:most]}..."


def read_run(path: Path, taken: set[Path] = frozenset()) -> Run:
    """A workdir, without the files that others (`taken`) show."""
    problems, rows, times, files = [], [], [], []
    config, reason = _json(path / "config.json")
    if not isinstance(config, dict):
        config, reason = {}, reason or "holds no settings"
        problems.append(f"{path / 'config.json'}: {reason}; settings, versions and device are not known")
    for file in sorted(path.iterdir()):
        results = _is_results(file.name)
        if not results and (file.suffix not in (".png", ".md", ".csv") or file in taken or file.name[0] == "."):
            continue
        if file.suffix == ".md" and file.with_suffix(".html").exists():
            continue  # a report of this run alone, made before
        reason = unusable(file, path)
        if reason:
            left_out = "; its rows are left out" if results else ""
            problems += [f"{file}: {reason}{left_out}"] if results or not file.is_dir() else []
        elif results:
            times.append(file.stat().st_mtime)
            try:
                rows += read_rows(file)
            except (OSError, ValueError) as error:
                problems.append(f"{error}; its rows are left out")  # names the file
        else:
            files.append(file)
    unfinished = len(list(path.glob("checkpoint*.npz")))
    return Run(path, config, rows, max(times, default=None), files, unfinished, problems)
