"""How much is measured."""

from typing import NamedTuple


class Counts(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: turns of each side.
        warm_up: untimed steps at the start of a turn.
        share: of `Case.turn_steps` in a turn of section `step`; half of it in one of `fit`, and in each fit of `fits`.
        sweep_steps: of each fit in section `sweep`.
        square: rows of the matrices whose product is this machine's limit, in section `limits`.
        sides: of the images in section `size`, the first one the reference.
        growth: name of the network in section `growth`.
        measurements: of its dense A.
        copies: its numbers of restarts, and of images.
        matrix_rows: numbers of measurements in section `memory`.
        memory_steps: steps of its reconstructions.
        term: names of the problems in section `term`.
        lasso: names of the problems in section `lasso`.
        lasso_rounds: turns of each side in sections `lasso`, `sweep`, `growth` and `start`, which are long.
    """

    rounds: int = 12
    warm_up: int = 2
    share: float = 1.0
    sweep_steps: int = 1000
    square: int = 2048
    sides: tuple[int, ...] = (128, 256, 512, 1024)
    growth: str = "xray"
    measurements: tuple[int, ...] = (1000, 2000, 4000, 8000)
    copies: tuple[int, ...] = (1, 2, 4, 8)
    matrix_rows: tuple[int, ...] = (2000, 4000)
    memory_steps: int = 15
    term: tuple[str, ...] = ("xray",)
    lasso: tuple[str, ...] = ("photograph",)
    lasso_rounds: int = 4


GPU = Counts(share=10.0, square=8192, copies=(1, 4, 16, 64))
"""A step there takes about a millisecond."""

QUICK = Counts(
    rounds=2,
    warm_up=1,
    share=0.04,
    sweep_steps=10,
    square=64,
    sides=(16, 32),
    growth="mnist",
    measurements=(25, 50),
    copies=(1, 2),
    matrix_rows=(200,),
    memory_steps=3,
    term=("small",),
    lasso=("small",),
    lasso_rounds=1,
)
