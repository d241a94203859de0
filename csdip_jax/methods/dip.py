"""DIP: the deep image prior with a skip network, fitted to measurements by an operator of any kind.

    w* = argmin_w ||y - A G(z + e; w)||^2 + tv_weight TV(G(z + e; w)),    G untrained, e new noise in each step.

What is kept is the exponential average of the iterates. It is `CsDip` with the network, the optimiser and the average
that the field has settled on since: Adam with a cosine schedule, noise on the input.

Ulyanov, Vedaldi, Lempitsky: Deep image prior, CVPR 2018 (arXiv 1711.10925).
"""

from csdip_jax import rules
from csdip_jax.generators import UNet
from csdip_jax.methods.cs_dip import CsDip
from csdip_jax.methods.recipe import Recipe
from csdip_jax.types import keyword_field, pytree_dataclass, static_field


@pytree_dataclass
class Dip(CsDip):
    """Deep image prior with a U-Net: at few measurements, and on images with edges, ahead of the paper's CS-DIP.

    Its fields are those of `CsDip`; these have other defaults.

    Attributes:
        steps: of Adam, 1500.
        decay, tv_weight, learning_rate, schedule, input_noise: 0.999, 0.03, 0.005, "cosine" and 0.03, found on
            photographs and retinas that no table reports.
        generator: by default `generators.UNet(image_shape)`.
        keep: by default the exponential average over about a hundred iterates.

    Example:
        >>> method = cs.methods.Dip((64, 64, 3), steps=500)
        >>> method.generator.width, method.optimizer_name
        (48, 'adam')
    """

    steps: int = static_field(1500)
    decay: float = 0.999
    tv_weight: float = 0.03
    optimizer_name: str = static_field("adam")
    learning_rate: float = keyword_field(5e-3)
    schedule: str = keyword_field("cosine", static=True)
    input_noise: float | None = keyword_field(0.03)
    usual_keep = rules.Average(0.99)

    def __post_init__(self):
        if self.generator is None:
            object.__setattr__(self, "generator", UNet(self.image_shape))
        super().__post_init__()

    @classmethod
    def preset(cls, name: str, image_shape: tuple[int, int, int]) -> "Dip":
        """The settings above, by either name: the paper has no such network.

        Args:
            name: "paper" or "reference".
            image_shape: (h, w, c).

        Raises:
            InputError: unknown name.
        """
        return super(CsDip, cls).preset(name, image_shape)


DIP = Recipe(
    name="dip",
    label="DIP",
    colour="tab:brown",
    method=Dip,
    grid={"learning_rate": (0.0025, 0.005, 0.01), "tv_weight": (0.01, 0.03, 0.1)},
    toy={"steps": 40, "learning_rate": 0.02},
    candidates=lambda image_shape: {"dip": {}},
)
