"""The worker of section `peers`: one reconstruction from measurements by one package, which it imports only then.

It knows A and y and no true image. Rivals are set as their own examples have them; where these leave a number open
(the weight of total variation), it was chosen with the true image from powers of ten, which favours them.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from experiments.benchmark import cases
from experiments.benchmark.worker import Side, serve

CHANNELS, INPUT_SIZE, RATE = 64, (4, 4), 1e-2
"""Of deepinv's deep image prior: its example's network and rate, and the class's own size of the input."""
TV_WEIGHT = 1e-2
"""Of deepinv and of sigpy, for pixels in [0, 1] and A with entries N(0, 1 / m)."""
TV_ITERATIONS, TV_STEP_SIZE = 20, 10.0
"""Of deepinv's inner solver, as in its example; and of its ADMM, like the weight."""
CG_ITERATIONS, RHO = 10, 0.1
"""Of both ADMMs, sigpy's own number; and sigpy's parameter of the augmented Lagrangian, like the weight."""
DESCENT_STEP_SIZE = 0.1
"""Of deepinv's gradient descent: from m = 6 n it finds the image."""


def of_csdip_jax(method, problem, matrix, y, steps) -> tuple[Callable, Callable]:
    """A method of this library at its preset "paper"; from magnitudes with five starts."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    import csdip_jax as cs

    compiling = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiling.append(seconds) if "backend_compile" in event else None
    )
    preset = cs.methods.METHODS[method].preset("paper", problem.image_shape)
    if steps:
        preset = dataclasses.replace(preset, steps=steps)
    matrix = jnp.asarray(matrix)
    operator = cs.operators.Dense(matrix, problem.image_shape)
    if problem.magnitudes:
        preset = dataclasses.replace(preset, restarts=cases.PHASE_RESTARTS)
        operator = cs.operators.Nonlinear(lambda x: jnp.abs(matrix @ x.reshape(-1)), problem.image_shape)
    asked = cs.Problem(operator, jnp.asarray(y))

    def run():
        return cs.reconstruct(preset, asked, jax.random.key(0), pixel_range=(0, 1)).image

    return run, lambda: sum(compiling)


def of_deepinv(method, problem, matrix, y, steps) -> tuple[Callable, Callable]:
    """deepinv, whose images are [1, c, h, w]: the columns of A are put into that order beforehand."""
    import deepinv
    import torch

    torch.manual_seed(0)
    height, width, channels = problem.image_shape
    shape = (channels, height, width)
    rows = matrix.reshape(-1, height, width, channels).transpose(0, 3, 1, 2).reshape(len(y), -1)
    wide, target = torch.from_numpy(np.ascontiguousarray(rows)), torch.from_numpy(y)[None]

    def forward(x, **_):
        return x.flatten(1) @ wide.T

    def adjoint(v, **_):
        return (v @ wide).unflatten(1, shape)

    solver = {"solver": "CG", "max_iter": CG_ITERATIONS, "implicit_backward_solver": False}  # of the ADMM alone
    linear = deepinv.physics.LinearPhysics(A=forward, A_adjoint=adjoint, img_size=shape, **solver)
    magnitudes = deepinv.physics.Physics(A=lambda x, **_: forward(x).abs())

    def deep_image_prior():
        network = deepinv.models.ConvDecoder(shape, INPUT_SIZE, channels=CHANNELS)
        model = deepinv.models.DeepImagePrior(network, (CHANNELS, *INPUT_SIZE), iterations=steps, learning_rate=RATE)
        return model(target, magnitudes if problem.magnitudes else linear)

    def total_variation():
        prior = deepinv.optim.prior.TVPrior(n_it_max=TV_ITERATIONS)
        model = deepinv.optim.ADMM(
            deepinv.optim.L2(), prior, lambda_reg=TV_WEIGHT, stepsize=TV_STEP_SIZE, max_iter=steps
        )
        return model(target, linear)

    def gradient_descent():
        physics = deepinv.physics.PhaseRetrieval(linear)
        start = physics.A_dagger(target.square(), n_iter=300)
        start = start * torch.sign(start.sum())  # the image is positive
        model = deepinv.optim.GD(deepinv.optim.AmplitudeLoss(), stepsize=DESCENT_STEP_SIZE, max_iter=steps)
        return model(target.square(), physics, init=start)

    run = {
        "DeepImagePrior": deep_image_prior,
        "total variation, ADMM": total_variation,
        "spectral start, gradient descent": gradient_descent,
    }[method]
    return lambda: run()[0].detach().permute(1, 2, 0), lambda: 0.0


def of_sigpy(method, problem, matrix, y, steps) -> tuple[Callable, Callable]:
    """sigpy: total variation as its `mri.app.TotalVariationRecon` has it, with A for the Fourier samples."""
    import sigpy

    pixels = math.prod(problem.image_shape)
    flat = sigpy.linop.Reshape((pixels, 1), problem.image_shape)
    operator = sigpy.linop.MatMul((pixels, 1), matrix) * flat
    differences = sigpy.linop.FiniteDifference(problem.image_shape, axes=(0, 1))
    prox = sigpy.prox.L1Reg(differences.oshape, TV_WEIGHT)
    options = {"solver": "ADMM", "rho": RHO, "max_cg_iter": CG_ITERATIONS, "max_iter": steps, "show_pbar": False}
    app = partial(sigpy.app.LinearLeastSquares, operator, y[:, None], proxg=prox, G=differences, **options)
    return lambda: app().run(), lambda: 0.0


PACKAGES = {"csdip_jax": of_csdip_jax, "deepinv": of_deepinv, "sigpy": of_sigpy}


class PeerSide(Side):
    """Answers the parent's requests."""

    def reconstruct(self, package: str, method: str, case: str, folder: str, steps: int) -> dict[str, float]:
        """From <folder>/measurements.npy to <folder>/image.npy, [h, w, c] in [0, 1] where it is true.

        Imports, drawing A and what belongs to setting it up are not timed; compilation is.

        Returns:
            seconds, cpu_seconds (of all threads), and compile_seconds, those in JAX's compiler, of all its threads.
        """
        problem = cases.PEER_CASES[case]
        matrix = cases.matrix(problem.num_measurements, problem.image_shape)
        y = np.load(Path(folder) / "measurements.npy")
        run, compiling = PACKAGES[package](method, problem, matrix, y, steps)
        before, wall, cpu = compiling(), time.perf_counter(), time.process_time()
        image = np.asarray(run())
        taken = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
        np.save(Path(folder) / "image.npy", image)
        return taken | {"compile_seconds": compiling() - before}


if __name__ == "__main__":
    serve(PeerSide())
