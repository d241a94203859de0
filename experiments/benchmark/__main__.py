"""Times this library beside plain PyTorch and scikit-learn, and measures its memory.

    python -m experiments.benchmark                                   about half an hour; needs the extra `bench`
    python -m experiments.benchmark --sections=fits,memory            JAX alone
    python -m experiments.benchmark --quick                           minutes, to see that it works; no timing to trust
    python -m experiments.benchmark --device=gpu                      on an NVIDIA GPU; PyTorch has to be built for CUDA

Sections:
    step    a gradient step of each of the paper's networks alone, beside PyTorch
    term    the measurement term alone: one pass over A (in place, or in copied blocks) or two
            products, A in float16 and int8, images that share A
    fits    eight fits in one call of `reconstruct` beside eight calls
    restarts  four restarts that share a dense A, advanced together beside one at a time
    sweep   a fit within `experiments.sweep`, rows and pictures and all, beside one by `reconstruct`
    size    a step of images of 128 x 128 to 1024 x 1024 pixels by an operator without a matrix, and its memory
    growth  the measurement term by m, and fits by restarts and images, with the fitted exponents
    limits  the rates of a square matrix product and of reading A, and what of them network and term reach
    start   seconds of imports, and until the first step of an x-ray fit, in fresh processes
    memory  peak of a whole x-ray fit with a dense A, in a fresh process
    fit     a whole CS-DIP step with a dense A, beside PyTorch, whose A is float32; holds A four times, up to 8 GB
    lasso   Lasso-DCT of a photograph of 65536 pixels, to the objective at which scikit-learn stops; about 3 GB
    denoiser  what of a step of BM3D-AMP is spent in the bm3d wheel
    peers   beside deepinv and sigpy: seconds, CPU seconds and PSNR from the same A and y, a quarter of an hour. It
            runs where it is asked for (--sections=peers); what is not installed is skipped (the extra `peers`)

PyTorch runs eagerly (torch.compile and CUDA graphs are not measured), on a CPU on all cores and in four variants,
contiguous and channels-last, each with OMP_WAIT_POLICY active and passive, on a GPU in the first two, with cuDNN's
algorithms chosen by trial; the best one counts. Both sides start from the same weights, and nothing is timed before
their losses and gradients agree. They take turns in one run, each in a process of its own, stopped (SIGSTOP) while it
is not its turn. A ratio is the median over the rounds of each round's ratio; their range stands below it. Targets are
for information, and were set for CPUs. Use an otherwise idle machine.

The workdir gets <section>.json (every turn's time, versions, machine, commit) and ratios.png, and peers/ the images
and table.md, of which `python -m experiments.front_page` makes the pictures of README.md.
"""

import contextlib
import importlib.metadata
import os
import platform
from pathlib import Path

from absl import flags

from csdip_jax.commands import launcher
from csdip_jax.files import write_json
from csdip_jax.runs.workdir import cpu_model, environment
from csdip_jax.types import InputError
from experiments.benchmark import cases, catalogue, turns
from experiments.benchmark.catalogue import SECTIONS


def main() -> None:
    names, quick = flags.FLAGS.sections, flags.FLAGS.quick
    unknown = [name for name in names if name not in SECTIONS]
    if unknown or not names:
        raise InputError(f"--sections={','.join(names)}: choose from {', '.join(SECTIONS)}")
    catalogue.require_packages(names)
    turns.choose(flags.FLAGS.device)
    counts = cases.QUICK if quick else cases.GPU if turns.on_gpu() else cases.Counts()
    if flags.FLAGS.rounds:
        counts = counts._replace(rounds=flags.FLAGS.rounds, lasso_rounds=flags.FLAGS.rounds)
    workdir = Path(flags.FLAGS.workdir or "runs/benchmark" + "-gpu" * turns.on_gpu() + "-quick" * quick)
    run = {"counts": counts._asdict(), **describe_machine(), **environment()}
    try:
        write_json(workdir / "config.json", run)
    except OSError as error:
        raise InputError(f"workdir {workdir} cannot be used: {error}; choose another --workdir") from error
    print_header(run)

    results = {}
    for name in dict.fromkeys(names):
        try:
            results[name] = SECTIONS[name].measure(counts, workdir / name)
        except ChildProcessError as error:
            raise InputError(f"section {name}: {error}") from error
        write_json(workdir / f"{name}.json", {"results": results[name], **run})
        print(f"\n{catalogue.table(name, results[name])}\n", flush=True)
    compared = {name: result for name, result in results.items() if SECTIONS[name].compared}
    if compared:
        device = run["device"] if turns.on_gpu() else f"{run['cpu']}, {run['cores']} cores"
        caption = device + ", --quick: no timing to trust" * quick
        catalogue.save_ratios(workdir / "ratios.png", compared, caption)
    print(f"written to {workdir}")


def describe_machine() -> dict:
    """CPU model, cores and load, and the versions of the other sides' packages."""
    rivals = {}
    for package in ("torch", "scikit-learn", "deepinv", "sigpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            rivals[package] = importlib.metadata.version(package)
    load = round(os.getloadavg()[0], 2)
    return {"cpu": cpu_model(), "cores": turns.cores(), "load_average": load, "rivals": rivals}


def print_header(run: dict) -> None:
    """What is measured where, and whether others share the machine."""
    versions = {name: run["versions"][name] for name in ("python", "jax", "jaxlib", "flax", "optax", "numpy")}
    print(f"machine:  {run['cpu']}, {run['cores']} cores; {platform.system()}")
    if turns.on_gpu():
        print(f"device:   {run['device']}")
    print("versions: " + ", ".join(f"{name} {version}" for name, version in (versions | run["rivals"]).items()))
    print(f"PyTorch:  eager, {run['cores']} threads; torch.compile is not measured")
    if run["load_average"] > 0.5:
        print(f"warning:  load average {run['load_average']}: other work is running here, expect noise")
    print()


if __name__ == "__main__":
    # Not at import: other launchers have a --workdir as well, and absl refuses a flag that is defined twice.
    needing = ", ".join(name for name, section in SECTIONS.items() if section.needs)
    flags.DEFINE_list("sections", catalogue.by_default(), f"Which to run; all but {needing} need JAX alone.")
    flags.DEFINE_integer(
        "rounds",
        None,
        "Turns of each side; default 12 (lasso, sweep, growth, start: 4), with --quick 2 (1).",
        lower_bound=1,
    )
    flags.DEFINE_enum("device", "cpu", list(turns.PLATFORMS), "What JAX and PyTorch compute on.")
    flags.DEFINE_bool("quick", False, "Tiny counts: shows that everything works, times mean nothing.")
    flags.DEFINE_string(
        "workdir", None, "Folder of the results; default runs/benchmark, with -gpu and -quick where these are set."
    )
    launcher.run(main, interrupted="finished sections are in the workdir; --sections runs the others")
