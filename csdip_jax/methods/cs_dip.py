"""CS-DIP: compressed sensing with a deep image prior (Van Veen et al., arXiv 1806.06438).

    w* = argmin_w ||y - A G(z; w)||^2 + tv_weight TV(G(z; w)) + lr_weight LR(w),    G an untrained DCGAN, z, w random.

The image is G, which puts out `room` times its tanh, clipped to [-1, 1].

LR, the learned regularization, is there if the method has a prior (`csdip_jax.priors.fit`). Returned is the best of the
last iterates, judged from the measurements alone.
"""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from csdip_jax import priors
from csdip_jax.generators import DCGAN, INITIALIZERS, Layers, dcgan_layers, draw_params
from csdip_jax.methods.base import Info, Method, require, require_count, require_number
from csdip_jax.operators import measurement_loss
from csdip_jax.prox import project_box
from csdip_jax.types import Array, InputError, Problem, checked_shape, pytree_dataclass, static_field


class State(NamedTuple):
    """Attributes:
    latent: z, [k], fixed.
    params: w, the parameters of the generator.
    opt_state: RMSProp's.
    step: steps taken.
    loss: measurement loss at the last iterate evaluated.
    best_image: the iterate kept, [h, w, c]; before the exit window opens simply the last one.
    best_score: what it was picked by, inf before the exit window opens.
    best_loss: its measurement loss.
    """

    latent: Array
    params: dict
    opt_state: optax.OptState
    step: Array
    loss: Array
    best_image: Array
    best_score: Array
    best_loss: Array


_REFERENCE = {(28, 28, 1): (128, 0.01, 0.0), (256, 256, 1): (64, 0.05, 100.0), (128, 128, 3): (32, 0.02, 1000.0)}
"""image_shape -> (latent_dim, tv_weight, lr_weight) of the reference code's MNIST, x-ray and retinopathy runs."""


@pytree_dataclass
class CsDip(Method):
    """Settings of CS-DIP; `preset` gives the paper's and the reference code's.

    Attributes:
        image_shape: (h, w, c).
        layers: the generator; by default `dcgan_layers(image_shape)`.
        latent_dim: k, length of z.
        initializer: how the weights are drawn, see `generators.INITIALIZERS`.
        steps: RMSProp steps.
        exit_window: how many of the last iterates compete to be returned.
        exit_by: by "measurement" loss or by the "total" objective.
        restart_by: restarts compete by the measurement loss of the iterate kept ("best") or of the "last" iterate.
        restarts: random starts.
        learning_rate, decay, momentum, epsilon: >= 0, of RMSProp as PyTorch defines it (epsilon outside the square
            root, no bias correction; optax's own defaults differ).
        tv_weight: >= 0, weight of the anisotropic total variation (a sum, not a mean).
        prior: over the weights; None for no learned regularization. A stack of priors is a sweep, as of numbers.
        lr_weight: >= 0, weight of the learned regularization. The paper's 100 is for the reading `layer_means`.
        warm_start: whether the first weights are moved to the prior's means.
        room: >= 1, G's output goes from -room to room. At 1, the paper's, pixels near black or white saturate the
            tanh, and a fit where a channel lies there may explain the measurements and be wrong (a bright retina: MSE
            0.020, and 0.0015 with 1.3). A digit, black and white throughout, needs 1 (0.005, and 0.08 with 1.3).
        collapse_residual: > 0; a fit is given up as collapsed when at a tenth of its steps, or at its end, its relative
            residual ||y - A x||^2 / ||y||^2 is above this and its image flat or saturated (see `failed`).
    """

    image_shape: tuple[int, int, int] = static_field(None)
    layers: Layers = static_field(None)
    latent_dim: int = static_field(128)
    initializer: str = static_field("torch_0_4")
    steps: int = static_field(1000)
    exit_window: int = static_field(20)
    exit_by: str = static_field("measurement")
    restart_by: str = static_field("best")
    restarts: int = static_field(1)
    learning_rate: float = 1e-3
    decay: float = 0.99
    momentum: float = 0.9
    epsilon: float = 1e-8
    tv_weight: float = 0.01
    lr_weight: float = 100.0
    warm_start: bool = static_field(False)
    prior: priors.LayerGaussian | None = None
    room: float = 1.0
    collapse_residual: float = 0.05
    fills_the_cache = True
    needs_linear_operator = False
    remedy = "try another seed, a lower learning_rate or more measurements"

    def __post_init__(self):
        object.__setattr__(self, "image_shape", checked_shape(self.image_shape))
        if self.layers is None:
            object.__setattr__(self, "layers", dcgan_layers(self.image_shape))
        covered = (1, 1)
        for layer in self.layers:
            covered = layer.output_size(*covered)
        covers = covered[0] >= self.image_shape[0] and covered[1] >= self.image_shape[1]
        covers = covers and self.layers[-1].features == self.image_shape[2]
        made = (*covered, self.layers[-1].features)
        require(covers, "image_shape", self.image_shape, f"covered by what the layers make, {made}")
        for name in ("learning_rate", "tv_weight", "lr_weight", "collapse_residual"):
            require_number(name, getattr(self, name))
        require_number("room", self.room, 1.0)
        require_count("steps", self.steps)
        require_count("exit_window", self.exit_window)
        require(self.exit_by in ("measurement", "total"), "exit_by", self.exit_by, "measurement or total")
        require(self.restart_by in ("best", "last"), "restart_by", self.restart_by, "best or last")
        require_count("restarts", self.restarts)
        require_count("latent_dim", self.latent_dim)
        require(self.prior is not None or not self.warm_start, "warm_start", True, "off without a prior to start from")
        if self.prior is not None:
            priors.require_tensors(self.prior, priors.tensor_names(self.params_like))
        require(self.initializer in INITIALIZERS, "initializer", self.initializer, " or ".join(INITIALIZERS))

    @classmethod
    def preset(cls, name: str, image_shape: tuple[int, int, int]) -> "CsDip":
        """As `Method.preset` says; "reference" knows the image shapes of its three data sets only.

        Raises:
            InputError: unknown name, or no reference settings for this shape.
        """
        method = super().preset(name, image_shape)
        method = dataclasses.replace(method, restarts=5 if method.image_shape == (28, 28, 1) else 1)
        if name == "paper":
            return method
        if method.image_shape not in _REFERENCE:
            known = ", ".join(map(str, _REFERENCE))
            raise InputError(
                f"no reference settings for image_shape = {method.image_shape}, only for {known}: use preset paper"
            )
        latent_dim, tv_weight, lr_weight = _REFERENCE[method.image_shape]
        return dataclasses.replace(
            method,
            latent_dim=latent_dim,
            tv_weight=tv_weight,
            lr_weight=lr_weight,
            exit_window=51,
            exit_by="total",
            restart_by="last",
        )

    def require_data(self) -> None:
        if self.prior is not None:
            self.prior.validated()

    def init(self, problem: Problem, key: Array) -> State:
        key_latent, key_params = jax.random.split(key)
        dtype = jnp.finfo(problem.measurements.dtype).dtype
        latent = jax.random.normal(key_latent, (self.latent_dim,), dtype)
        params = draw_params(key_params, self.layers, self.latent_dim, self.initializer, dtype)
        return self.start(latent, priors.move_to_mean(self.prior, params) if self.warm_start else params)

    def failed(self, problem: Problem, state: State) -> Array:
        """Diverged (a loss that is not finite), or collapsed.

        A collapsed network puts out constants, its tanh so saturated that no gradient comes through, and never
        recovers. So a tenth of the steps shows it, or the end at the latest: the image is flat (standard deviation of
        every channel below 0.01) or at the ends alone (every |pixel| above 0.999 of the room), and the relative
        residual is above `collapse_residual`. Healthy fits have left that far behind by then (measured on digits,
        x-rays and retinas: deviation above 0.2). An image that truly is flat, or truly black and white, has no
        residual; only one whose own contrast is below 0.01 can be mistaken for a collapse.
        """
        checked = (state.step == max(1, self.steps // 10)) | (state.step == self.steps)
        flat = jnp.std(state.best_image, axis=(0, 1)).max() < 0.01
        saturated = jnp.abs(state.best_image).min() > 0.999 * self.room
        energy = jnp.sum(jnp.square(jnp.abs(problem.measurements)))
        unexplained = (state.loss > self.collapse_residual * energy) & (energy > 0)
        return super().failed(problem, state) | (checked & (flat | saturated) & unexplained)

    def image(self, state: State) -> Array:
        return project_box(state.best_image)

    def params(self, state: State) -> dict:
        return state.params

    def score(self, state: State) -> Array:
        return state.loss if self.restart_by == "last" else state.best_loss

    def start(self, latent: Array, params: dict) -> State:
        """The state to start from with a given latent and given parameters (`init` draws both)."""

        def infinity():  # an array each: a state is donated, and one buffer cannot be given away twice
            return jnp.full((), jnp.inf, latent.dtype)

        return State(
            latent=latent,
            params=params,
            opt_state=self.optimizer.init(params),
            step=jnp.zeros((), jnp.int32),
            loss=infinity(),
            best_image=jnp.zeros(self.image_shape, latent.dtype),
            best_score=infinity(),
            best_loss=infinity(),
        )

    @property
    def params_like(self) -> dict:
        """Shapes of the parameters."""
        return jax.eval_shape(partial(draw_params, jax.random.key(0), self.layers, self.latent_dim))

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """RMSProp as PyTorch defines it."""
        return optax.rmsprop(
            self.learning_rate, decay=self.decay, eps=self.epsilon, eps_in_sqrt=False, momentum=self.momentum
        )

    def objective(self, problem: Problem, latent: Array, params: dict) -> tuple[Array, tuple[Array, Array]]:
        """(objective, (measurement loss, image)) of the image that `params` generate."""
        image = self.room * DCGAN(self.layers, self.image_shape).apply(params, latent)
        loss = measurement_loss(*problem, image)
        total = loss + self.tv_weight * priors.total_variation(image)
        if self.prior is not None:
            total += self.lr_weight * priors.penalty(self.prior, params)
        return total, (loss, image)

    def step(self, problem: Problem, state: State) -> tuple[State, Info]:
        def objective(params):
            return self.objective(problem, state.latent, params)

        (total, (loss, image)), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = self.optimizer.update(gradient, state.opt_state)
        in_window = state.step >= self.steps - self.exit_window
        score = total if self.exit_by == "total" else loss
        keep = jnp.isfinite(score) & (~in_window | (score < state.best_score))
        return State(
            latent=state.latent,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            step=state.step + 1,
            loss=loss,
            best_image=jnp.where(keep, image, state.best_image),
            best_score=jnp.where(keep & in_window, score, state.best_score),
            best_loss=jnp.where(keep, loss, state.best_loss),
        ), Info(loss, total)
