"""Retinal photographs, 128 x 128 RGB, m = 2000 Gaussian measurements of 49152 values.

python -m experiments.reconstruct --config=experiments/configs/retino.py --config.num_images=4 --data_dir=data
"""

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.data = "retino"
    config.num_images = 4
    config.operator = "gaussian"
    config.num_measurements = 2000
    return config
