"""
The effective noise of D-AMP, beside what theory predicts
=========================================================

State evolution: along the iterations D-AMP's error is white noise of a size that can be predicted::

    x_{t+1} = D(x_t + A^T z_t, sigma_t),    sigma_{t+1}^2 = E ||D(x + sigma_t e, sigma_t) - x||^2 / m,    A Gaussian

    python examples/state_evolution.py

Three numbers for each t: sigma_t as theory predicts it from the true image x; as the method estimates it,
norm(z_t) / sqrt(m); and what both stand for, the root mean square of the error of x_t + A^T z_t. While they agree, that
error is the white noise which the denoiser is made for. A photograph of 128 x 128 pixels, a fifth as many measurements;
a minute on two cores, nearly all of it BM3D's, which is left out where its extra is not installed. Over 30 iterations
the true noise departs by at most 6.2 % with BM3D, 5.7 % with TV, 7.6 % with wavelets. Writes state_evolution.png.
"""

import sys
import zlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import csdip_jax as cs
from csdip_jax.methods.damp import effective_image, state_evolution


def main(quick: bool = False) -> dict[str, float]:
    """Runs D-AMP with each denoiser; the largest relative departures from the prediction."""
    side, m, recipes = (48, 800, ["damp_tv"]) if quick else (128, 3277, ["bm3d_amp", "damp_tv", "damp_wavelet"])
    (name,), (image,) = cs.data.load_named("demo", image_shape=(side, side, 1), num_images=1)
    key_operator, _, key_fit = (jax.random.fold_in(jax.random.key(0), i) for i in range(3))
    operator = cs.operators.gaussian(jax.random.fold_in(key_operator, zlib.crc32(name.encode())), m, image.shape)
    problem = cs.Problem(operator, operator.forward(image))

    def true_noise(_, state):
        return jnp.sqrt(jnp.mean(jnp.square(effective_image(state) - image)))

    recipes = [recipe for recipe in map(cs.methods.METHODS.get, recipes) if recipe.installed]
    figure, axes = plt.subplots(
        1, len(recipes), figsize=(4 * len(recipes), 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    departures = {}
    for axis, recipe in zip(axes[0], recipes, strict=True):
        method = recipe.preset("paper", image.shape)
        predicted = jax.jit(state_evolution)(method, image, m, 0.0, key_fit)
        # `record` is the one place where a true image may be looked at. What it tells of a step is the noise of the
        # next one; that of the first is the start's, x = 0 and z = y.
        solution = cs.reconstruct(method, problem, key_fit, record={"true": true_noise}, progress=recipe.name)
        true = np.append(true_noise(None, method.init(problem, key_fit)), solution.trace["true"][:-1])
        print(f"{name}, {recipe.name}, m = {m}: PSNR {cs.metrics.psnr(solution.image, image):.1f} dB")
        axis.semilogy(predicted, "k", lw=1, label="predicted")
        for kind, noise, marker in (("estimated", solution.trace["noise"], "o"), ("true", true, "x")):
            axis.semilogy(noise, marker, ms=4, label=kind)
            departure = np.asarray(noise / predicted - 1)
            worst = np.abs(departure).argmax()
            departures[f"{recipe.name}, {kind}"] = float(abs(departure[worst]))
            print(f"  largest departure of the {kind} noise from the predicted: {departure[worst]:+.1%} at t = {worst}")
        axis.set(title=f"{name}, {recipe.name}, m = {m}", xlabel="iteration t")
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel(r"effective noise $\sigma_t$")
    axes[0, 0].legend()
    figure.savefig("state_evolution.png")
    print("picture: state_evolution.png")
    return departures


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
