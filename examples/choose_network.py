"""
Which network for the same measurements
=======================================

An untrained network is a prior: what it makes first is what it holds for likely. Every network that needs no training
is fitted to the same 10 % of Gaussian measurements of a photograph, with one optimiser::

    argmin_w ||y - A G(z; w)||^2 + TV,    G a DCGAN, a U-Net, a decoder of small noise, a function of coordinates

    python examples/choose_network.py

RESULTS

Which of them is best differs from image to image; the measurements can tell, if a few are held out: fit to the others,
and compare what is left of those. Writes choose_network.png: the original and what each network makes of y.
"""

import sys

import jax
import matplotlib.pyplot as plt

import csdip_jax as cs

LEARNING_RATES = {"siren": 1e-4}
"""Where 1e-3 is not right: a step of SIREN's weights counts thirtyfold."""


def main(quick: bool = False) -> dict[str, float]:
    """Fits each network and draws what it makes; PSNR by name of the network."""
    side = 16 if quick else 64
    image = cs.data.load("demo", image_shape=(side, side, 1), num_images=2)[1]
    m, held_out = image.size // 10, image.size // 50
    operator = cs.operators.gaussian(jax.random.key(0), m, image.shape)
    further = cs.operators.gaussian(jax.random.key(1), held_out, image.shape)  # rows that no fit sees
    problem, unseen = cs.Problem(operator, operator.forward(image)), further.forward(image)

    shown, psnr = {"original": image}, {}
    for name, network in cs.generators.GENERATORS.items():
        if network.needs_weights:
            continue
        method = cs.methods.CsDip(
            image.shape,
            generator=network(image.shape),
            learning_rate=LEARNING_RATES.get(name, 1e-3),
            steps=30 if quick else 1000,
        )
        solution = cs.reconstruct(method, problem, jax.random.key(2), progress=name)
        psnr[name] = float(cs.metrics.psnr(solution.image, image))
        estimated = float(((further.forward(solution.image) - unseen) ** 2).sum()) / image.size
        weights = sum(leaf.size for leaf in jax.tree.leaves(method.generator.params_like))
        print(f"{name:12s} {weights:9,} weights, PSNR {psnr[name]:.1f} dB, MSE by held-out rows {estimated:.4f}")
        shown[f"{name}, {psnr[name]:.1f} dB"] = solution.image

    figure, axes = plt.subplots(1, len(shown), figsize=(2.4 * len(shown), 2.7), layout="constrained")
    for axis, (title, picture) in zip(axes, shown.items(), strict=True):
        axis.imshow(picture, cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    figure.savefig("choose_network.png")
    print("picture: choose_network.png")
    return psnr


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
