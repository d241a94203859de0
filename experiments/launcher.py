"""How every experiment starts: flags, compilation cache, and one clear line for what a user can mend."""

import io
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_dict, config_flags

from csdip_jax.types import InputError

INTERRUPTED = 130
AGAIN_SECONDS = 1.0
RESUMABLE = "the same command goes on from what was finished"


def define_config(default: str) -> flags.FlagHolder:
    """The flag --config=<file.py>, any field of which --config.<field>=<value> overrides."""
    path = Path(__file__).parent / "configs" / f"{default}.py"
    try:
        return config_flags.DEFINE_config_file(
            "config", str(path), "Configuration file; --config.<field>=<value> overrides a field."
        )
    except (AttributeError, KeyError) as error:  # ml_collections looks at the overrides here already
        field = re.search(r"\w+", str(error)).group()
        sys.exit(f"error: the configuration has no field {field!r}: --config.<field> takes those of the --config file")


def config_of(flag: flags.FlagHolder) -> config_dict.ConfigDict:
    """The configuration, or InputError where its file could not be read."""
    if isinstance(flag.value, config_dict.ConfigDict):
        return flag.value
    given = flags.FLAGS[flag.name].config_filename
    raise InputError(f"cannot read --{flag.name}={given}: give a configuration file, see experiments/configs/")


def run(main: Callable[[], None], interrupted: str = RESUMABLE) -> None:
    """Runs `main` as a program.

    Args:
        main: what to run; bad input leaves it as InputError.
        interrupted: what to tell a user who interrupts it.

    Exit codes: 0 done; 1 a bad flag or bad input, after one line that says what and the remedy; 130 interrupted (Ctrl-C
    or SIGTERM), what was finished being safe; while several processes wait for each other, death by that signal.
    Anything else is a bug and shows its traceback.
    """

    def program(_):
        for stream in (sys.stdout, sys.stderr):  # names of files may hold bytes that are no text
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        logging.set_verbosity(logging.WARNING)  # JAX tells at INFO which other devices it looked for
        _use_compilation_cache()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, _interrupt)
        try:
            main()
        except InputError as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            print(f"\ninterrupted: {interrupted}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            os._exit(INTERRUPTED)  # at once: Python would take JAX down while its threads still compute, and may crash
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    app.run(program, flags_parser=_parse_flags)


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        rest = flags.FLAGS(argv)
    except flags.Error as error:
        told, of_config = " ".join(str(error).split()), False
        if "Traceback" in told:  # of a configuration file; its end says what is wrong
            _, input_error, told = str(error).strip().splitlines()[-1].rpartition("InputError: ")
            of_config = not input_error
        sys.exit(_config_fails(told) if of_config else f"error: {told}; --help lists the options")
    except Exception as error:  # a configuration file is a program, and may fail in any way
        sys.exit(_config_fails(f"{type(error).__name__}: {' '.join(str(error).split())}"))
    if len(rest) > 1:
        sys.exit(
            f"error: unexpected argument {rest[1]!r}; options look like --name=value (quote a glob: --images='*.png')"
        )
    return rest


def _config_fails(told: str) -> str:
    return f"error: the --config file fails, {told}; experiments/configs/ has good ones"


def _interrupt(*_):
    """Interrupts, and again every second until it arrives: Python drops what is raised inside a finaliser."""
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    raise KeyboardInterrupt


def _use_compilation_cache() -> None:
    """Compiled programs are kept between runs, in JAX_COMPILATION_CACHE_DIR or the user's cache folder."""
    if not jax.config.jax_compilation_cache_dir:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        jax.config.update("jax_compilation_cache_dir", str(cache / "csdip_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
