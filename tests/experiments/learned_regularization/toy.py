"""The study at toy size: two test images of a disc, three to learn from."""

import numpy as np
from PIL import Image

from experiments.configs import learned_regularization
from experiments.learned_regularization import outcome, study
from experiments.learned_regularization.stages import CellRun

M, NOISE = 60, 100.0
CELL = f"m{M}-noise{NOISE:g}"


def draw(folder, numbers):
    folder.mkdir()
    rows, columns = np.indices((16, 16))
    for i in numbers:
        disc = np.hypot(rows - 6 - i, columns - 7) < 5
        Image.fromarray(np.where(disc, 220 - 20 * i, 40).astype(np.uint8)).save(folder / f"disc_{i}.png")


def config(folders, **changes):
    result = learned_regularization.get_config()
    result.update(
        {
            "data": str(folders / "test"),
            "training_data": str(folders / "training"),
            "num_training_images": 3,
            "num_images": 2,
            "num_choosing": 2,
            "held_out": 50,
            "num_measurements": (M,),
            "noise_variance": (NOISE,),
            "arms": "weights,layer_means+warm_start,warm_start",
            "training_counts": (1, 3),
        }
        | changes
    )
    result.lr_weights.weights = (1e-2, 1.0)
    result.lr_weights.layer_means = (1.0,)
    result.csdip.steps = 12
    return result


def run(folders, path, **changes):
    plan = study.plan(config(folders, **changes), None)
    workdir = study.open_workdir(plan, str(path))
    for cell in plan.cells:
        CellRun(plan, workdir, cell).run()
    outcome.write(plan, workdir)
    return CellRun(plan, workdir, plan.cells[0])
