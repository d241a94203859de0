"""How far a long loop is: a bar on a terminal, a plain line now and then where the output is kept."""

import os
import sys
import time

from tqdm import tqdm

LINE_SECONDS = 60.0


class Lines(tqdm):
    """In place of a bar: a line at the start, one a minute, and one at the end; no carriage return, no escape code."""

    def __init__(self, *args, **options):
        self._said = -LINE_SECONDS
        form = "{desc}: {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
        super().__init__(*args, **options | {"bar_format": form, "leave": True})

    set_description = tqdm.set_description_str  # without a second colon

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        if self.n != self.total and time.monotonic() - self._said >= LINE_SECONDS:  # `close` tells the end
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        self.fp.write(f"{self}\n")
        self.fp.flush()

    def clear(self, nolock: bool = False) -> None:
        """There is nothing to take back."""

    def close(self) -> None:
        if not self.disable:
            self.disable = True
            self._decr_instances(self)  # pyright: ignore[reportAttributeAccessIssue] (the types lack it)
            self._say()


def shows_bars() -> bool:
    """Whether bars can be seen: both outputs are a terminal that moves its cursor, and NO_COLOR asks for no plain text.

    A terminal moves it unless TERM says that it is dumb.
    """
    plain = os.environ.get("TERM") == "dumb" or bool(os.environ.get("NO_COLOR"))
    return not plain and all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))


def progress_bar(*args, **options) -> tqdm:
    """A `tqdm` of these arguments where bars can be seen, elsewhere `Lines`."""
    return (tqdm if shows_bars() else Lines)(*args, **options)
