"""The installed command `csdip`: what it can do, and the way from a word to the program behind it."""

import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

DEMO = Path(__file__).parent / "configs" / "demo.py"


class Command(NamedTuple):
    """A word after `csdip`.

    Attributes:
        about: what it does, in a line.
        module: the program, below `csdip_jax.commands`.
        options: what stands before the user's, who may override it.
    """

    about: str
    module: str
    options: tuple[str, ...] = ()


COMMANDS = {
    "demo": Command(
        "three photographs that ship with a dependency, a picture within minutes",
        "reconstruct",
        (f"--config={DEMO}", "--workdir=runs/demo"),
    ),
    "reconstruct": Command("an image from your measurements, or your images measured and compared", "reconstruct"),
    "sweep": Command("every combination of methods, measurements, seeds and settings, resumable", "sweep"),
    "report": Command("one page of all results below a folder", "report"),
    "data": Command("fetch the public data sets of the paper", "fetch_data"),
}


def main() -> None:
    """Runs the command that the first argument names; without one, shows what there is."""
    name, *options = sys.argv[1:] or ["help"]
    if name.lstrip("-") in ("h", "help", "helpshort", "helpfull"):
        print(_usage())
    elif name.lstrip("-") == "version":
        import csdip_jax

        print(f"csdip {csdip_jax.__version__}")
    elif name in COMMANDS:
        run(name, options)
    else:
        sys.exit(f"error: csdip has no command {name!r}: {', '.join(COMMANDS)}; csdip --help tells them")


def run(name: str, options: Sequence[str]) -> None:
    """The program behind a word of `COMMANDS`, as a process of its own would run it.

    Args:
        name: the word.
        options: the user's.
    """
    command = COMMANDS[name]
    sys.argv = [f"csdip {name}", *command.options, *options]
    runpy.run_module(f"csdip_jax.commands.{command.module}", run_name="__main__", alter_sys=True)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  csdip {name:{width}}  {command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "Images from few measurements, by untrained networks and the methods they are compared with.",
            "",
            *lines,
            "",
            "csdip <command> --help lists its options. For example:",
            "",
            "  csdip demo",
            "  csdip reconstruct --measurements=y.npy --matrix=A.npy --image_shape=64,64,1",
            "  csdip reconstruct --images=photo.jpg --methods=csdip,tv",
        ]
    )
