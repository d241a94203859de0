"""What the tables say of a fit, and of what may be done about it: once, and with the option that does it."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import csdip_jax as cs
from csdip_jax.commands import row_tables
from csdip_jax.runs.row import Status, facts
from tests.methods.toys import Landweber
from tests.runs.test_row import ROW

OPERATOR = cs.operators.gaussian(jax.random.key(0), 40, (8, 8, 1))

FIT = {"status": Status.FINISHED, "unexplained": 1e-3, "falling": 0.0, "swept": {}, "steps": 300}
OTHERS = "or A (its order, its scale), the pixel range or the noise may be others than assumed"
BELOW, ABOVE = {"times_noise": 0.1}, {"times_noise": 4.6}
ADVICE = {
    "tv, below": ("tv", BELOW, {"mu": 256.0}, "so it fits noise too: regularize more (--config.tv.mu=64)"),
    "tv, swept": ("tv", BELOW | {"swept": {"mu": 8.0}}, {"mu": 9.0}, "regularize more (--config.tv.mu=2)"),
    "csdip, below": (
        "csdip",
        BELOW,
        {"tv_weight": 0.01},
        "take fewer steps (--config.csdip.steps=100), or regularize more (--config.csdip.tv_weight=0.1)",
    ),
    "csdip without a weight": ("csdip", BELOW, {"tv_weight": 0.0}, "regularize more (--config.csdip.tv_weight=0.01)"),
    "csdip, above": (
        "csdip",
        ABOVE,
        {"tv_weight": 10.0},
        "take more steps (--config.csdip.steps=900), regularize less (--config.csdip.tv_weight=1), " + OTHERS,
    ),
    "csdip, above, without a weight": ("csdip", ABOVE, {"tv_weight": 0.0}, f"(--config.csdip.steps=900), {OTHERS}"),
    "lasso, below": ("lasso_dct", BELOW, {"alpha": 1e-5}, "regularize more (--config.lasso_dct.alpha=0.0001)"),
    "an older row": ("tv", BELOW, {}, "so it fits noise too: regularize more"),
    "a method that is not known": ("gone", BELOW, {}, "so it fits noise too: take fewer steps, or regularize more"),
    "out of steps": (
        "tv",
        {"status": Status.OUT_OF_STEPS},
        {},
        "take more steps (--config.tv.steps=900), which may change the image",
    ),
    "out of steps, with needs": (
        "damp_tv",
        {"status": Status.OUT_OF_STEPS},
        {},
        "which may change the image; it needs rows like random ones",
    ),
}


def fit(**changes):
    return dataclasses.replace(ROW, **FIT | changes)


@pytest.mark.parametrize("name", ADVICE)
def test_advice_names_the_option(name):
    method, changes, more, words = ADVICE[name]
    row = fit(method=method, more=more, **changes)
    assert row_tables.advice(row).endswith(words) and row_tables.in_words(row).endswith(words)
    assert row_tables.in_words(row).count(words) == 1


def test_a_method_that_diverges_is_told_so():
    """Its loss stays finite, as its image does in [-1, 1]; rates that converge are not called so."""
    problem = cs.Problem(OPERATOR, OPERATOR.forward(jnp.eye(8)[..., None]))
    found = {}
    for rate in (0.1, 0.8):
        method = Landweber((8, 8, 1), steps=20, rate=rate)
        known = facts(cs.reconstruct(method, problem, jax.random.key(1)), problem.measurements, None)
        found[rate] = dataclasses.replace(ROW, **known)
    assert row_tables.flag(found[0.8]) == "diverged" and "take smaller steps" in row_tables.in_words(found[0.8])
    assert not found[0.1].diverged and "smaller" not in row_tables.in_words(found[0.1])


def test_no_advice_where_all_is_well():
    assert row_tables.advice(fit(method="tv")) == row_tables.advice(fit(times_noise=1.1)) == ""
    assert row_tables.in_words(fit(times_noise=1.1)).endswith("leaves 1.1 times the noise")


@pytest.mark.parametrize(
    ("changes", "flag"),
    [
        ({"status": Status.COLLAPSED}, "FAILED"),
        ({"status": Status.OUT_OF_STEPS}, "not converged"),
        ({"status": Status.UNEXPLAINED, "unexplained": 0.35}, "unexplained"),
        ({"status": Status.UNEXPLAINED, "unexplained": 0.35, "times_noise": 4.6}, "unexplained"),
        ({"status": Status.UNEXPLAINED, "unexplained": 0.35, "times_noise": 1.4}, ""),
        ({"status": Status.UNEXPLAINED, "unexplained": 30.0, "falling": -12.0}, "diverged"),
        ({"status": Status.STOPPED}, "stopped early"),
        ({}, ""),
    ],
)
def test_a_flag_does_not_contradict_the_noise(changes, flag):
    assert row_tables.flag(fit(**changes)) == flag
