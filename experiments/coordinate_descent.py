"""Lasso-DCT at its minimum, beside the iterates at which scikit-learn's coordinate descent stops by default.

    python -m experiments.coordinate_descent --data_dir=data --config.num_measurements=100

scikit-learn visits the coefficients one after the other, the lowest frequencies first. Stopped at its default tolerance
it has favoured them; with the columns in another order the same rule returns other images. Needs scikit-learn (extra
`dev` or `bench`). The workdir gets config.json and results.jsonl, a row per image.
"""

import importlib.util
import warnings

import jax
import numpy as np
from absl import flags

import csdip_jax as cs
from csdip_jax.io.lines import NUMBER_OR_NULL, TEXT, with_fields
from csdip_jax.runs.measurement import image_id, keys_of
from csdip_jax.runs.workdir import Workdir
from csdip_jax.solve.progress import progress_bar
from csdip_jax.types import InputError
from experiments import launcher, settings

_CONFIG = launcher.define_config("coordinate_descent")
flags.adopt_module_key_flags(launcher)
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the results; default: runs/coordinate_descent-m<m>.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the data sets (see experiments.fetch_data).")

ARMS = {
    "minimum": "lasso_dct, to its duality gap",
    "low_first": "scikit-learn's default stop, low frequencies first (the DCT's own order)",
    "shuffled": "scikit-learn's default stop, columns in random order",
}


def main() -> None:
    config = launcher.config_of(_CONFIG)
    study = settings.study(config, _DATA_DIR.value)
    names, images = study.load_images()
    shape = images.shape[1:]
    method, measurement = study.method("lasso_dct", shape), study.measurements(shape)[0][0]
    if study.methods != ("lasso_dct",) or measurement.kind != "gaussian":
        raise InputError(
            f"methods = {config.methods!r}, operator = {config.operator!r}: this is about lasso_dct and gaussian"
        )
    if importlib.util.find_spec("sklearn") is None:
        raise InputError("scikit-learn, to compare with, is not installed: pip install -e '.[bench]'")
    path = _WORKDIR.value or f"runs/coordinate_descent-m{measurement.count}"
    keys, fields = keys_of(config.seed), {"image": TEXT} | dict.fromkeys(ARMS, NUMBER_OR_NULL)
    workdir = Workdir(path, {"config": config.to_dict()}, free=("num_images", "first_image"), read=with_fields(fields))
    done = {row["image"]: row for row in workdir.rows}
    for name, image in zip(progress_bar(names, desc="images"), images, strict=True):
        if name in done:
            continue
        id_ = image_id(name)
        problem = measurement.problem(keys, name, image)
        solution = cs.reconstruct(method, problem, keys.fit, image_ids=[id_])
        matrix = np.asarray(jax.vmap(method.analysis)(problem.operator.matrix.reshape(-1, *shape)), float)
        matrix, y = matrix.reshape(len(matrix), -1), np.asarray(problem.measurements, float)
        row = {"image": name, "minimum": float(cs.metrics.mse(solution.image, image))}
        for arm, order in (("low_first", np.arange(image.size)), ("shuffled", _shuffled(id_, image.size))):
            coefficients = np.empty(image.size)
            coefficients[order] = _scikit_learn(matrix[:, order], y, method.alpha)
            found = np.clip(method.synthesis(coefficients.reshape(shape).astype(np.float32)), -1, 1)
            row[arm] = float(cs.metrics.mse(found, image))
        workdir.append(row)
        done[name] = row
    print(f"mean MSE of {len(names)} images, m = {measurement.count}, +- 1 standard error")
    for arm, meaning in ARMS.items():
        values = np.array([done[name][arm] for name in names], float)
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"{values.mean():.4f} +- {error:.4f}  {meaning}")


def _shuffled(seed: int, size: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(size)


def _scikit_learn(matrix: np.ndarray, y: np.ndarray, alpha: float) -> np.ndarray:
    from sklearn.linear_model import Lasso  # of an extra; slow to import

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is the subject here
        return Lasso(alpha, fit_intercept=False).fit(matrix, y).coef_


if __name__ == "__main__":
    launcher.run(main, interrupted="the same command goes on after the last image")
