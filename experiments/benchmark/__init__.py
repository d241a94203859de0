"""Speed beside PyTorch, and memory, on a CPU: `python -m experiments.benchmark --help`."""
