"""Rows of results, a line of JSON each: appended whole or not at all, and checked field by field when they are read."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from csdip_jax.files import finite, open_own, read_json, require_file, room_for
from csdip_jax.types import InputError


def append_row(path: Path, row: dict) -> None:
    """Appends one JSON line; what an earlier kill left of an unfinished line is cut off first.

    NaN and infinities, which JSON does not have, become null.

    Raises:
        InputError: the disk is full, or `path` is a link.
    """
    path = Path(path)
    line = (json.dumps(finite(row), allow_nan=False) + "\n").encode()
    with room_for(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_own(path, os.O_RDWR | os.O_APPEND) as file:
            file.truncate(_end_of_last_line(file))
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


def _end_of_last_line(file, block: int = 2**16) -> int:
    """Where the last finished line of a binary file ends, looked for from its end: files of rows grow long."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - block)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


class Kind(NamedTuple):
    """What a field of a row may be, in words and as a test, and whether it may be missing."""

    words: str
    holds: Callable[[Any], bool]
    optional: bool = False


def _is_number(value) -> bool:
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float)


def _is_file_name(value) -> bool:
    try:
        return isinstance(value, str) and 0 < len(os.fsencode(value)) < 250 and not {"/", "\0"}.intersection(value)
    except UnicodeEncodeError:
        return False


NAME = Kind("a file name", _is_file_name)
TEXT = Kind("text", lambda value: isinstance(value, str))
WHOLE = Kind("a whole number", lambda value: isinstance(value, int) and _is_number(value))
NUMBER = Kind("a number", _is_number)
NUMBER_OR_NULL = Kind("a number or null", lambda value: value is None or _is_number(value))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NUMBERS = Kind(
    "an object of numbers", lambda value: isinstance(value, dict) and all(map(NUMBER_OR_NULL.holds, value.values()))
)


def read_rows(path: Path, read: Callable[[Any], Any] | None = None) -> list:
    """The finished rows of a results.jsonl; none where there is no such file.

    Args:
        path: of the file.
        read: makes a row of what a line says, or says by a ValueError what is wrong with it: `with_fields`, or the
            `read` of a class of rows. Rows may be anything without it.

    Raises:
        InputError: a line is no JSON, or no row; names the line.
    """
    path = Path(path)
    if not path.exists():
        return []
    try:
        require_file(path)
        finished, _, _ = path.read_bytes().rpartition(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): remove it, or choose another `workdir`") from error
    rows = []
    for number, line in enumerate(finished.splitlines(), start=1):
        try:
            row = _with_nan(read_json(line))
        except ValueError as error:  # of JSON, or of an encoding
            raise InputError(f"{path}, line {number} is damaged ({error}): remove that line") from None
        try:
            rows.append(row if read is None else read(row))
        except ValueError as error:
            raise InputError(f"{path}, line {number} is damaged, {error}: remove it") from None
    return rows


def _with_nan(value):
    """A row as it was before it was written: NaN for null among the numbers of a list."""
    if isinstance(value, dict):
        return {name: _with_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [math.nan if inner is None else _with_nan(inner) for inner in value]
    return value


def with_fields(fields: Mapping[str, Kind], of: str = "row") -> Callable[[Any], dict]:
    """For `read_rows`: rows that have these fields, of these kinds; `of` says in an error what has such rows."""

    def read(row: Any) -> dict:
        require_fields(row, fields, of)
        return row

    return read


def require_fields(row: Any, fields: Mapping[str, Kind], of: str) -> None:
    """Raises ValueError, which says what is wrong, unless it is a dictionary with these fields of these kinds."""
    known = row if isinstance(row, dict) else {}
    for name, kind in fields.items():
        if name not in known and kind.optional:
            continue
        if name not in known:
            raise ValueError(f"a row that is no {of}'s, without {name}")
        if not kind.holds(known[name]):
            value = json.dumps(finite(known[name]))
            raise ValueError(f"{name} = {value if len(value) < 40 else value[:40] + '...'} is not {kind.words}")


def read_all_rows(folder: Path, read: Callable[[Any], Any] | None = None) -> list:
    """The rows that all processes of a run have finished: results.jsonl, results-1.jsonl, ...; see `read_rows`."""
    return [row for path in sorted(Path(folder).glob("results*.jsonl")) for row in read_rows(path, read)]
