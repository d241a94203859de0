"""Theorem 4.1 of the paper: gradient descent fits a wide one-layer network to any signal.

    G(z; W) = V relu(W z),    z [k] fixed, W [d, k] fitted, V [n, d] fixed, entries N(0, nu^2)
    W_{t+1} = W_t - eta grad_W 1/2 ||V relu(W z) - y||^2,    W_0 entries N(0, 1)

W only ever moves along z, since the gradient is (relu'(W z) * V^T r) z^T with r = V relu(W z) - y. So the d numbers
h = W z carry the whole dynamics, with ||z||^2 in front of the step: `one_layer.OneLayer` is gradient descent on W
exactly, k does not appear, and W_0 z is N(0, ||z||^2). Distances are ||W_t - W_0||_F = ||h_t - h_0|| / ||z||.

Names: n pixels, d width, y target, c step scale (1: the step as printed, 1/16: the largest that the proof covers). The
derivations, and what each statement turns out to be worth, stand in docs/paper/theorem.md.
"""

import jax.numpy as jnp

from csdip_jax.types import Array

CERTIFIED_SCALE = 1 / 16
"""The c of the largest step that the proof covers, eta = 1 / beta^2."""

WIDTH_THEOREM = 4.3e15
"""d / n from which the proof of Theorem 4.1 and Lemma B.2 hold."""

WIDTH_B1 = 3528
"""d / n from which Lemma B.1 is proved."""


def outer_deviation(pixels: int, width: int, target_norm: Array, latent_norm: Array) -> Array:
    """nu = ||y|| / (sqrt(d n) ||z||), with which the network starts at about ||y|| / sqrt 2 (Theorem 4.1)."""
    return target_norm / (jnp.sqrt(1.0 * width * pixels) * latent_norm)


def step_size(scale: Array, pixels: int, width: int, target_norm: Array) -> Array:
    """eta = c 8 n d / ((4 n + d) ||y||^2) (Theorem 4.1).

    The copy of the paper at hand is damaged in this place: 8 n d / (4 n + d) is the one value that turns the proof's
    contraction, 1 - eta alpha^2 / 4 with alpha = ||y|| / (4 sqrt n), into the printed rate.
    """
    return scale * 8 * pixels * width / ((4 * pixels + width) * jnp.square(target_norm))


def certified_rate(scale: Array, pixels: int, width: int) -> Array:
    """c d / (8 (4 n + d)), the share of the misfit that Theorem 4.1 takes off in every step."""
    return scale * width / (8 * (4 * pixels + width))


def misfit_bound(step: Array, scale: Array, pixels: int, width: int) -> Array:
    """3 (1 - c d / (8 (4 n + d)))^t, the bound of Theorem 4.1 on ||V relu(W_t z) - y|| / ||y||."""
    return 3 * (1 - certified_rate(scale, pixels, width)) ** step


def expected_rate(scale: Array, pixels: int, width: int) -> Array:
    """eta sigma_min(J)^2 while half the ReLUs are on, for large n: what the slowest direction really loses in a step.

    The smallest singular value of n x d/2 standard normal entries is sqrt(d / 2) - sqrt n (Bai and Yin, 1993).
    """
    return 8 * scale * (jnp.sqrt(width / 2) - jnp.sqrt(1.0 * pixels)) ** 2 / (4 * pixels + width)


def stable_scale(pixels: int, width: int) -> Array:
    """The c at which eta sigma_max(J)^2 = 2 while half the ReLUs are on: gradient descent overshoots above it."""
    return (4 * pixels + width) / (4 * (jnp.sqrt(width / 2) + jnp.sqrt(1.0 * pixels)) ** 2)


def active(hidden: Array) -> Array:
    """relu'(h), bool; 0 at 0."""
    return hidden > 0


def gram(outer: Array, units: Array, latent_norm: Array | float = 1.0) -> Array:
    """J J^T = ||z||^2 V diag(relu') V^T, [n, n], for the ReLUs `units` [d] that are on (or have changed, Lemma B.2)."""
    return jnp.square(latent_norm) * (outer * units) @ outer.T


def singular_values(gram: Array) -> Array:
    """Those of J from J J^T, ascending, [n]."""
    return jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(gram), 0))


def smallest_singular_bound(width: int, deviation: Array, latent_norm: Array | float = 1.0) -> Array:
    """Lemma B.1: sigma_min(J(W_0)) >= nu sqrt(d) ||z|| / 2, proved for d >= 3528 n."""
    return deviation * jnp.sqrt(1.0 * width) * latent_norm / 2


def largest_singular_bound(pixels: int, width: int, deviation: Array, latent_norm: Array | float = 1.0) -> Array:
    """Lemma B.3: ||J(W)|| <= nu (sqrt d + 2 sqrt n) ||z|| for every W; the most that any W reaches is ||V|| ||z||."""
    return deviation * (jnp.sqrt(1.0 * width) + 2 * jnp.sqrt(1.0 * pixels)) * latent_norm


def sign_changes_bound(width: int, radius: Array) -> Array:
    """Lemma C.2: at most 2 ceil((2 d R)^(2/3)) ReLUs switch anywhere within ||W - W_0|| <= R."""
    return 2 * jnp.ceil((2 * width * radius) ** (2 / 3))


def most_sign_changes(initial: Array, radius: Array) -> Array:
    """The ReLUs that the worst W within ||W - W_0|| <= R switches, bool [d], for h_0 / ||z|| = `initial`.

    Exact: to switch unit j costs |initial_j|, so the worst W takes the cheapest ones while the squares sum to R^2.
    """
    order = jnp.argsort(jnp.abs(initial))
    affordable = jnp.cumsum(jnp.square(initial[order])) <= jnp.square(radius)
    return jnp.zeros(initial.shape, bool).at[order].set(affordable)


def perturbation_bound(
    pixels: int, width: int, changes: Array, deviation: Array, latent_norm: Array | float = 1.0
) -> Array:
    """Lemma B.2: a bound on ||J(W) - J(W_0)|| where at most q ReLUs differ.

    ||J(W) - J(W_0)|| <= ||z|| max ||V_S|| over all sets S of q columns, and Gordon's theorem with a union bound over
    them gives nu (sqrt n + sqrt q + sqrt(2 q log(e d / q)) + sqrt(2 log 100)), with probability 0.99.
    Differs from the paper: only what the lemma is about is known from the copy at hand; the right side is derived here.
    """
    q = jnp.clip(changes, 0, width)
    union = jnp.sqrt(2 * q * jnp.log(jnp.e * width / jnp.maximum(q, 1)))
    return deviation * latent_norm * (jnp.sqrt(1.0 * pixels) + jnp.sqrt(q) + union + jnp.sqrt(2 * jnp.log(100.0)))


def marchenko_pastur_edges(pixels: int, width: int) -> tuple[float, float]:
    """Where the squared singular values of J(W_0) over nu^2 ||z||^2 d / 2 lie for large n: (1 -+ sqrt(2 n / d))^2."""
    ratio = (2 * pixels / width) ** 0.5
    return max(0.0, 1 - ratio) ** 2, (1 + ratio) ** 2


def proof_radius(pixels: int) -> float:
    """R = 48 sqrt n, within which the proof keeps W: 4 ||r_0|| / alpha with ||r_0|| <= 3 ||y|| (Lemma B.4)."""
    return 48 * pixels**0.5
