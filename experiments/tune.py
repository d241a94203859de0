"""Chooses a method's settings by a grid search, on images that are not evaluated.

    python -m experiments.tune --config=experiments/configs/tuning.py:tv,mnist --data_dir=data
    python -m experiments.tune --config=experiments/configs/tuning.py:lasso_dct,demo

Any sweep with `grids` will do as a configuration. The setting is chosen that has the lowest geometric mean of its mean
MSEs over the measurements: so that each counts the same, however large its errors. The workdir gets those of the sweep,
tuning.md, tuning.csv and tuning.png. The truth is looked at here, which is why the images must not be evaluated after.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from absl import flags

from csdip_jax.commands import launcher, pictures, settings, tables
from csdip_jax.commands.sweep import computing
from csdip_jax.files import write_atomically
from csdip_jax.methods import METHODS, Method
from csdip_jax.runs.plan import Program, programs
from csdip_jax.runs.row import Row
from csdip_jax.runs.run import compute
from csdip_jax.types import InputError
from experiments import configs


class Grid(NamedTuple):
    """A method's settings beside one another.

    Attributes:
        method: its name.
        settings: of each row, field -> value.
        measurements: of each column, what was measured.
        errors: mean MSE over the images, [settings, measurements].
        preset: the row that the preset has, if it is in the grid.
    """

    method: str
    settings: Sequence[Mapping[str, float]]
    measurements: Sequence[str]
    errors: np.ndarray
    preset: int | None

    @property
    def chosen(self) -> int:
        """The setting of the lowest geometric mean."""
        return int(np.log(self.errors).mean(axis=1).argmin())

    @property
    def at_an_end(self) -> list[str]:
        """Fields whose chosen value is the smallest or the largest tried."""
        columns = {name: sorted({row[name] for row in self.settings}) for name in self.settings[0]}
        chosen = self.settings[self.chosen]
        return [name for name, values in columns.items() if chosen[name] in (values[0], values[-1])]


def presets_of(programs: Sequence[Program]) -> dict[str, Method]:
    """Name -> method as its preset has it, without the configuration's departures."""
    return {
        program.sweep.name: METHODS[program.sweep.name].preset(program.study.preset, program.image_shape)
        for program in programs
    }


def grids(rows: Sequence[Row], presets: Mapping[str, Method]) -> list[Grid]:
    """One per method of a sweep's rows."""
    found = []
    for method in dict.fromkeys(row.method for row in rows):
        errors = {}
        for row in rows:
            if row.method == method:
                where = f"{row.measurement}, m = {row.num_measurements}, noise {row.noise_variance:g}"
                errors.setdefault(tuple(row.swept.items()), {}).setdefault(where, []).append(row.mse)
        places = list(dict.fromkeys(place for group in errors.values() for place in group))
        table = np.array([[np.mean(np.array(group[place], float)) for place in places] for group in errors.values()])
        settings = [dict(setting) for setting in errors]
        found.append(Grid(method, settings, places, table, _index_of(presets[method], settings)))
    return found


def _index_of(preset: Method, settings: Sequence[Mapping[str, float]]) -> int | None:
    """Of the setting that the preset has."""
    same = [all(np.isclose(value, getattr(preset, name)) for name, value in row.items()) for row in settings]
    return same.index(True) if True in same else None


def verdict(grid: Grid) -> str:
    """What was chosen, and how much better than the preset's value it is."""
    text = f"{grid.method}: {_text(grid.settings[grid.chosen])}"
    if grid.preset == grid.chosen:
        text += ", the preset's"
    elif grid.preset is not None:
        ratio = np.exp(np.diff(np.log(grid.errors[[grid.preset, grid.chosen]]).mean(axis=1))[0])
        text += f"; MSE {ratio:.3f} of the preset's ({_text(grid.settings[grid.preset])})"
    if grid.at_an_end:
        text += f"; {', '.join(grid.at_an_end)} at an end of the grid: widen it"
    return text


def markdown(grid: Grid) -> str:
    """A row per setting, a column per measurement; the best of each column in bold."""
    best, rows = grid.errors.argmin(axis=0), []
    for i, setting in enumerate(grid.settings):
        cells = [f"**{x:.5f}**" if i == best[j] else f"{x:.5f}" for j, x in enumerate(grid.errors[i])]
        rows.append([f"{_text(setting)}{' (chosen)' if i == grid.chosen else ''}", *cells])
    return tables.as_markdown(pd.DataFrame(rows, columns=[grid.method, *grid.measurements]))


def _text(setting: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:g}" for name, value in setting.items())


def as_csv(found: Sequence[Grid]) -> str:
    """The mean MSE of each setting at each measurement, and which was chosen."""
    rows = [
        (grid.method, _text(setting), place, float(grid.errors[i, j]), int(i == grid.chosen))
        for grid in found
        for i, setting in enumerate(grid.settings)
        for j, place in enumerate(grid.measurements)
    ]
    return tables.as_csv(pd.DataFrame(rows, columns=["method", "setting", "measurement", "mean_mse", "chosen"]))


def save_curves(path: Path, found: Sequence[Grid]) -> None:
    """MSE against the setting, a curve per measurement; a panel per method."""
    figure, axes = pictures.plt.subplots(
        1, len(found), figsize=(6 * len(found), 4), squeeze=False, layout="constrained"
    )
    for axis, grid in zip(axes[0], found, strict=True):
        places = np.arange(len(grid.settings))
        for j, place in enumerate(grid.measurements):
            axis.semilogy(places, grid.errors[:, j], "o-", label=place)
        axis.axvline(grid.chosen, color="gray", ls=":", label="chosen")
        axis.set_xticks(places, [_text(setting).replace(", ", "\n") for setting in grid.settings], fontsize=7)
        axis.tick_params(axis="x", rotation=30)
        axis.set_title(grid.method)
        axis.set_xlabel("setting")
        axis.set_ylabel("mean MSE per pixel")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    pictures.save_figure(path, figure)


def tune(config, workdir: str, data_dir: str | None, pixel_range: tuple[float, float] | None = None) -> list[Grid]:
    """Runs what is missing of the sweep, prints and writes what it says."""
    if not config.get("grids", ()):
        raise InputError("--config.grids is empty: give the values to choose from, like '(\"tv.mu=16,64\",)'")
    found = programs(settings.studies(config, data_dir, None, pixel_range))
    rows = compute(found, computing.open_workdir(config, workdir, "tuning", pixel_range=pixel_range))
    found = [grid for grid in grids(rows, presets_of(found)) if grid.settings[0]]
    images = list(dict.fromkeys(row.image for row in rows))
    text = f"Mean MSE of {len(images)} images, {images[0]} to {images[-1]}.\n\n" + "\n\n".join(
        f"{markdown(grid)}\n\n{verdict(grid)}" for grid in found
    )
    print(f"\n{text}\n")
    folder = Path(workdir)
    write_atomically(folder / "tuning.md", lambda file: file.write(f"{text}\n".encode()))
    write_atomically(folder / "tuning.csv", lambda file: file.write(as_csv(found).encode()))
    save_curves(folder / "tuning.png", found)
    print(f"tables and picture: {folder}")
    return found


if __name__ == "__main__":
    # Not at import: other launchers have a --workdir as well, and absl refuses a flag that is defined twice.
    CONFIG = launcher.define_config("tuning", configs.FOLDER)
    flags.adopt_module_key_flags(launcher)
    flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/tuning-<method>-<data>.")
    flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")
    PIXEL_RANGE = launcher.define_pixel_range()
    flags.declare_key_flag("pixel_range")  # so that --help lists it

    def main() -> None:
        config = launcher.config_of(CONFIG)
        default = f"runs/tuning-{config.methods.replace(',', '-')}-{str(config.data).replace(':', '-')}"
        pixel_range = launcher.pixel_range_of(PIXEL_RANGE)
        tune(config, flags.FLAGS.workdir or default, flags.FLAGS.data_dir, pixel_range)

    launcher.run(main)
