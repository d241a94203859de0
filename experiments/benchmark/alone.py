"""The sections that measure this library alone; each returns what it measured, ready for JSON."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from statistics import median

from tqdm import tqdm

from csdip_jax.types import InputError
from experiments.benchmark import processes
from experiments.benchmark.cases import CASES, TERM_CASES
from experiments.benchmark.counts import Counts
from experiments.benchmark.rounds import alternate, calls, compare, exponent, milliseconds

TERM_CALLS = 5
SHARED_TARGET = 2.0
FITS = 8
FITS_TARGET = 1.15
RESTARTS = 4
RESTARTS_TARGET = 1.0
SWEEP_TARGET = 0.95
SIZE_REFERENCE, SIZE_STEPS = 128, 60
COLOURS = {"grey": 1, "RGB": 3}
SIZE_TARGET = 1.5
START_TARGETS = {"imports beyond jax, flax, optax": 0.5, "first step, nothing cached": 6.0, "first step, cached": 3.0}
MEMORY_TARGET = 1_000_000_000


def term(counts: Counts) -> dict:
    """Value and gradient of the measurement term alone: ms an image, by storage of A and by images that share it."""
    results = {}
    with processes.jax_worker() as worker:
        for name in counts.term:
            case = TERM_CASES[name]
            print(f"term: {name}, m = {case.num_measurements}, {counts.rounds} rounds", flush=True)
            images = worker.ask("prepare_term", name=name)

            def per_image(variant, images=images):
                return milliseconds(worker, variant, counts.warm_up, TERM_CALLS) / images[variant]

            times = alternate({variant: partial(per_image, variant) for variant in images}, counts.rounds, "term")
            for variant in images:
                if variant != "one, float32":
                    pair = {side: times[side] for side in ("one, float32", variant)}
                    target = {"target": SHARED_TARGET} if variant == "shared" else {}
                    label = f"{case.images} that share A" if variant == "shared" else variant
                    results[f"{name}, {label}"] = {"milliseconds": pair, **compare(pair, variant), **target}
    return results


def fits(counts: Counts, names: Sequence[str] = ("mnist", "retino")) -> dict:
    """Per network: seconds of eight fits as one batch and as eight single ones, through `reconstruct`."""
    results = {}
    with processes.jax_worker() as worker:
        for name in names:
            steps = max(2, round(counts.share * CASES[name].turn_steps / 2))
            print(f"fits: {name}, {FITS} fits of {steps} steps, {counts.rounds} rounds", flush=True)
            difference = worker.ask("prepare_fits", name=name, count=FITS, steps=steps)
            if difference != 0 and not processes.on_gpu():  # whose batched products round differently
                raise InputError(f"fits, {name}: the images of the batch are not exactly those of the single fits")
            times = alternate(calls(worker, ("batch", "singles")), counts.rounds, f"fits {name}")
            facts = {"steps": steps, "difference": difference, "target": FITS_TARGET}
            results[name] = {"seconds": times, **compare(times, "singles"), **facts}
    return results


def restarts(counts: Counts, names: Sequence[str] = ("xray", "retino")) -> dict:
    """Per network and m: seconds of four restarts that share a dense A, advanced together and one at a time."""
    results = {}
    for name, m in [(network, m) for network in names for m in CASES[network].fits]:
        steps = max(2, round(counts.share * CASES[name].turn_steps / 2))
        print(f"restarts: {name}, m = {m}, {RESTARTS} restarts of {steps} steps, {counts.rounds} rounds", flush=True)
        with processes.jax_worker() as worker:
            sizes = {"name": name, "num_measurements": m, "count": RESTARTS, "steps": steps}
            difference = worker.ask("prepare_restarts", **sizes)
            times = alternate(calls(worker, ("apart", "together")), counts.rounds, f"restarts {name}")
        facts = {"steps": steps, "difference": difference, "target": RESTARTS_TARGET}
        results[f"{name}, m = {m}"] = {"seconds": times, **compare(times, "together"), **facts}
    return results


def sweep(counts: Counts, name: str = "mnist") -> dict:
    """Fits x steps per second of `experiments.sweep`, files and all, beside those of a single fit by `reconstruct`."""
    with processes.jax_worker() as worker:
        steps = counts.sweep_steps
        print(f"sweep: {name}, 3 fits of {steps} steps beside one, {counts.lasso_rounds} rounds", flush=True)
        rates = worker.ask("prepare_sweep", name=name, images=3, steps=steps)
        sides = ("sweep", "single")

        def seconds_per_fit(side):
            return worker.ask("turn", variant=side, warm_up=0, steps=1) / rates[side]

        times = alternate({side: partial(seconds_per_fit, side) for side in sides}, counts.lasso_rounds, "sweep")
    return {name: {"seconds": times, **compare(times, "sweep"), "steps": steps, "target": SWEEP_TARGET}}


def size(counts: Counts) -> dict:
    """Per square image, grey or RGB, m = n / 10 without a matrix: nanoseconds per pixel and step; peak memory."""
    shapes = [(side, colours) for colours in COLOURS for side in counts.sides]
    with contextlib.ExitStack() as stack:
        workers, peaks = {shape: stack.enter_context(processes.jax_worker()) for shape in shapes}, {}
        for (side, colours), worker in workers.items():
            print(f"size: {side} x {side} {colours}, compiling", flush=True)
            peaks[side, colours] = worker.ask("prepare_size", side=side, channels=COLOURS[colours])

        def nanoseconds(shape):
            steps = max(1, round(counts.share * SIZE_STEPS * (SIZE_REFERENCE / shape[0]) ** 2))
            return 1e9 * workers[shape].ask("turn", variant="", warm_up=1, steps=steps) / shape[0] ** 2

        times = alternate({shape: partial(nanoseconds, shape) for shape in shapes}, counts.rounds, "size")
    results, (reference, *larger) = {}, counts.sides
    for side, colours in [shape for shape in shapes if shape[0] in larger]:
        pair = {str(side): times[side, colours], str(reference): times[reference, colours]}
        ratio = compare(pair, str(reference))
        results[f"{side} x {side} {colours}"] = {
            "nanoseconds": pair,
            **ratio,
            "colours": colours,
            "peak": peaks[side, colours],
            "target": SIZE_TARGET,
        }
    return results


def growth(counts: Counts) -> dict:
    """Seconds of the measurement term by m, and of `reconstruct` by restarts and images; the fitted exponents."""
    steps = max(2, round(counts.share * CASES[counts.growth].turn_steps / 2))
    axes = {"measurements": counts.measurements, "restarts": counts.copies, "images": counts.copies}
    print(f"growth: {counts.growth}, fits of {steps} steps, {counts.lasso_rounds} rounds", flush=True)
    with processes.growth_worker() as worker:
        sizes = {"measurements": counts.measurements, "copies": counts.copies, "steps": steps}
        worker.ask("prepare_growth", name=counts.growth, **sizes)
        turns = {
            f"{axis} {value}": partial(worker.ask, "turn", variant=f"{axis} {value}", warm_up=0, steps=repeats)
            for axis, repeats in (("measurements", TERM_CALLS), ("restarts", 1), ("images", 1))
            for value in axes[axis]
        }
        times = alternate(turns, counts.lasso_rounds, "growth")
    results = {}
    for axis, values in axes.items():
        seconds = {str(value): times[f"{axis} {value}"] for value in values}
        medians = {value: median(taken) for value, taken in seconds.items()}
        results[axis] = {"seconds": seconds, "medians": medians, "exponent": exponent(values, list(medians.values()))}
    return results


def limits(counts: Counts) -> dict:
    """Rates of products and of reading from memory, and what of them the network and the measurement term reach."""
    results = {}
    with processes.limits_worker() as worker:
        for name in counts.term:
            print(f"limits: {name}, {counts.rounds} rounds", flush=True)
            amounts = worker.ask("prepare_limits", name=name, size=counts.square)
            turns = {variant: partial(milliseconds, worker, variant, counts.warm_up, TERM_CALLS) for variant in amounts}
            times = alternate(turns, counts.rounds, "limits")
            for part, limit, unit, label in (
                ("network", "gemm", "flops", "network"),
                ("term", "read", "bytes", "measurement term"),
            ):
                pair = {
                    side: [1e-6 * amounts[side][unit] / elapsed for elapsed in times[side]] for side in (limit, part)
                }
                results[f"{name}, {label}"] = {"rates": pair, "unit": unit, **compare(pair, limit)}
    return results


def start(counts: Counts) -> dict:
    """Seconds of imports and until the first step of an x-ray fit, in fresh processes, without and with a cache."""
    command = [sys.executable, "-m", "experiments.benchmark.first_step"]

    def seconds(cache, *arguments):
        environment = os.environ | processes.JAX_SETTINGS | {"JAX_COMPILATION_CACHE_DIR": cache}
        finished = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=True)
        return json.loads(finished.stdout)

    rows = []
    for _ in tqdm(range(counts.lasso_rounds), desc="start", leave=False, disable=None):
        with tempfile.TemporaryDirectory() as cache:
            (alone,), (imported, cold), (_, warm) = seconds(cache, "dependencies"), seconds(cache), seconds(cache)
        rows.append([imported - alone, cold, warm])
    return {
        name: {"seconds": list(values), "median": median(values), "target": START_TARGETS[name]}
        for name, values in zip(START_TARGETS, zip(*rows, strict=True), strict=True)
    }


def memory(counts: Counts, name: str = "xray") -> dict:
    """Per number of measurements: bytes of A, and of a fresh process that draws it and does a whole fit with it."""
    results = {}
    for m in counts.matrix_rows:
        print(f"memory: {name}, m = {m}, {counts.memory_steps} steps", flush=True)
        # With the cache of programs the compiler's own memory would not show.
        with processes.jax_worker(JAX_ENABLE_COMPILATION_CACHE="false") as worker:
            results[str(m)] = worker.ask("peak_memory", name=name, num_measurements=m, steps=counts.memory_steps)
        results[str(m)]["target"] = MEMORY_TARGET
    return results
