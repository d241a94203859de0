"""Learned regularization: does a prior over the network's weights, learned from other images, lower the error?

    python -m experiments.learned_regularization --data_dir=data
    python -m experiments.learned_regularization --data_dir=data --config.training_counts='(1,2,5)' \\
        --config.arms=weights,warm_start --config.num_measurements='(500,)' --config.noise_variance='(1000.0,)'
    python -m experiments.learned_regularization --config.data='scans/*.png' --config.training_data='others/*.png'
    python -m experiments.learned_regularization --data_dir=data --config.arms=learned_start --curves \\
        --config.num_measurements=500 --config.noise_variance=1000

For each number of measurements and noise variance (a cell of the paper's Table 1) it fits the training images' from
their measurements, learns the prior from the fitted weights, chooses lr_weight by how well further measurements of
training images are predicted (with a prior learned from the others), and reconstructs the test images with and without:
same matrix, same latent, same first weights. The arm `learned_start` begins a fit of few steps at a start learned from
the training images' measurements instead (`csdip_jax.learn_start`). True images are compared with in the end only.

The workdir gets config.json, results.jsonl (a row per fit), priors/ (for `experiments.reconstruct --config.prior=`),
weights/, reconstructions/, table.md, table.csv, table.png, choice.png and a comparison picture per cell; with --curves
the MSE against the steps as well, curves-<cell>.csv and .png. Rerun with the same settings it goes on from the last
chunk; further cells, arms and test images may be asked for.
"""

from absl import flags

from csdip_jax.commands import launcher
from experiments import configs
from experiments.learned_regularization import curves, outcome, study
from experiments.learned_regularization.stages import CellRun

_CONFIG = launcher.define_config("learned_regularization", configs.FOLDER)
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/<name of the settings>.")
_CURVES = flags.DEFINE_bool("curves", False, "Fit the test images from a learned start and without, MSE step by step.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")


def main() -> None:
    plan = study.plan(launcher.config_of(_CONFIG), _DATA_DIR.value)
    workdir = study.open_workdir(plan, _WORKDIR.value)
    for cell in plan.cells:
        CellRun(plan, workdir, cell).run()
    outcome.write(plan, workdir)
    if _CURVES.value:
        curves.write(plan, workdir)


if __name__ == "__main__":
    launcher.run(main)
