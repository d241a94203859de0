"""`python -m csdip_jax`, the same as the command `csdip`."""

from csdip_jax.commands import csdip

if __name__ == "__main__":
    csdip.main()
