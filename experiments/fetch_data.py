"""`csdip data`, from a clone: the same options."""

import sys

from csdip_jax.commands import csdip

if __name__ == "__main__":
    csdip.run("data", sys.argv[1:])
