"""Two photographs that scikit-image ships: a retina in colour from Gaussian measurements, a grey one from Fourier
lines; CS-DIP beside the paper's baselines, those that can run here: BM3D-AMP with the extra `bm3d` only.

    make demo

runs `csdip demo`. A field given on the
command line holds for both parts.
"""

from ml_collections import config_dict

from csdip_jax.commands.configs import default


def get_config():
    config = default.get_config()
    config.num_images = 1
    config.data = "demo"
    config.methods = default.installed("csdip", "bm3d_amp", "tv", "lasso_dct")  # the paper's Figure 2 has this order
    config.parts = config_dict.ConfigDict(
        {
            "phase": {"image_shape": (16, 16, 1), "operator": "phase_retrieval", "num_measurements": 256},
            "few": {"image_shape": (16, 16, 3), "operator": "gaussian", "num_measurements": 100},
        }
    )
    return config
