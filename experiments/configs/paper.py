"""The sweep behind a table or figure of the paper, at a scale: `paper.py:<item>,<scale>`.

    python -m experiments.sweep --config=experiments/configs/paper.py:fig1b,cpu --workdir=runs/paper/cpu/mnist \\
        --data_dir=data

computes what `python -m experiments.paper --item=fig1b --scale=cpu` computes before it draws. Items of one data set and
operator share a workdir. table1's is a configuration of `experiments.learned_regularization`. Scales:
docs/paper/items.md.
"""

from ml_collections import config_dict

from csdip_jax.commands.configs import default, sweep
from csdip_jax.types import InputError
from experiments.configs import learned_regularization, learned_regularization_full
from experiments.configs.paper_items import COLUMNS, SWEEPS, Item, item_of

SCALES = ("quick", "cpu", "paper")

SHAPES = {"mnist": (28, 28, 1), "xray": (256, 256, 1), "retino": (128, 128, 3), "xray_fourier": (256, 256, 1)}

# Digits as the reference code seems to have had them (docs/results).
SOURCES = {"mnist": "mnist:jpeg", "xray": "xray", "retino": "retino", "xray_fourier": "xray"}

# None: all that the data set has.
IMAGES = {
    "quick": {"mnist": 2, "xray": 2, "retino": 2, "xray_fourier": 2},
    "cpu": {"mnist": 20, "xray": 3, "retino": 4, "xray_fourier": 3},
    "paper": {"mnist": 100, "xray": 60, "retino": None, "xray_fourier": 60},
}

# Photographs of a dependency, so small that digits and x-rays are the same problem and share every program.
QUICK_SHAPES = {"mnist": (32, 32, 1), "xray": (32, 32, 1), "retino": (32, 32, 3), "xray_fourier": (32, 32, 1)}
QUICK_COUNTS = {"mnist": (100, 300), "xray": (100, 300), "retino": (600,), "xray_fourier": (5,)}
QUICK_METHODS = ("csdip", "lasso_dct")  # of curves for which every method would be compiled anew

# Where a step on a dense matrix takes a tenth of a second: Lasso's MSE no longer changes (docs/notes/baselines.md).
CPU_LASSO_TOLERANCE = {"xray": 3e-3, "retino": 3e-3}


def get_config(selection: str = "") -> config_dict.ConfigDict:
    """The configuration of "<item>,<scale>".

    Raises:
        InputError: unknown item or scale, or an item that computes nothing.
    """
    name, comma, scale = selection.partition(",")
    if not comma:
        raise InputError(f"paper.py:{selection}: write paper.py:<item>,<scale>, for example paper.py:fig1b,cpu")
    return config_of(item_of(name), scale)


def config_of(item: Item, scale: str) -> config_dict.ConfigDict:
    """The configuration of an item at a scale; errors as `get_config`."""
    if scale not in SCALES:
        raise InputError(f"unknown scale {scale!r}: choose from {', '.join(SCALES)}")
    if item.kind == "mask":
        raise InputError(
            f"{item.name} shows a mask and computes nothing: python -m experiments.paper --item={item.name}"
        )
    if item.kind == "learned_regularization":
        return _learned_regularization(scale)
    config = sweep.get_config()
    quick, name = scale == "quick", item.sweep
    counts, fourier = counts_of(item, scale), SWEEPS[name].fourier
    config.operator = ("radial_fourier" if fourier else "gaussian",)
    config.num_measurements, config.num_lines = ((), counts) if fourier else (counts, ())
    config.noise_variance = item.noises
    config.methods = ",".join(installed_methods(item, scale))
    config.grids = ()
    config.data = "demo" if quick else SOURCES[name]
    config.image_shape = QUICK_SHAPES[name] if quick else SHAPES[name]
    config.num_images = images_of(item, scale)
    if quick:
        default.make_toy(config)
    if scale == "cpu":
        config.lasso_dct.tolerance = CPU_LASSO_TOLERANCE.get(name)
    return config


def methods_of(item: Item, scale: str) -> tuple[str, ...]:
    """All of the item; at scale quick two of them where the programs are no other item's."""
    few = scale == "quick" and (item.sweep in ("retino", "xray_fourier") or item.axis == "noise_variance")
    return QUICK_METHODS if few else item.methods


def installed_methods(item: Item, scale: str) -> list[str]:
    """Those of them that can run here: BM3D-AMP with its extra only."""
    return default.installed(*methods_of(item, scale)).split(",")


def counts_of(item: Item, scale: str) -> tuple[int, ...]:
    """Numbers of measurements or lines; at scale quick those of the two that stand where the paper's do."""
    if scale != "quick":
        return item.counts
    whole, few = SWEEPS[item.sweep].counts, QUICK_COUNTS[item.sweep]
    places = (whole.index(count) * (len(few) - 1) / (len(whole) - 1) for count in item.counts)
    return tuple(dict.fromkeys(few[round(place)] for place in places))


def images_of(item: Item, scale: str) -> int | None:
    """How many images an item takes; a figure of reconstructions only as many as it has columns, run times few."""
    images = IMAGES[scale][item.sweep]
    if item.kind == "runtime" and scale == "cpu":
        return 1  # seconds hardly depend on what is seen
    if item.kind == "reconstructions":
        return min(images or COLUMNS, COLUMNS)
    return images


def _learned_regularization(scale: str) -> config_dict.ConfigDict:
    """Table 1: whole, its first column, or one cell on photographs."""
    if scale == "paper":
        return learned_regularization_full.get_config()
    config = learned_regularization.get_config()
    config.num_measurements = (500,)
    config.noise_variance = (0.0, 10.0, 100.0, 1000.0)
    if scale == "quick":
        config.data = config.training_data = "demo"
        config.image_shape = QUICK_SHAPES["xray"]
        config.num_training_images = config.first_image = config.num_images = 2
        config.num_choosing = 1
        config.held_out = 100
        config.num_measurements = QUICK_COUNTS["xray"][:1]
        config.noise_variance = (0.0,)
        config.arms = "layer_means"
        config.lr_weights.layer_means = (10.0,)
        default.make_toy(config)
    return config
