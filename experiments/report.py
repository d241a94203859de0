"""`csdip report`, from a clone: the same options, and it knows the defaults of the experiments beside it."""

import sys

from csdip_jax.commands import csdip
from csdip_jax.commands.report.departures import BASES
from experiments.configs import learned_regularization, theorem_check

if __name__ == "__main__":
    BASES.update(
        learned_regularization=learned_regularization.get_config,
        theorem_check=theorem_check.get_config,
    )
    csdip.run("report", sys.argv[1:])
