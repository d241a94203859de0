"""MNIST, m = 100 Gaussian measurements of 784 pixels, five restarts.

python -m experiments.reconstruct --config=experiments/configs/mnist.py --config.num_images=10 --data_dir=data
"""

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.data = "mnist"
    config.num_images = 10
    config.operator = "gaussian"
    config.num_measurements = 100
    return config
