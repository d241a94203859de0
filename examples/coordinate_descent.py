"""
Lasso-DCT at its minimum, and where coordinate descent stops
============================================================

The minimum of the Lasso, beside the iterates at which scikit-learn's coordinate descent stops by default::

    c* = argmin_c 1/(2m) ||y - A Psi c||^2 + alpha ||c||_1,    x = Psi c, Psi the inverse DCT

    csdip data --dataset=mnist --data_dir=data
    python examples/coordinate_descent.py

scikit-learn visits the coefficients one after the other, the lowest frequencies first. Stopped at its default tolerance
it has favoured them, a better prior than the l1 norm. With the columns in another order the same rule returns other
images. 20 digits, half a minute on two cores: at m = 100 mean squared errors of 0.293, 0.205 and 0.991 (table in
docs/notes/baselines.md). Needs scikit-learn, of the extra ``bench``. Writes coordinate_descent.png.

The page in the documentation shows ``--quick``, one photograph of 12 x 12 pixels, since MNIST is not at hand there.
"""

import sys
import warnings
import zlib

import jax
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import Lasso

import csdip_jax as cs


def main(quick: bool = False) -> dict[str, float]:
    """Reconstructs 20 digits in three ways, for three m; mean squared errors at the last m."""
    source, shape, count = ("demo", (12, 12, 1), 1) if quick else ("mnist", (28, 28, 1), 20)
    names, images = cs.data.load_named(source, "data", image_shape=shape, num_images=count)
    key_operator, _, key_fit = (jax.random.fold_in(jax.random.key(0), i) for i in range(3))
    method = cs.methods.METHODS["lasso_dct"].preset("paper", shape)
    for m in [40] if quick else [75, 200, 100]:
        errors = {"minimum": [], "low frequencies first": [], "columns shuffled": []}
        for name, image in zip(names, images, strict=True):
            seed = zlib.crc32(name.encode())
            operator = cs.operators.gaussian(jax.random.fold_in(key_operator, seed), m, shape)
            y = operator.forward(image)
            matrix = jax.vmap(method.analysis)(operator.matrix.reshape(m, *shape)).reshape(m, -1)
            minimum = cs.reconstruct(method, cs.Problem(operator, y), key_fit).image
            orders = np.arange(image.size), np.random.default_rng(seed).permutation(image.size)
            found = [minimum, *(stopped_early(method, matrix, y, order) for order in orders)]
            for values, result in zip(errors.values(), found, strict=True):
                values.append(float(cs.metrics.mse(result, image)))
        print(f"mean MSE of {len(names)} images, m = {m}, +- 1 standard error")
        for way, values in errors.items():
            print(f"{np.mean(values):.4f} +- {np.std(values) / max(1, len(values) - 1) ** 0.5:.4f}  {way}")

    figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
    for axis, title, shown in zip(axes, [names[-1], *errors], [image, *found], strict=True):
        axis.imshow(shown, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title)
        axis.set_axis_off()
    figure.savefig("coordinate_descent.png")
    print("picture: coordinate_descent.png")
    return {way: float(np.mean(values)) for way, values in errors.items()}


def stopped_early(method: cs.methods.Lasso, matrix: jax.Array, y: jax.Array, order: np.ndarray) -> jax.Array:
    """The image where scikit-learn stops by default, having visited the columns of A Psi, [m, n], in this order."""
    coefficients = np.empty(len(order), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is the subject here
        lasso = Lasso(method.alpha, fit_intercept=False).fit(np.asarray(matrix, float)[:, order], np.asarray(y, float))
    coefficients[order] = lasso.coef_
    return method.synthesis(coefficients.reshape(method.image_shape)).clip(-1, 1)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
