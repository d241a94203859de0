"""The worker that measures this machine's limits, what of them is used, and what is not ours to make faster."""

import jax
import jax.numpy as jnp

import csdip_jax as cs
from csdip_jax import denoisers
from csdip_jax.methods import METHODS, CsDip
from experiments.benchmark import cases
from experiments.benchmark.jax_side import dense, fit_step, network_step, repeater, stepper
from experiments.benchmark.worker import Side, serve


class LimitsSide(Side):
    """Answers the parent's requests; each `prepare...` replaces what the last one set up."""

    def prepare_limits(self, name: str, size: int) -> dict[str, dict[str, float]]:
        """A product of square matrices, a product of A and an image, and what CS-DIP's parts do.

        Args:
            name: of `cases.TERM_CASES`.
            size: rows of the square matrices.

        Returns:
            Variant -> floating point operations ("flops", as XLA counts them in the compiled program) or bytes of A
            read from memory at least ("bytes"), of a call.
        """
        case = cases.TERM_CASES[name]
        operator = dense(case.num_measurements, case.image_shape)
        image = jnp.asarray(cases.images(1, case.image_shape)[0])
        y = operator.forward(image)
        square = jax.random.normal(jax.random.key(0), (size, size))
        product = jax.jit(jnp.dot)  # as the network's, in TF32 on a GPU
        read = jax.jit(lambda a, b: jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST))  # as the term's
        term = jax.jit(jax.value_and_grad(cs.operators.measurement_loss, 2))
        method = CsDip.preset("paper", case.image_shape)
        state = jax.jit(lambda method, problem, key: method.init(problem, key))(
            method, cs.Problem(operator, y), jax.random.key(1)
        )
        carry, data = (state.params, state.opt_state, jnp.zeros(())), (state.latent, image)
        network = jax.jit(network_step).lower(method, data, carry).compile()
        self.runs = {
            "gemm": repeater(product, (square, square)),
            "read": repeater(read, (operator.matrix, image.reshape(-1))),
            "network": stepper(network_step, method, data, carry),
            "term": repeater(term, (operator, y, -image)),
        }
        for run in self.runs.values():
            run(1)
        return {
            "gemm": {"flops": 2.0 * size**3},
            "read": {"bytes": operator.matrix.nbytes},
            "network": {"flops": network.cost_analysis()["flops"]},
            "term": {"bytes": operator.matrix.nbytes},
        }

    def prepare_denoiser(self, name: str) -> None:
        """A step of BM3D-AMP, and the two calls of the wheel within it, by themselves."""
        case = cases.LASSO_CASES[name]
        image = cs.data.load("demo", image_shape=case.image_shape, num_images=1)[0]
        operator = dense(case.num_measurements, case.image_shape)
        method = METHODS["bm3d_amp"].preset("paper", case.image_shape)
        problem = cs.Problem(operator, operator.forward(image))
        state = jax.jit(lambda method, problem, key: method.init(problem, key))(method, problem, jax.random.key(0))
        noisy, sigma = image + 0.2 * jax.random.normal(jax.random.key(1), image.shape), jnp.asarray(0.2)

        def wheel(noisy, sigma):
            first = denoisers.bm3d(noisy, sigma)
            return first + denoisers.bm3d(noisy + 1e-3 * first, sigma)

        self.runs = {
            "step": stepper(fit_step, method, (None, problem), state),
            "wheel": repeater(jax.jit(wheel), (noisy, sigma)),
        }
        for run in self.runs.values():
            run(1)


if __name__ == "__main__":
    serve(LimitsSide())
