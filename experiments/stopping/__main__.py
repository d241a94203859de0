"""How much each rule that stops loses to the best iterate, which nobody can know without the true image.

    python -m experiments.stopping                                                     half an hour of two cores
    python -m experiments.stopping --size=16 --width=4 --steps=20 --problems=denoising     a minute, to try it

A fit per image, problem, noise and network takes all its steps, and is watched by all rules at once. The true image is
looked at by the watcher alone: no rule sees it. The workdir gets traces/, a file per fit, of which a rerun computes
those that are missing; fits.csv, a line per fit, rule and what it keeps; stopping.md and summary.csv, the tables;
losses.png, every loss as a dot; curves.png, the PSNR of six fits step by step and where the rules stop.
"""

from collections.abc import Iterator
from itertools import product

from absl import flags

from csdip_jax.checks import require
from csdip_jax.commands import launcher
from experiments.stopping import telling
from experiments.stopping.trials import NETWORKS, PROBLEMS, Cell, Setup, load

_IMAGES = flags.DEFINE_list(
    "images", ["astronaut", "chelsea", "coffee", "camera", "retina"], "Photographs that scikit-image ships."
)
_PROBLEMS = flags.DEFINE_list("problems", [*PROBLEMS], f"{', '.join(PROBLEMS)}.")
_NETWORKS = flags.DEFINE_list("networks", [*NETWORKS], f"{', '.join(NETWORKS)}.")
_NOISES = flags.DEFINE_list("noises", ["10", "20", "40"], "Energies of the measurements over that of the noise, in dB.")
_SIZE = flags.DEFINE_integer("size", Setup().size, "Pixels a side.", lower_bound=8)
_WIDTH = flags.DEFINE_integer("width", Setup().width, "Channels of the U-Net; the DCGAN has twice as many.")
_STEPS = flags.DEFINE_integer("steps", Setup().steps, "Of each fit.", lower_bound=1)
_SHARE = flags.DEFINE_float("share", Setup().share, "Of the measurements that are held out of each fit.")
_SEED = flags.DEFINE_integer("seed", Setup().seed, "Of operators, noise and fits.", lower_bound=0)
_WORKDIR = flags.DEFINE_string("workdir", "runs/stopping", "Folder of the results.")


def main() -> None:
    for flag, known in ((_PROBLEMS, PROBLEMS), (_NETWORKS, NETWORKS)):
        for name in flag.value:
            require(name in known, f"--{flag.name}", name, " or ".join(known))
    setup = Setup(_SIZE.value, _WIDTH.value, _STEPS.value, _SHARE.value, _SEED.value)
    images = load(_IMAGES.value, setup.size)
    telling.run(_WORKDIR.value, setup, images, [Cell(*labels) for labels in _labels()])


def _labels() -> Iterator[tuple]:
    """Of the fits, those of one compiled program behind each other."""
    for image, network, problem in product(_IMAGES.value, _NETWORKS.value, _PROBLEMS.value):
        yield from ((image, problem, float(noise), network) for noise in _NOISES.value)


if __name__ == "__main__":
    launcher.run(main)
