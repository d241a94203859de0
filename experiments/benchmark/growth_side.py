"""The worker that shows how cost grows with measurements, restarts and images."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

import csdip_jax as cs
from csdip_jax.methods import CsDip
from experiments.benchmark import cases
from experiments.benchmark.jax_side import dense, repeater
from experiments.benchmark.worker import Side, serve


class GrowthSide(Side):
    """Answers the parent's requests."""

    def prepare_growth(self, name: str, measurements: list[int], copies: list[int], steps: int) -> None:
        """The measurement term by m, and `reconstruct` without a matrix by restarts and by images.

        Args:
            name: of `cases.CASES`.
            measurements: values of m of a dense A.
            copies: numbers of restarts, and of images.
            steps: of each fit.
        """
        shape = cases.CASES[name].image_shape
        images = jnp.asarray(cases.images(max(copies), shape))
        term = jax.jit(jax.value_and_grad(cs.operators.measurement_loss, 2))
        method = dataclasses.replace(CsDip.preset("paper", shape), steps=steps, restarts=1)
        radial = cs.operators.radial_fourier(5, shape)
        y = jax.vmap(radial.forward)(images)

        def fit(restarts, count):
            several = dataclasses.replace(method, restarts=restarts)
            # Redraws would depend on how far so few steps get.
            return cs.reconstruct(several, cs.Problem(radial, y[:count]), jax.random.key(0), max_redraws=0).image

        self.runs = {}
        for m in measurements:
            operator = dense(m, shape)
            self.runs[f"measurements {m}"] = repeater(term, (operator, operator.forward(images[0]), -images[0]))
        for count in copies:
            self.runs[f"restarts {count}"] = repeater(partial(fit, count), (1,))
            self.runs[f"images {count}"] = repeater(partial(fit, 1), (count,))
        for run in self.runs.values():
            run(1)


if __name__ == "__main__":
    serve(GrowthSide())
