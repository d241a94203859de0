"""Three photographs that scikit-image ships, CC0 or in the public domain: what an untrained network is for, and where
other methods are better. CS-DIP with the paper's settings beside the paper's baselines, those that can run here:
BM3D-AMP with the extra `bm3d` only.

    csdip demo

few     a retina in colour from measurements that are 4 % of its numbers: CS-DIP is the best
kspace  a photograph from 20 lines of its k-space: TV is the best, and takes a tenth of the time
phase   a cell from the sizes of its measurements, without their signs: no method that needs a linear operator can

A field given on the command line holds for all three parts, which come in the order of the alphabet.
"""

from ml_collections import config_dict

from csdip_jax.commands.configs import default

PARTS = {
    "few": {"image_shape": (128, 128, 3), "operator": "hadamard", "num_measurements": 2000, "first_image": 0},
    "kspace": {"image_shape": (128, 128, 1), "operator": "radial_fourier", "num_lines": 20, "first_image": 0},
    "phase": {"image_shape": (64, 64, 1), "operator": "phase_retrieval", "num_measurements": 2000, "first_image": 1},
}


def get_config():
    config = default.get_config()
    config.num_images = 1
    del config.first_image
    config.first_image = config_dict.placeholder(int)  # open, so that each part has its own
    config.data = "demo"
    config.methods = default.installed("csdip", "bm3d_amp", "tv", "lasso_dct")  # the paper's Figure 2 has this order
    config.parts = config_dict.ConfigDict(PARTS)
    return config
