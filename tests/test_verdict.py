"""What a verdict says: only what the measurements prove, and what may be tried."""

import math
import re

import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.verdict import Remedies, advice, diverged, falling, in_short, in_words


def solution(**changes):
    fields = dict.fromkeys(cs.Solution._fields) | {"status": 0, "measurement_loss": 6.0, "unexplained": 1e-3}
    trace = {"measurement_loss": changes.pop("trace", np.full(100, 6.0))}
    return cs.Solution(**fields | {"trace": trace} | changes)


FALLING = np.linspace(3, 0.1, 100)
GROWN = np.minimum(np.linspace(1, 9, 100), 3)
STOPPED = np.where(np.arange(100) < 60, FALLING, np.nan)
WORDS = {
    "explained": ({}, None, r"explains 99\.90 % of the measurements' contrast$"),
    "nearly all": ({"unexplained": 1.5e-4}, None, r"explains 99\.985 %.*contrast$"),
    "but a rest": ({"unexplained": 7e-10}, None, "explains all but 7e-10 of the measurements' contrast$"),
    "all": ({"unexplained": 0.0}, None, "explains all of the measurements' contrast$"),
    "half": (
        {"unexplained": 0.5},
        None,
        "explains 50 % .*take more steps, regularize less, or A .* may be others than assumed",
    ),
    "half, by its own rule": (
        {"trace": STOPPED, "unexplained": 0.5},
        None,
        "explains 50 % of .* contrast, regularize less, or A .its",
    ),
    "half, of noise": ({"unexplained": 0.4}, 6.0, "explains 60 % .*leaves 1 times the noise$"),
    "nothing": (
        {"unexplained": 1.7},
        None,
        "explains no more than a flat image does, take more steps, regularize less, or A",
    ),
    "cannot be told": ({"unexplained": np.nan}, None, "cannot be told"),
    "failed": ({"status": cs.Status.COLLAPSED}, None, "every attempt collapsed or diverged$"),
    "above the noise": ({}, 0.3, "leaves 20 times the noise, take more steps, regularize less, or A"),
    "grew": (
        {"trace": GROWN, "unexplained": 9.0},
        None,
        "diverged: its loss grew to 3 times .*, take smaller steps, or A",
    ),
    "grew above the noise": ({"trace": GROWN, "unexplained": 9.0}, 0.3, "20 times the noise, it diverged: .* smaller"),
    "grew, and yet explains": ({"trace": GROWN, "unexplained": 0.5}, None, "explains 50 % .*contrast, take more steps"),
    "at the noise": ({}, 5.0, "leaves 1.2 times the noise$"),
    "below the noise": ({}, 60.0, "0.1 times the noise, so it fits noise too: take fewer steps, or regularize more$"),
    "no contrast": ({"unexplained": 0.08}, 60.0, "a flat image explains the measurements to their noise"),
    "falling": (
        {"trace": FALLING, "unexplained": 0.01},
        None,
        "its loss fell by 83 % .*, take more steps to explain more",
    ),
    "falling, wrong units": (
        {"trace": FALLING, "unexplained": 0.9},
        None,
        "loss fell by 83 % .*, take more.* or A",
    ),
    "falling, all but done": ({"trace": FALLING, "unexplained": 1e-5}, None, "explains all but 1e-05 .* contrast$"),
    "falling, above": (
        {"trace": FALLING, "unexplained": 0.01},
        0.3,
        "20 times the noise, its loss fell .* or A",
    ),
    "falling, at the noise": ({"trace": FALLING, "unexplained": 0.01}, 5.0, "1.2 times the noise, its loss fell"),
    "stopped by its own rule": ({"trace": STOPPED, "unexplained": 0.01}, None, "explains 99 % of .* contrast$"),
}


@pytest.mark.parametrize("name", WORDS)
def test_words(name):
    changes, noise, words = WORDS[name]
    told = cs.verdict(solution(**changes), noise)
    assert re.search(words, told) and told.count("\n") == 0


def test_advice_names_how_a_program_does_it():
    """Where a program says how; nothing of a fit that is as it should be."""
    known = Remedies("take more steps (--steps=3)", "", "regularize more (--mu=1)", "regularize less (--mu=9)")
    assert "take more steps (--steps=3), regularize less (--mu=9), or A" in in_words(True, 1e-3, 0.0, 20.0, known)
    assert advice(1e-2, 0.9, None, known) == "take more steps (--steps=3) to explain more"
    assert advice(1e-2, 0.0, 0.1, known) == "so it fits noise too: regularize more (--mu=1)"
    assert advice(1e-2, 0.0, 0.1, known._replace(regularize_more="")) == "so it fits noise too"
    assert advice(1e-2, 0.0, 20.0, known._replace(more_steps="", regularize_less="")).startswith("A (its order")
    assert advice(1e-2, 0.0) == advice(1e-3, 0.0, 1.1) == advice(0.08, 0.0, 0.1) == ""
    assert advice(1e-2, None, 20.0).startswith("regularize less, or A")


def test_a_verdict_fits_into_a_table():
    told = [in_short(1e-3), in_short(1e-3, 1.13), in_short(1.2), in_short(math.nan), in_short(0.0), in_short(7e-10)]
    explains = ["explains nothing", "-", "explains all", "explains all but 7e-10"]
    assert told == ["explains 99.90 %", "leaves 1.1 x noise", *explains]


def test_verdict_is_of_one_solution():
    with pytest.raises(cs.InputError, match="solutions of 3 problems"):
        cs.verdict(solution(status=np.zeros(3, int)))


@pytest.mark.parametrize("noise", ["a", -1.0, np.nan, np.inf, np.ones(3)])
def test_the_energy_of_noise_is_a_number(noise):
    with pytest.raises(cs.InputError, match="noise_energy"):
        cs.verdict(solution(), noise)


def test_falling_is_of_fits_that_took_all_their_steps():
    assert falling(np.concatenate([np.linspace(10, 1, 100), [np.nan]])) is None
    assert falling(np.linspace(10, 1, 100)) == pytest.approx(1 - 1.41 / 5.05, abs=0.02)
    assert falling(np.ones(100)) == falling(np.ones(5)) == falling(np.linspace(1, 1.05, 100)) == 0.0


@pytest.mark.parametrize("times", [1.5, 10.0])
def test_a_loss_that_grew_is_told_from_one_that_stands(times):
    """Whenever it grew: one that is clipped stands from then on."""
    for trace in (np.linspace(1, times, 1000), np.r_[1.0, np.full(99, times)]):
        assert falling(trace) == pytest.approx(1 - times, rel=0.06)
        assert diverged(1.0, falling(trace)) and not diverged(0.9, falling(trace))
    assert falling(np.r_[0.0, np.ones(99)]) == 0.0 and not diverged(2.0, None)


def test_a_loss_at_zero_fell_no_further():
    assert falling(np.zeros(100)) == 0.0 and in_words(True, 0.0, 0.0).startswith("explains all of")
