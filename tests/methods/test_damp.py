"""D-AMP's parts, and what it promises: theory's noise, no matter how A is scaled, a flag where it fails."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax import denoisers
from csdip_jax.methods import METHODS, Damp, Lasso
from csdip_jax.methods.damp import effective_image, effective_noise, estimate_divergence, state_evolution

SHAPE = (64, 64, 1)
KEY = jax.random.key(0)


def photograph(shape=SHAPE):
    return jnp.asarray(cs.data.load("demo", image_shape=shape, num_images=1)[0])


def problem(count, scale=1.0):
    operator = cs.operators.gaussian(KEY, count, SHAPE)
    operator = cs.operators.Dense(scale * operator.matrix, SHAPE)
    return cs.Problem(operator, operator.forward(photograph()))


def test_divergence_of_a_linear_denoiser():
    noisy = jax.random.normal(KEY, SHAPE)
    divergence = estimate_divergence(lambda x: 0.3 * x, noisy, 0.3 * noisy, 1e-3, jax.random.key(1))
    np.testing.assert_allclose(divergence, 0.3 * noisy.size, rtol=0.1)  # one probe: standard deviation 2 %


def test_effective_noise_follows_state_evolution():
    """Both the estimate from z and the true error of x + A^T z, along the iterations."""
    method, given, truth = Damp(SHAPE, steps=8, denoiser=denoisers.wavelet), problem(2000), photograph()
    predicted = state_evolution(method, truth, 2000, 0.0, jax.random.key(2))
    state, step = method.init(given, KEY), jax.jit(method.step)
    for expected in predicted:
        np.testing.assert_allclose(effective_noise(state), expected, rtol=0.15)
        np.testing.assert_allclose(jnp.std(effective_image(state) - truth), expected, rtol=0.15)
        state, _ = step(given, state, jax.random.fold_in(KEY, state.step))


# 60 measurements are far too few: sooner or later such an iteration diverges, when depends on the processor's rounding.
@pytest.mark.parametrize(("num_measurements", "damping", "steps"), [(1000, 0.0, 30), (1000, 0.3, 30), (60, 0.0, 10)])
def test_one_pass_over_the_matrix_is_as_good_as_two(num_measurements, damping, steps):
    """A^H z is that of z, also where few measurements make the Onsager term's factor exceed 1."""
    method, given = Damp(SHAPE, damping=damping), problem(num_measurements)
    state, step = method.init(given, KEY), jax.jit(method.step)
    for _ in range(steps):
        state, _ = step(given, state, jax.random.fold_in(KEY, state.step))
        assert not state.diverged
        expected = given.operator.adjoint(state.residual) / state.scale
        np.testing.assert_allclose(state.back, expected, atol=1e-4 * jnp.abs(expected).max())


def test_every_step_has_a_probe_of_its_own_key():
    method, given = Damp(SHAPE), problem(1000)
    state, step = method.init(given, KEY), jax.jit(method.step)
    state, _ = step(given, state, KEY)
    one, same, another = (step(given, state, jax.random.fold_in(KEY, i))[0] for i in (1, 1, 2))
    np.testing.assert_array_equal(one.residual, same.residual)
    np.testing.assert_array_equal(one.image, another.image)  # the probe is of the residual's correction alone
    assert not np.array_equal(one.residual, another.residual)


def test_the_scale_of_the_operator_does_not_matter():
    a, b = (cs.reconstruct(Damp(SHAPE), problem(1000, scale), KEY) for scale in (1.0, 8.0))
    np.testing.assert_allclose(a.image, b.image, atol=1e-3)


def test_damping_ends_at_the_same_image():
    plain = cs.reconstruct(Damp(SHAPE), problem(2000), KEY)
    damped = cs.reconstruct(Damp(SHAPE, damping=0.2), problem(2000), KEY)
    assert plain.status == cs.Status.CONVERGED and cs.metrics.psnr(damped.image, plain.image) > 30


@pytest.mark.parametrize("denoiser", [denoisers.tv, denoisers.wavelet])
def test_denoisers_take_noise_away_and_leave_the_rest(denoiser):
    truth = photograph()
    noisy = truth + 0.2 * jax.random.normal(KEY, SHAPE)
    assert cs.metrics.mse(denoiser(noisy, 0.2), truth) < 0.4 * cs.metrics.mse(noisy, truth)
    np.testing.assert_allclose(denoiser(truth, 0.0), truth, atol=1e-5)


def test_total_variation_denoiser_reaches_scikit_image():
    from skimage.restoration import denoise_tv_chambolle

    noisy = photograph() + 0.2 * jax.random.normal(KEY, SHAPE)

    def objective(image):
        tv = cs.priors.total_variation(image, isotropic=True)
        return float(0.5 * jnp.sum(jnp.square(image - noisy)) + 0.2 * tv)

    reference = denoise_tv_chambolle(np.asarray(noisy)[..., 0], weight=0.2, eps=1e-8, max_num_iter=2000)[..., None]
    assert objective(denoisers.tv_prox(noisy, 0.2, iterations=300)) <= 1.001 * objective(jnp.asarray(reference))


def test_bm3d_amp_is_far_ahead_of_lasso_and_says_where_it_fails():
    """At a fifth of the pixels, and at a fiftieth."""
    pytest.importorskip("bm3d", reason="needs the extra bm3d")
    given = problem(819)
    bm3d_amp = dataclasses.replace(METHODS["bm3d_amp"].preset("paper", SHAPE), steps=15)
    ahead, lasso = (cs.reconstruct(method, given, KEY) for method in (bm3d_amp, Lasso(SHAPE)))
    psnr = [cs.metrics.psnr(solution.image, photograph()) for solution in (ahead, lasso)]
    assert ahead.status == lasso.status == cs.Status.CONVERGED and psnr[0] > psnr[1] + 3
    few = cs.reconstruct(bm3d_amp, problem(82), KEY)
    assert few.status == cs.Status.OUT_OF_STEPS and few.ok and np.isfinite(few.image).all()


def test_a_diverging_iteration_is_given_up_and_its_image_is_finite():
    """On few Fourier samples; on many the same method converges."""
    few, many = (cs.operators.radial_fourier(lines, SHAPE) for lines in (10, 60))
    failed, found = (cs.reconstruct(Damp(SHAPE), cs.Problem(a, a.forward(photograph())), KEY) for a in (few, many))
    assert (
        failed.status == cs.Status.DIVERGED and not failed.ok and failed.steps < 10 and np.isfinite(failed.image).all()
    )
    assert found.status == cs.Status.CONVERGED and cs.metrics.psnr(found.image, photograph()) > 35


def test_bm3d_needs_its_wheel_and_images_it_can_take():
    pytest.importorskip("bm3d", reason="needs the extra bm3d")
    with pytest.raises(cs.InputError, match="1 or 3 channels"):
        METHODS["bm3d_amp"].preset("paper", (16, 16, 2))


def test_bad_settings():
    for settings, message in [({"damping": 1.0}, "damping = 1.0"), ({"probe": -0.1}, "probe = -0.1")]:
        with pytest.raises(cs.InputError, match=message):
            Damp(SHAPE, **settings)


def by_numpy(image, sigma):
    return np.clip(np.asarray(image), -1, 1)


def flattened(image, sigma):
    return image.reshape(-1)


def nothing(image, sigma):
    return None


@pytest.mark.parametrize(
    ("denoiser", "message"),
    [
        (
            by_numpy,
            "denoiser by_numpy, traced by JAX, ends in TracerArrayConversionError: .*or call NumPy by",
        ),
        (flattened, r"denoiser flattened, traced by JAX, gives float32\[64\] of an image float32\[8, 8, 1\]: return"),
        (nothing, "denoiser nothing, traced by JAX, gives a NoneType of an image"),
    ],
)
def test_a_denoiser_that_gives_no_image_is_refused_in_a_line(denoiser, message):
    operator = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))
    problem = cs.Problem(operator, jnp.ones(40))
    with pytest.raises(cs.InputError, match=message) as raised:
        cs.reconstruct(cs.methods.Damp((8, 8, 1), denoiser=denoiser), problem, jax.random.key(1))
    assert "\n" not in str(raised.value)
