"""
A single-pixel camera
=====================

Photons counted through patterns of 0 and 1, in whatever units they come::

    y_i ~ Poisson(<pattern_i, x>)

    python examples/single_pixel.py

The patterns share a mean, the pixels are counts, and nobody has said how bright the brightest is. ``cs.reconstruct``
takes all of that as it is: see "Units and ranges" in the documentation. Half a minute on two cores; writes
single_pixel.png.
"""

import dataclasses
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import csdip_jax as cs


def main(quick: bool = False) -> dict[str, float]:
    """Measures a photograph with a quarter as many patterns as it has pixels, reconstructs it three times; PSNR."""
    side, steps = (16, 30) if quick else (64, 1000)
    shape, rng = (side, side, 1), np.random.default_rng(0)
    truth = 500 * (cs.data.load("demo", image_shape=shape, num_images=1)[0] + 1)  # 0 to 1000 photons a pixel
    patterns = (rng.random((truth.size // 4, truth.size)) < 0.5).astype(np.uint8)
    counts = rng.poisson(patterns @ truth.ravel())

    problem = cs.Problem(cs.operators.Dense(patterns, shape), counts)
    low, high = cs.estimate_pixel_range(problem)
    print(f"the counts tell of pixels of about {low:.0f} to {high:.0f}; photons are not negative, so 0 to {high:.0f}")

    methods = {
        "csdip": dataclasses.replace(cs.methods.CsDip(shape), steps=steps),
        "tv": cs.methods.Tv(shape, steps=min(steps, 300)),
        "damp_tv": cs.methods.METHODS["damp_tv"].preset("paper", shape),
    }
    images, psnr = {"the truth": truth}, {}
    for name, method in methods.items():
        solution = cs.reconstruct(method, problem, jax.random.key(0), pixel_range=(0, high), progress=name)
        psnr[name] = float(cs.metrics.psnr(solution.image, truth, 1000))
        images[f"{name}, {psnr[name]:.1f} dB"] = solution.image
        words = cs.verdict(solution, noise_energy=float(counts.sum()))  # a Poisson count's variance is its mean
        print(f"{name}: PSNR {psnr[name]:.1f} dB; {words}")

    figure, axes = plt.subplots(1, len(images), figsize=(3 * len(images), 3.2), layout="constrained")
    for axis, (title, image) in zip(axes, images.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1000)
        axis.set_title(title)
        axis.set_axis_off()
    figure.savefig("single_pixel.png")
    print("picture: single_pixel.png")
    return psnr


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
