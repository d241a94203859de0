"""The fit of a network to measurements: what CS-DIP, CSGM and their kin share.

    argmin ||y - A room G(z; w)||^2 + penalties,    over w, over z, or over both

An optimiser of optax moves what the method says it moves, from a start that the generator draws; the rest stays as
drawn or as it was trained. Noise on the latent or on the weights is drawn anew in each step.

References:
    Ulyanov, Vedaldi, Lempitsky: Deep image prior, CVPR 2018 (noise on the input).
    Cheng, Gadelha, Maji, Sheldon: A Bayesian perspective on the deep image prior, CVPR 2019 (noise on the weights).
    Li, Wang, Zhuang, Sun: Deep random projector, CVPR 2023 (the convolutions stay as drawn).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from csdip_jax import priors
from csdip_jax.checks import require, require_number
from csdip_jax.generators.base import Generator, require_image
from csdip_jax.methods.base import Method
from csdip_jax.operators import measurement_loss
from csdip_jax.prox import project_box
from csdip_jax.types import Array, Problem, keyword_field, pytree_dataclass

MOVES = {
    "params": ("params",),
    "latent": ("latent",),
    "both": ("latent", "params"),
    "projector": ("latent", "norms"),
}
"""What a fit may move -> the fields of its state; "norms" are the weights in `params` whose name is one of `NORMS`."""

NORMS = ("scale", "shift")
SCHEDULES = ("constant", "cosine")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        latent: z.
        params: w; None where they are those that the generator was trained to, and stay so.
        opt_state: the optimiser's.
        step: steps taken.
        loss: measurement loss at the last iterate evaluated.
        last_image: that iterate's image, [h, w, c] (the last one whose loss was finite).
    """

    latent: Any
    params: Any
    opt_state: optax.OptState
    step: Array
    loss: Array
    last_image: Array


@pytree_dataclass
class Network(Method):
    """What every fit of a network has; a method adds its `optimizer` and its `penalties`.

    Attributes:
        image_shape: (h, w, c).
        generator: G, of images of this shape, a `generators.Generator`.
        moves: what is fitted: the weights ("params"), the "latent", "both", or, cheap steps, the latent and the scales
            and shifts of normalisations ("projector").
        room: >= 1, G's output goes from -room to room.
        learning_rate: >= 0, of the optimiser.
        schedule: of the learning rate: "constant", or "cosine", which takes it to 0 at the last of all steps.
        input_noise: >= 0, standard deviation of what is added to the latent in each step; None for none.
        weight_noise: >= 0, of what is added to the moved weights after each step (Langevin); None for none.
        learned_start: what fits begin with instead of a random latent and random weights (`csdip_jax.learn_start`).
    """

    generator: Generator = keyword_field(None)
    moves: str = keyword_field("params", static=True)
    room: float = keyword_field(1.0)
    learning_rate: float = keyword_field(1e-3)
    schedule: str = keyword_field("constant", static=True)
    input_noise: float | None = keyword_field(None)
    weight_noise: float | None = keyword_field(None)
    learned_start: priors.Start | None = keyword_field(None)
    needs_linear_operator = False

    def __post_init__(self):
        super().__post_init__()
        require_image(self.generator, self.image_shape)
        require(self.moves in MOVES, "moves", self.moves, " or ".join(MOVES))
        require_number("room", self.room, 1.0)
        require_number("learning_rate", self.learning_rate)
        require(self.schedule in SCHEDULES, "schedule", self.schedule, " or ".join(SCHEDULES))
        for name in ("input_noise", "weight_noise"):
            if getattr(self, name) is not None:
                require_number(name, getattr(self, name))
        if self.learned_start is not None:
            priors.require_start(self.learned_start, jax.eval_shape(self.generator.init, jax.random.key(0)))
        if self.moves == "projector":
            named = jax.tree.leaves(_norms(self.generator.params_like))
            require(bool(named), "moves", self.moves, f"of a generator with weights named {' or '.join(NORMS)}")

    @property
    def rate(self) -> Any:
        """The learning rate as optax takes it: a number, or a function of the steps taken."""
        if self.schedule == "constant":
            return self.learning_rate
        return optax.cosine_decay_schedule(self.learning_rate, self.steps)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """What turns gradients into steps, an optimiser of optax."""
        raise NotImplementedError

    def penalties(self, image: Array, latent: Any, params: Any) -> list[Array]:
        """The terms that are minimised besides the measurement loss, in their order; none by default.

        Args:
            image: room times what the generator makes, [h, w, c].
            latent: z.
            params: w.
        """
        return []

    def init(self, problem: Problem, key: Array) -> State:
        dtype = jnp.finfo(problem.measurements.dtype).dtype
        if self.learned_start is not None:
            return self.start(*priors.draw_start(self.learned_start, key, dtype))
        return self.start(*self.generator.init(key, dtype))

    def start(self, latent: Any, params: Any) -> State:
        """The state to start from with a given latent and given weights (`init` has the generator draw both).

        Args:
            latent: z, as the generator takes it.
            params: w, likewise.
        """
        fixed = self.generator.trained is not None and "params" not in MOVES[self.moves]
        drawn = [leaf.dtype for leaf in jax.tree.leaves((latent, params)) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
        dtype = jnp.result_type(jnp.float32, *drawn)
        return State(
            latent=latent,
            params=None if fixed else params,
            opt_state=self.optimizer.init(self._moved(latent, params)),
            step=jnp.zeros((), jnp.int32),
            loss=jnp.full((), jnp.inf, dtype),
            last_image=jnp.zeros(self.image_shape, dtype),
        )

    def image(self, state: State) -> Array:
        return project_box(state.last_image)

    def params(self, state: State) -> Any:
        return state.params

    def made(self, latent: Any, params: Any, key: Array | None = None) -> Array:
        """The image that a step looks at: room times what the generator makes.

        Args:
            latent: z.
            params: w.
            key: of the noise on the latent; None for none.

        Returns:
            [h, w, c].
        """
        if self.input_noise is not None and key is not None:
            latent = with_noise(latent, self.input_noise, key)
        return self.room * self.generator.apply(params, latent)

    def objective(
        self, problem: Problem, latent: Any, params: Any, key: Array | None = None
    ) -> tuple[Array, tuple[Array, Array]]:
        """What is minimised: the measurement loss and the penalties.

        Args:
            problem: of one image.
            latent: z.
            params: w.
            key: of the noise on the latent; None for none.

        Returns:
            objective, (measurement loss, image).
        """
        image = self.made(latent, params, key)
        loss = measurement_loss(*problem, image)
        total = loss
        for penalty in self.penalties(image, latent, params):
            total += penalty
        return total, (loss, image)

    def step(self, problem: Problem, state: State, key: Array) -> tuple[State, dict[str, Array]]:
        of_input, of_weights = jax.random.split(key)

        def objective(moved):
            latent, params = self._placed(moved, state)
            return self.objective(problem, latent, self.generator.trained if params is None else params, of_input)

        moved = self._moved(state.latent, state.params)
        (total, (loss, image)), gradient = jax.value_and_grad(objective, has_aux=True)(moved)
        updates, opt_state = self.optimizer.update(gradient, state.opt_state, moved)
        following: Any = optax.apply_updates(moved, updates)
        if self.weight_noise is not None:
            weights = {name: part for name, part in following.items() if name != "latent"}
            following |= with_noise(weights, self.weight_noise, of_weights)
        latent, params = self._placed(following, state)
        state = State(
            latent=latent,
            params=params,
            opt_state=opt_state,
            step=state.step + 1,
            loss=loss,
            last_image=jnp.where(jnp.isfinite(loss), image, state.last_image),
        )
        return state, {"measurement_loss": loss, "objective": total}

    def _moved(self, latent: Any, params: Any) -> dict[str, Any]:
        """What a fit moves, by name."""
        parts = {"latent": lambda: latent, "params": lambda: params, "norms": lambda: _norms(params)}
        return {name: parts[name]() for name in MOVES[self.moves]}

    def _placed(self, moved: dict[str, Any], state: State) -> tuple[Any, Any]:
        """Latent and weights, of the state what is not moved."""
        params = moved.get("params", state.params)
        if "norms" in moved:
            leaves, structure = jax.tree_util.tree_flatten_with_path(state.params)
            params = structure.unflatten([moved["norms"].get(_name(path), leaf) for path, leaf in leaves])
        return moved.get("latent", state.latent), params


def _norms(params: Any) -> dict[str, Array]:
    """Scales and shifts among the weights, by their path."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {_name(path): leaf for path, leaf in leaves if getattr(path[-1], "key", None) in NORMS}


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path)


def with_noise(tree: Any, deviation: Array | float, key: Array) -> Any:
    """Normal noise of this standard deviation on every floating point number."""
    leaves, structure = jax.tree.flatten(tree)
    keys = jax.random.split(key, len(leaves))
    noisy = [
        leaf + deviation * jax.random.normal(key, leaf.shape, leaf.dtype)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else leaf
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return structure.unflatten(noisy)
