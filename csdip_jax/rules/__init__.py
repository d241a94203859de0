"""Rules around any method: which image of a fit to keep, when to stop it, when to give it up and draw it anew.

A rule is a setting of the method. It sees the iterates and the measurements, never a true image. One of your own is
derived from `Keep`, `Stop` or `Fail`.

>>> method = cs.methods.CsDip((28, 28, 1), keep=cs.rules.Average(0.99), stop=cs.rules.Plateau(patience=200))
>>> sorted(cs.rules.RULES["stop"])
['discrepancy', 'emv', 'held_out', 'plateau', 'wmv']

A new rule is one file, and one import here; `--config.csdip.stop=<name>` then finds it, and `--config.stop.<field>`.
"""

from csdip_jax.registry import named_classes
from csdip_jax.rules.base import (
    HELD_OUT_LOSS as HELD_OUT_LOSS,
    Fail as Fail,
    Iterate as Iterate,
    Keep as Keep,
    Rule as Rule,
    Stop as Stop,
)
from csdip_jax.rules.cross_validation import HeldOut as HeldOut
from csdip_jax.rules.emv import Emv as Emv
from csdip_jax.rules.fail import Collapsed as Collapsed
from csdip_jax.rules.keep import (
    Average as Average,
    Best as Best,
    BestAverage as BestAverage,
    Last as Last,
    Tail as Tail,
)
from csdip_jax.rules.stop import Discrepancy as Discrepancy, Plateau as Plateau
from csdip_jax.rules.windowed import Wmv as Wmv

__all__ = [
    "RULES",
    "Average",
    "Best",
    "BestAverage",
    "Collapsed",
    "Discrepancy",
    "Emv",
    "Fail",
    "HeldOut",
    "Iterate",
    "Keep",
    "Last",
    "Plateau",
    "Rule",
    "Stop",
    "Tail",
    "Wmv",
]

RULES = {kind: named_classes(globals(), base) for kind, base in (("keep", Keep), ("stop", Stop), ("fail", Fail))}
"""Kind, which is also the method's field ("keep", "stop", "fail") -> name -> class, of what a run can be asked for."""
