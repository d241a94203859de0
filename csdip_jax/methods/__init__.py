"""The reconstruction methods, one file each, behind the contract of `base.Method`.

A new method is one file, which ends with its `Recipe`, and one line here.
"""

from csdip_jax.methods.base import PRESETS, Method
from csdip_jax.methods.cs_dip import CSDIP, CsDip
from csdip_jax.methods.csgm import CSGM, Csgm
from csdip_jax.methods.damp import BM3D_AMP, DAMP_TV, DAMP_WAVELET, Damp
from csdip_jax.methods.lasso import LASSO_DCT, LASSO_WAVELET, Lasso
from csdip_jax.methods.network import Network
from csdip_jax.methods.recipe import PARTS, Recipe
from csdip_jax.methods.tv import TV, Tv

METHODS = {
    recipe.name: recipe
    for recipe in (
        CSDIP,
        BM3D_AMP,
        DAMP_TV,
        DAMP_WAVELET,
        TV,
        LASSO_DCT,
        LASSO_WAVELET,
        CSGM,
    )
}
"""Name -> recipe; each has `preset(name, image_shape)`."""

__all__ = ["METHODS", "PARTS", "PRESETS", "CsDip", "Csgm", "Damp", "Lasso", "Method", "Network", "Recipe", "Tv"]
