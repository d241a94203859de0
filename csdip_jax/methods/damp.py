"""D-AMP: approximate message passing with a denoiser (Metzler, Maleki, Baraniuk, IEEE Trans. Inf. Theory 62(9), 2016).

    x_{t+1} = D(x_t + A^T z_t, sigma_t),    sigma_t = ||z_t|| / sqrt(m),
    z_{t+1} = y - A x_{t+1} + z_t div D / m,    x_0 = 0, z_0 = y.

The last term, after Onsager, keeps the error of x_t + A^T z_t close to white Gaussian noise of standard deviation
sigma_t, which is what denoisers are made for.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from csdip_jax import denoisers
from csdip_jax.checks import require, require_at_most, require_number
from csdip_jax.denoisers import Denoiser
from csdip_jax.methods.base import Method, Regularization
from csdip_jax.methods.recipe import Recipe
from csdip_jax.operators import LinearOperator, Normalised, Operator, RowOperator, squared_norm
from csdip_jax.operators.own import attempt
from csdip_jax.prox import project_box
from csdip_jax.types import Array, InputError, Problem, pytree_dataclass, static_field

SCALE_PROBES = 16
SETTLED, EXPLAINED = 1e-2, 1e-2
"""Largest squared change of the last iterate, relative to it, and largest relative residual of a run that converged.

Measured with BM3D on a 128 x 128 photograph, the two at m/n = 0.2, 0.05, 0.04, 0.03, 0.02: change 0.0002, 0.0025,
0.0041, 0.0084, 0.029; residual 0.0002, 0.0024, 0.0046, 0.02, 0.16. So the flag rises between 4 and 3 %, as published.
"""
DIVERGED = 100.0
"""The iteration is given up where its loss is so many times that of x = 0, ||y||^2."""


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        scale: root mean square norm of A's columns.
        count: m, the real numbers that the measurements amount to.
        image: x_t, [h, w, c], not clipped.
        residual: z_t, for the operator and measurements divided by `scale`.
        back: A^H z_t, [h, w, c], A divided by `scale`; it comes with z_t (`residual_and_adjoint`).
        step: t.
        loss: ||y - A x_t||^2.
        start: ||y||^2, the loss of x_0 = 0.
        change: ||x_t - x_{t-1}||^2 / ||x_t||^2, inf at first.
        diverged: the next iterate's loss is not finite, or beyond `DIVERGED`; x_t is the last one before it.
    """

    scale: Array
    count: Array
    image: Array
    residual: Array
    back: Array
    step: Array
    loss: Array
    start: Array
    change: Array
    diverged: Array


@pytree_dataclass
class Damp(Method):
    """D-AMP: approximate message passing, which denoises the image again and again.

    These are its settings. It needs a linear operator, and random measurements: about 4 % of the pixels for BM3D.

    Theory asks for columns of unit norm. A is divided by one number that makes their mean square 1, and y by the same,
    so that a common factor of both changes nothing. Theory is about dense random A; with Fourier samples the error of
    x_t + A^T z_t is not white, and nothing is promised.

    Differs from the published code, whose divergence has a probe of the size max|r| / 1000: here it is `probe` sigma_t
    at least; 0 is the published one. BM3D and BayesShrink jump where a coefficient crosses a threshold, and so small a
    probe measures the jumps rather than the trend where images are small and noise is strong (docs: The baselines).

    Converged means: all iterations taken, and at the end the iterate has settled (`SETTLED`) and explains the
    measurements (`EXPLAINED`). Below about 4 % sampling BM3D-AMP does not (paper, section 5.2); the image is then what
    it is. An iteration that diverges is given up (`DIVERGED`).

    Each step tells the loss of the iterate that it started from, and sigma_t, the "noise" the denoiser was told of.

    Attributes:
        image_shape: (h, w, c).
        steps: iterations; all are taken.
        denoiser: D, a pure function (image, sigma) -> image, one of `csdip_jax.denoisers` or your own.
        strength: > 0; the denoiser is told strength * sigma_t.
        damping: d in [0, 1); each new x and z is (1 - d) times itself plus d times the one before.
        probe: >= 0, least size of the divergence's probe, relative to sigma_t.

    Example:
        >>> def smooth(image, sigma):  # a denoiser of one's own; sigma may be traced
        ...     around = (jnp.roll(image, 1, 0) + jnp.roll(image, -1, 0)) / 2
        ...     return (image + sigma * around) / (1 + sigma)
        >>> method = cs.methods.Damp((28, 28, 1), denoiser=smooth)
        >>> bm3d_amp = cs.methods.Damp((28, 28, 1), denoiser=cs.denoisers.bm3d)
    """

    steps: int = static_field(30)
    denoiser: Denoiser = static_field(denoisers.tv)
    strength: float = 1.0
    damping: float = 0.0
    probe: float = 0.1
    remedy = "D-AMP needs random measurements, not Fourier samples, and with BM3D about 4 % of the pixels or more"

    scalars = ("measurement_loss", "objective", "noise")
    has_tolerance = True
    regularization = Regularization("strength", 1.5)

    def __post_init__(self):
        super().__post_init__()
        require(callable(self.denoiser), "denoiser", self.denoiser, "a function (image, sigma) -> image")
        require_number("strength", self.strength, strictly=True)
        require_number("damping", self.damping)
        require_number("probe", self.probe)
        require_at_most("damping", self.damping, 1, strictly=True)

    def require_data(self) -> None:
        """Raises InputError for a denoiser of a user's own that JAX cannot trace, or that gives no image."""
        if self.denoiser in (denoisers.tv, denoisers.wavelet, denoisers.bm3d):
            return
        image, sigma = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (self.image_shape, ()))
        told = f"denoiser {getattr(self.denoiser, '__name__', self.denoiser)}, traced by JAX,"
        remedy = "write it with jax.numpy, or call NumPy by jax.pure_callback"
        given = attempt(lambda: jax.eval_shape(self.denoiser, image, sigma), f"{told} ends in", remedy)
        if getattr(given, "shape", None) != image.shape or not jnp.issubdtype(given.dtype, jnp.floating):
            what = f"{given.dtype}{list(given.shape)}" if hasattr(given, "shape") else f"a {type(given).__name__}"
            raise InputError(
                f"{told} gives {what} of an image {image.dtype}{list(image.shape)}: return an image of that kind"
            )

    def init(self, problem: Problem, key: Array) -> State:
        operator, measurements = problem
        dtype = jnp.finfo(measurements.dtype).dtype
        key_scale, key_count = jax.random.split(key)
        scale = column_norm(operator, key_scale, measurements.dtype)
        return State(
            scale=scale,
            count=count_real(operator, key_count, dtype),
            image=jnp.zeros(self.image_shape, dtype),
            residual=measurements / scale,
            back=operator.adjoint(measurements) / jnp.square(scale),
            step=jnp.zeros((), jnp.int32),
            loss=squared_norm(measurements),
            start=squared_norm(measurements),
            change=jnp.full((), jnp.inf, dtype),
            diverged=jnp.zeros((), bool),
        )

    def step(self, problem: Problem, state: State, key: Array) -> tuple[State, dict[str, Array]]:
        operator, measurements = problem
        sigma = effective_noise(state)

        def denoise(image):
            return self.denoise(image, sigma)

        noisy = effective_image(state)
        denoised = denoise(noisy)
        epsilon = jnp.maximum(jnp.maximum(jnp.abs(noisy).max() / 1000, self.probe * sigma), 1e-6)
        divergence = estimate_divergence(denoise, noisy, denoised, epsilon, key)

        image = self._damped(denoised, state.image)
        # One pass over A: z_{t+1} is the residual of measurements shifted by the Onsager term, and A^H z_{t+1} comes
        # with it. By linearity it would follow from A^H z_t, too, but rounding explodes where the factor exceeds 1.
        onsager = divergence / state.count * state.scale * state.residual
        residual, back = operator.residual_and_adjoint(measurements + onsager, image)
        mismatch = residual - onsager
        new = state._replace(
            image=image,
            residual=self._damped(residual / state.scale, state.residual),
            back=self._damped(back / jnp.square(state.scale), state.back),
            loss=squared_norm(mismatch),
            change=squared_norm(image - state.image) / jnp.maximum(squared_norm(image), jnp.finfo(image.dtype).tiny),
        )
        sane = (new.loss <= DIVERGED * state.start) & jnp.isfinite(squared_norm(new.residual))
        kept = jax.tree.map(lambda new, old: jnp.where(sane, new, old), new, state)
        scalars = {"measurement_loss": state.loss, "objective": state.loss, "noise": sigma}
        return kept._replace(step=state.step + 1, diverged=~sane), scalars

    def denoise(self, image: Array, sigma: Array) -> Array:
        """D, told `strength` times the noise: of an image [h, w, c] with noise of standard deviation sigma."""
        return self.denoiser(image, self.strength * sigma)

    def _damped(self, new: Array, old: Array) -> Array:
        return (1 - self.damping) * new + self.damping * old

    def image(self, state: State) -> Array:
        """The last iterate, clipped."""
        return project_box(state.image)

    def converged(self, state: State) -> Array:
        settled = (state.change <= SETTLED) & (state.loss <= EXPLAINED * state.start)
        return (state.step >= self.steps) & settled

    def diverged(self, state: State) -> Array:
        return state.diverged


def effective_image(state: State) -> Array:
    """x_t + A^T z_t, [h, w, c], in theory x* and white noise of standard deviation sigma_t."""
    return state.image + state.back


def effective_noise(state: State) -> Array:
    """sigma_t = ||z_t|| / sqrt(m)."""
    return jnp.sqrt(squared_norm(state.residual) / state.count)


def estimate_divergence(denoise, noisy: Array, denoised: Array, epsilon: Array, key: Array) -> Array:
    """div D(r) = sum of dD_i / dr_i, from one probe: <b, D(r + epsilon b) - D(r)> / epsilon with b ~ N(0, 1).

    Args:
        denoise: D, image -> image.
        noisy: r, [h, w, c].
        denoised: D(r).
        epsilon: > 0.
        key: of b.

    References:
        Ramani, Blu, Unser: Monte-Carlo SURE, IEEE TIP 17(9), 2008.
    """
    probe = jax.random.normal(key, noisy.shape, noisy.dtype)
    return jnp.sum(probe * (denoise(noisy + epsilon * probe) - denoised)) / epsilon


def column_norm(operator: LinearOperator, key: Array, dtype) -> Array:
    """The root mean square of the norms of A's columns: exact for rows, else from E ||A^H u||^2.

    Of random signs u, and so exact too where A A^H is diagonal, as for `radial_fourier`.
    """
    if isinstance(operator, (RowOperator, Normalised)):
        energy = jnp.square(operator.frobenius_norm())
    else:
        shape, real = operator.measurements_like.shape, jnp.finfo(dtype).dtype

        def probe(key):
            signs = jax.random.rademacher(key, (2, *shape), real)
            u = jax.lax.complex(*signs) if jnp.issubdtype(dtype, jnp.complexfloating) else signs[0]
            return squared_norm(operator.adjoint(u))

        energy = jnp.mean(jax.lax.map(probe, jax.random.split(key, SCALE_PROBES)))
    return jnp.sqrt(energy / math.prod(operator.image_shape))


def count_real(operator: Operator, key: Array, dtype) -> Array:
    """m as real numbers: entries of y, complex ones twice unless real, or imaginary, for every image.

    Samples of k-space that mirror each other are counted both.
    """
    example = operator.forward(jax.random.normal(key, operator.image_shape, dtype))
    parts = jnp.abs(jnp.stack([example.real, example.imag]))
    rounding = 100 * jnp.finfo(dtype).eps * jnp.max(parts)
    return jnp.sum(parts > rounding).astype(dtype)


def state_evolution(method: Damp, image: Array, num_measurements: int, noise_variance: float, key: Array) -> Array:
    """The effective noise that theory predicts for Gaussian A, as m and n grow, without damping.

        sigma_{t+1}^2 = s / m + (n / m) E ||D(x* + sigma_t e, sigma_t) - x*||^2 / n,    e white Gaussian,

    from sigma_0^2 = s / m + ||x*||^2 / m, the expectation taken over one draw of e.

    Args:
        method: with D, its strength, and the number of steps.
        image: x*, [h, w, c].
        num_measurements: m, real ones.
        noise_variance: s >= 0, the variance of the whole noise vector: one measurement's noise is N(0, s / m), as
            `operators.measure` makes it.
        key: of e.

    Returns:
        sigma_0, ..., sigma_{steps - 1}, [steps].

    References:
        Metzler, Maleki, Baraniuk 2016, section III-C.
    """

    def evolve(sigma, key):
        noise = jax.random.normal(key, image.shape, image.dtype)
        error = method.denoise(image + sigma * noise, sigma) - image
        return jnp.sqrt((noise_variance + squared_norm(error)) / num_measurements), sigma

    start = jnp.sqrt((noise_variance + squared_norm(image)) / num_measurements)
    _, sigmas = jax.lax.scan(evolve, start, jax.random.split(key, method.steps))
    return sigmas


STRENGTHS = (0.5, 0.7, 1.0, 1.4)

BM3D_AMP = Recipe(
    name="bm3d_amp",
    label="BM3D-AMP",
    colour="C0",
    method=Damp,
    fixed={"denoiser": denoisers.bm3d},
    grid={"strength": STRENGTHS[1:]},
    toy={"steps": 8, "damping": 0.3},  # undamped it oscillates on so small an image
    needs="rows like random ones, from about 4 % of the pixels on",
    extra="bm3d",
    check=denoisers.require_bm3d,
    candidates=lambda image_shape: {"bm3d_amp": {}},
)

DAMP_TV = Recipe(
    name="damp_tv",
    label="TV-AMP",
    colour="C6",
    method=Damp,
    fixed={"denoiser": denoisers.tv},
    grid={"strength": STRENGTHS},
    toy={"steps": 12},
    needs="rows like random ones",
)

DAMP_WAVELET = Recipe(
    name="damp_wavelet",
    label="wavelet-AMP",
    colour="C8",
    method=Damp,
    fixed={"denoiser": denoisers.wavelet},
    grid={"strength": STRENGTHS},
    toy={"steps": 12},
    needs="rows like random ones",
)
