"""Rules around any method: which image of a fit to keep, when to stop it, when to give it up and draw it anew.

    method = dataclasses.replace(method, keep=rules.Average(0.99), stop=rules.Plateau(patience=200))

A new rule is one file, and one import here; `--config.csdip.stop=<name>` then finds it, and `--config.stop.<field>`.
"""

from csdip_jax.registry import named_classes
from csdip_jax.rules.base import Fail as Fail, Iterate as Iterate, Keep as Keep, Rule as Rule, Stop as Stop
from csdip_jax.rules.emv import Emv as Emv
from csdip_jax.rules.fail import Collapsed as Collapsed
from csdip_jax.rules.keep import Average as Average, Best as Best, Last as Last, Tail as Tail
from csdip_jax.rules.stop import Plateau as Plateau

__all__ = [
    "Average",
    "Best",
    "Collapsed",
    "Emv",
    "Fail",
    "Iterate",
    "Keep",
    "Last",
    "Plateau",
    "RULES",
    "Rule",
    "Stop",
    "Tail",
]

RULES = {kind: named_classes(globals(), base) for kind, base in (("keep", Keep), ("stop", Stop), ("fail", Fail))}
"""Kind, which is also the method's field -> name -> class."""
