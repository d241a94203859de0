"""CS-DIP: compressed sensing with a deep image prior (Van Veen et al., arXiv 1806.06438).

    w* = argmin_w ||y - A G(z; w)||^2 + tv_weight TV(G(z; w)) + lr_weight LR(w),    G untrained, z and w random.

The paper's G is a DCGAN; any of `csdip_jax.generators` serves. The image is G, which puts out `room` times its own
range, clipped to [-1, 1]. LR, the learned regularization, is there if the method has a prior (`csdip_jax.priors.fit`).
Returned is the best of the last iterates, judged from the measurements alone.
"""

import dataclasses
from typing import Any

import optax

from csdip_jax import priors, rules
from csdip_jax.checks import require, require_number
from csdip_jax.generators import DCGAN
from csdip_jax.methods.base import Regularization
from csdip_jax.methods.network import Network, State
from csdip_jax.methods.recipe import Recipe
from csdip_jax.types import Array, InputError, Problem, keyword_field, pytree_dataclass, static_field

OPTIMIZERS = ("rmsprop", "adam")

_REFERENCE = {(28, 28, 1): (128, 0.01, 0.0), (256, 256, 1): (64, 0.05, 100.0), (128, 128, 3): (32, 0.02, 1000.0)}
"""image_shape -> (latent_dim, tv_weight, lr_weight) of the reference code's MNIST, x-ray and retinopathy runs."""


@pytree_dataclass
class CsDip(Network):
    """Compressed sensing with a deep image prior: an untrained network is fitted to the measurements alone.

    These are its settings; `preset` gives the paper's and the reference code's. It takes any differentiable operator
    and needs no training data. All steps are taken unless `stop` says otherwise.

    Attributes:
        image_shape: (h, w, c).
        steps: of the optimiser, 1000 by default.
        restarts: random starts, of which that with the lowest measurement loss is returned.
        decay, momentum, epsilon: >= 0, of RMSProp as PyTorch defines it (epsilon outside the square root, no bias
            correction; optax's own defaults differ); of Adam the second and the first moment's decay, and epsilon.
        tv_weight: >= 0, weight of the anisotropic total variation (a sum, not a mean).
        prior: over the weights; None for no learned regularization. A stack of priors is a sweep, as of numbers.
        lr_weight: >= 0, weight of the learned regularization. The paper's 100 is for the reading `layer_means`.
        warm_start: whether the first weights are moved to the prior's means.
        optimizer_name: "rmsprop", the paper's, or "adam".
        generator: G; by default `generators.DCGAN(image_shape)`.
        learning_rate: >= 0, of the optimiser.
        room: >= 1, G's output goes from -room to room. At 1, the paper's, pixels near black or white saturate the
            tanh, and a fit where a channel lies there may explain the measurements and be wrong (a bright retina: MSE
            0.020, and 0.0015 with 1.3). A digit, black and white throughout, needs 1 (0.005, and 0.08 with 1.3).
        moves: what is fitted: the weights ("params"), as the paper has it, the "latent", "both", or "projector".
        schedule, input_noise, weight_noise: see `Network`; the paper has none.
        learned_start: see `Network`; `priors.FEW_STEPS` are settings that suit it.
        keep: by default the iterate with the lowest measurement loss of the last 20.
        stop: by default None: all steps are taken.
        fail: by default `rules.Collapsed`.

    Raises:
        InputError: a setting out of its range, or a generator of other images.

    Example:
        >>> method = cs.methods.CsDip.preset("paper", (28, 28, 1))
        >>> method.restarts, method.steps
        (5, 1000)
        >>> small = cs.generators.DCGAN((8, 8, 1), cs.generators.dcgan_layers((8, 8, 1), width=8))
        >>> method = cs.methods.CsDip((8, 8, 1), steps=20, generator=small)
        >>> operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
        >>> problem = cs.Problem(operator, operator.forward(jnp.eye(8)[..., None]))
        >>> cs.reconstruct(method, problem, jax.random.key(1)).image.shape
        (8, 8, 1)
    """

    restarts: int = static_field(1)
    decay: float = 0.99
    momentum: float = 0.9
    epsilon: float = 1e-8
    tv_weight: float = 0.01
    lr_weight: float = 100.0
    warm_start: bool = static_field(False)
    prior: priors.LayerGaussian | None = None
    optimizer_name: str = static_field("rmsprop")
    fail: rules.Fail | None = keyword_field(rules.Collapsed())
    usual_keep = rules.Best(window=20)
    fills_the_cache = True
    remedy = "try another seed, a lower learning_rate or more measurements"
    regularization = Regularization("tv_weight", 10.0)

    def __post_init__(self):
        if self.generator is None:
            object.__setattr__(self, "generator", DCGAN(self.image_shape))
        super().__post_init__()
        for name in ("decay", "momentum", "epsilon", "tv_weight", "lr_weight"):
            require_number(name, getattr(self, name))
        require(self.optimizer_name in OPTIMIZERS, "optimizer_name", self.optimizer_name, " or ".join(OPTIMIZERS))
        require(self.prior is not None or not self.warm_start, "warm_start", True, "off without a prior to start from")
        both = self.warm_start and self.learned_start is not None
        require(not both, "warm_start", True, "off with a learned_start, which is one already")
        if self.prior is not None:
            priors.require_tensors(self.prior, priors.tensor_names(self.generator.params_like))

    @classmethod
    def preset(cls, name: str, image_shape: tuple[int, int, int]) -> "CsDip":
        """The paper's settings or the reference code's; the latter knows the image shapes of its three data sets only.

        Args:
            name: "paper" or "reference".
            image_shape: (h, w, c); 28 x 28 x 1 has five restarts, all others one.

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
            generator=DCGAN(method.image_shape, latent_dim=latent_dim),
            tv_weight=tv_weight,
            lr_weight=lr_weight,
            keep=rules.Best(window=51, by="objective", restarts="last"),
        )

    def require_data(self) -> None:
        if self.prior is not None:
            self.prior.validated()

    def init(self, problem: Problem, key: Array) -> State:
        state = super().init(problem, key)
        if self.prior is None or not self.warm_start:
            return state
        return self.start(state.latent, priors.move_to_mean(self.prior, state.params))

    @property
    def optimizer(self) -> optax.GradientTransformation:
        if self.optimizer_name == "adam":
            return optax.adam(self.rate, b1=self.momentum, b2=self.decay, eps=self.epsilon)
        return optax.rmsprop(self.rate, decay=self.decay, eps=self.epsilon, eps_in_sqrt=False, momentum=self.momentum)

    def penalties(self, image: Array, latent: Any, params: Any) -> list[Array]:
        terms = [self.tv_weight * priors.total_variation(image)]
        if self.prior is not None:
            terms.append(self.lr_weight * priors.penalty(self.prior, params))
        return terms


SMALL = 32 * 32
"""Pixels up to which `Best` takes three times the paper's steps, and no room: on training digits of MNIST (m = 100) the
error is then a third (0.00012 for 0.0004), with room it is ten times as large. Fits of larger images gain less, and
there room is what saves a fit where a channel lies at the end of the range."""


def _candidates(image_shape: tuple[int, int, int]) -> dict[str, dict[str, Any]]:
    if image_shape[0] * image_shape[1] <= SMALL:
        return {"csdip": {"restarts": 1, "steps": 3000}}
    return {"csdip_room": {"restarts": 1, "room": 1.3}}


CSDIP = Recipe(
    name="csdip",
    label="CS-DIP",
    colour="C3",
    method=CsDip,
    grid={"learning_rate": (0.0003, 0.001, 0.003), "tv_weight": (0.0, 0.01, 0.1)},
    toy={"steps": 24, "restarts": 2, "keep": rules.Best(window=5)},
    candidates=_candidates,
)
