"""Rows of results: whole, checked, appended."""

import os

import pytest

import csdip_jax as cs
from csdip_jax.io import lines


def test_an_unfinished_row_is_dropped(tmp_path):
    path = tmp_path / "results.jsonl"
    assert lines.read_rows(path) == []
    lines.append_row(path, {"i": 0})
    with open(path, "a") as file:
        file.write('{"i": 1, "mse": 0.')  # killed while writing
    assert lines.read_rows(path) == [{"i": 0}]
    lines.append_row(path, {"i": 2})
    assert lines.read_rows(path) == [{"i": 0}, {"i": 2}]


def test_rows_of_several_processes_in_their_order(tmp_path):
    for name, i in (("results-1.jsonl", 2), ("results.jsonl", 0), ("results.jsonl", 1), ("results-1.jsonl", 3)):
        lines.append_row(tmp_path / name, {"i": i})
    (tmp_path / "notes.jsonl").write_text('{"i": 9}\n')
    assert sorted(row["i"] for row in lines.read_all_rows(tmp_path)) == [0, 1, 2, 3]
    assert [row["i"] for row in lines.read_rows(tmp_path / "results.jsonl")] == [0, 1]


def test_a_damaged_row_is_named(tmp_path):
    (tmp_path / "results.jsonl").write_text('{"i": 0}\n{"i":\n')
    with pytest.raises(cs.InputError, match="results.jsonl, line 2 is damaged"):
        lines.read_all_rows(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"a": 1}\n\xff\xfe\n')
    with pytest.raises(cs.InputError, match="line 2 is damaged .*: remove that line"):
        lines.read_rows(path)


BAD_VALUES = ["null", "[]", "[1]", "{}", '{"a": "b"}', '"x/y"', '""', "true", "3", "3.5", "1" + "0" * 400, '"\\ud800"']

GOOD_VALUES = {
    lines.NAME: set(),
    lines.TEXT: {'"x/y"', '""', '"\\ud800"'},
    lines.WHOLE: {"3"},
    lines.NUMBER: {"3", "3.5"},
    lines.NUMBER_OR_NULL: {"null", "3", "3.5"},
    lines.FLAG: {"true"},
    lines.NUMBERS: {"{}"},
}


@pytest.mark.parametrize("kind", GOOD_VALUES, ids=lambda kind: kind.words)
def test_a_row_has_its_fields_and_they_are_of_their_kinds(kind, tmp_path):
    path = tmp_path / "results.jsonl"
    for value in BAD_VALUES:
        path.write_text(f'{{"a": 1, "b": {value}}}\n')
        if value in GOOD_VALUES[kind]:
            assert lines.read_rows(path, lines.with_fields({"b": kind}))
            continue
        with pytest.raises(cs.InputError, match=r"line 1 is damaged, b = .* is not .*: remove it$") as caught:
            lines.read_rows(path, lines.with_fields({"b": kind}))
        assert "\n" not in str(caught.value)
    for line in ('{"a": 1}', "[]", "3", "null"):
        path.write_text(f'{{"b": {min(GOOD_VALUES[kind], default=chr(34) + "x" + chr(34))}}}\n{line}\n')
        with pytest.raises(cs.InputError, match="line 2 is damaged, a row that is no fit's, without b: remove it"):
            lines.read_rows(path, lines.with_fields({"b": kind}, "fit"))
        lines.read_rows(path, lines.with_fields({"b": kind._replace(optional=True)}))


def test_rows_in_a_pipe_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "results.jsonl")
    with pytest.raises(cs.InputError, match="results.jsonl cannot be read .no regular file"):
        lines.read_all_rows(tmp_path)


@pytest.mark.parametrize("content", [b"", b"a", b"abcdefg", b"\n", b"a\nb\n", b"a\nbcdefghij", b"abcdefghi\nj"])
@pytest.mark.parametrize("block", [1, 3, 100])
def test_the_end_of_the_last_line_is_looked_for_from_the_end(content, block, tmp_path):
    (tmp_path / "a").write_bytes(content)
    with open(tmp_path / "a", "rb") as file:
        assert lines._end_of_last_line(file, block) == content.rfind(b"\n") + 1


def test_a_row_is_appended_without_reading_the_others(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_bytes(b'{"a": 1}\n')
    os.truncate(path, 2**40)  # a hole: a terabyte to read, but no space on the disk
    with open(path, "ab") as file:
        file.write(b'\n{"half')
    lines.append_row(path, {"b": 2})
    assert path.stat().st_size == 2**40 + len('\n{"b": 2}\n')
