"""The scikit-learn worker: Lasso by coordinate descent on the explicit A Psi, in float32, to its default tolerance."""

import warnings
from pathlib import Path

import numpy as np
from scipy.fft import dctn
from sklearn.linear_model import Lasso

from experiments.benchmark import cases
from experiments.benchmark.worker import Side, serve

MOST_EPOCHS = 20_000


class SklearnSide(Side):
    """Answers the parent's requests."""

    def prepare_lasso(self, name: str, path: str, alpha: float) -> dict:
        """Makes A Psi (not timed), fits once, and returns the objective, its duality gap and the passes over A Psi."""
        case = cases.DENSE_CASES[name]
        rows = cases.matrix(case.num_measurements, case.image_shape).reshape(-1, *case.image_shape[:2])
        matrix = np.asfortranarray([dctn(row, norm="ortho").ravel() for row in rows])
        y = np.load(Path(path))

        def run(_):
            model = Lasso(alpha, fit_intercept=False, max_iter=MOST_EPOCHS)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # whether it converged shows in the gap
                return model.fit(matrix, y)

        self.runs = {"": run}
        model = run(1)
        coefficients = model.coef_.astype(float)
        residual = y - matrix @ model.coef_
        objective = np.sum(residual.astype(float) ** 2) / (2 * len(y)) + alpha * np.abs(coefficients).sum()
        return {"objective": objective, "gap": float(model.dual_gap_) / objective, "epochs": int(model.n_iter_)}


if __name__ == "__main__":
    serve(SklearnSide())
