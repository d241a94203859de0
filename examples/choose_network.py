"""
Which network for the same measurements
=======================================

An untrained network is a prior: what it makes first is what it holds for likely. Every network that needs no training
is fitted to the same 10 % of Gaussian measurements of a photograph, with one optimiser::

    argmin_w ||y - A G(z; w)||^2 + TV,    G a DCGAN, a U-Net, a decoder of small noise, a function of coordinates

    python examples/choose_network.py

Two minutes on two cores. PSNR, and the MSE that 2 % of further measurements tell, which no fit saw: ConvDecoder
35.6 dB, .0012; DCGAN 34.7 dB, .0014; deep decoder 33.9 dB, .0017; SIREN 33.2 dB, .0018; U-Net 32.5 dB, .0029. The
held-out rows put them into the true order without the true image. It is another one for other images, sizes and steps,
and the optimiser here is the one that suits the DCGAN. Writes choose_network.png: the original, and what each made.
"""

import sys

import jax
import matplotlib.pyplot as plt

import csdip_jax as cs

SETTINGS = {"siren": {"hidden": 64}}
LEARNING_RATES = {"siren": 1e-4}
"""Where the defaults are not right: as many sines as would do for a large image; a step of theirs counts thirtyfold."""


def main(quick: bool = False) -> dict[str, float]:
    """Fits each network and draws what it makes; PSNR by name of the network."""
    side = 16 if quick else 64
    image = cs.data.load("demo", image_shape=(side, side, 1), num_images=2)[1]
    m, held_out = image.size // 10, image.size // 50
    operator = cs.operators.gaussian(jax.random.key(0), m, image.shape)
    further = cs.operators.gaussian(jax.random.key(1), held_out, image.shape)  # rows that no fit sees
    problem, unseen = cs.Problem(operator, operator.forward(image)), further.forward(image)

    networks = {name: network for name, network in cs.generators.GENERATORS.items() if not network.needs_weights}
    shown, psnr = {"original": image}, {}
    for name, network in list(networks.items())[:: 3 if quick else 1]:
        method = cs.methods.CsDip(
            image.shape,
            generator=network(image.shape, **SETTINGS.get(name, {})),
            learning_rate=LEARNING_RATES.get(name, 1e-3),
            steps=30 if quick else 600,
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
