"""The commands, `python -m experiments.<name>`."""

import sys

for _name in ("phantom", "state_evolution", "coordinate_descent"):
    if sys.argv[:1] == ["-m"] and f"experiments.{_name}" in sys.orig_argv:  # as Python has it while it looks for them
        sys.exit(f"error: experiments.{_name} is an example now, without flags: python examples/{_name}.py")
