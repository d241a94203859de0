"""Checks Theorem 4.1 (a wide one-layer network fits any signal) and the lemmas of its proof numerically.

    python -m experiments.theorem_check                       # minutes on two cores
    python -m experiments.theorem_check --config.quick=True   # under a minute
    python -m experiments.theorem_check --config.sections=descent,lemmas --config.num_pixels='(500,)'
    python -m experiments.theorem_check --config=experiments/configs/theorem_check_large.py

descent: the misfit beside the bound, for widths d / n and step scales c (1: as printed, 1/16: as proved). lemmas: both
sides of B.1 to B.4 and C.2. compressed: the same with A V for V. early_stopping: the misfit to noisy data beside the
error to the signal, for the one-layer network and for the DCGAN. spectra: singular values of the Jacobian at sizes at
which it need not be formed. The mathematics is theory.py, what came out docs/paper/theorem.md.

The workdir gets config.json, results.jsonl (a row per cell), claims.md and claims.csv, and a picture per section:
convergence.png, steps.png, lemmas.png, compressed.png, early_stopping.png, spectra.png. The same command again does
only what is missing. Exit code 0 means that everything ran: a claim that fails is a finding of the table.
"""

import jax
import pandas as pd
from absl import flags
from ml_collections import config_flags

from csdip_jax.commands import launcher
from csdip_jax.commands.tables import as_csv, as_markdown
from csdip_jax.files import write_atomically
from csdip_jax.io.lines import TEXT, with_fields
from csdip_jax.runs.workdir import Workdir
from experiments import configs
from experiments.theorem_check import figures, sections

_CONFIG = launcher.define_config("theorem_check", configs.FOLDER)
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/theorem_check, or -quick.")


def main() -> None:
    config = launcher.config_of(_CONFIG)
    name = "theorem_check"
    if config.quick:
        config.update(config.quick_grid)
        config.update_from_flattened_dict(config_flags.get_override_values(flags.FLAGS["config"]))
        name += "-quick"
    sections.check(config)
    path, described = _WORKDIR.value or f"runs/{name}", {"config": config.to_dict()}
    workdir = Workdir(path, described, free=sections.FREE, read=with_fields({"cell": TEXT}, "cell"))
    with jax.enable_x64(config.dtype == "float64"):
        rows = sections.run(config, workdir)
    claims = [claim for section, group in rows.items() for claim in sections.SECTIONS[section].claims(group)]
    table = pd.DataFrame(claims).rename(columns={"name": "claim"})
    text = as_markdown(table)
    for name, content in (("claims.md", f"{text}\n"), ("claims.csv", as_csv(table))):
        write_atomically(workdir.path / name, lambda file, content=content: file.write(content.encode()))
    print(text)
    for section, group in rows.items():
        for path in figures.save(workdir.path, section, group):
            print(f"picture: {path}")


if __name__ == "__main__":
    launcher.run(main, interrupted="the same command goes on after the last cell")
