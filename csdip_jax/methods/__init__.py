"""The reconstruction methods: CS-DIP (`CsDip`) and what it is compared with, all behind the contract of `Method`.

A method is its settings: make it by `preset`, replace what you want otherwise, and hand it to `reconstruct`. `CsDip`
and `Dip` need no training and take any differentiable operator, and so do `SelfGuided` and `ASeqDip`, whose network
has an image for its input; `Tv` and `Lasso` solve convex problems, `Damp` iterates a denoiser, and all three need a
linear operator; `Csgm` needs a trained generator. `Best` fits several of them and weighs their images.

>>> method = cs.methods.CsDip.preset("paper", (28, 28, 1))
>>> method = dataclasses.replace(method, steps=2000, stop=cs.rules.Plateau())
>>> sorted(cs.methods.METHODS)[:4]
['aseq_dip', 'best', 'bm3d_amp', 'csdip']
>>> tv = cs.methods.METHODS["tv"].preset("paper", (28, 28, 1))

A new method is one file, which ends with its `Recipe`, and one import here.
"""

from csdip_jax.methods.aseq_dip import ASEQ_DIP as ASEQ_DIP, ASeqDip as ASeqDip
from csdip_jax.methods.autoencoding import Autoencoding as Autoencoding
from csdip_jax.methods.base import PRESETS as PRESETS, Method as Method, Regularization as Regularization
from csdip_jax.methods.best import BEST as BEST, Best as Best, candidates as candidates
from csdip_jax.methods.cs_dip import CSDIP as CSDIP, CsDip as CsDip
from csdip_jax.methods.csgm import CSGM as CSGM, Csgm as Csgm
from csdip_jax.methods.damp import (
    BM3D_AMP as BM3D_AMP,
    DAMP_TV as DAMP_TV,
    DAMP_WAVELET as DAMP_WAVELET,
    Damp as Damp,
    state_evolution as state_evolution,
)
from csdip_jax.methods.dip import DIP as DIP, Dip as Dip
from csdip_jax.methods.lasso import LASSO_DCT as LASSO_DCT, LASSO_WAVELET as LASSO_WAVELET, Lasso as Lasso
from csdip_jax.methods.network import Network as Network
from csdip_jax.methods.recipe import PARTS as PARTS, Recipe as Recipe
from csdip_jax.methods.self_guided import SELF_GUIDED as SELF_GUIDED, SelfGuided as SelfGuided
from csdip_jax.methods.tv import TV as TV, Tv as Tv
from csdip_jax.registry import named

__all__ = [
    "METHODS",
    "PARTS",
    "PRESETS",
    "ASeqDip",
    "Autoencoding",
    "Best",
    "CsDip",
    "Csgm",
    "Damp",
    "Dip",
    "Lasso",
    "Method",
    "Network",
    "Recipe",
    "Regularization",
    "SelfGuided",
    "Tv",
    "candidates",
    "state_evolution",
]

METHODS = named({"CSDIP": CSDIP, **globals()}, Recipe)  # the paper's first, as help and messages list them
"""Name -> `Recipe`, of what a run can be asked to reconstruct with; each has `preset(name, image_shape)`."""
