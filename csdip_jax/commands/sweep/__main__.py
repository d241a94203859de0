"""Every combination of methods, measurements, noise, operators, images, seeds and settings, a row each.

    csdip sweep --dry_run
    csdip sweep --config.num_measurements='(200,400)' --config.grids='("tv.mu=16,64,256",)'
    csdip sweep --config.data=mnist --config.num_measurements='(50,100)' --data_dir=data
    csdip sweep --config=mine.py --workdir=runs/mine

What shares a compiled program runs in vectorized batches, on all devices of the machine. Rerun it to go on after a
kill, and with more images, measurements, seeds, methods or grids to let the sweep grow: only what is missing is
computed, but that a scene's noise variances and grid values run together, and do so again where one is new. What runs
together may show in the last bits: a cell's MSE beside other noise variances or grid values, or alone, is the same to
about six digits (images, seeds, methods and the order of every axis change no bit of it). The workdir gets config.json,
results.jsonl (a row per cell), reconstructions and originals as .npz and .png; the .npz hold pixels in [-1, 1], or in
your units with --pixel_range, which then lies beside them.
On several machines: --share; docs: Several devices, several machines.
"""

from absl import flags

from csdip_jax.commands import launcher, row_tables, settings
from csdip_jax.commands.sweep import computing, dry_run
from csdip_jax.operators import COUNTS, OPERATORS
from csdip_jax.types import InputError

_CONFIG = launcher.define_config("sweep")
launcher.define_shorthands()
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/<name of the settings>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see csdip data).")
_PIXEL_RANGE = launcher.define_pixel_range()
flags.declare_key_flag("pixel_range")  # so that --help lists it
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print the plan, how much of it --workdir has, memory and time.")
_CURVES = flags.DEFINE_bool("curves", False, "Write the loss of each cell, step by step, as curves/<cell>.csv.")
_SHARE = launcher.define_share()
flags.declare_key_flag("share")
_GONE = [
    flags.DEFINE_string(name, None, "Gone: see --share.") for name in ("coordinator", "num_processes", "process_id")
]
_GONE.append(flags.DEFINE_bool("distributed", None, "Gone: see --share."))


def main() -> None:
    if any(flag.present for flag in _GONE):
        raise InputError(
            "--distributed, --coordinator, --num_processes and --process_id are gone: for eight processes write "
            "--share=0/8 to --share=7/8, under Slurm nothing"
        )
    share = launcher.share_of(_SHARE)
    config = launcher.config_of(_CONFIG)
    if "training_data" in config:
        raise InputError("this configuration is one of experiments.learned_regularization: run it with that")
    if all(part.data is None for part in settings.parts(config).values()):
        print("note: no --config.data given: a photograph of the demo, 64 x 64")
        with config.unlocked():
            config.data, config.image_shape = "demo", config.image_shape or (64, 64, 1)
            config.num_images = 1 if config.num_images is None else config.num_images
    _tell_defaults(config)
    pixel_range = launcher.pixel_range_of(_PIXEL_RANGE)
    if _DRY_RUN.value:
        dry_run.dry_run(config, _WORKDIR.value, _DATA_DIR.value, pixel_range, share)
    else:
        options = {"curves": _CURVES.value, "pixel_range": pixel_range, "share": share}
        row_tables.print_means(computing.sweep(config, _WORKDIR.value, _DATA_DIR.value, **options))


def _tell_defaults(config) -> None:
    """Says which axes have several values that nobody asked for: a first sweep may mean one of each."""
    if flags.FLAGS[_CONFIG.name].present:  # a file of one's own lists what is wanted
        return
    kinds = [OPERATORS[name] for name in settings.study(config).operator if name in OPERATORS]
    unused = set(COUNTS) - {kind.count.name for kind in kinds}
    listed = [name for name in settings.listed_axes(config) if name not in unused and len(config[name]) > 1]
    usual = [name for name in listed if not launcher.is_given(f"config.{name}")]
    if usual:
        values = [f"{name}='({','.join(f'{value:g}' for value in config[name])})'" for name in usual]
        print(f"note: by default --config.{' and --config.'.join(values)}: one cell for each; give those that you want")


if __name__ == "__main__":
    launcher.run(main, needs_arguments=True)
