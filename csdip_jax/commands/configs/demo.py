"""Three photographs that scikit-image ships, CC0 or in the public domain: what an untrained network is for, and where
another method is better. CS-DIP with the paper's settings, and TV.

    csdip demo

few     a retina in colour from 4 % as many measurements as it has numbers: CS-DIP is better than TV. `best` fits
        several methods and weighs their images within 75 seconds; it tells its error, too
kspace  a photograph from 50 lines of its k-space: TV is better, in a fraction of the time
phase   a cell from the sizes of its measurements, without their signs: no method that needs a linear operator can

The operators of the first two have no matrix, so that fits take seconds. The same command with
--config.methods=csdip,tv,bm3d_amp adds a method to the picture: BM3D-AMP, which needs the extra `bm3d`, takes minutes,
is the best for `few` (33 dB, where CS-DIP has 31) and fails for `kspace`, for which it was not made. A field given on
the command line holds for all three parts, which come in the order of the alphabet.
"""

from ml_collections import config_dict

from csdip_jax.commands.configs import default

PARTS = {
    "few": {
        "image_shape": (128, 128, 3),
        "operator": "hadamard",
        "num_measurements": 2000,
        "first_image": 0,
        "methods": "csdip,tv,best",
    },
    "kspace": {
        "image_shape": (128, 128, 1),
        "operator": "radial_fourier",
        "num_lines": 50,
        "first_image": 0,
        "methods": "csdip,tv",
    },
    "phase": {
        "image_shape": (64, 64, 1),
        "operator": "phase_retrieval",
        "num_measurements": 2000,
        "first_image": 1,
        "methods": "csdip,tv",
    },
}


def get_config():
    config = default.get_config()
    config.num_images = 1
    del config.first_image
    config.first_image = config_dict.placeholder(int)  # open, so that each part has its own
    config.data = "demo"
    del config.methods
    config.methods = config_dict.placeholder(str)
    config.best.seconds = 75.0
    config.tv.steps = 1000  # its preset's 300 end before its tolerance is met, at the same picture
    config.parts = config_dict.ConfigDict(PARTS)
    return config
