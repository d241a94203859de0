"""A configuration's cells: what its workdir does not have yet is computed."""

from pathlib import Path

from ml_collections.config_dict import ConfigDict

from csdip_jax.commands import settings
from csdip_jax.runs import workdir as workdirs
from csdip_jax.runs.plan import programs
from csdip_jax.runs.row import Row
from csdip_jax.runs.run import compute
from csdip_jax.runs.workdir import ALONE, Share, Workdir


def sweep(
    config: ConfigDict,
    workdir: Path | str | None,
    data_dir: str | None,
    *,
    curves: bool = False,
    pixel_range: tuple[float, float] | None = None,
    share: Share = ALONE,
) -> list[Row]:
    """Computes the cells of a configuration that the workdir does not have yet.

    Args:
        config: like configs/sweep.py; a configuration of `csdip reconstruct` is one, too.
        workdir: folder of the results, runs/<name of the settings> by default.
        data_dir: folder of the data sets.
        curves: whether to write each cell's loss as curves/<cell>.csv.
        pixel_range: (black, white) of the images, see `settings.studies`; files are then written in their units.
        share: of its batches, for one of several processes.

    Returns:
        The rows of exactly these cells, in the order of the plan; as one of several processes, those there are so far
        (the same call finds them all when the others have finished).

    Raises:
        InputError: settings or data that cannot be used, or another process works in the workdir.
    """
    found = programs(settings.studies(config, data_dir, None, pixel_range))
    workdir = open_workdir(config, workdir, "sweep", share=share, pixel_range=pixel_range)
    return compute(found, workdir, curves=curves)


def open_workdir(config: ConfigDict, path: Path | str | None, default_name: str, **inputs) -> Workdir:
    """The sweep's folder; see `settings.open_workdir`."""
    return settings.open_workdir(
        path, default_name, config, free=free_settings(config), axes=settings.listed_axes(config), **inputs
    )


def default_path(config: ConfigDict, default_name: str, **inputs) -> Path:
    """The folder that `open_workdir` takes where none is given."""
    return settings.default_path(default_name, _described(config, **inputs), free_settings(config))


def require_same_settings(config: ConfigDict, folder: Path, **inputs) -> None:
    """What `open_workdir` checks of a folder that may be there, which is left alone."""
    workdirs.require_same_settings(folder, _described(config, **inputs), free_settings(config))


def _described(config: ConfigDict, **inputs) -> dict:
    return settings.describe(config, axes=settings.listed_axes(config), **inputs)


def free_settings(config: ConfigDict) -> tuple[str, ...]:
    """A sweep may grow in the same folder, along every axis that lists its values, but not get new axes."""
    return (*settings.FREE_SETTINGS, "grids", *settings.listed_axes(config))
