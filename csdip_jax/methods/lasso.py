"""Lasso in an orthonormal basis: sparse coefficients that explain the measurements.

    min_c  1/(2m) ||y - A Psi c||^2 + alpha ||c||_1,    x = Psi c,    m the number of measurements

scikit-learn's objective (without an intercept). In the comments B = A Psi and lambda = m alpha, so that m times the
objective is P(c) = 1/2 ||y - B c||^2 + lambda ||c||_1. Its dual is to maximise Re <theta, y> - 1/2 ||theta||^2 subject
to |B^H theta| <= lambda; the best theta is the residual at the best c. A step of any solver, the duality gap included,
costs one residual and its image under A^H (`LinearOperator.residual_and_adjoint`).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from csdip_jax import transforms
from csdip_jax.checks import require, require_number
from csdip_jax.methods.base import Method, Regularization
from csdip_jax.methods.recipe import Recipe
from csdip_jax.operators import squared_norm
from csdip_jax.prox import project_box, soft_threshold
from csdip_jax.types import Array, Problem, pytree_dataclass, static_field

SOLVERS = ("primal_dual", "fista", "ista")
BASES = ("dct", "wavelet")
LANCZOS_STEPS = 10
NORM_MARGIN = 1.05
"""What the norm found by so many steps is multiplied with; measured, it is too small by less than 3 %."""
RELAXATION = 1.8
BALANCE = 0.25
"""Least ratio of the primal to the dual step size, relative to ||c|| / ||theta||; measured, the fewest steps."""


class Point(NamedTuple):
    """A primal and a dual point with their images under B and B^H; combined linearly it stays one.

    Attributes:
        coefficients: c, [h, w, c].
        residual: y - B c, [m].
        descent: B^H (y - B c), [h, w, c].
        dual: theta, [m].
        correlations: B^H theta, [h, w, c].
    """

    coefficients: Array
    residual: Array
    descent: Array
    dual: Array
    correlations: Array


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        step: steps taken.
        loss: ||y - B c||^2 at the last iterate.
        gap: bound of how far the objective is above its minimum, relative to it.
        norm: ||B||, the largest singular value of A.
        scale: of a typical coefficient against a typical entry of theta, which sets the ratio of the two step sizes.
        iterate: the last one.
        start: where the next step starts from: the iterate extrapolated, or the relaxed one.
        momentum: t of FISTA.
    """

    step: Array
    loss: Array
    gap: Array
    norm: Array
    scale: Array
    iterate: Point
    start: Point
    momentum: Array


@pytree_dataclass
class Lasso(Method):
    """The Lasso: the image with the sparsest coefficients in a basis that explains the measurements.

    These are its settings. Bases, orthonormal, of each channel: "dct", the 2-D cosine transform, and "wavelet", a
    periodised wavelet transform. It needs a linear operator.

    Of the solvers "primal_dual" is the primal-dual hybrid gradient of Chambolle and Pock, over-relaxed. Its dual
    variable has a step size of its own, and so the number of steps hardly grows as alpha falls; in float32 it reaches
    the tolerance even where the residual is lost in the rounding of y - B c. "fista" is accelerated proximal gradient,
    its momentum dropped when it points uphill, and "ista" proximal gradient, as it stands. For the paper's alpha = 1e-5
    the last two need many more steps, and in float32 their gap stays above 1e-4, though the objective is then much
    closer to its minimum than that (docs: The baselines).

    Converged means: the duality gap is at most `tolerance` times the objective, so that the objective is within that
    of its minimum. A step size that diverges, as an operator's norm grossly underestimated would make it, is drawn
    anew.

    Attributes:
        image_shape: (h, w, c).
        steps: most steps, meant never to be reached.
        basis: Psi, "dct" or "wavelet".
        wavelet: one of `transforms.WAVELETS`.
        levels: of the wavelet transform, at least 1; None for `transforms.default_levels`.
        solver: "primal_dual", "fista" or "ista", see above.
        alpha: > 0, weight of `||c||_1`.
        tolerance: > 0, of the relative duality gap; float32 reaches 1e-4 to 1e-5, less takes measurements in float64.

    Raises:
        InputError: a setting out of its range.

    Example:
        >>> method = cs.methods.Lasso((28, 28, 1), basis="wavelet", alpha=1e-3)

    References:
        Chambolle, Pock: A first-order primal-dual algorithm for convex problems, J. Math. Imaging Vis. 40, 2011.
        Condat: A primal-dual splitting method, J. Optim. Theory Appl. 158, 2013 (relaxation).
        Beck, Teboulle: A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging Sci. 2(1), 2009.
        O'Donoghue, Candes: Adaptive restart for accelerated gradient schemes, Found. Comput. Math. 15, 2015.
        Kim et al.: An interior-point method for large-scale l1-regularized least squares, IEEE JSTSP 1(4), 2007 (gap).
    """

    steps: int = static_field(20_000)
    basis: str = static_field("dct")
    wavelet: str = static_field("db4")
    levels: int | None = static_field(None)
    solver: str = static_field("primal_dual")
    alpha: float = 1e-5
    tolerance: float = 1e-4
    scalars = ("measurement_loss", "objective", "gap")
    has_tolerance = True
    regularization = Regularization("alpha", 10.0)

    def __post_init__(self):
        super().__post_init__()
        require(self.basis in BASES, "basis", self.basis, " or ".join(BASES))
        transforms.analysis_filters(self.wavelet)
        require(self.levels is None or self.levels >= 1, "levels", self.levels, "at least 1, or None")
        require(self.solver in SOLVERS, "solver", self.solver, " or ".join(SOLVERS))
        require_number("alpha", self.alpha, strictly=True)
        require_number("tolerance", self.tolerance, strictly=True)

    def synthesis(self, coefficients: Array) -> Array:
        """Psi c, the image [h, w, c] of these coefficients [h, w, c]."""
        if self.basis == "dct":
            return transforms.inverse_dct(coefficients)
        return transforms.inverse_wavelet(coefficients, self.wavelet, self.levels)

    def analysis(self, image: Array) -> Array:
        """Psi^T x, the coefficients [h, w, c] of an image [h, w, c]; the inverse of `synthesis`."""
        if self.basis == "dct":
            return transforms.dct(image)
        return transforms.wavelet(image, self.wavelet, self.levels)

    def residual(self, problem: Problem, coefficients: Array) -> tuple[Array, Array]:
        """What coefficients leave unexplained, and its correlations with the columns of B = A Psi.

        Args:
            problem: of one image.
            coefficients: c, [h, w, c].

        Returns:
            y - B c, [m], and B^H (y - B c), [h, w, c].
        """
        operator, y = problem
        residual, back = operator.residual_and_adjoint(y, self.synthesis(coefficients))
        return residual, self.analysis(back)

    def init(self, problem: Problem, key: Array) -> State:
        y = problem.measurements
        dtype = jnp.finfo(y.dtype).dtype
        zeros = jnp.zeros(self.image_shape, dtype)
        correlations = self.analysis(problem.operator.adjoint(y))

        # Steps and threshold of the primal-dual solver follow from the ratio of a typical coefficient to a typical
        # entry of theta: ||y|| / sqrt(n) to lambda, and a factor of the number of coefficients that will not be zero.
        # The factor is measured: the fewest steps on digits and photographs, Gaussian and Fourier, lambda from 5e-5 to
        # 1 of its largest sensible value, at which all coefficients are zero; three times more or less costs a third.
        weight, largest = self.alpha * y.size, jnp.abs(correlations).max()
        sparsity = jnp.cbrt(jnp.minimum(weight / largest, 1))
        scale = jnp.where(largest > 0, 6 * sparsity * jnp.sqrt(squared_norm(y) / zeros.size) / weight, 1)

        dual = (jnp.zeros_like(y), zeros) if self.solver == "primal_dual" else (y, correlations)

        def origin():  # an array each: a state is donated, and one buffer cannot be given away twice
            return Point(*map(jnp.copy, (zeros, y, correlations, *dual)))

        return State(
            step=jnp.zeros((), jnp.int32),
            loss=jnp.full((), jnp.inf, dtype),
            gap=jnp.full((), jnp.inf, dtype),
            norm=NORM_MARGIN * spectral_norm(problem.operator, key, dtype),
            scale=scale.astype(dtype),
            iterate=origin(),
            start=origin(),
            momentum=jnp.ones((), dtype),
        )

    def step(self, problem: Problem, state: State, key: Array) -> tuple[State, dict[str, Array]]:
        advance = self._primal_dual if self.solver == "primal_dual" else self._proximal_gradient
        iterate, start, momentum = advance(problem, state)
        weight, loss = self.alpha * problem.measurements.size, squared_norm(iterate.residual)
        objective = loss / 2 + weight * jnp.abs(iterate.coefficients).sum()
        state = state._replace(
            step=state.step + 1,
            loss=loss,
            gap=duality_gap(iterate, weight) / jnp.maximum(objective, jnp.finfo(loss.dtype).tiny),
            iterate=iterate,
            start=start,
            momentum=momentum,
        )
        scalars = {"measurement_loss": loss, "objective": objective / problem.measurements.size, "gap": state.gap}
        return state._replace(scale=_rescaled(state)), scalars

    def image(self, state: State) -> Array:
        return project_box(self.synthesis(state.iterate.coefficients))

    def converged(self, state: State) -> Array:
        return state.gap <= self.tolerance

    def _primal_dual(self, problem: Problem, state: State) -> tuple[Point, Point, Array]:
        y, start = problem.measurements, state.start
        primal_step, dual_step = state.scale / state.norm, 1 / (state.scale * state.norm)
        coefficients = soft_threshold(
            start.coefficients + primal_step * start.correlations, primal_step * self.alpha * y.size
        )
        residual, descent = self.residual(problem, coefficients)

        def updated(dual, residual, last):
            return (dual + dual_step * (2 * residual - last)) / (1 + dual_step)

        dual = updated(start.dual, residual, start.residual)
        correlations = updated(start.correlations, descent, start.descent)  # B^H dual, since B^H is linear
        iterate = Point(coefficients, residual, descent, dual, correlations)
        return iterate, _extrapolate(start, iterate, RELAXATION), state.momentum

    def _proximal_gradient(self, problem: Problem, state: State) -> tuple[Point, Point, Array]:
        y, start, last = problem.measurements, state.start, state.iterate
        step = 1 / state.norm**2
        coefficients = soft_threshold(start.coefficients + step * start.correlations, step * self.alpha * y.size)
        residual, descent = self.residual(problem, coefficients)
        iterate = Point(coefficients, residual, descent, residual, descent)
        if self.solver == "ista":
            return iterate, iterate, state.momentum
        uphill = jnp.vdot(start.coefficients - coefficients, coefficients - last.coefficients) > 0
        momentum = jnp.where(uphill, 1, state.momentum)
        following = (1 + jnp.sqrt(1 + 4 * momentum**2)) / 2
        return iterate, _extrapolate(last, iterate, 1 + (momentum - 1) / following), following


def spectral_norm(operator: Any, key: Array, dtype=jnp.float32) -> Array:
    """The largest singular value of a linear operator, from below, by Lanczos' method on A^H A from a random image."""

    def iterate(carry, _):
        last, image, coupling = carry
        following = operator.normal(image) - coupling * last
        diagonal = jnp.vdot(following, image)
        following = following - diagonal * image
        length = jnp.linalg.norm(following.ravel())
        return (image, following / jnp.maximum(length, tiny), length), (diagonal, length)

    tiny = jnp.finfo(dtype).tiny
    image = jax.random.normal(key, operator.image_shape, dtype)
    start = jnp.zeros_like(image), image / jnp.linalg.norm(image.ravel()), jnp.zeros((), dtype)
    _, (diagonal, couplings) = jax.lax.scan(iterate, start, length=LANCZOS_STEPS)
    tridiagonal = jnp.diag(diagonal) + jnp.diag(couplings[:-1], 1) + jnp.diag(couplings[:-1], -1)
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(tridiagonal)[-1], tiny))


def duality_gap(point: Point, weight: Array | float) -> Array:
    """P(c) less the dual value of s theta, with the s <= 1 that makes it feasible.

    Since y = r + B c this is 1/2 ||r - s theta||^2 + sum_i (lambda |c_i| - c_i s (B^H theta)_i): no term is negative,
    and so no digits cancel.
    """
    largest = jnp.abs(point.correlations).max()
    shrink = weight / jnp.maximum(largest, weight)
    coefficients, correlations = point.coefficients, shrink * point.correlations
    slack = weight * jnp.abs(coefficients) - coefficients * correlations
    return squared_norm(point.residual - shrink * point.dual) / 2 + slack.sum()


def _rescaled(state: State) -> Array:
    """The scale, raised where ||c|| / ||theta|| shows it to be too small; rarely, since each change costs steps."""
    power_of_two = (state.step >= 8) & ((state.step & (state.step - 1)) == 0)
    coefficients, dual = squared_norm(state.iterate.coefficients), squared_norm(state.iterate.dual)
    ratio = jnp.sqrt(coefficients / jnp.maximum(dual, jnp.finfo(dual.dtype).tiny))
    return jnp.where(power_of_two, jnp.maximum(state.scale, BALANCE * ratio), state.scale)


def _extrapolate(a: Point, b: Point, factor: Array | float) -> Point:
    return jax.tree.map(lambda a, b: a + factor * (b - a), a, b)


ALPHAS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)

LASSO_DCT = Recipe(
    name="lasso_dct",
    label="Lasso-DCT",
    colour="C1",
    method=Lasso,
    fixed={"basis": "dct", "wavelet": "db4", "levels": None},
    grid={"alpha": ALPHAS},
    toy={"steps": 60},
)

LASSO_WAVELET = Recipe(
    name="lasso_wavelet",
    label="Lasso-wavelet",
    colour="C5",
    method=Lasso,
    fixed={"basis": "wavelet"},
    grid={"alpha": ALPHAS},
    toy={"steps": 60, "levels": 1},
)
