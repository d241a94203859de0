"""From a method and a problem to a solution; the place of jit and vmap.

`driver.py` is the driver on the host; `fits.py` the compiled programs it drives; `blocks.py` cuts the work, `memory.py`
to the memory at hand; `checkpoint.py` saves it; `inputs.py` checks what comes in, `normalise.py` brings it to the
methods' units; `learn_start.py` learns where fits of other images begin.
"""

from csdip_jax.solve.driver import reconstruct
from csdip_jax.solve.learn_start import learn_start
from csdip_jax.solve.normalise import estimate_pixel_range

__all__ = ["estimate_pixel_range", "learn_start", "reconstruct"]
