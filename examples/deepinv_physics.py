"""
A forward model of deepinv's
============================

Our methods on it, and deepinv's metrics of the images::

    pip install deepinv
    python examples/deepinv_physics.py

``physics`` is any of deepinv's ``LinearPhysics`` that gives one tensor, here its single-pixel camera. Each product is a
call from the compiled program to PyTorch. A minute or two on two cores; writes deepinv_physics.png.

The page in the documentation shows the script alone, which needs PyTorch.
"""

# sphinx_gallery_thumbnail_path = 'deepinv_physics.png'

import dataclasses
import math
import sys

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.sparse.linalg import LinearOperator

import csdip_jax as cs

try:
    import deepinv
    import torch
except ImportError as error:
    raise SystemExit(f"this example needs deepinv ({error}): pip install deepinv") from None


def as_operator(physics, image_shape: tuple[int, int, int]) -> cs.operators.HostOperator:
    """An operator of images [h, w, c] by a `LinearPhysics` of tensors [1, c, h, w], measurements flat."""
    with torch.no_grad():
        shape = physics.A(torch.zeros(1, image_shape[2], *image_shape[:2])).shape

    @torch.no_grad()
    def matvec(x):
        image = torch.from_numpy(x).reshape(image_shape).permute(2, 0, 1)[None]
        return physics.A(image).reshape(-1).numpy()

    @torch.no_grad()
    def rmatvec(y):
        image = physics.A_adjoint(torch.from_numpy(y).reshape(shape))
        return image[0].permute(1, 2, 0).reshape(-1).numpy()

    sizes = (math.prod(shape), math.prod(image_shape))
    return cs.operators.from_scipy(LinearOperator(sizes, matvec, rmatvec, dtype=np.float32), image_shape)


def main(quick: bool = False) -> dict[str, float]:
    """Measures a photograph by deepinv, reconstructs it by deepinv's pseudo-inverse and by ours; PSNR of each."""
    side, steps = (16, 100) if quick else (64, 1000)
    shape = (side, side, 1)
    photograph = cs.io.to_skimage(cs.data.load("demo", image_shape=shape, num_images=1)[0])  # [h, w] in [0, 1]
    truth = torch.from_numpy(photograph)[None, None]
    noise = deepinv.physics.GaussianNoise(sigma=0.01, rng=torch.Generator().manual_seed(0))
    physics = deepinv.physics.SinglePixelCamera(m=side**2 // 4, img_size=(1, side, side), noise_model=noise)
    y = physics(truth)

    problem = cs.Problem(as_operator(physics, shape), y.reshape(-1))
    methods = {"tv": cs.methods.Tv(shape), "csdip": dataclasses.replace(cs.methods.CsDip(shape), steps=steps)}
    images = {"pseudo-inverse": physics.A_dagger(y)}
    for name, method in methods.items():
        solution = cs.reconstruct(method, problem, jax.random.key(0), pixel_range=(0, 1), progress=name)
        images[name] = torch.from_dlpack(solution.image).permute(2, 0, 1)[None]

    metrics = {"PSNR": deepinv.metric.PSNR(), "SSIM": deepinv.metric.SSIM()}
    found = {name: {key: float(of(image, truth)) for key, of in metrics.items()} for name, image in images.items()}
    figure, axes = plt.subplots(1, len(images) + 1, figsize=(12, 3.6), layout="constrained")
    for axis, (name, image) in zip(axes, {"the truth": truth, **images}.items(), strict=True):
        axis.imshow(image[0, 0].numpy(), cmap="gray", vmin=0, vmax=1)
        axis.set_title("\n".join([name, *(f"{key} {value:.3g}" for key, value in found.get(name, {}).items())]))
        axis.set_axis_off()
        print(axis.get_title().replace("\n", ", "))
    figure.savefig("deepinv_physics.png")
    print("picture: deepinv_physics.png")
    return {name: values["PSNR"] for name, values in found.items()}


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
