"""The exact recovery of Candes, Romberg and Tao: a phantom from 22 radial lines of its Fourier transform.

    python -m experiments.phantom --workdir=runs/phantom

Measured: PSNR 85.9 dB after 458 steps, about 10 s on two shared CPU cores; the zero-filled image has 17.6 dB. mu is
large since nothing is noisy: at the preset's 256 the shrinkage of the contrast alone leaves 53.4 dB.
"""

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.image_shape = (256, 256, 1)
    config.operator = "radial_fourier"
    config.num_lines = 22
    config.methods = "tv"
    config.tv.mu = 1e5
    config.tv.tolerance = 1e-4
    config.tv.steps = 2000
    return config
