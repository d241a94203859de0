"""Chest x-rays, 256 x 256, m = 2000 Gaussian measurements of 65536 pixels.

python -m experiments.reconstruct --config=experiments/configs/xray.py --config.num_images=4 --data_dir=data
"""

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.data = "xray"
    config.num_images = 4
    config.operator = "gaussian"
    config.num_measurements = 2000
    return config
