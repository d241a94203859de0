"""Total variation with a box: the convex problem of TVAL3 (Li, Yin, Jiang, Zhang, COAP 56(3), 2013), by ADMM.

x* = argmin_x TV(x) + mu/2 ||A x - y||^2    subject to    lower <= x <= upper
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from csdip_jax.checks import require, require_number
from csdip_jax.methods.base import Method, Regularization
from csdip_jax.methods.recipe import Recipe
from csdip_jax.operators import squared_norm
from csdip_jax.priors import difference_norms, image_gradient, image_gradient_adjoint, total_variation
from csdip_jax.prox import project_box
from csdip_jax.transforms import dct, inverse_dct
from csdip_jax.types import Array, Problem, pytree_dataclass, static_field

RELAXATION = 1.7
"""Over-relaxation of ADMM, between 1 and 2 (Boyd et al. 2011, section 3.4.3)."""
BALANCE_EVERY, BALANCE_RATIO, BALANCE_FACTOR = 10, 10.0, 2.0
"""How the penalty follows the residuals: every so many steps, beyond this ratio of the two, by this factor."""
SETTLED = 10.0
"""Times the tolerance: what the residuals may be at the last step. Measured at the preset's 300 steps and 1e-3, against
ten times as many, in 62 fits of 8 photographs of scikit-image: 64 pixels a side (10 and 4 % Gaussian measurements, 10
and 40 radial lines, noise of 20 dB on some), 128 (the lines), 96 (two of 10 %), 48 in colour (10 and 4 %). 61 of them
end below it, and more steps change their PSNR by at most 0.12 dB; the one above it changes by 0.06. Five times the
tolerance would flag 14, which change no more than the others. X-rays of 10 radial lines are the exception: five of 256
pixels end at 3.8 to 8.7 times, and change by 0.11 to 0.24 dB, the nearest to the tolerance most."""
SOLVE_TOLERANCE = 0.3
"""Of the conjugate gradients of a step: coarse, since the correction that they look for itself tends to 0."""


class Split(NamedTuple):
    """What the image is copied to, one copy for each term of the problem, or the multipliers of these constraints.

    Attributes:
        gradient: D x, [2, h, w, c], for the total variation.
        data: x, [h, w, c], for the measurements.
        box: x, [h, w, c], for the bounds.
    """

    gradient: Array
    data: Array
    box: Array


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        image: x, [h, w, c].
        split: z, the copies.
        dual: their multipliers (not divided by the penalty).
        penalty: beta.
        curvature: typical eigenvalue of A^H A where it acts, for the first guess of its inverse.
        residual: the larger of the relative primal and dual residuals.
        step: steps taken.
        loss: measurement loss at the last iterate evaluated, the over-relaxed one.
    """

    image: Array
    split: Split
    dual: Split
    penalty: Array
    curvature: Array
    residual: Array
    step: Array
    loss: Array


@pytree_dataclass
class Tv(Method):
    """Total variation: the image with the fewest edges that explains the measurements, by convex optimisation.

    These are its settings; the defaults are the paper's, which are TVAL3's. It needs a linear operator, and no random
    start matters.

    Converged means: primal and dual residuals of ADMM are both below `tolerance`, relative to the size of what they
    compare (Boyd, Parikh, Chu, Peleato, Eckstein, Found. Trends Mach. Learn. 3(1), 2011, section 3.3), or after the
    last step below ten times that, where more of them hardly change the image.

    Differs from TVAL3: the problem is convex and solved to the optimum as `tolerance` falls, whereas TVAL3 alternates
    single gradient steps and stops on the change of its iterates. A and y come normalised (docs: Units and ranges).

    Each step tells the losses of the over-relaxed iterate that it started from, and the larger of the two residuals.

    Attributes:
        image_shape: (h, w, c).
        steps: most ADMM steps.
        isotropic, coupled: which total variation, see `priors.total_variation`.
        mu: > 0, weight of the squared residual; the larger, the closer to A x = y.
        beta: > 0, the penalty to begin with. Multipliers of the total variation are of size 1 and pixels too, whatever
            the scale of A and y, so it needs no tuning.
        tolerance: >= 0, of the relative residuals, see above.
        lower, upper: bounds of the pixels, infinite for none. The image returned is clipped to [-1, 1] besides.

    Example:
        >>> method = cs.methods.Tv((28, 28, 1), mu=64.0)  # a smaller mu for noisier measurements
    """

    steps: int = static_field(300)
    isotropic: bool = static_field(False)
    coupled: bool = static_field(False)
    mu: float = 2.0**8
    beta: float = 2.0**5
    tolerance: float = 1e-3
    lower: float = -1.0
    upper: float = float("inf")
    scalars = ("measurement_loss", "objective", "residual")
    has_tolerance = True
    regularization = Regularization("mu", 1 / 4)

    def __post_init__(self):
        super().__post_init__()
        require_number("mu", self.mu, strictly=True)
        require_number("beta", self.beta, strictly=True)
        require_number("tolerance", self.tolerance)
        if isinstance(self.lower, (int, float)) and isinstance(self.upper, (int, float)):
            require(self.lower < self.upper, "lower, upper", (self.lower, self.upper), "numbers with lower < upper")

    def init(self, problem: Problem, key: Array) -> State:
        operator, y = problem
        back = operator.adjoint(y)
        energy = squared_norm(back)
        curvature = squared_norm(operator.forward(back)) / jnp.maximum(energy, jnp.finfo(energy.dtype).tiny)
        return State(
            image=jnp.zeros_like(back),
            split=_copies(jnp.zeros_like(back)),
            dual=_copies(jnp.zeros_like(back)),
            penalty=jnp.asarray(self.beta, back.dtype) + 0.0,
            curvature=curvature,
            residual=jnp.full((), jnp.inf, back.dtype),
            step=jnp.zeros((), jnp.int32),
            loss=jnp.full((), jnp.inf, back.dtype),
        )

    def image(self, state: State) -> Array:
        return project_box(project_box(state.image, self.lower, self.upper))

    def converged(self, state: State) -> Array:
        at_the_end = (state.step >= self.steps) & (state.residual <= SETTLED * self.tolerance)
        return (state.residual <= self.tolerance) | at_the_end

    def step(self, problem: Problem, state: State, key: Array) -> tuple[State, dict[str, Array]]:
        operator, y = problem
        beta, dual = state.penalty, state.dual
        image = _nearest_image(jax.tree.map(lambda z, d: z - d / beta, state.split, dual))
        copies = _copies(image)
        relaxed = jax.tree.map(lambda a, z: RELAXATION * a + (1 - RELAXATION) * z, copies, state.split)

        # argmin_w mu/2 ||A w - y||^2 + beta/2 ||w - relaxed - dual/beta||^2, as a correction of `relaxed`.
        residual, back = operator.residual_and_adjoint(y, relaxed.data)
        descent = dual.data / self.mu + back
        shift = beta / self.mu
        correction = operator.regularized_solve(
            descent, shift, guess=descent / (state.curvature + shift), tolerance=SOLVE_TOLERANCE
        )
        split = Split(
            gradient=self._shrink(relaxed.gradient + dual.gradient / beta, 1 / beta),
            data=relaxed.data + correction,
            box=project_box(relaxed.box + dual.box / beta, self.lower, self.upper),
        )
        dual = jax.tree.map(lambda d, a, z: d + beta * (a - z), dual, relaxed, split)
        primal_residual, dual_residual = _residuals(copies, split, dual)
        balanced = _balanced(beta, primal_residual, dual_residual)
        loss, residual = squared_norm(residual), jnp.maximum(primal_residual, dual_residual)
        objective = total_variation(relaxed.data, self.isotropic, self.coupled) + self.mu / 2 * loss
        return State(
            image=image,
            split=split,
            dual=dual,
            penalty=jnp.where(state.step % BALANCE_EVERY == BALANCE_EVERY - 1, balanced, beta),
            curvature=state.curvature,
            residual=residual,
            step=state.step + 1,
            loss=loss,
        ), {"measurement_loss": loss, "objective": objective, "residual": residual}

    def _shrink(self, differences: Array, threshold: Array) -> Array:
        """The proximal operator of the threshold times total variation's norms: soft thresholding in groups."""
        norms = difference_norms(differences, self.isotropic, self.coupled)
        return differences * (1 - threshold / jnp.maximum(norms, threshold))


def _copies(image: Array) -> Split:
    """K x, what the copies have to agree with."""
    return Split(image_gradient(image), image, image + 0.0)  # buffers of their own, as states need


def _gather(split: Split) -> Array:
    """K^T z."""
    return image_gradient_adjoint(split.gradient) + split.data + split.box


def _nearest_image(split: Split) -> Array:
    """argmin_x ||K x - z||^2 = (D^T D + 2 I)^-1 K^T z, exact: the DCT-II diagonalizes D^T D, which does not wrap."""
    h, w, _ = split.data.shape
    vertical, horizontal = (2 - 2 * np.cos(np.pi * np.arange(size) / size) for size in (h, w))
    eigenvalues = jnp.asarray(vertical[:, None, None] + horizontal[:, None] + 2, split.data.dtype)
    return inverse_dct(dct(_gather(split)) / eigenvalues)


def _residuals(copies: Split, split: Split, dual: Split) -> tuple[Array, Array]:
    """Relative primal residual, the worst of the three constraints, and relative dual residual, ||K^T dual||.

    Relative as Wohlberg, arXiv 1704.06209, has it. Each constraint for itself: the differences of an image are much
    smaller than its pixels, and what they lack would not show beside these.
    """
    primal = jnp.stack(
        [
            _ratio(jnp.linalg.norm(a - z), jnp.maximum(jnp.linalg.norm(a), jnp.linalg.norm(z)))
            for a, z in zip(map(jnp.ravel, copies), map(jnp.ravel, split), strict=True)
        ]
    )
    pulls = [jnp.linalg.norm(dual.data.ravel()), jnp.linalg.norm(dual.box.ravel())]
    total = _gather(dual)
    pulls.append(jnp.linalg.norm((total - dual.data - dual.box).ravel()))
    return primal.max(), _ratio(jnp.linalg.norm(total.ravel()), jnp.stack(pulls).max())


def _balanced(penalty: Array, primal_residual: Array, dual_residual: Array) -> Array:
    """The penalty, larger where the primal residual lags behind and smaller where the dual one does."""
    larger = primal_residual > BALANCE_RATIO * dual_residual
    smaller = dual_residual > BALANCE_RATIO * primal_residual
    return penalty * jnp.where(larger, BALANCE_FACTOR, jnp.where(smaller, 1 / BALANCE_FACTOR, 1.0))


def _ratio(a: Array, b: Array) -> Array:
    """a / b, 0 where both are 0."""
    return jnp.where(a == 0, 0.0, a / jnp.where(b == 0, 1.0, b))


TV = Recipe(
    name="tv",
    label="TV (TVAL3's problem)",
    colour="C2",
    method=Tv,
    grid={"mu": (16.0, 64.0, 256.0, 1024.0, 4096.0)},
    toy={"steps": 60},
    candidates=lambda image_shape: {"tv": {}},
)
