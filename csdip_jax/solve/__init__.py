"""From a method and a problem to a solution; the place of jit and vmap.

`driver.py` is the driver on the host; `fits.py` the compiled programs it drives; `blocks.py` cuts the work, `memory.py`
to the memory at hand; `checkpoint.py` saves it; `held_out.py` keeps measurements back, by which `uncertainty.py` tells
the error; `inputs.py` checks what comes in, `normalise.py` brings it to the methods' units; `candidates.py` fits
several methods and `stacking.py` weighs their images; `learn_start.py` learns where fits of other images begin.
"""

from csdip_jax.solve.driver import best, reconstruct
from csdip_jax.solve.held_out import hold_out
from csdip_jax.solve.learn_start import learn_start
from csdip_jax.solve.normalise import estimate_pixel_range

__all__ = ["best", "estimate_pixel_range", "hold_out", "learn_start", "reconstruct"]
