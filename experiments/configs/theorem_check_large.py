"""The theorem on large networks: n up to 4096, d = 20 n; made for a GPU, possible on a CPU with time.

    python -m experiments.theorem_check --config=experiments/configs/theorem_check_large.py

V of n = 4096 has 336 million entries: 1.3 GiB, thrice that while it is drawn.
"""

from experiments.configs import theorem_check


def get_config():
    config = theorem_check.get_config()
    config.memory = 8.0
    config.sections = "descent,spectra"
    config.num_pixels = (1024, 4096)
    config.ratios = (20.0,)
    config.num_seeds = 2
    config.step_scales = (1 / 16, 0.35, 0.5, 1.0)
    config.spectra.num_pixels = (4096,)
    config.spectra.threshold_pixels = (400,)
    config.spectra.num_seeds = 2
    return config
