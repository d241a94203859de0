"""A single-pixel camera: photons counted through patterns of 0 and 1, in whatever units they come.

    python examples/single_pixel.py

y_i ~ Poisson(<pattern_i, x>): the patterns share a mean, the pixels are counts, and nobody has said how bright the
brightest is. `cs.reconstruct` takes all of that as it is (docs/units.md). Half a minute on two cores; writes
single_pixel.png.
"""

import dataclasses

import jax
import numpy as np
from skimage.io import imsave

import csdip_jax as cs


def main(side: int = 64, steps: int = 1000, path: str = "single_pixel.png") -> dict[str, np.ndarray]:
    """Measures a photograph with a quarter as many patterns as it has pixels, and reconstructs it by three methods."""
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
    images = {}
    for name, method in methods.items():
        solution = cs.reconstruct(method, problem, jax.random.key(0), pixel_range=(0, high), progress=name)
        images[name] = np.asarray(solution.image)
        words = cs.verdict(solution, noise_energy=float(counts.sum()))  # a Poisson count's variance is its mean
        print(f"{name}: PSNR {float(cs.metrics.psnr(images[name], truth, 1000)):.1f} dB; {words}")

    row = np.concatenate([truth, *images.values()], axis=1)[..., 0]
    imsave(path, (np.clip(row / 1000, 0, 1) * 255).astype(np.uint8), check_contrast=False)
    print(f"picture, the truth and {', '.join(images)}: {path}")
    return images


if __name__ == "__main__":
    main()
