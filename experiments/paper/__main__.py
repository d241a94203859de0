"""A table or figure of the paper by name: computed, drawn, beside the published numbers.

    python -m experiments.paper --item=fig1b --scale=cpu --data_dir=data
    python -m experiments.paper --item=fig1a,fig2 --scale=cpu --data_dir=data
    python -m experiments.paper --item=all --scale=quick

--scale=quick runs the whole path on small photographs that a dependency ships, in seconds; cpu is a reduced grid of
half an hour to two hours on two cores; paper is everything as published (docs/paper/items.md says what each takes).
Written are <workdir>/<scale>/<item>.png, .pdf, .csv, .md and .json. Items of one data set share their cells, and a
rerun computes only what is missing.
"""

from pathlib import Path

from absl import flags

from csdip_jax.commands import launcher
from csdip_jax.types import InputError
from experiments.configs.paper import SCALES
from experiments.configs.paper_items import ITEMS, item_of
from experiments.paper import rendering

_ITEM = flags.DEFINE_list("item", None, f"Which tables and figures: {', '.join(ITEMS)}, or all.")
flags.adopt_module_key_flags(launcher)
_SCALE = flags.DEFINE_enum("scale", "quick", SCALES, "How much of it.")
_WORKDIR = flags.DEFINE_string("workdir", rendering.WORKDIR, "Folder of the results.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")


def main() -> None:
    if not _ITEM.value:
        raise InputError(f"--item is missing: choose from {', '.join(ITEMS)}, all")
    chosen = list(ITEMS.values()) if "all" in _ITEM.value else [item_of(name) for name in _ITEM.value]
    for item in chosen:
        rendering.run(item, _SCALE.value, Path(_WORKDIR.value), _DATA_DIR.value)


if __name__ == "__main__":
    launcher.run(main)
