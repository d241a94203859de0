"""The reconstruction methods, one file each, behind the contract of `base.Method`."""

from csdip_jax.methods.base import PRESETS, Info, Method
from csdip_jax.methods.cs_dip import CsDip
from csdip_jax.methods.csgm import Csgm
from csdip_jax.methods.damp import Bm3dAmp, Damp, DampTv, DampWavelet
from csdip_jax.methods.lasso import Lasso, LassoDct, LassoWavelet
from csdip_jax.methods.tv import Tv

METHODS = {
    "csdip": CsDip,
    "bm3d_amp": Bm3dAmp,
    "damp_tv": DampTv,
    "damp_wavelet": DampWavelet,
    "tv": Tv,
    "lasso_dct": LassoDct,
    "lasso_wavelet": LassoWavelet,
    "csgm": Csgm,
}
"""Name -> class; each class has `preset(name, image_shape)`."""

__all__ = [
    "METHODS",
    "PRESETS",
    "Bm3dAmp",
    "CsDip",
    "Csgm",
    "Damp",
    "DampTv",
    "DampWavelet",
    "Info",
    "Lasso",
    "LassoDct",
    "LassoWavelet",
    "Method",
    "Tv",
]
