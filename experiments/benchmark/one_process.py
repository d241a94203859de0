"""The sections that one process measures, in which variants of this library take turns.

Each returns what it measured, ready for JSON; its docstring is the title of its table.
"""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median

import jax
import jax.numpy as jnp

import csdip_jax as cs
from csdip_jax import denoisers
from csdip_jax.commands.configs import sweep as sweep_config
from csdip_jax.commands.sweep import computing
from csdip_jax.methods import METHODS, CsDip
from csdip_jax.operators import LinearOperator, RowOperator, in_place
from csdip_jax.types import InputError
from experiments.benchmark.cases import CASES, DENSE_CASES, Counts, images
from experiments.benchmark.jax_side import begun, dense, fit_step, initial, network_step, repeater, stepper
from experiments.benchmark.turns import alternate, compare, exponent, on_gpu, tell
from experiments.benchmark.worker import Side, serve

TERM_CALLS = 5
SHARED_TARGET = 2.0
FITS = 8
FITS_TARGET = 1.15
RESTARTS = 4
RESTARTS_TARGET = 1.0
SWEEP_IMAGES = 3
SWEEP_TARGET = 0.95


def term(counts: Counts) -> dict:
    """Value and gradient of ||A x - y||^2 alone, ms per image (medians), beside one image, A in float32."""
    case = DENSE_CASES[counts.term]
    tell(f"term: {counts.term}, m = {case.num_measurements}, {counts.rounds} rounds")
    wide, several = dense(case.num_measurements, case.image_shape), jnp.asarray(images(case.images, case.image_shape))
    ys = jax.vmap(wide.forward)(several[::-1])
    value_and_gradient = jax.value_and_grad(cs.operators.measurement_loss, 2)
    stored = {"float32": wide} | {dtype: wide.astype(dtype) for dtype in ("float16", "int8")}
    forms = {
        "two products": LinearOperator.residual_and_adjoint,
        "copied blocks": RowOperator.residual_and_adjoint,
        "in place": in_place.residual_and_adjoint,
    }
    variants = {f"one, {dtype}": (value_and_gradient, a, ys[0], several[0]) for dtype, a in stored.items()}
    variants |= {f"one, {form}": (function, wide, ys[0], several[0]) for form, function in forms.items()}
    shared = f"{case.images} that share A"
    variants[shared] = jax.vmap(value_and_gradient, (None, 0, 0)), wide, ys, several
    runs = {variant: repeater(jax.jit(function), arrays) for variant, (function, *arrays) in variants.items()}
    begin(runs)
    times = alternate(turns(runs, counts.warm_up, TERM_CALLS), counts.rounds, "term")

    def per_image(variant):
        return [1000 * seconds / (case.images if variant == shared else 1) for seconds in times[variant]]

    results, reference = {}, "one, float32"
    for variant in [variant for variant in variants if variant != reference]:
        pair = {variant: per_image(variant), reference: per_image(reference)}
        target = {"target": SHARED_TARGET} if variant == shared else {}
        results[f"{counts.term}, {variant}"] = {"milliseconds": pair, **compare(pair, variant), **target}
    return results


def fits(counts: Counts, names: Sequence[str] = ("mnist", "retino")) -> dict:
    """Eight images through csdip_jax.reconstruct, seconds (medians)."""
    return {name: _fits_of(name, counts) for name in names}


def _fits_of(name: str, counts: Counts) -> dict:
    shape, steps = CASES[name].image_shape, CASES[name].steps(counts.share / 2)
    tell(f"fits: {name}, {FITS} fits of {steps} steps, {counts.rounds} rounds")
    operator = cs.operators.radial_fourier(5, shape)
    measurements = jax.vmap(operator.forward)(jnp.asarray(images(FITS, shape)))
    fit = fitter(shape, steps)

    def batch():
        return fit(cs.Problem(operator, measurements)).image

    def singles():
        return jnp.stack([fit(cs.Problem(operator, y), image_ids=[i]).image for i, y in enumerate(measurements)])

    runs = {"batch": repeater(batch), "singles": repeater(singles)}
    difference = relative_difference(*begin(runs))
    if difference != 0 and not on_gpu():  # whose batched products round differently
        raise InputError(f"fits, {name}: the images of the batch are not exactly those of the single fits")
    times = alternate(turns(runs), counts.rounds, f"fits {name}")
    facts = {"steps": steps, "difference": difference, "target": FITS_TARGET}
    return {"seconds": times, **compare(times, "singles"), **facts}


def restarts(counts: Counts, names: Sequence[str] = ("xray", "retino")) -> dict:
    """Four restarts on one dense A through csdip_jax.reconstruct, seconds (medians)."""
    return {f"{name}, m = {m}": _restarts_of(name, m, counts) for name in names for m in CASES[name].fits}


def _restarts_of(name: str, m: int, counts: Counts) -> dict:
    shape, steps = CASES[name].image_shape, CASES[name].steps(counts.share / 2)
    tell(f"restarts: {name}, m = {m}, {RESTARTS} restarts of {steps} steps, {counts.rounds} rounds")
    operator = cs.operators.gaussian(jax.random.key(0), m, shape)
    problem = cs.Problem(operator, operator.forward(images(1, shape)[0]))
    fit = fitter(shape, steps, RESTARTS)
    at_once = {"together": RESTARTS, "apart": 1}
    runs = {
        side: repeater(lambda count=count: fit(problem, fits_at_once=count).image) for side, count in at_once.items()
    }
    difference = relative_difference(*begin(runs))
    times = alternate(turns(runs), counts.rounds, f"restarts {name}")
    facts = {"steps": steps, "difference": difference, "target": RESTARTS_TARGET}
    return {"seconds": times, **compare(times, "together"), **facts}


def sweep(counts: Counts, name: str = "mnist") -> dict:
    """A fit within experiments.sweep and a single one by csdip_jax.reconstruct, seconds (medians)."""
    case, steps = CASES[name], counts.sweep_steps
    tell(f"sweep: {name}, {SWEEP_IMAGES} fits of {steps} steps beside one, {counts.lasso_rounds} rounds")
    settings = sweep_config.get_config()
    settings.data, settings.methods = "demo", "csdip"
    settings.image_shape, settings.num_images = case.image_shape, SWEEP_IMAGES
    settings.num_measurements, settings.noise_variance = (min(case.fits),), (0.0,)
    settings.csdip.steps, settings.csdip.restarts = steps, 1
    operator = cs.operators.gaussian(jax.random.key(0), min(case.fits), case.image_shape)
    photograph = cs.data.load("demo", image_shape=case.image_shape, num_images=1)[0]
    method = dataclasses.replace(CsDip.preset("paper", case.image_shape), steps=steps, restarts=1)
    problem = cs.Problem(operator, operator.forward(photograph))

    def swept():
        with (
            tempfile.TemporaryDirectory() as folder,
            open(os.devnull, "w") as nowhere,
            contextlib.redirect_stdout(nowhere),
            contextlib.redirect_stderr(nowhere),
        ):
            computing.sweep(settings, folder, None)

    runs = {"sweep": repeater(swept), "single": repeater(partial(cs.reconstruct, method, problem, jax.random.key(0)))}
    begin(runs)
    times = alternate(turns(runs), counts.lasso_rounds, "sweep")
    times["sweep"] = [seconds / SWEEP_IMAGES for seconds in times["sweep"]]
    return {name: {"seconds": times, **compare(times, "sweep"), "steps": steps, "target": SWEEP_TARGET}}


def growth(counts: Counts) -> dict:
    """The term by m of a dense A; reconstruct without a matrix by restarts and images (medians)."""
    shape, steps = CASES[counts.growth].image_shape, CASES[counts.growth].steps(counts.share / 2)
    tell(f"growth: {counts.growth}, fits of {steps} steps, {counts.lasso_rounds} rounds")
    several = jnp.asarray(images(max(counts.copies), shape))
    value_and_gradient = jax.jit(jax.value_and_grad(cs.operators.measurement_loss, 2))
    radial = cs.operators.radial_fourier(5, shape)
    y = jax.vmap(radial.forward)(several)

    def fit(restarts, count):
        return fitter(shape, steps, restarts)(cs.Problem(radial, y[:count])).image

    terms = {}
    for m in counts.measurements:
        operator = dense(m, shape)
        arrays = operator, operator.forward(several[0]), -several[0]
        terms[f"measurements {m}"] = repeater(value_and_gradient, arrays)
    copied = {f"restarts {count}": repeater(fit, (count, 1)) for count in counts.copies}
    copied |= {f"images {count}": repeater(fit, (1, count)) for count in counts.copies}
    begin(terms | copied)
    times = alternate(turns(terms, steps=TERM_CALLS) | turns(copied), counts.lasso_rounds, "growth")
    axes = {"measurements": counts.measurements, "restarts": counts.copies, "images": counts.copies}
    results = {}
    for axis, values in axes.items():
        seconds = {str(value): times[f"{axis} {value}"] for value in values}
        medians = {value: median(taken) for value, taken in seconds.items()}
        results[axis] = {"seconds": seconds, "medians": medians, "exponent": exponent(values, list(medians.values()))}
    return results


def limits(counts: Counts) -> dict:
    """What this machine can do, and what of it is done (medians)."""
    case = DENSE_CASES[counts.term]
    tell(f"limits: {counts.term}, {counts.rounds} rounds")
    operator = dense(case.num_measurements, case.image_shape)
    image = jnp.asarray(images(1, case.image_shape)[0])
    y = operator.forward(image)
    square = jax.random.normal(jax.random.key(0), (counts.square, counts.square))
    product = jax.jit(jnp.dot)  # as the network's, in TF32 on a GPU
    read = jax.jit(lambda a, b: jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST))  # as the term's
    method = CsDip.preset("paper", case.image_shape)
    state = initial(method, cs.Problem(operator, y))
    carry = state.params, method.optimizer.init(state.params), jnp.zeros(())
    data = state.latent, image
    runs = {
        "gemm": repeater(product, (square, square)),
        "read": repeater(read, (operator.matrix, image.reshape(-1))),
        "network": stepper(network_step, method, data, carry),
        "term": repeater(jax.jit(jax.value_and_grad(cs.operators.measurement_loss, 2)), (operator, y, -image)),
    }
    begin(runs)
    times = alternate(turns(runs, counts.warm_up, TERM_CALLS), counts.rounds, "limits")
    # Operations as XLA counts them in the compiled program; bytes of A, which are read once at least.
    network = jax.jit(network_step).lower(method, data, carry).compile().cost_analysis()["flops"]
    amounts = {"gemm": 2.0 * counts.square**3, "network": network} | dict.fromkeys(
        ("read", "term"), operator.matrix.nbytes
    )
    results = {}
    for limit, part, unit, label in (
        ("gemm", "network", "flops", "network"),
        ("read", "term", "bytes", "measurement term"),
    ):
        pair = {side: [1e-9 * amounts[side] / seconds for seconds in times[side]] for side in (limit, part)}
        results[f"{counts.term}, {label}"] = {"rates": pair, "unit": unit, **compare(pair, limit)}
    return results


def denoiser(counts: Counts) -> dict:
    """A step of BM3D-AMP, and its two calls of the bm3d wheel alone, seconds (medians)."""
    case = DENSE_CASES[counts.lasso]
    tell(f"denoiser: {counts.lasso}, {counts.lasso_rounds} rounds")
    image = cs.data.load("demo", image_shape=case.image_shape, num_images=1)[0]
    operator = dense(case.num_measurements, case.image_shape)
    method = METHODS["bm3d_amp"].preset("paper", case.image_shape)
    problem = cs.Problem(operator, operator.forward(image))
    noisy, sigma = image + 0.2 * jax.random.normal(jax.random.key(1), image.shape), jnp.asarray(0.2)

    def wheel(noisy, sigma):
        first = denoisers.bm3d(noisy, sigma)
        return first + denoisers.bm3d(noisy + 1e-3 * first, sigma)

    step = stepper(fit_step, method, (None, problem), begun(method, initial(method, problem)))
    runs = {"step": step, "wheel": repeater(jax.jit(wheel), (noisy, sigma))}
    begin(runs)
    times = alternate(turns(runs), counts.lasso_rounds, "denoiser")
    return {counts.lasso: {"seconds": times, **compare(times, "step")}}


def fitter(image_shape: tuple[int, int, int], steps: int, restarts: int = 1) -> Callable:
    """`reconstruct` by CS-DIP, without redraws, which would depend on how far so few steps get."""
    method = dataclasses.replace(CsDip.preset("paper", image_shape), steps=steps, restarts=restarts)
    return partial(cs.reconstruct, method, key=jax.random.key(0), max_redraws=0)


def begin(runs: Mapping[str, Callable]) -> list:
    """What each returns for a single step; afterwards all are compiled."""
    return [take(1) for take in runs.values()]


def turns(runs: Mapping[str, Callable], warm_up: int = 0, steps: int = 1) -> dict[str, Callable[[], float]]:
    """Variant -> its turn, which returns seconds per step."""
    side = Side()
    side.runs = runs
    return {variant: partial(side.turn, variant, warm_up, steps) for variant in runs}


def relative_difference(images, reference) -> float:
    """||images - reference|| / ||reference||."""
    return float(jnp.linalg.norm(images - reference) / jnp.linalg.norm(reference))


SECTIONS = {section.__name__: section for section in (term, fits, restarts, sweep, growth, limits, denoiser)}


class OneProcess(Side):
    """Answers the parent's requests."""

    def measure(self, section: str, counts: dict) -> dict:
        """{"results": of this section}, or {"refused": why there are none}."""
        try:
            return {"results": SECTIONS[section](Counts(**counts))}
        except InputError as error:
            return {"refused": str(error)}


if __name__ == "__main__":
    serve(OneProcess())
