"""How every experiment starts: flags, compilation cache, and one clear line for what a user can mend."""

import contextlib
import io
import os
import re
import shutil
import signal
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_dict, config_flags
from tqdm import tqdm

from csdip_jax.commands import config_help, own_code
from csdip_jax.commands.csdip import HELP, ends_where_nobody_reads
from csdip_jax.runs.workdir import Share
from csdip_jax.types import InputError, PixelRangeWarning, ReconstructionWarning

GONE = "Gone:"
"""Beginning of the help of an option that only tells what to write instead."""
INTERRUPTED = 130
AGAIN_SECONDS = 1.0
RESUMABLE = "the same command goes on from what was finished"
MAKERS = {name: f"csdip data --dataset={name}" for name in ("mnist", "xray", "retino")} | {
    "vae": "python -m experiments.train_vae",
    "prior": "python -m experiments.learned_regularization",
}
"""What makes or fetches what an `InputError` needs."""
IN_A_CLONE = "python -m experiments."
"""How the programs begin that are not installed."""
CONFIGS = Path(__file__).parent / "configs"

MOVED = {
    "exit_window": "keep.window",
    "exit_by": "keep.by=measurement_loss or objective",
    "restart_by": "keep.restarts=kept or last",
    "collapse_residual": "fail.residual",
    "latent_dim": "generator.latent_dim",
    "initializer": "generator.initializer",
}
"""Field of a method that went -> where it is now."""


SHORTHANDS = {
    "methods": "What reconstructs, separated by commas: names, or your own as module:Class. Same as --config.methods.",
    "operator": "What measures: a name, or your own as module:name, a function (key, image_shape) -> operator, a "
    "function of the image, an operator or a Kind. Same as --config.operator.",
    "max_side": "Images with a longer side are averaged down to this many pixels; 0: however large they are. Without "
    "it csdip reconstruct stops where images of more than 512 pixels a side would take over an hour. Same as "
    "--config.max_side.",
}
"""Field of the configuration that has an option of its own -> what its help says."""


def define_config(default: str, folder: Path = CONFIGS) -> flags.FlagHolder:
    """The flag --config=<file.py>, any field of which --config.<field>=<value> overrides; its default in a folder."""
    path = folder / f"{default}.py"
    try:
        own_code.register(sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {_in_short(error)}")
    try:
        return config_flags.DEFINE_config_file(
            "config", str(path), "Configuration file; --config.<field>=<value> overrides a field."
        )
    except (AttributeError, KeyError) as error:  # ml_collections looks at the overrides here already
        field = re.search(r"\w+", str(error)).group()
        near = re.search(r'Did you mean "(\w+)"', str(error))
        remedy = f"did you mean {near[1]}? " if near else ""
        remedy += "--config.<field> takes those of the --config file, which --help lists"
        remedy = f"write --config.{MOVED[field]}" if field in MOVED else remedy
        sys.exit(f"error: the configuration has no field {field!r}: {remedy}")


def define_shorthands() -> None:
    """The flags of `SHORTHANDS`, see `config_of`, which --help lists after flags.adopt_module_key_flags(launcher)."""
    for name, about in SHORTHANDS.items():
        (flags.DEFINE_integer if name == "max_side" else flags.DEFINE_string)(name, None, about)


def config_of(flag: flags.FlagHolder) -> config_dict.ConfigDict:
    """The configuration, with what its shorthands say.

    Raises:
        InputError: its file could not be read, or a field is given twice.
    """
    config = flag.value
    if not isinstance(config, config_dict.ConfigDict):
        given = flags.FLAGS[flag.name].config_filename
        raise InputError(f"cannot read --{flag.name}={given}: give a configuration file, as {CONFIGS} has them")
    for name in SHORTHANDS:
        if name in flags.FLAGS and (value := flags.FLAGS[name].value) is not None:
            long = f"{flag.name}.{name}"
            before = ",".join(map(str, config[name])) if isinstance(config[name], tuple) else config[name]
            if is_given(long) and before != value:
                raise InputError(f"--{name}={value} and --{long}={before} are one setting: give it once")
            with config.unlocked():
                config[name] = (value,) if isinstance(config[name], tuple) else None if value == 0 else value
    return config


def define_pixel_range(default: str = "the type's range for integers, -1,1 for floats") -> flags.FlagHolder:
    """The flag --pixel_range=<black>,<white>; see `pixel_range_of`."""
    return flags.DEFINE_list("pixel_range", None, f"black,white of your pixel values. Default: {default}.")


def pixel_range_of(flag: flags.FlagHolder) -> tuple[float, float] | None:
    """Its value, or None where it is not given; says so where the larger value is black.

    Raises:
        InputError: it is not two numbers.
    """
    numbers = numbers_of(flag, float, 2)
    if numbers and numbers[0] > numbers[1]:
        print(f"note: --pixel_range={','.join(flag.value)}: the larger value is black, pictures are drawn that way")
    return numbers


def numbers_of(flag: flags.FlagHolder, kind: type, count: int) -> tuple | None:
    """The values of a list flag, or None where it is not given; InputError unless they are so many numbers."""
    if flag.value is None:
        return None
    try:
        numbers = tuple(kind(value) for value in flag.value)
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"--{flag.name}={','.join(flag.value)}: give {count} numbers, separated by commas")
    return numbers


def define_share() -> flags.FlagHolder:
    """The flag --share=<process>/<processes>; see `share_of`."""
    return flags.DEFINE_string(
        "share",
        None,
        "<process>/<processes>: 0/8 is the first of eight that share the cells, 7/8 the last. Default: "
        "SLURM_PROCID/SLURM_NTASKS where both are set, else all.",
    )


def share_of(flag: flags.FlagHolder) -> Share:
    """Which of several processes this is, as the flag says, or Slurm where it is not given.

    Raises:
        InputError: what is said is no process of so many, counted from 0.
    """
    of_slurm = [os.environ.get(name, "") for name in ("SLURM_PROCID", "SLURM_NTASKS")]
    by_slurm = flag.value is None and all(of_slurm)
    given = "/".join(of_slurm) if by_slurm else flag.value or "0/1"
    index, _, count = given.partition("/")
    share = Share(int(index), int(count)) if index.isdecimal() and count.isdecimal() else None
    if share is None or not share.index < share.count:
        where = "SLURM_PROCID/SLURM_NTASKS" if by_slurm else "--share"
        raise InputError(f"{where}={given}: write --share=<process>/<processes>, for eight 0/8 to 7/8")
    if by_slurm and share.count > 1:
        print(f"note: share {given} of the cells, as SLURM_PROCID and SLURM_NTASKS say; --share=0/1 takes all")
    return share


def run(main: Callable[[], None], interrupted: str = RESUMABLE, needs_arguments: bool = False) -> None:
    """Runs `main` as a program.

    Args:
        main: what to run; bad input leaves it as InputError.
        interrupted: what to tell a user who interrupts it.
        needs_arguments: whether without any it shows its help.

    Exit codes: 0 done, or help was shown; 1 a bad flag or bad input, after one line that says what and the remedy; 130
    interrupted (Ctrl-C or SIGTERM), what was finished being safe; 141 as of `ends_where_nobody_reads`. Anything else is
    a bug and shows its traceback.
    """

    def program(_):
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # Names of files may hold bytes that are no text; and whoever follows a file sees each line at once.
                stream.reconfigure(errors="backslashreplace", line_buffering=True)
        logging.set_verbosity(logging.WARNING)  # JAX tells at INFO which other devices it looked for
        _use_compilation_cache()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, _interrupt)
        try:
            with _notes_for_warnings():
                main()
        except InputError as error:
            sys.exit(f"error: {spelled(error)}{_how_to_make(error.needs)}")
        except (IsADirectoryError, NotADirectoryError, FileExistsError, PermissionError) as error:
            where = error.filename2 or error.filename
            sys.exit(f"error: {where} cannot be written ({error.strerror}): move it away, or choose another folder")
        except KeyboardInterrupt:
            print(f"\ninterrupted: {interrupted}", file=sys.stderr, flush=True)
            sys.stdout.flush()
            os._exit(INTERRUPTED)  # at once: Python would take JAX down while its threads still compute, and may crash
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def parse(argv: list[str]) -> list[str]:
        asked = [argument for argument in argv[1:] if _asks_for_help(argument)]
        rest = [argument for argument in argv[1:] if not _asks_for_help(argument)]
        parsed = _parse_flags([argv[0], *rest])
        if asked or (needs_arguments and not rest):
            _print_help(full=any("full" in argument for argument in asked), topics=_topics(asked))
            sys.exit(0)
        return parsed

    with ends_where_nobody_reads():
        app.run(program, flags_parser=parse)


def spelled(message: object) -> str:
    """A message of the library with the parameters in it, `name` or `name=value`, as the options of this command.

    Fields of its configuration are options, too: `preset` is --config.preset, and `methods` is --methods, unless the
    user wrote --config.methods.
    """
    config = flags.FLAGS["config"].value if "config" in flags.FLAGS else None

    def option(match: re.Match) -> str:
        name, value = match["name"], re.sub("[()' ]", "", match["value"] or "")
        value = f"={value}" if value not in ("", "True") else ""
        if name in flags.FLAGS and not (name in SHORTHANDS and is_given(f"config.{name}")):
            return f"--{name}{value}"
        return f"--config.{name}{value}" if _has_field(config, name) else match[0]

    return re.sub(r"`(?P<name>\w[\w.]*)(=(?P<value>[^`]+))?`", option, str(message))


def is_given(option: str) -> bool:
    """Whether the user wrote --<option>."""
    return option in flags.FLAGS and bool(flags.FLAGS[option].present)


def _in_short(error: InputError) -> str:
    """Of options that are not defined yet: `methods=value` as --methods=value."""
    return re.sub(r"`(methods|operator)=([^`]+)`", r"--\1=\2", str(error))


def _has_field(config: object, name: str) -> bool:
    """Whether a configuration has a field of this dotted name."""
    for part in name.split("."):
        if not isinstance(config, config_dict.ConfigDict) or part not in config:
            return False
        config = config[part]
    return True


def _how_to_make(needed: str | None) -> str:
    """The command that makes or fetches it, as the end of an error."""
    if needed not in MAKERS:
        return ""
    data_dir = flags.FLAGS.data_dir if "data_dir" in flags.FLAGS else None
    where = ", in a clone of the repository" if MAKERS[needed].startswith(IN_A_CLONE) else ""
    return f": run `{MAKERS[needed]} --data_dir={data_dir or 'data'}`{where}"


def _asks_for_help(argument: str) -> bool:
    return argument[:1] == "-" and argument.lstrip("-").partition("=")[0] in HELP


def _topics(asked: Sequence[str]) -> list[str]:
    """What --help=<topic> names."""
    return [topic for argument in asked if (topic := argument.partition("=")[2])]


def _print_help(full: bool, topics: Sequence[str] = ()) -> None:
    """The command's docstring, its options, or all there are, and the fields of its configuration; or topics of it."""
    config = flags.FLAGS["config"] if "config" in flags.FLAGS else None
    sections, width = [], max(60, min(config_help.WIDTH, shutil.get_terminal_size((config_help.WIDTH, 0)).columns))
    if config is not None and isinstance(config.value, config_dict.ConfigDict):
        sections = config_help.sections(config.value, Path(config.config_filename.partition(":")[0]))
    names = list(dict.fromkeys(section.name for section in sections))
    unknown = [topic for topic in topics if topic not in names]
    if unknown:
        sys.exit(
            f"error: --help={unknown[0]}: " + (f"it tells of {', '.join(names)}" if names else "give --help alone")
        )
    if topics:
        sections = [section for section in sections if section.name in topics]
    elif full:
        app.usage(shorthelp=False, writeto_stdout=True)
        print()
    else:
        own = [
            flag for flag in flags.FLAGS.get_key_flags_for_module(sys.argv[0]) if not str(flag.help).startswith(GONE)
        ]
        print(config_help.wrapped(sys.modules["__main__"].__doc__ or "", width), end="\n\nOptions:\n\n")
        print(*(config_help.option(flag, width) for flag in own), sep="\n", end="\n\n")
    print(*(f"{config_help.shown(section, width)}\n" for section in sections), sep="\n", end="\n" if sections else "")
    if not topics:
        one = f"--help={names[1]} shows one section of these: {', '.join(names)}." if len(names) > 1 else ""
        print("\n".join(textwrap.wrap(f"{one} --helpfull lists all options, those of absl too.".strip(), width)))


@contextlib.contextmanager
def _notes_for_warnings() -> Iterator[None]:
    """A PixelRangeWarning becomes a line that names this command's option, a ReconstructionWarning a note; once."""
    told = set()

    def show(message, category, *where, **more):
        if not issubclass(category, (PixelRangeWarning, ReconstructionWarning)):
            shown(message, category, *where, **more)
        elif str(message) in told:
            return
        elif issubclass(category, ReconstructionWarning):
            told.add(str(message))
            tqdm.write(f"note: {spelled(message)}")
        else:
            told.add(str(message))
            remedy = "run each kind by itself, with its --pixel_range"
            if "pixel_range" not in flags.FLAGS:
                remedy = "rescale them, this command has no option for it"
            elif message.needed:
                remedy = "--pixel_range={:.15g},{:.15g} sets it".format(*message.needed)
            print(f"note: {message.usage}: {remedy}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", PixelRangeWarning)
        warnings.simplefilter("always", ReconstructionWarning)
        shown, warnings.showwarning = warnings.showwarning, show
        yield


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        options = flags.FLAGS.read_flags_from_files(argv[1:], force_gnu=False)
        rest = flags.FLAGS(argv[:1] + [_at_home(option) for option in options])
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


def _at_home(option: str) -> str:
    """~ at the beginning of a value becomes the home folder, which shells do for a word of its own only."""
    name, equals, value = option.partition("=") if option.startswith("-") else ("", "", option)
    return name + equals + os.path.expanduser(value)


def _config_fails(told: str) -> str:
    return f"error: the --config file fails, {told}; {CONFIGS} has good ones"


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
