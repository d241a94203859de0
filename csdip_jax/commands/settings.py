"""From a configuration and flags to what is asked for, and to the folder of a run: nothing beyond knows of either."""

import copy
import zlib
from collections.abc import Iterable
from pathlib import Path

from ml_collections import config_dict

from csdip_jax.commands import own_code
from csdip_jax.commands.configs.sweep import AXES
from csdip_jax.methods import METHODS, PARTS
from csdip_jax.operators import COUNTS
from csdip_jax.runs.row import Row
from csdip_jax.runs.study import Study
from csdip_jax.runs.workdir import ALONE, Share, Workdir, device_name
from csdip_jax.types import InputError

FREE_SETTINGS = ("num_images", "first_image", "methods")  # a rerun may change these and go on


def studies(
    config: config_dict.ConfigDict,
    data_dir: str | None,
    files: str | None = None,
    pixel_range: tuple[float, float] | None = None,
) -> list[Study]:
    """What a configuration asks for, part by part.

    Args:
        config: like configs/sweep.py, or default.py, where a field of `AXES` has a single value.
        data_dir: folder of the data sets.
        files: the user's images instead of the configuration's.
        pixel_range: (black, white) of the images, those that become -1 and 1; None as `data.load_named` has it.

    Raises:
        InputError: settings out of range.
    """
    return [study(one, data_dir, files, pixel_range, part=name) for name, one in parts(config).items()]


def study(
    config: config_dict.ConfigDict,
    data_dir: str | None = None,
    files: str | None = None,
    pixel_range: tuple[float, float] | None = None,
    sweep: Iterable[str] = (),
    part: str = "",
) -> Study:
    """The same of a configuration without parts; `sweep` adds to its field `grids`."""
    axes = listed_axes(config)
    methods = tuple(own_code.method_name(name.strip()) for name in config.methods.split(","))  # before their settings
    values = {name: tuple(config[name]) if name in axes else (config[name],) for name in AXES}
    # A list of operators may come as one text, as --config.operator=gaussian,hadamard does.
    named = [value.split(",") if isinstance(value, str) else [value] for value in values["operator"]]
    return Study(
        data=files or config.data,
        data_dir=data_dir,
        image_shape=config.image_shape,
        max_side=config.max_side,
        num_images=config.num_images,
        first_image=config.first_image,
        pixel_range=pixel_range,
        operator=tuple(
            own_code.operator_name(kind.strip()) if isinstance(kind, str) else kind for kinds in named for kind in kinds
        ),
        counts={name: values[name] for name in COUNTS},
        noise_variance=values["noise_variance"],
        matrix_dtype=config.matrix_dtype,
        seed=values["seed"],
        methods=methods,
        hold_out=config.hold_out,
        preset=config.preset,
        settings={name: dict(config[name].items()) for name in (*METHODS, *PARTS) if name in config},
        grids=grids([*config.get("grids", ()), *sweep]),
        vae=config.vae,
        prior=config.prior,
        part=part,
        axes=axes,
    )


def parts(config: config_dict.ConfigDict) -> dict[str, config_dict.ConfigDict]:
    """Name -> settings. A configuration is one part (""), unless its field `parts` names several.

    A part's value holds where the configuration itself leaves the field open (None).
    """
    if "parts" not in config:
        return {"": config}
    result = {}
    for name, values in config.parts.items():
        part = copy.deepcopy(config)
        with part.unlocked():
            del part["parts"]
        for field, value in values.items():
            if part[field] is None:
                part[field] = value
        result[name] = part
    return result


def listed_axes(config: config_dict.ConfigDict) -> tuple[str, ...]:
    """Those of `AXES` that list their values."""
    return tuple(name for name in AXES if isinstance(config[name], (tuple, list)))


def grids(texts: Iterable[str]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Method -> field -> values, of "<method>.<field>=<value>,<value>,...".

    Raises:
        InputError: one cannot be read, or a field has two.
    """
    found = {}
    for text in texts:
        target, _, values = str(text).partition("=")
        method, _, field = target.partition(".")
        try:
            numbers = tuple(float(value) for value in values.split(","))
        except ValueError:
            numbers = ()
        if not (method and field and numbers) or len(set(numbers)) < len(numbers):
            raise InputError(f"grid {text}: write <method>.<field>=<value>,<value>,... with different numbers")
        if field in found.setdefault(method, {}):
            raise InputError(f"grid {text}: {method}.{field} has a grid already: write all its values into one")
        found[method][field] = numbers
    return found


def open_workdir(
    path: str | None, default_name: str, config, free=FREE_SETTINGS, read=Row.read, share: Share = ALONE, **inputs
) -> Workdir:
    """The run's folder; inputs (flags, digests) belong to the settings that a rerun must not change.

    `read` makes its rows, see `Workdir`.
    """
    described = describe(config, **inputs)
    path = path or default_path(default_name, described, free)
    workdir = Workdir(path, described, free=free, read=read, share=share)
    print(f"workdir: {workdir.path}   device: {device_name()}")
    return workdir


def default_path(default_name: str, described: dict, free: Iterable[str] = FREE_SETTINGS) -> Path:
    """The folder of a run that is given none: the same for what `describe` says of the same settings."""
    fixed = repr(sorted((name, value) for name, value in described["config"].items() if name not in free))
    content = fixed + repr(sorted(described["flags"].items()))
    return Path("runs") / f"{default_name}-{zlib.crc32(content.encode()):08x}"


def describe(config, **inputs) -> dict:
    """The settings of a run, as its config.json has them; inputs that are empty are left out."""
    return {"config": config.to_dict(), "flags": {name: value for name, value in inputs.items() if value}}
