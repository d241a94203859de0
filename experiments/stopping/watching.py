"""A rule that watches other rules: when each would have ended the fit, and how good what it keeps is.

One fit tells of all rules, since none of them changes the iterates. The watcher looks at the true image, which a rule
of the library never sees; the rules that it carries do not see it either.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

import csdip_jax as cs
from csdip_jax.rules import Iterate, Keep, Stop
from csdip_jax.types import Array

ITERATE, AVERAGE = "iterate", "average"
NEVER = "all steps"
DECAYS = (0.99, 0.97, 0.9)
"""Of averages; the first is the library's default."""


@cs.pytree_dataclass
class Watched:
    """A rule that stops, with rules that keep.

    Attributes:
        stop: the rule.
        keeps: `ITERATE` or `AVERAGE`, what is kept -> the rule.
    """

    stop: Stop
    keeps: dict[str, Keep]


@cs.pytree_dataclass
class Never(Stop):
    """Takes all steps."""


def kept(by: str) -> dict[str, Keep]:
    """The iterate, and the average of the iterates, where a scalar was lowest."""
    return {ITERATE: cs.rules.Best(window=None, by=by), AVERAGE: cs.rules.BestAverage(by=by)}


def library_rules(noise_variance: float, share: float) -> dict[str, Watched]:
    """Label -> the library's rules, and the fit that takes all its steps.

    Args:
        noise_variance: of the whole noise vector, which the discrepancy alone is told.
        share: of the measurements that are held out.
    """
    last: dict[str, Keep] = {ITERATE: cs.rules.Last()}
    averages: dict[str, Keep] = {f"{AVERAGE} {decay:g}": cs.rules.Average(decay) for decay in DECAYS}
    return {
        NEVER: Watched(Never(), last | {AVERAGE: cs.rules.Average()} | averages),
        "HeldOut": Watched(cs.rules.HeldOut(share), kept("held_out_score")),
        "HeldOut, fitted=0": Watched(cs.rules.HeldOut(share, fitted=0.0), kept("held_out_score")),
        "Wmv": Watched(cs.rules.Wmv(), kept("variance")),
        "Emv": Watched(cs.rules.Emv(), kept("variance")),
        "Discrepancy": Watched(cs.rules.Discrepancy(noise_variance), last | {AVERAGE: cs.rules.Average(DECAYS[-1])}),
        "Plateau": Watched(cs.rules.Plateau(), kept("measurement_loss")),
    }


@cs.pytree_dataclass
class Watcher(Stop):
    """Never ends a fit; its scalars tell what the rules that it carries would have done.

    They are "<label>: stops", 1 where the rule would end the fit, "<label>: <scalar>" for each that the rule tells, and
    "<label>: <what is kept>", the PSNR of the image that the fit would give if it ended there.

    Attributes:
        truth: the true image, [h, w, c] in [-1, 1].
        rules: label -> `Watched`.
    """

    truth: Array
    rules: dict[str, Watched]

    @property
    def scalars(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(
            f"{label}: {what}"
            for label, rule in self.rules.items()
            for what in ("stops", *rule.stop.scalars, *rule.keeps)
        )

    @property
    def holds_out(self) -> float:
        return max(rule.stop.holds_out for rule in self.rules.values())

    def start(self, image: Array, held_out: Array | None) -> Any:
        def states(rule):
            return rule.stop.start(image, held_out), {name: keep.init(image) for name, keep in rule.keeps.items()}

        return {label: states(rule) for label, rule in self.rules.items()}

    def update(self, state: Any, seen: Iterate) -> tuple[Any, Array, dict[str, Array]]:
        following, told = {}, {}
        for label, rule in self.rules.items():
            stopping, keeping = state[label]
            stopping, stops, scalars = rule.stop.update(stopping, seen)
            after = seen._replace(scalars=seen.scalars | scalars)
            keeping = {name: keep.update(keeping[name], after) for name, keep in rule.keeps.items()}
            images = {name: keep.image(keeping[name], seen.image) for name, keep in rule.keeps.items()}
            psnr = {name: cs.metrics.psnr(image, self.truth) for name, image in images.items()}
            told |= {f"{label}: {name}": x for name, x in ({"stops": 1.0 * stops} | scalars | psnr).items()}
            following[label] = stopping, keeping
        return following, jnp.zeros((), bool), told


PATIENCES = (50, 100, 200, 400)
"""Beside the rules' own: what the same fit would have come to."""
WAITING = ("held_out_score", "variance")
"""Scalars of rules that end a fit when these have not fallen for some steps."""


def ends_after(values: np.ndarray, patience: int) -> int | None:
    """Steps after which a rule ends a fit whose scalar has not been lower for so long; None where it does not.

    Args:
        values: [steps], inf where it does not count yet.
        patience: at least 1.
    """
    steps, before = np.arange(len(values)), np.concatenate([[np.inf], np.minimum.accumulate(values)[:-1]])
    lowest_at = np.maximum.accumulate(np.where((values < before) | np.isinf(values), steps, -1))
    late = np.flatnonzero(steps - lowest_at >= patience)
    return int(late[0]) + 1 if late.size else None


def _ends(trace: dict[str, np.ndarray], label: str) -> dict[str, int | None]:
    """Label, with patiences of its own and others -> steps after which the rule ends the fit, None for not at all."""
    flagged = np.flatnonzero(trace[f"{label}: stops"])
    ends: dict[str, int | None] = {label: int(flagged[0]) + 1 if flagged.size else None}
    for values in [trace[name] for scalar in WAITING if (name := f"{label}: {scalar}") in trace]:
        ends |= {f"{label}, patience {patience}": ends_after(values, patience) for patience in PATIENCES}
    return ends


def outcomes(trace: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """What each rule comes to in a fit that a `Watcher` has watched, a line per rule and what it keeps.

    Args:
        trace: name -> [steps], the watcher's scalars.

    Returns:
        Of each: "rule", "keeps", "steps" that were taken, "stopped" before the last, "psnr" of what it keeps, "best
        iterate" and "loss", the highest PSNR of any iterate and how much higher it is, and "best of its kind" and "loss
        of its kind", the same of all images of the kind that it keeps, of averages with any of `DECAYS`.
    """
    lines, steps = [], len(trace[f"{NEVER}: stops"])
    every = {ITERATE: [ITERATE], AVERAGE: [f"{AVERAGE} {decay:g}" for decay in DECAYS]}
    best = {kind: max(float(trace[f"{NEVER}: {name}"].max()) for name in names) for kind, names in every.items()}
    for label in [name.removesuffix(": stops") for name in trace if name.endswith(": stops")]:
        for rule, end in _ends(trace, label).items():
            for kind, highest in best.items():
                psnr = float(trace[f"{label}: {kind}"][(end or steps) - 1])
                line = {"rule": rule, "keeps": kind, "steps": end or steps, "stopped": (end or steps) < steps}
                line |= {"psnr": psnr, "best iterate": best[ITERATE], "loss": best[ITERATE] - psnr}
                lines.append(line | {"best of its kind": highest, "loss of its kind": highest - psnr})
    return lines
