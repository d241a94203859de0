"""Lasso-DCT on MNIST: the minimum beside what scikit-learn's default stopping rule returns.

python -m experiments.coordinate_descent --data_dir=data
"""

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.data = "mnist"
    config.num_images = 20
    config.operator = "gaussian"
    config.num_measurements = 100
    config.methods = "lasso_dct"
    return config
