"""
Several images, several starts, several settings
================================================

Each is a leading axis of one program::

    python examples/restarts_and_sweeps.py

Restarts: an untrained network's fit depends on the weights it starts from. Of four starts the one is returned whose
measurements are explained best; nobody needs the true image for that. One of four photographs comes out at 17.5 dB from
one start, at 33.6 dB from four; the others are as good either way.

Sweep: total variation under eight weights mu, of noisy measurements. Which to take, the noise tells (discrepancy
principle): the smallest mu that leaves no more of the measurements unexplained than noise would. It is 13.9 here, with
22.8 dB the best of the eight. A minute on two cores; writes restarts_and_sweeps.png.
"""

import dataclasses
import sys

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import csdip_jax as cs


def main(quick: bool = False) -> dict[str, float]:
    """Both studies on photographs of the size of a digit; mean PSNR of one start and of four, and that of two mu."""
    images = cs.data.load("demo", image_shape=(28, 28, 1), num_images=2 if quick else 4)  # [b, h, w, c]
    shape, noise_energy = images.shape[1:], 10.0
    operator = cs.operators.gaussian(jax.random.key(0), 200, shape)

    batch = cs.Problem(operator, jax.vmap(operator.forward)(images))  # [b, m]: a batch of problems
    one = dataclasses.replace(cs.methods.CsDip(shape), steps=40 if quick else 500)
    found, shown = {}, {"original": images[1]}
    for starts in (1, 2 if quick else 4):
        method = dataclasses.replace(one, restarts=starts)
        solution = cs.reconstruct(method, batch, jax.random.key(1), progress=f"csdip, {starts} starts")
        psnr = [float(cs.metrics.psnr(*pair)) for pair in zip(solution.image, images, strict=True)]
        print(f"{starts} starts: PSNR {np.round(psnr, 1)} dB; chosen {solution.restart}")
        found[f"{starts} starts"] = float(np.mean(psnr))
        shown[f"{starts} starts, {psnr[1]:.1f} dB"] = solution.image[1]

    problem = cs.Problem(operator, cs.operators.measure(jax.random.key(2), operator, images[0], noise_energy))
    mu = jnp.geomspace(1.0, 1e4, 8)
    tv = cs.methods.Tv(shape, steps=200 if quick else 2000, mu=mu)  # an array in place of a number: a sweep
    sweep = cs.reconstruct(tv, problem, jax.random.key(3), progress="tv")
    psnr = np.array([cs.metrics.psnr(image, images[0]) for image in sweep.image])
    chosen = int(np.argmax(sweep.measurement_loss <= noise_energy))
    print("     mu  ||y - A x||^2  PSNR")
    for i, value in enumerate(mu):
        print(f"{value:7.1f} {sweep.measurement_loss[i]:14.2f} {psnr[i]:5.1f}" + " chosen" * (i == chosen))
    found |= {"chosen mu": float(psnr[chosen]), "best mu": float(psnr.max())}

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    for axis, (title, image) in zip(axes, shown.items(), strict=False):
        axis.imshow(image, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title)
        axis.set_axis_off()
    axes[3].semilogx(mu, psnr, "o-")
    axes[3].plot(mu[chosen], psnr[chosen], "o", ms=10, mfc="none", label="chosen by the noise")
    axes[3].set(xlabel=r"$\mu$", title="PSNR of TV [dB]")
    axes[3].legend()
    figure.savefig("restarts_and_sweeps.png")
    print("picture: restarts_and_sweeps.png")
    return found


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
