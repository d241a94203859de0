"""Checks Theorem 4.1 (a wide one-layer network fits any signal) and the lemmas of its proof numerically.

    python -m experiments.theorem_check                       # minutes on two cores
    python -m experiments.theorem_check --config.quick=True   # under a minute
    python -m experiments.theorem_check --config.sections=descent,lemmas --config.num_pixels='(500,)'
    python -m experiments.theorem_check --config=experiments/configs/theorem_check_large.py

descent: the misfit beside the bound, for widths d / n and step scales c (1: as printed, 1/16: as proved). lemmas: both
sides of B.1 to B.4 and C.2. compressed: the same with A V for V. early_stopping: the misfit to noisy data beside the
error to the signal, for the one-layer network and for the DCGAN. spectra: singular values of the Jacobian at sizes at
which it need not be formed. The mathematics is csdip_jax/theory.py, what came out docs/theorem.md.

The workdir gets config.json, results.jsonl (a row per cell), claims.md, and a picture per section: convergence.png,
steps.png, lemmas.png, compressed.png, early_stopping.png, spectra.png. The same command again does only what is
missing. Exit code 0 means that everything ran: a claim that fails is a finding of the table.
"""

import zlib

import jax
from absl import flags
from tqdm import tqdm

from csdip_jax.results import Workdir, write_atomically
from csdip_jax.types import InputError
from experiments import launcher
from experiments.theorem_check import compressed, descent, early_stopping, figures, lemmas, spectra
from experiments.theorem_check.claims import table

_CONFIG = launcher.define_config("theorem_check")
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/theorem_check, or -quick.")

SECTIONS = {
    "descent": descent,
    "lemmas": lemmas,
    "compressed": compressed,
    "early_stopping": early_stopping,
    "spectra": spectra,
}
FREE = ("sections", "memory", "num_pixels", "ratios")


def main() -> None:
    config = launcher.config_of(_CONFIG)
    name = "theorem_check"
    if config.quick:
        config.update(config.quick_grid)
        name += "-quick"
    check(config)
    workdir = Workdir(_WORKDIR.value or f"runs/{name}", {"config": config.to_dict()}, free=FREE)
    with jax.enable_x64(config.dtype == "float64"):
        rows = run(config, workdir)
    claims = [claim for section, group in rows.items() for claim in SECTIONS[section].claims(group)]
    text = table(claims)
    write_atomically(workdir.path / "claims.md", lambda file: file.write(f"{text}\n".encode()))
    print(text)
    for section, group in rows.items():
        for path in figures.save(workdir.path, section, group):
            print(f"picture: {path}")


def check(config) -> None:
    """Refuses what cannot be run."""
    unknown = [section for section in config.sections.split(",") if section not in SECTIONS]
    if unknown:
        raise InputError(f"--config.sections: {unknown[0]!r} is not among {', '.join(SECTIONS)}")
    for field in ("num_pixels", "ratios", "step_scales"):
        values = config[field]
        if not values or min(values) <= 0:
            raise InputError(f"--config.{field} = {values}: give one positive number or more")
    if config.dtype not in ("float32", "float64"):
        raise InputError(f"--config.dtype = {config.dtype!r}: choose float32 or float64")
    for field in ("num_seeds", "max_steps"):
        if config[field] < 1:
            raise InputError(f"--config.{field} = {config[field]}: it must be at least 1")


def run(config, workdir: Workdir) -> dict[str, list[dict]]:
    """The rows of every section asked for; cells that are missing are measured and appended."""
    cells = [cell for section in config.sections.split(",") for cell in SECTIONS[section].cells(config)]
    done, rows = {row["cell"]: row for row in workdir.rows}, {}
    with tqdm(cells, unit="cell") as bar:
        for cell in bar:
            name = ", ".join(f"{field} {value}" for field, value in cell.items())
            if name not in done:
                bar.set_description(name)
                key = jax.random.fold_in(jax.random.key(config.seed), zlib.crc32(name.encode()))
                done[name] = (
                    {"cell": name} | cell | SECTIONS[cell["section"]].measure(config, cell, key, bar.set_postfix_str)
                )
                workdir.append(done[name])
            rows.setdefault(cell["section"], []).append(done[name])
    return rows


if __name__ == "__main__":
    launcher.run(main, interrupted="the same command goes on after the last cell")
