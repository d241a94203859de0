"""The reconstruction methods, one file each, behind the contract of `base.Method`.

A new method is one file, which ends with its `Recipe`, and one import here.
"""

from csdip_jax.methods.base import PRESETS as PRESETS, Method as Method
from csdip_jax.methods.cs_dip import CSDIP as CSDIP, CsDip as CsDip
from csdip_jax.methods.csgm import CSGM as CSGM, Csgm as Csgm
from csdip_jax.methods.damp import (
    BM3D_AMP as BM3D_AMP,
    DAMP_TV as DAMP_TV,
    DAMP_WAVELET as DAMP_WAVELET,
    Damp as Damp,
    state_evolution as state_evolution,
)
from csdip_jax.methods.lasso import LASSO_DCT as LASSO_DCT, LASSO_WAVELET as LASSO_WAVELET, Lasso as Lasso
from csdip_jax.methods.network import Network as Network
from csdip_jax.methods.recipe import PARTS as PARTS, Recipe as Recipe
from csdip_jax.methods.tv import TV as TV, Tv as Tv
from csdip_jax.registry import named

__all__ = [
    "CsDip",
    "Csgm",
    "Damp",
    "Lasso",
    "METHODS",
    "Method",
    "Network",
    "PARTS",
    "PRESETS",
    "Recipe",
    "Tv",
    "state_evolution",
]

METHODS = named(globals(), Recipe)
"""Name -> recipe; each has `preset(name, image_shape)`."""
