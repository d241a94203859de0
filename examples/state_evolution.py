"""The effective noise of D-AMP along its iterations, beside what theory predicts (state evolution).

    x_{t+1} = D(x_t + A^T z_t, sigma_t),    sigma_{t+1}^2 = E ||D(x + sigma_t e, sigma_t) - x||^2 / m,    A Gaussian

    python examples/state_evolution.py

Three numbers for each t: sigma_t as theory predicts it from the true image x; as the method estimates it, ||z_t|| /
sqrt(m); and what both stand for, the root mean square of the error of x_t + A^T z_t. While they agree, that error is
the white noise which the denoiser is made for. A photograph of 128 x 128 pixels, a fifth as many measurements; writes
state_evolution.png.
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
    """Runs D-AMP with each denoiser; the largest relative departure of a noise from the prediction."""
    side, m, recipes = (48, 800, ["damp_tv"]) if quick else (128, 3277, ["bm3d_amp", "damp_tv", "damp_wavelet"])
    (name,), (image,) = cs.data.load_named("demo", image_shape=(side, side, 1), num_images=1)
    key_operator, _, key_fit = (jax.random.fold_in(jax.random.key(0), i) for i in range(3))
    operator = cs.operators.gaussian(jax.random.fold_in(key_operator, zlib.crc32(name.encode())), m, image.shape)
    problem = cs.Problem(operator, operator.forward(image))

    def true_noise(state):
        return jnp.sqrt(jnp.mean(jnp.square(effective_image(state) - image)))

    installed = [cs.methods.METHODS[recipe] for recipe in recipes if cs.methods.METHODS[recipe].installed]
    figure, axes = plt.subplots(
        1, len(installed), figsize=(3.6 * len(installed) + 0.4, 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    departures = {}
    for axis, recipe in zip(axes[0], installed, strict=True):
        method = recipe.preset("paper", image.shape)
        record = {"true": lambda _, state: true_noise(state)}  # the one place where a true image may be looked at
        solution = cs.reconstruct(method, problem, key_fit, record=record, progress=recipe.name)
        noises = {
            "predicted": jax.jit(state_evolution)(method, image, m, 0.0, key_fit),
            "estimated": solution.trace["noise"],
            # Recorded after a step, the noise is that of the next; before the first x is 0, z is y.
            "true": np.append(true_noise(method.init(problem, key_fit)), solution.trace["true"][:-1]),
        }
        print(f"{name}, {recipe.name}, m = {m}: PSNR {cs.metrics.psnr(solution.image, image):.1f} dB")
        for kind, style in {"predicted": "k-", "estimated": "o", "true": "x"}.items():
            axis.semilogy(noises[kind], style, lw=1, ms=4, label=kind)
            departure = np.array(noises[kind]) / noises["predicted"] - 1
            worst = np.abs(departure).argmax()
            departures[f"{recipe.name}, {kind}"] = float(abs(departure[worst]))
            print(f"  largest departure of the {kind} noise: {departure[worst]:+.1%} at t = {worst}")
        axis.set_title(f"{name}, {recipe.name}, m = {m}", fontsize=9)
        axis.set_xlabel("iteration t")
        axis.grid(alpha=0.3)
    axes[0, 0].set_ylabel(r"effective noise $\sigma_t$")
    axes[0, 0].legend(fontsize=8)
    figure.savefig("state_evolution.png", dpi=110)
    print("picture: state_evolution.png")
    return departures


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
