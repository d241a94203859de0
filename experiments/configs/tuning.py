"""The grid of a method's settings, on images that are not evaluated: `tuning.py:<method>,<images>`.

    python -m experiments.tune --config=experiments/configs/tuning.py:tv,mnist --data_dir=data
    python -m experiments.tune --config=experiments/configs/tuning.py:lasso_dct,demo                 # no data needed

Images: mnist (test digits 100 to 109, MNIST's own pixels; the paper's are 0 to 99), xray (radiographs of other
patients than the test set's), retino (the last four of STARE's twenty; an evaluation of all twenty has to leave them
out), demo (photographs). The chosen values: docs/paper/tuning.md.
"""

from csdip_jax.commands.configs import sweep
from csdip_jax.methods import METHODS
from csdip_jax.types import InputError

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
    for name, known in ((method, METHODS), (images, IMAGES)):
        if name not in known:
            raise InputError(f"tuning.py:{selection}: {name!r} is none of {', '.join(known)}; write <method>,<images>")
    if not METHODS[method].grid:
        raise InputError(f"tuning.py:{selection}: {method} has no settings to tune")
    config = sweep.get_config()
    config.methods, config.noise_variance = method, (0.0,)
    config.grids = tuple(f"{method}.{field}={','.join(map(repr, x))}" for field, x in METHODS[method].grid.items())
    for name, value in IMAGES[images].items():
        config[name] = value
    return config
