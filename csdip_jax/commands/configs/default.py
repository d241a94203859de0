"""Base of the configurations, and what `csdip reconstruct --images='scans/*.png'` uses.

Fields left at None take the value of the preset, or one that suits the images; every field can be given on the command
line as --config.<field>=<value>.
"""

import dataclasses
from collections.abc import Mapping

from ml_collections import config_dict

from csdip_jax.methods import METHODS, PARTS
from csdip_jax.methods.recipe import kind_of
from csdip_jax.operators import COUNTS


def get_config() -> config_dict.ConfigDict:
    config = config_dict.ConfigDict()
    config.seed = 0  # of operators, noise and fits

    # The images: "mnist", "xray", "retino", "demo", a folder or a glob; --images replaces it.
    config.data = config_dict.placeholder(str)
    config.image_shape = config_dict.placeholder(tuple)  # (h, w, c): crop and resize to this
    config.max_side = config_dict.placeholder(int)  # average larger images down until no side is longer
    config.num_images = config_dict.placeholder(int)  # so many of them; None: all
    config.first_image = 0  # index of the first one taken

    # How images are measured; None: gaussian where its matrix stays below 1 GB, else radial_fourier. Your own is
    # module:name.
    config.operator = config_dict.placeholder(str)
    for count in COUNTS:
        config[count] = config_dict.placeholder(int)
    config.noise_variance = 0.0  # s, of the whole noise vector: one measurement's noise is N(0, s / m)
    config.matrix_dtype = "float32"  # how a dense A is stored; float16, int8: less memory, faster (docs: Performance)

    # Share of the measurements that no fit is given: they tell when to stop and how good the image is (docs: When to
    # stop). 0: none.
    config.hold_out = 0.0

    # Methods: their names, their preset, and what departs from it.
    config.methods = "csdip"  # names separated by commas; your own is module:Class
    config.preset = "paper"  # settings of the paper, or of its reference code where the two differ
    # csgm: weights by experiments.train_vae of a clone; None: data_dir or runs/vae_mnist.
    config.vae = config_dict.placeholder(str)
    # csdip: a prior by experiments.learned_regularization of a clone; None: without.
    config.prior = config_dict.placeholder(str)
    for name, recipe in METHODS.items():
        config[name] = _empty(recipe.settings)
    # What methods are made of: chosen by name as a field of the method, set here for all of them that have it.
    for part, known in PARTS.items():
        config[part] = _empty({field.name: field for cls in known.values() for field in dataclasses.fields(cls)})
    return config


def installed(*methods: str) -> str:
    """The methods for the field `methods`, without those whose extra is not installed."""
    return ",".join(name for name in methods if METHODS[name].installed)


def make_toy(config: config_dict.ConfigDict) -> None:
    """Each method with the settings of a fit that takes seconds, as its recipe has them."""
    for name, recipe in METHODS.items():
        for field, value in recipe.toy.items():
            if field in config[name] and field not in PARTS:
                config[name][field] = value


def _empty(fields: Mapping[str, dataclasses.Field]) -> config_dict.ConfigDict:
    """One empty field per setting that is a number or a word, the name of a part included."""
    settings = config_dict.ConfigDict()
    for name, field in fields.items():
        kind = str if name in PARTS else kind_of(field)
        if kind is not None:
            settings[name] = config_dict.placeholder(kind)
    return settings
