"""The reconstruction methods, one file each, behind the contract of `base.Method`."""

from csdip_jax.methods.base import PRESETS, Info, Method
from csdip_jax.methods.cs_dip import CsDip
from csdip_jax.methods.tv import Tv

METHODS = {"csdip": CsDip, "tv": Tv}
"""Name -> class; each class has `preset(name, image_shape)`."""

__all__ = ["METHODS", "PRESETS", "CsDip", "Info", "Method", "Tv"]
