"""Tables, which are data frames, as CSV for programs, and as Markdown and plain text for people."""

from collections.abc import Collection, Iterable

import pandas as pd


def as_csv(frame: pd.DataFrame) -> str:
    """The text of a CSV file: floats have six digits, missing values are empty; the index is left out."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")


def as_markdown(frame: pd.DataFrame) -> str:
    """A table of texts, which stand in it as they are; the index is left out."""
    escaped = frame.map(lambda text: text.replace("|", "\\|"))
    return escaped.to_markdown(index=False, tablefmt="github", disable_numparse=True)


def as_text(frame: pd.DataFrame, left: Collection[str] = ()) -> str:
    """Columns of texts for a terminal, those named in `left` to the left, numbers and all others to the right."""
    sides = ["left" if name in left else "right" for name in frame.columns]
    return frame.to_markdown(index=False, tablefmt="simple", disable_numparse=True, colalign=sides)


def crossed(corner: str, rows: Iterable, columns: Iterable, texts: Iterable[str]) -> pd.DataFrame:
    """Texts with a line per row and a column per column, both in the order in which they come; else blank.

    Args:
        corner: head of the first column, which names the rows.
        rows, columns, texts: where each text belongs, and the text.
    """
    frame = pd.DataFrame({"row": rows, "column": columns, "text": texts})
    wide = frame.pivot(index="row", columns="column", values="text").fillna("")
    wide = wide.loc[frame["row"].unique(), frame["column"].unique()]
    return wide.rename_axis(index=corner, columns=None).reset_index()


def number(value: float | None, form: str, nothing: str = "-") -> str:
    """Formatted; a dash for NaN, and for None, which NaN and infinities are in JSON."""
    return nothing if pd.isna(value) else f"{value:{form}}"
