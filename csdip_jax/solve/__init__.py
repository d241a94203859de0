"""From a method and a problem to a solution; the place of jit and vmap.

`driver.py` is the driver on the host; `fits.py` the compiled programs it drives; `blocks.py` cuts the work, `memory.py`
to the memory at hand; `checkpoint.py` saves it; `inputs.py` checks what comes in.
"""

from csdip_jax.solve.driver import reconstruct

__all__ = ["reconstruct"]
