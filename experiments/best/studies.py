"""What `best` is measured on: kinds of images, how they are measured, and what it is compared with."""

from typing import NamedTuple

from ml_collections.config_dict import ConfigDict

from csdip_jax.commands.configs import default, sweep
from csdip_jax.types import InputError

RIVALS = ("csdip", "tv", "bm3d_amp", "lasso_dct")
"""The paper's methods; of BM3D-AMP with its extra only."""


class Kind(NamedTuple):
    """Images of one kind.

    Attributes:
        data: as `csdip_jax.data.load_named` takes it; "{data_dir}" stands for the folder of the data sets.
        image_shape: (h, w, c).
        counts: m, of a Gaussian A.
        lines: numbers of radial lines, of the Fourier samples.
        images: how many by default.
        noises: variances of the whole noise vector.
    """

    data: str
    image_shape: tuple[int, int, int]
    counts: tuple[int, ...]
    lines: tuple[int, ...] = ()
    images: int = 5
    noises: tuple[float, ...] = (0.0, 100.0)


KINDS = {
    "retina": Kind("retino", (128, 128, 3), (500, 2000, 8000)),
    "xray": Kind("xray", (256, 256, 1), (500, 2000, 8000), (5, 20, 40)),
    "digits": Kind("mnist", (28, 28, 1), (50, 100, 200), images=20),
    "digits_jpeg": Kind("mnist:jpeg", (28, 28, 1), (50, 100, 200), images=20),
    "photographs": Kind("{data_dir}/set11/[chPb][aoa][mur]*.tif", (128, 128, 1), (655, 1638, 4096), (5, 20, 40), 4),
    "small": Kind("demo", (32, 32, 1), (300,), (5,), 2, (0.0,)),
}
"""Name -> kind; "small" is for trying, on photographs that a dependency ships. The photographs are cameraman, house,
Parrots and barbara of Set11."""


def config_of(name: str, operator: str, data_dir: str | None, **changes) -> ConfigDict:
    """The sweep of a kind under one operator.

    Args:
        name: of `KINDS`.
        operator: "gaussian" or "radial_fourier".
        data_dir: folder of the data sets.
        changes: fields of the configuration that differ; None for as they are.

    Raises:
        InputError: the kind has no such measurements.
    """
    kind = KINDS[name]
    fourier = operator == "radial_fourier"
    counts = kind.lines if fourier else kind.counts
    if not counts:
        raise InputError(f"--kinds={name} has no measurements by {operator}")
    config = sweep.get_config()
    config.data = kind.data.format(data_dir=data_dir)
    config.image_shape, config.num_images = kind.image_shape, kind.images
    config.operator, config.noise_variance = (operator,), kind.noises
    config.num_measurements, config.num_lines = ((), counts) if fourier else (counts, ())
    config.methods = default.installed("best", *(one for one in RIVALS if not (fourier and one == "bm3d_amp")))
    config.grids = ()
    for field, value in changes.items():
        if value is not None:
            config[field] = value
    if name == "small":
        default.make_toy(config)
    return config
