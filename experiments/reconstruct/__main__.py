"""Reconstructs images from compressed measurements and compares them with the originals, where there are any.

    python -m experiments.reconstruct --config=experiments/configs/demo.py
    python -m experiments.reconstruct --config=experiments/configs/mnist.py --data_dir=data --config.num_images=10
    python -m experiments.reconstruct --images='scans/*.png' --config.methods=csdip,lasso_dct,tv,bm3d_amp
    python -m experiments.reconstruct --images='scans/*.png' --config.methods=tv --sweep=tv.mu=16,64,256
    python -m experiments.reconstruct --measurements=y.npy --matrix=A.npy --image_shape=256,256,1
    python -m experiments.reconstruct --measurements=kspace.npy --mask=mask.npy

Rerun with the same settings it skips finished images and goes on with the interrupted one from its last chunk. The
workdir gets config.json (settings, versions, device, commit), results.jsonl (a row per image and method),
reconstructions as .npz and .png, comparison.png and loss.png.
"""

from absl import flags

from csdip_jax.data.pixels import shape_of_pictures
from csdip_jax.types import InputError
from experiments import launcher
from experiments.reconstruct import images, own

_CONFIG = launcher.define_config("default")
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/<name of the settings>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")
_SWEEP = flags.DEFINE_multi_string(
    "sweep",
    [],
    "<method>.<field>=<value>,<value>,...: each image under each value, vectorized. May be given several times; fields "
    "of one method are combined.",
)
_IMAGES = flags.DEFINE_string(
    "images", None, "Your own images: a file, a folder or a quoted glob of PNG, JPEG, TIFF, WebP, PPM or .npy files."
)
_MEASUREMENTS = flags.DEFINE_string(
    "measurements",
    None,
    "Your own measurements, .npy, .npz or .mat (file:name picks one array); no original is needed.",
)
_MATRIX = flags.DEFINE_string(
    "matrix", None, "The matrix A [m, n] behind --measurements; its columns count pixels row-major over (h, w, c)."
)
_MASK = flags.DEFINE_string("mask", None, "The k-space mask [h, w] behind --measurements (complex Fourier samples).")
_IMAGE_SHAPE = flags.DEFINE_list(
    "image_shape", None, "h,w,c of the image behind --measurements, or to bring --images to."
)
_PIXEL_RANGE = flags.DEFINE_list(
    "pixel_range",
    None,
    "black,white of your pixel values. Default: -1,1 for measurements and float images, the type's range for integers.",
)
_DC = flags.DEFINE_enum(
    "dc", "auto", ["auto", "centre", "corner"], "With --mask: where k-space has its zero frequency."
)
_NORM = flags.DEFINE_enum(
    "norm", "auto", ["auto", "ortho", "backward"], "With --mask: scale of the DFT, as numpy names it."
)


def main() -> None:
    config = launcher.config_of(_CONFIG)
    image_shape = shape_of_pictures(_numbers(_IMAGE_SHAPE, int, 3))
    pixel_range = _numbers(_PIXEL_RANGE, float, 2)
    if _MEASUREMENTS.value and _IMAGES.value:
        raise InputError("--images and --measurements are two ways to begin: give one of them")
    if _MEASUREMENTS.value:
        files = own.Files(_MEASUREMENTS.value, _MATRIX.value, _MASK.value, _DC.value, _NORM.value)
        own.run(config, _WORKDIR.value, _DATA_DIR.value, _SWEEP.value, files, image_shape, pixel_range or (-1.0, 1.0))
    elif _MATRIX.value or _MASK.value:
        raise InputError("--matrix and --mask describe --measurements, which is missing")
    else:
        images.run(config, _WORKDIR.value, _DATA_DIR.value, _SWEEP.value, _IMAGES.value, image_shape, pixel_range)


def _numbers(flag: flags.FlagHolder, kind: type, count: int) -> tuple | None:
    if flag.value is None:
        return None
    try:
        numbers = tuple(kind(value) for value in flag.value)
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        raise InputError(f"--{flag.name}={','.join(flag.value)}: give {count} numbers, separated by commas")
    return numbers


if __name__ == "__main__":
    launcher.run(main)
