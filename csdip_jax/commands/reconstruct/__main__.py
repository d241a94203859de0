"""Reconstructs images from compressed measurements and compares them with the originals, where there are any.

    csdip demo
    csdip reconstruct --config.data=mnist --data_dir=data --config.num_images=10 --config.num_measurements=100
    csdip reconstruct --images='scans/*.png' --methods=csdip,lasso_dct,tv,bm3d_amp
    csdip reconstruct --images='scans/*.png' --methods=tv --sweep=tv.mu=16,64,256
    csdip reconstruct --measurements=y.npy --matrix=A.npy --image_shape=256,256,1
    csdip reconstruct --measurements=kspace.npy --mask=mask.npy
    csdip reconstruct --measurements=y.npy --operator=my_optics:model --image_shape=256,256,1
    csdip reconstruct --images='scans/*.png' --methods=csdip,my_methods:Mine --max_side=512

Rerun with the same settings it skips finished images and goes on with the interrupted one from its last chunk. The
workdir gets config.json (settings, versions, device, commit), results.jsonl (a row per image and method), originals
and reconstructions as .npz and .png, comparison.png and loss.png. The .npz hold pixels in [-1, 1], or in your units
with --pixel_range, which then lies beside them. Of your own measurements there is <method>.npy and .png, and
comparison.png shows what each method leaves of them. Images of more than 512 pixels a side are told their time first.

my_optics:model is the name `model` in my_optics.py, in this folder or installed. Rows of an earlier version of that
file are not taken for those of this one: choose another --workdir after an edit.
"""

import math
from collections.abc import Collection

from absl import flags

from csdip_jax.commands import launcher, own_code
from csdip_jax.commands.reconstruct import images, own_measurements as own
from csdip_jax.data.pixels import shape_of_pictures
from csdip_jax.types import InputError

_CONFIG = launcher.define_config("default")
launcher.define_shorthands()
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/<name of the settings>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see csdip data).")
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
    "matrix", None, "The matrix A [m, n] behind --measurements; its columns count pixels over (h, w, c), see --order."
)
_MASK = flags.DEFINE_string(
    "mask",
    None,
    "The k-space mask [h, w] behind --measurements (complex samples of a real image); [w] chooses columns.",
)
_IMAGE_SHAPE = flags.DEFINE_list(
    "image_shape", None, "h,w,c of the image behind --measurements, or to bring --images to."
)
_PIXEL_RANGE = launcher.define_pixel_range(
    "-1,1 for measurements and float images, the type's range for integers; auto, for measurements: as they tell"
)
flags.declare_key_flag("pixel_range")  # so that --help lists it
_DC = flags.DEFINE_enum(
    "dc", "auto", ["auto", "centre", "corner"], "With --mask: where k-space has its zero frequency."
)
_NORM = flags.DEFINE_enum(
    "norm", "auto", ["auto", "ortho", "backward", "forward"], "With --mask: scale of the DFT, as numpy names it."
)
_ORIGIN = flags.DEFINE_enum(
    "origin",
    "auto",
    ["auto", "corner", "centre"],
    "With --mask: where the image has its origin. corner: fft2 of the image; centre: ifftshift before it (fft2c, "
    "scanners).",
)
_ORDER = flags.DEFINE_enum(
    "order",
    None,
    ["C", "F"],
    "How columns of --matrix, or samples in a list beside --mask, are counted: C, row by row (default), F, column by "
    "column (x(:) and K(mask) in MATLAB).",
)
_FORCE_REAL = flags.DEFINE_bool(
    "force_real", False, "With --mask: fit a real image even where samples at k and -k contradict it."
)
_NOISE = flags.DEFINE_float(
    "noise",
    None,
    "With --measurements: standard deviation of the noise of one measurement, to tell how well it is explained.",
)
_WITH_MASK = (_DC, _NORM, _ORIGIN, _FORCE_REAL)
_WITH_MEASUREMENTS = (_MATRIX, _MASK, _ORDER, _NOISE, *_WITH_MASK)


def main() -> None:
    config = launcher.config_of(_CONFIG)
    image_shape = shape_of_pictures(launcher.numbers_of(_IMAGE_SHAPE, int, 3))
    auto = _PIXEL_RANGE.value == ["auto"]
    if auto and not _MEASUREMENTS.value:
        raise InputError("--pixel_range=auto is told by --measurements: give --pixel_range=black,white")
    pixel_range = "auto" if auto else launcher.pixel_range_of(_PIXEL_RANGE)
    if _MEASUREMENTS.value and _IMAGES.value:
        raise InputError("--images and --measurements are two ways to begin: give one of them")
    _require_used()
    max_side = flags.FLAGS.max_side
    if _MEASUREMENTS.value and max_side:
        raise InputError(f"--max_side={max_side}: the measurements fix the shape of their image, leave it out")
    if _MEASUREMENTS.value:
        conventions = own.Conventions(_DC.value, _NORM.value, _ORIGIN.value, _ORDER.value, _FORCE_REAL.value)
        files = own.Files(_MEASUREMENTS.value, _MATRIX.value, _MASK.value, conventions, _NOISE.value)
        own.run(config, _WORKDIR.value, _DATA_DIR.value, _SWEEP.value, files, image_shape, pixel_range)
    else:
        options = {"any_size": max_side is not None}
        images.run(
            config, _WORKDIR.value, _DATA_DIR.value, _SWEEP.value, _IMAGES.value, image_shape, pixel_range, **options
        )


def _require_used() -> None:
    """Raises InputError for options that nothing would come of, and for a noise that is none."""
    if not _MEASUREMENTS.value:
        given, missing = _changed(_WITH_MEASUREMENTS), "measurements"
    else:
        given, missing = _changed(_WITH_MASK) if _MATRIX.value else [], "mask"
    if given:
        describe, them = ("describes", "it") if len(given) == 1 else ("describe", "them")
        raise InputError(f"{' and '.join(given)} {describe} --{missing}, which is missing: leave {them} out")
    operator = flags.FLAGS.operator
    if _MEASUREMENTS.value and operator and not own_code.is_own(operator):
        raise InputError(f"--operator={operator} simulates measurements, --measurements are yours: give one of them")
    noise = _NOISE.value
    if noise is not None and not (noise > 0 and 0 < noise * noise < math.inf):
        raise InputError(f"--noise={noise}: give a standard deviation, a finite number above 0, or leave it out")


def _changed(options: Collection[flags.FlagHolder]) -> list[str]:
    return [f"--{option.name}" for option in options if option.value != option.default]


if __name__ == "__main__":
    launcher.run(main, needs_arguments=True)
