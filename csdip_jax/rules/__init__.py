"""Rules around any method: which image of a fit to keep, when to stop it, when to give it up and draw it anew.

    method = dataclasses.replace(method, keep=rules.Average(0.99), stop=rules.Plateau(patience=200))

A new rule is one file, and one line here; `--config.csdip.stop=<name>` then finds it, and `--config.stop.<field>`.
"""

from csdip_jax.rules.base import Fail, Iterate, Keep, Stop
from csdip_jax.rules.fail import Collapsed
from csdip_jax.rules.keep import Average, Best, Last, Tail
from csdip_jax.rules.stop import Plateau

RULES = {
    "keep": {"last": Last, "best": Best, "average": Average, "tail": Tail},
    "stop": {"plateau": Plateau},
    "fail": {"collapsed": Collapsed},
}
"""Kind, which is also the method's field -> name -> class."""

__all__ = ["RULES", "Average", "Best", "Collapsed", "Fail", "Iterate", "Keep", "Last", "Plateau", "Stop", "Tail"]
