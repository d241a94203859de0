"""The sections of the check, and how their cells are run, each once."""

import zlib

import jax

from csdip_jax.runs.measurement import require_seed
from csdip_jax.runs.workdir import Workdir
from csdip_jax.solve.progress import progress_bar
from csdip_jax.types import InputError
from experiments.theorem_check import compressed, descent, early_stopping, lemmas, spectra

SECTIONS = {
    "descent": descent,
    "lemmas": lemmas,
    "compressed": compressed,
    "early_stopping": early_stopping,
    "spectra": spectra,
}
FREE = ("sections", "memory", "num_pixels", "ratios")
COUNTS = ("num_pixels", "num_seeds", "max_steps", "image_shape", "num_lines", "pixels", "ratio", "dcgan_steps")
NUMBERS = ("ratios", "step_scales", "noise", "memory")


def check(config) -> None:
    """Refuses what cannot be run."""
    unknown = [section for section in config.sections.split(",") if section not in SECTIONS]
    if unknown:
        raise InputError(f"--config.sections: {unknown[0]!r} is not among {', '.join(SECTIONS)}")
    require_seed(config.seed)
    if config.dtype not in ("float32", "float64"):
        raise InputError(f"--config.dtype = {config.dtype!r}: choose float32 or float64")
    fields = {name: value for name, value in config.to_dict().items() if name != "quick_grid"}
    for path, value in jax.tree_util.tree_leaves_with_path(fields, is_leaf=lambda value: isinstance(value, tuple)):
        name, values = path[-1].key, value if isinstance(value, tuple) else (value,)
        kind = int if name in COUNTS else (int, float) if name in NUMBERS else None
        if kind and not (values and all(isinstance(v, kind) and v > 0 for v in values)):
            field = jax.tree_util.keystr(path, simple=True, separator=".")
            wanted = "positive whole numbers" if kind is int else "positive numbers"
            raise InputError(f"--config.{field} = {value!r}: give {wanted}")
    for field, pixels, ratios in (
        ("ratios", config.num_pixels, config.ratios),
        ("lemmas.ratios", config.lemmas.num_pixels, config.lemmas.ratios),
    ):
        if round(min(ratios) * min(pixels)) < 1:
            raise InputError(f"--config.{field}: {min(ratios):g} x {min(pixels)} pixels is a width below 1")


def run(config, workdir: Workdir) -> dict[str, list[dict]]:
    """The rows of every section asked for; cells that are missing are measured and appended."""
    cells = [cell for section in config.sections.split(",") for cell in SECTIONS[section].cells(config)]
    named = {", ".join(f"{field} {value}" for field, value in cell.items()): cell for cell in cells}
    done, rows = {row["cell"]: row for row in workdir.rows}, {}
    with progress_bar(named.items(), unit="cell") as bar:
        for name, cell in bar:
            if name not in done:
                bar.set_description(name)
                row = SECTIONS[cell["section"]].measure(config, cell, cell_key(config, name), f"  {name}")
                done[name] = {"cell": name} | cell | row
                workdir.append(done[name])
            rows.setdefault(cell["section"], []).append(done[name])
    return rows


def cell_key(config, name: str) -> jax.Array:
    """What a cell draws from: by its name, so that it does not matter which others are asked for."""
    return jax.random.fold_in(jax.random.key(config.seed), zlib.crc32(name.encode()))
