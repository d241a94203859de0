"""The grid of a method's settings, on images that are not evaluated: `tuning.py:<method>,<images>`.

    python -m experiments.tune --config=experiments/configs/tuning.py:tv,mnist --data_dir=data
    python -m experiments.tune --config=experiments/configs/tuning.py:lasso_dct,demo                 # no data needed

Images: mnist (test digits 100 to 109, MNIST's own pixels; the paper's are 0 to 99), xray (radiographs of other
patients than the test set's), retino (the last four of STARE's twenty; an evaluation of all twenty has to leave them
out), demo (photographs). The chosen values: docs/tuning.md.
"""

from csdip_jax.types import InputError
from experiments.configs import sweep

GRIDS = {
    "csdip": ("csdip.learning_rate=0.0003,0.001,0.003", "csdip.tv_weight=0,0.01,0.1"),
    "lasso_dct": ("lasso_dct.alpha=1e-6,1e-5,1e-4,1e-3,1e-2,1e-1",),
    "lasso_wavelet": ("lasso_wavelet.alpha=1e-6,1e-5,1e-4,1e-3,1e-2,1e-1",),
    "tv": ("tv.mu=16,64,256,1024,4096",),
    "bm3d_amp": ("bm3d_amp.strength=0.7,1,1.4",),
    "damp_tv": ("damp_tv.strength=0.5,0.7,1,1.4",),
    "damp_wavelet": ("damp_wavelet.strength=0.5,0.7,1,1.4",),
    "csgm": ("csgm.learning_rate=0.003,0.01,0.03,0.1",),
}

IMAGES = {
    "mnist": {
        "data": "mnist",
        "image_shape": (28, 28, 1),
        "first_image": 100,
        "num_images": 10,
        "num_measurements": (50, 100, 200),
    },
    "xray": {
        "data": "xray:lr_train",
        "image_shape": (256, 256, 1),
        "num_images": 4,
        "num_measurements": (1000, 4000),
    },
    "retino": {
        "data": "retino",
        "image_shape": (128, 128, 3),
        "first_image": 16,
        "num_images": 4,
        "num_measurements": (1000, 4000),
    },
    "demo": {"data": "demo", "image_shape": (32, 32, 1), "num_images": 2, "num_measurements": (200, 400)},
}


def get_config(selection: str = "lasso_dct,demo"):
    """The sweep of "<method>,<images>".

    Raises:
        InputError: unknown method or images.
    """
    method, _, images = selection.partition(",")
    for name, known in ((method, GRIDS), (images, IMAGES)):
        if name not in known:
            raise InputError(f"tuning.py:{selection}: {name!r} is none of {', '.join(known)}; write <method>,<images>")
    config = sweep.get_config()
    config.methods, config.grids, config.noise_variance = method, GRIDS[method], (0.0,)
    for name, value in IMAGES[images].items():
        config[name] = value
    return config
