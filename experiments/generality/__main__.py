"""Does it carry over? MRI, whose images are complex, and phase retrieval, whose measurements are not linear.

    python -m experiments.generality --data_dir=data
    python -m experiments.generality --data_dir=data --config.sections=phase --config.phase.num_images=5

mri: slices of a brain [h, w], complex, from a quarter of their k-space in columns, dense in the middle: plain DIP (a
U-Net, Adam, the last iterate), self-guided DIP and aSeqDIP on the same U-Net; PSNR of the magnitude. phase: MNIST
digits from |A x|, A Gaussian, by CS-DIP, restarts chosen by the measurements; MSE beside the published one. Such
measurements are the same for x and -x: of the two the darker is taken, since a digit is white on black. The published
numbers do not tell what was done there.

What decides are measurements alone; true images are compared with in the end. The workdir gets config.json,
reconstructions/, and of each section a table, <section>.csv and .md, and a picture, <section>.png. The same command
goes on where it was; further sections, slices, methods and numbers of measurements may be asked for.
"""

from absl import flags

from csdip_jax.commands import launcher
from experiments import configs
from experiments.generality.comparisons import run

_CONFIG = launcher.define_config("generality", configs.FOLDER)
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", "runs/generality", "Folder of the results.")
_DATA_DIR = flags.DEFINE_string("data_dir", "data", "Folder of the data sets: mnist/, mri_complex_brains/.")


def main() -> None:
    run(launcher.config_of(_CONFIG), _DATA_DIR.value, _WORKDIR.value)


if __name__ == "__main__":
    launcher.run(main)
