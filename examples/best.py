"""
The best image, and how good it is
==================================

Several methods are fitted to all but a share of the measurements, and these weigh their images::

    x = sum_k w_k x_k,    w = argmin ||sum_k w_k (y_h - A_h x_k)||^2,    w_k >= 0,    sum_k w_k = 1

The same measurements tell how large the error of the weighted image is, with nobody knowing the image.

    python examples/best.py

A retina of 64 x 64 pixels in colour from 1200 random measurements, a tenth of its numbers. A few minutes on two cores;
writes best.png.
"""

import sys

import jax
import matplotlib.pyplot as plt
import numpy as np

import csdip_jax as cs


def main(quick: bool = False) -> dict[str, float]:
    """`best` beside CS-DIP and TV alone; PSNR of each, and what `best` says of its own."""
    side, m, steps = (16, 120, 20) if quick else (64, 1200, 1500)
    image = cs.data.load("demo", image_shape=(side, side, 3), num_images=1)[0]
    operator = cs.operators.gaussian(jax.random.key(0), m, image.shape)
    problem = cs.Problem(operator, cs.operators.measure(jax.random.key(1), operator, image))

    tv = cs.reconstruct(cs.methods.Tv(image.shape), problem, jax.random.key(2))
    csdip = cs.reconstruct(cs.methods.CsDip(image.shape, steps=min(steps, 1000)), problem, jax.random.key(2))
    if quick:  # two candidates that compile at once
        method = cs.methods.Best(image.shape, steps=steps, candidates=("tv", "csdip"))
        best = cs.reconstruct(method, problem, jax.random.key(2))
    else:
        best = cs.best(problem, jax.random.key(2), progress="best")
    for name, weight in best.aux["weights"].items():
        print(f"{name:12} {weight:.2f}")

    def psnr(mse):
        return float(10 * np.log10(4 / np.maximum(mse, 1e-9)))  # pixels of -1 to 1

    high, low = map(psnr, best.aux["estimated_mse_interval"])
    print(f"estimated PSNR {psnr(best.aux['estimated_mse']):.1f} dB ({low:.1f} to {high:.1f})")
    found = {
        name: float(cs.metrics.psnr(solution.image, image))
        for name, solution in {"csdip": csdip, "tv": tv, "best": best}.items()
    }

    shown = {"original": image} | {
        f"{name}, {found[name]:.1f} dB": solution.image
        for name, solution in {"csdip": csdip, "tv": tv, "best": best}.items()
    }
    figure, axes = plt.subplots(1, 6, figsize=(18, 3.2), layout="constrained")
    for axis, (title, picture) in zip(axes, shown.items(), strict=False):
        axis.imshow(np.clip((picture + 1) / 2, 0, 1))
        axis.set_title(title)
    maps = {"standard deviation": best.aux["standard_deviation"], "true error of best": np.abs(best.image - image)}
    maps = {title: np.asarray(values).mean(-1) for title, values in maps.items()}
    largest = float(maps["true error of best"].max())
    for axis, (title, values) in zip(axes[4:], maps.items(), strict=True):
        axis.imshow(values, vmin=0, vmax=largest)
        axis.set_title(title)
    for axis in axes:
        axis.set_axis_off()
    figure.savefig("best.png")
    print("picture: best.png")
    return found | {"estimated": psnr(best.aux["estimated_mse"]), "low": low}


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
