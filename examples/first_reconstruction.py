"""
A first reconstruction
======================

A photograph from an eighth as many random measurements, by a network that nobody trained::

    w* = argmin_w ||y - A G(z; w)||^2 + tv_weight TV(G(z; w)),    x = G(z; w*)

    python examples/first_reconstruction.py

A retina, 64 x 64 in colour, from 1536 measurements of its 12288 values; fifteen seconds on two cores. The measurements
by themselves show nothing (A^T y, PSNR 0.9 dB); the network that explains them has 33.6 dB. Writes
first_reconstruction.png.
"""

import sys

import jax
import matplotlib.pyplot as plt

import csdip_jax as cs


def main(quick: bool = False) -> dict[str, float]:
    """Measures a photograph, reconstructs it by CS-DIP; PSNR of it and of what the measurements show by themselves."""
    side = 16 if quick else 64
    image = cs.data.load("demo", image_shape=(side, side, 3))[0]  # float32 [h, w, c] in [-1, 1]
    operator = cs.operators.gaussian(jax.random.key(0), image.size // 8, image.shape)
    y = cs.operators.measure(jax.random.key(1), operator, image, noise_variance=0.0)

    method = cs.methods.CsDip.preset("paper", image.shape)
    solution = cs.reconstruct(method, cs.Problem(operator, y), jax.random.key(2), progress="csdip")
    print(f"m = {y.size} of n = {image.size}; {cs.verdict(solution)}")

    images = {"A^T y": operator.adjoint(y), "csdip": solution.image}
    psnr = {name: float(cs.metrics.psnr(found, image)) for name, found in images.items()}
    print("PSNR: " + ", ".join(f"{name} {value:.1f} dB" for name, value in psnr.items()))

    figure, axes = plt.subplots(1, 4, figsize=(12, 3), layout="constrained")
    for axis, (name, shown) in zip(axes, {"original": image, **images}.items(), strict=False):
        axis.imshow((shown.clip(-1, 1) + 1) / 2)
        axis.set_title(f"{name}, {psnr[name]:.1f} dB" if name in psnr else name)
        axis.set_axis_off()
    axes[3].semilogy(solution.trace["measurement_loss"], lw=0.8)
    axes[3].set_title("||y - A x||^2 at each step")
    figure.savefig("first_reconstruction.png")
    print("picture: first_reconstruction.png")
    return psnr


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
