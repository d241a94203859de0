"""Base of the configurations, and what `python -m experiments.reconstruct --images='scans/*.png'` uses.

Fields left at None take the value of the preset, or one that suits the images; every field can be given on the command
line as --config.<field>=<value>.
"""

import dataclasses
import importlib.util

from ml_collections import config_dict

from csdip_jax.methods import METHODS
from csdip_jax.operators import COUNTS


def get_config() -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()
    config.seed = 0  # of operators, noise and fits

    # Images: "mnist", "xray", "retino", "demo", a folder or a glob; --images replaces it.
    config.data = config_dict.placeholder(str)
    config.image_shape = config_dict.placeholder(tuple)  # (h, w, c): crop and resize to this
    config.num_images = config_dict.placeholder(int)  # None: all
    config.first_image = 0  # index of the first one taken

    # Measurements; None: gaussian where its matrix stays below 1 GB, else radial_fourier. A kind has its own count.
    config.operator = config_dict.placeholder(str)
    for count in COUNTS:
        config[count] = config_dict.placeholder(int)
    config.noise_variance = 0.0  # s; a measurement's noise is N(0, s / m)
    config.matrix_dtype = "float32"  # how a dense A is stored; float16, int8: less memory, faster (docs/performance.md)

    # Method: a comma-separated list, the preset, and what departs from it.
    config.methods = "csdip"
    config.preset = "paper"  # or reference
    config.vae = config_dict.placeholder(
        str
    )  # csgm: weights by experiments.train_vae; None: data_dir or runs/vae_mnist
    config.prior = config_dict.placeholder(str)  # csdip: a prior by experiments.learned_regularization; None: without
    for name, method in METHODS.items():
        config[name] = _settings(method)
    return config


def installed(*methods: str) -> str:
    """The methods for the field `methods`, BM3D-AMP only where its extra is installed."""
    return ",".join(name for name in methods if name != "bm3d_amp" or importlib.util.find_spec("bm3d"))


def _settings(method: type) -> config_dict.ConfigDict:
    """One empty field per setting of the method that is a number or a name."""
    settings = config_dict.ConfigDict()
    for field in dataclasses.fields(method):
        kind = int if field.type == int | None else type(field.default)
        if kind in (bool, int, float, str):
            settings[field.name] = config_dict.placeholder(kind)
    return settings
