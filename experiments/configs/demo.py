"""Two photographs that scikit-image ships: a retina in colour from Gaussian measurements, a grey one from Fourier
lines.

    make demo

is `python -m experiments.reconstruct --config=experiments/configs/demo.py --workdir=runs/demo`. A field given on the
command line holds for both parts.
"""

from ml_collections import config_dict

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.num_images = 1
    config.data = "demo"
    config.parts = config_dict.ConfigDict(
        {
            "colour": {"image_shape": (128, 128, 3), "operator": "gaussian", "num_measurements": 3000},
            "grey": {"image_shape": (256, 256, 1), "operator": "radial_fourier", "num_lines": 40},
        }
    )
    return config
