"""Chest x-rays, 256 x 256, m = 2000 Gaussian measurements of 65536 pixels, preset `paper`.

    python -m experiments.reconstruct --config=experiments/configs/xray.py --config.num_images=4 --data_dir=data

Measured on four whole-chest radiographs (not the paper's set, whose images are smoother close crops): MSE 0.0198,
0.0039, 0.0177, 0.0030, mean 0.0111 +- 0.0044 (1 standard error); none collapsed, none redrawn; 107 to 152 s an image
on two CPU cores busy with other work too. The two large values belong to high-contrast images with fine ribs and a
bright edge.
"""

from csdip_jax.commands.configs import default


def get_config():
    config = default.get_config()
    config.data = "xray"
    config.num_images = 4
    config.operator = "gaussian"
    config.num_measurements = 2000
    return config
