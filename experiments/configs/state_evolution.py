"""D-AMP's noise beside state evolution: a photograph of 128 x 128 pixels, a fifth as many Gaussian measurements.

python -m experiments.state_evolution --workdir=runs/state_evolution
"""

from experiments.configs import default


def get_config():
    config = default.get_config()
    config.data = "demo"
    config.num_images = 1
    config.image_shape = (128, 128, 1)
    config.operator = "gaussian"
    config.num_measurements = 3277
    config.methods = default.installed("bm3d_amp", "damp_tv", "damp_wavelet")
    return config
