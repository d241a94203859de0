"""
When to stop, and how good is it
================================

A tenth of the measurements is given to no fit. They say when the fit has begun to explain noise, and how large the
error of the image is, with nobody knowing the image::

    E (a_i^T (x - x*))^2 = ||x - x*||^2 / m    for each row a_i of a random A that was held out

    python examples/held_out.py

A photograph of 64 x 64 pixels, 1600 noisy measurements, an untrained network that is given too many steps. Without
held out measurements it returns an image full of noise. The estimated error stands beside the true one, which nothing
but the last line knows. A few minutes on two cores; writes held_out.png.
"""

import dataclasses
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import csdip_jax as cs


def main(quick: bool = False) -> dict[str, float]:
    """Fits with and without held out measurements; the true and the estimated PSNR."""
    side, m, noise_variance = (16, 240, 4.0) if quick else (64, 1600, 80.0)
    image = cs.data.load("demo", image_shape=(side, side, 1), num_images=1)[0]
    operator = cs.operators.gaussian(jax.random.key(0), m, image.shape)
    problem = cs.Problem(operator, cs.operators.measure(jax.random.key(1), operator, image, noise_variance))

    method = dataclasses.replace(cs.methods.CsDip(image.shape), steps=60 if quick else 3000, restarts=2)
    plain = cs.reconstruct(method, problem, jax.random.key(2), progress="all steps")
    method = dataclasses.replace(method, stop=cs.rules.HeldOut(share=0.1, patience=30 if quick else 300))
    held = cs.reconstruct(method, problem, jax.random.key(2), noise_variance=noise_variance, progress="held out")

    def psnr(mse):
        return 10 * np.log10(4 / mse)  # pixels of -1 to 1

    high, low = psnr(held.aux["estimated_mse_interval"])
    print(f"estimated PSNR {psnr(held.aux['estimated_mse']):.1f} dB ({low:.1f} to {high:.1f}) after {held.steps} steps")
    found = {
        "all steps": float(cs.metrics.psnr(plain.image, image)),
        "held out": float(cs.metrics.psnr(held.image, image)),
    }
    found |= {"estimated": float(psnr(held.aux["estimated_mse"])), "low": float(low), "high": float(high)}
    print(f"true PSNR {found['held out']:.1f} dB; of all {plain.steps} steps {found['all steps']:.1f} dB")

    shown = {
        "original": image,
        f"all steps, {found['all steps']:.1f} dB": plain.image,
        f"held out, {found['held out']:.1f} dB": held.image,
    }
    figure, axes = plt.subplots(1, 5, figsize=(15, 3.2), layout="constrained")
    for axis, (title, picture) in zip(axes, shown.items(), strict=False):
        axis.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title)
    largest = float(np.abs(held.image - image).max())
    for axis, title, values in (
        (axes[3], "standard deviation", held.aux["standard_deviation"]),
        (axes[4], "true error", np.abs(held.image - image)),
    ):
        axis.imshow(values, vmin=0, vmax=largest)
        axis.set_title(title)
    for axis in axes:
        axis.set_axis_off()
    figure.savefig("held_out.png")
    print("picture: held_out.png")
    return found


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
