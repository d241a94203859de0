"""The installed command `csdip`: what it can do, and the way from a word to the program behind it."""

import contextlib
import difflib
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

NOBODY_READS = 141
HELP = ("h", "?", "help", "helpshort", "helpfull")
"""Options that ask for it."""
DEMO = Path(__file__).parent / "configs" / "demo.py"


class Command(NamedTuple):
    """A word after `csdip`.

    Attributes:
        about: what it does, in a line.
        module: the program, below `csdip_jax.commands`.
        options: what stands before the user's, who may override it.
        intro: what its help begins with, where its program has other uses.
    """

    about: str
    module: str
    options: tuple[str, ...] = ()
    intro: str = ""


COMMANDS = {
    "demo": Command(
        "three photographs that ship with a dependency, a picture within minutes",
        "reconstruct",
        (f"--config={DEMO}", "--workdir=runs/demo"),
        "The demo: three photographs measured, reconstructed by CS-DIP and TV, and compared in one picture.\n"
        "It is csdip reconstruct with a configuration and a folder of its own; any option of that may follow.",
    ),
    "reconstruct": Command("an image from your measurements, or your images measured and compared", "reconstruct"),
    "sweep": Command("every combination of methods, measurements, seeds and settings, resumable", "sweep"),
    "report": Command("one page of all results below a folder", "report"),
    "data": Command("fetch the public data sets of the paper", "fetch_data"),
}


USAGE = """\
Images from few measurements, by untrained networks and the methods they are compared with.

{commands}

For example:

  csdip demo
  csdip reconstruct --measurements=y.npy --matrix=A.npy --image_shape=64,64,1
  csdip reconstruct --images=photo.jpg --max_side=64 --methods=csdip,tv
  csdip sweep --config.data=photo.jpg --max_side=64 --config.num_measurements='(500,900)' --methods=tv
  csdip report --workdir=runs

  csdip <command> --help       its options, and every setting with its default and range
  csdip reconstruct --help=tv  the settings of one method alone
  csdip --version              versions and device, for the report of a bug

Results lie below ./runs unless --workdir says otherwise, and the same command again goes on from what
was finished. Exit codes: 0 done; 1 something that you can mend, told in one line; 130 interrupted."""


def main() -> None:
    """Runs the command that the first argument names; without one, shows what there is.

    Exit codes: those of `launcher.run`; 1 for a word that is no command.
    """
    name, *options = sys.argv[1:] or ["help"]
    if name.lstrip("-") in HELP:
        if options and options[0] in COMMANDS:
            run(options[0], ["--help"])
        _print(_usage())
    elif name.lstrip("-") == "version":
        _print(_version())
    elif name in COMMANDS:
        run(name, options)
    else:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f"; did you mean csdip {near[0]}?" if near else "; csdip --help tells them"
        sys.exit(f"error: csdip has no command {name!r}: {', '.join(COMMANDS)}{meant}")


def run(name: str, options: Sequence[str]) -> None:
    """The program behind a word of `COMMANDS`, as a process of its own would run it.

    Args:
        name: the word.
        options: the user's.
    """
    command = COMMANDS[name]
    sys.argv = [f"csdip {name}", *command.options, *options]
    if command.intro and any(option[:1] == "-" and option.lstrip("-") in HELP for option in options):
        _print(f"{command.intro}\n")
    runpy.run_module(f"csdip_jax.commands.{command.module}", run_name="__main__", alter_sys=True)


@contextlib.contextmanager
def ends_where_nobody_reads() -> Iterator[None]:
    """Ends the program, by the exit code of SIGPIPE, where its output goes to one that has ended, as `| head` does."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        sys.exit(NOBODY_READS)


def _print(text: str) -> None:
    with ends_where_nobody_reads():
        print(text)


def _version() -> str:
    """What a report of a bug should say."""
    import csdip_jax
    from csdip_jax.runs.workdir import environment

    found = environment()
    others = [f"{name} {version}" for name, version in found["versions"].items() if name != "csdip_jax"]
    return f"csdip {csdip_jax.__version__} ({', '.join(others)}; {found['device']})"


def _usage() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  csdip {name:{width}}  {command.about}" for name, command in COMMANDS.items())
    return USAGE.format(commands=commands)
