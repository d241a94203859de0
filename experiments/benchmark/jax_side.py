"""The JAX worker: the library's own network, optimizer, method and `reconstruct`, for sections with other workers."""

import dataclasses
import math
import resource
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import csdip_jax as cs
from csdip_jax.generators import DCGAN, Generator, UNet, to_torch
from csdip_jax.methods import METHODS, CsDip
from csdip_jax.rules import Iterate
from experiments.benchmark import cases
from experiments.benchmark.worker import Side, serve


def network_loss(method, data, params):
    """sum (G(z; w) - target)^2, the network and nothing else."""
    latent, target = data
    return jnp.sum(jnp.square(method.generator.apply(params, latent) - target))


def network_step(method, data, carry):
    """One step of the optimiser on `network_loss`."""
    params, opt_state, _ = carry
    loss, gradient = jax.value_and_grad(partial(network_loss, method, data))(params)
    updates, opt_state = method.optimizer.update(gradient, opt_state)
    return optax.apply_updates(params, updates), opt_state, loss


def fit_loss(method, data, params):
    """The objective of CS-DIP."""
    latent, problem = data
    return method.objective(problem, latent, params)[0]


def fit_step(method, data, carry):
    """A step and what its iterate is kept by."""
    state, scalars = method.step(data[1], carry[0], jax.random.key(0))
    seen = Iterate(state.step - 1, method.steps, method.image(state), scalars)
    return state, method.keeper.update(carry[1], seen)


def begun(method, state):
    """What `fit_step` starts from."""
    return state, method.keeper.init(method.image(state))


@partial(jax.jit, static_argnames="one_step", donate_argnames="carry")
def advance(one_step, method, data, carry, steps):
    """`steps` steps as the library takes them: a loop on the device whose length is no part of the program."""
    return jax.lax.fori_loop(0, steps, lambda _, carry: one_step(method, data, carry), carry)


@jax.jit
def run_lasso(method, problem, target):
    """Steps until the objective is at most `target`, or the most steps are taken, and that objective."""

    def above(carry):
        state, objective = carry
        return (objective > target) & (state.step < method.steps)

    def step(carry):
        state, scalars = method.step(problem, carry[0], jax.random.key(0))
        return state, scalars["objective"]

    start = method.init(problem, jax.random.key(0))
    state, objective = jax.lax.while_loop(above, step, (start, jnp.full_like(start.loss, jnp.inf)))
    return state.step, objective


class JaxSide(Side):
    """Answers the parent's requests; each `prepare...` replaces what the last one set up."""

    def prepare(self, name: str, num_measurements: int, dtypes: list[str], path: str) -> dict:
        """Draws the weights, writes them to `path` in PyTorch's layout, and compiles.

        Args:
            name: of `cases.CASES`.
            num_measurements: m of a dense A, the objective being whole; 0 for the network alone.
            dtypes: what A is stored in, a variant each; one name where there is no A.
            path: .npz file for the PyTorch worker.

        Returns:
            A DCGAN's layers, and per variant at these weights the loss, and the gradient of each kernel where that of
            the first variant is largest.
        """
        self.runs = {}  # frees the last network's arrays
        case = cases.CASES[name]
        generator = generator_of(case)
        method = CsDip(case.image_shape, generator=generator, tv_weight=cases.TV_WEIGHT, steps=10**6)
        target = cases.images(1, case.image_shape)[0]
        latent, params = jax.jit(generator.init)(jax.random.key(0))
        if num_measurements:
            wide = dense(num_measurements, case.image_shape)
            y = wide.forward(target)
            variants = {dtype: (latent, cs.Problem(wide.astype(dtype), y)) for dtype in dtypes}
            loss_of, one_step, state = fit_loss, fit_step, begun(method, method.start(latent, params))
        else:
            y = ()
            variants = dict.fromkeys(dtypes, (latent, jnp.asarray(target)))
            loss_of, one_step = network_loss, network_step
            state = params, method.optimizer.init(params), jnp.zeros(())
        in_order = [array for _, array in torch_tensors(generator, params)]
        np.savez(Path(path), *in_order, latent=latent, target=target, measurements=y)

        gradients = jax.jit(lambda method, data, params: jax.value_and_grad(partial(loss_of, method, data))(params))
        largest, answers = None, {}
        for variant, data in variants.items():
            with jax.default_matmul_precision("highest"):  # TF32 would hide differences; on a CPU it is so anyway
                loss, gradient = gradients(method, data, params)
            tensors = torch_tensors(generator, gradient)
            kernels = [np.asarray(tensor).reshape(-1) for name, tensor in tensors if name == "kernel"]
            largest = largest or [int(np.abs(kernel).argmax()) for kernel in kernels]
            entries = [float(kernel[i]) for kernel, i in zip(kernels, largest, strict=True)]
            answers[variant] = {"loss": float(loss), "gradient": entries}
            self.runs[variant] = stepper(one_step, method, data, state)
            self.runs[variant](1)
        layers = [dataclasses.asdict(layer) for layer in getattr(generator, "layers", ())]
        return {"layers": layers, "largest": largest, "answers": answers}

    def prepare_size(self, side: int, channels: int) -> int:
        """Steps of a square image, m = n / 10 by a randomised Hadamard transform; this process's peak."""
        shape = (side, side, channels)
        method = CsDip.preset("paper", shape)
        operator = cs.operators.subsampled_hadamard(jax.random.key(0), math.prod(shape) // 10, shape, math.sqrt(10))
        problem = cs.Problem(operator, operator.forward(cases.images(1, shape)[0]))
        self.runs = {"": stepper(fit_step, method, (None, problem), begun(method, initial(method, problem)))}
        self.runs[""](1)
        return _own_bytes("VmHWM")

    def prepare_lasso(self, name: str, path: str) -> float:
        """A photograph, measured by the dense A, and alpha; the measurements go to `path`, .npy, for scikit-learn."""
        case = cases.DENSE_CASES[name]
        # How fast Lasso is does depend on what the image shows.
        image = cs.data.load("demo", image_shape=case.image_shape, num_images=1)[0]
        operator = dense(case.num_measurements, case.image_shape)
        problem = cs.Problem(operator, operator.forward(image))
        method = METHODS["lasso_dct"].preset("paper", case.image_shape)
        self.lasso = method, problem
        np.save(Path(path), problem.measurements)
        return method.alpha

    def reach(self, objective: float) -> dict:
        """Prepares runs of Lasso to an objective no higher than this, norm of A and all, and returns one's steps."""

        def run(_):
            return jax.block_until_ready(run_lasso(*self.lasso, objective))

        self.runs = {"": run}
        steps, reached = run(1)
        return {"steps": int(steps), "objective": float(reached)}

    def peak_memory(self, name: str, num_measurements: int, steps: int) -> dict:
        """A whole reconstruction from a dense A: bytes of A, and of this process at first and at its peaks so far."""
        baseline = _own_bytes("VmRSS")
        shape = cases.CASES[name].image_shape
        method = dataclasses.replace(CsDip.preset("paper", shape), steps=steps)
        keys = jax.random.split(jax.random.key(0), 3)
        operator = cs.operators.gaussian(keys[0], num_measurements, shape)
        y = cs.operators.measure(keys[1], operator, cases.images(1, shape)[0], noise_variance=1.0)
        y.block_until_ready()
        measured = _own_bytes("VmHWM")
        jax.block_until_ready(cs.reconstruct(method, cs.Problem(operator, y), keys[2]))
        sizes = {"matrix": operator.matrix.nbytes, "baseline": baseline, "measured": measured}
        return sizes | {"peak": _own_bytes("VmHWM")}


def generator_of(case: cases.Case) -> Generator:
    """The network of a case."""
    if case.unet is None:
        return DCGAN(case.image_shape, latent_dim=case.latent_dim)
    return UNet(case.image_shape, input_depth=case.latent_dim, **case.unet)


def torch_tensors(generator: Generator, params: dict) -> list[tuple[str, jax.Array]]:
    """(name, array) of each tensor in PyTorch's layout, in the order of the PyTorch worker's modules."""
    if isinstance(generator, DCGAN):
        weights, scales, shifts = to_torch(generator.layers, params)
        blocks = [{"kernel": weight} for weight in weights]
        for block, scale, shift in zip(blocks, scales, shifts, strict=False):
            block |= {"scale": scale, "shift": shift}
    else:
        blocks = [params[name] for name in sorted(params)]
    order = ("kernel", "bias", "scale", "shift")
    tensors = [(name, block[name]) for block in blocks for name in order if name in block]
    return tensors if isinstance(generator, DCGAN) else [(name, _as_conv2d(tensor)) for name, tensor in tensors]


def _as_conv2d(tensor):
    """A kernel [..., in, out] as PyTorch's [out, in, h, w]; a vector as it is."""
    if tensor.ndim == 1:
        return tensor
    return tensor.reshape(*tensor.shape[:-2] or (1, 1), *tensor.shape[-2:]).transpose(3, 2, 0, 1)


def dense(num_measurements: int, image_shape: tuple[int, int, int]) -> cs.operators.Dense:
    """The dense A that both sides draw."""
    return cs.operators.Dense(jnp.asarray(cases.matrix(num_measurements, image_shape)), image_shape)


def initial(method, problem):
    """The method's first state."""
    return jax.jit(lambda method, problem, key: method.init(problem, key))(method, problem, jax.random.key(1))


def stepper(one_step, method, data, carry):
    """What takes so many steps from where the last call ended."""
    carry = jax.tree.map(jnp.copy, carry)  # to be donated: no array twice

    def run(steps):
        nonlocal carry
        carry = jax.block_until_ready(advance(one_step, method, data, carry, steps))

    return run


def repeater(function, arguments=()):
    """What calls the function so many times, one after the other, and returns the last answer."""

    def run(times):
        answer = None
        for _ in range(times):
            answer = function(*arguments)
            if jax.default_backend() == "cpu":  # which would go on with the next call meanwhile; a GPU queues them
                jax.block_until_ready(answer)
        return jax.block_until_ready(answer)

    return run


def _own_bytes(field: str) -> int:
    """Resident memory of this process, now (VmRSS) or at its peak (VmHWM); on a GPU what its arrays take there.

    Linux's ru_maxrss would not do: it starts from the peak of the process that started this one.
    """
    on_device = jax.local_devices()[0].memory_stats()  # None on a CPU
    if on_device is not None:
        return on_device[{"VmRSS": "bytes_in_use", "VmHWM": "peak_bytes_in_use"}[field]]
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return 1024 * int(lines[field].split()[0])
    # Without /proc (macOS) only the peak is known.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    serve(JaxSide())
