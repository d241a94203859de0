"""Tables as text: numbers stay as they were formatted, what is missing is blank."""

import math

import pandas as pd
import pytest

from csdip_jax.commands import tables


def test_a_csv_has_six_digits_and_blanks():
    frame = pd.DataFrame(
        [("a,b", 12345678, 0.123456789, True, None), ("‖", 2, math.nan, False, None), ("c", 3, 1e-9, True, None)],
        columns=["name", "m", "mse", "ok", "published"],
    )
    assert tables.as_csv(frame).splitlines() == [
        "name,m,mse,ok,published",
        '"a,b",12345678,0.123457,True,',
        "‖,2,,False,",
        "c,3,1e-09,True,",
    ]


def test_texts_stand_in_markdown_as_they_are():
    frame = pd.DataFrame([["1.50", "a|b", ""], ["10", "007", "1e5"]], columns=["x", "MSE", "MSE"])
    assert [line.replace(" ", "") for line in tables.as_markdown(frame).splitlines()] == [
        "|x|MSE|MSE|",
        "|------|-------|-------|",
        "|1.50|a\\|b||",
        "|10|007|1e5|",
    ]


def test_columns_for_a_terminal():
    frame = pd.DataFrame([["a", "1.50", ""], ["long", "10.25", "failed"]], columns=["name", "MSE", ""])
    header, _, first, second = tables.as_text(frame, left=("name", "")).splitlines()
    assert first.split() == ["a", "1.50"] and second.split() == ["long", "10.25", "failed"]
    assert header.index("MSE") + len("MSE") == len(first) == second.index("10.25") + len("10.25")
    assert first.startswith("a ") and header.startswith("name")


def test_crossed_keeps_the_order_and_leaves_blanks():
    found = tables.crossed("noise", ["10", "10", "0"], ["m = 500", "m = 50", "m = 50"], ["a", "b", "c"])
    assert list(found.columns) == ["noise", "m = 500", "m = 50"]
    assert found.to_numpy().tolist() == [["10", "a", "b"], ["0", "", "c"]]


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_no_number_is_a_dash(nothing):
    assert tables.number(nothing, ".2f") == "-" and tables.number(nothing, ".2f", "resumed") == "resumed"
    assert tables.number(0.125, ".2f") == "0.12" and tables.number(math.inf, ".2f") == "inf"
