"""Retinal photographs, 128 x 128 RGB, m = 2000 Gaussian measurements of 49152 values, preset `paper`.

    python -m experiments.reconstruct --config=experiments/configs/retino.py --config.num_images=4 --data_dir=data

Measured on the first 4 STARE images: MSE 0.0022, 0.0020, 0.0037, 0.0010, mean 0.00221 +- 0.00056 (1 standard error);
none collapsed, none redrawn; 46 to 70 s an image on two shared CPU cores. Published, 4 or 5 other retinas:
0.0027 +- 0.0008.
"""

from csdip_jax.commands.configs import default


def get_config():
    config = default.get_config()
    config.data = "retino"
    config.num_images = 4
    config.operator = "gaussian"
    config.num_measurements = 2000
    return config
