"""MNIST, m = 100 Gaussian measurements of 784 pixels, five restarts, preset `paper`.

    python -m experiments.reconstruct --config=experiments/configs/mnist.py --config.num_images=10 \\
        --config.num_measurements=100 --data_dir=data

Measured: mean MSE 0.00873 +- 0.00385 (1 standard error) over the first 10 test digits, from 0.0001 to 0.039, median
0.0045; no fit redrawn; 42 to 51 s an image of five fits on two shared CPU cores. Published: 0.0216 +- 0.003 over the
first 100, as JPEG files it seems (--config.data=mnist:jpeg, docs/results). Single digits vary a lot with the matrix:
with other draws of A the mean was 0.0128, one digit at 0.072.
"""

from csdip_jax.commands.configs import default


def get_config():
    config = default.get_config()
    config.data = "mnist"
    config.num_images = 10
    config.operator = "gaussian"
    config.num_measurements = 100
    return config
