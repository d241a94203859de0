"""Rules that are watched: what is told of them is what they would do, and a fit is not repeated."""

import jax.numpy as jnp
import numpy as np
import pytest

import csdip_jax as cs
from csdip_jax.rules import Iterate
from experiments.stopping import telling, trials, watching

CELLS = [trials.Cell("chelsea", "denoising", noise, "DCGAN") for noise in (10.0, 20.0)]
SETUP = trials.Setup(size=16, width=2, steps=6, share=0.1)


def test_the_watcher_tells_what_the_rule_alone_does():
    """Where a rule ends a fit, also with another patience, and the image that it keeps then."""
    truth, alone = jnp.zeros((4, 4, 1)), cs.rules.Emv(0.5, patience=3)
    keep = cs.rules.Best(window=None, by="variance")
    watcher = watching.Watcher(truth, {"rule": watching.Watched(alone, {watching.ITERATE: keep})})
    noise = np.random.default_rng(0).standard_normal((40, 4, 4, 1)) * np.abs(np.arange(40) - 20).reshape(-1, 1, 1, 1)
    state, single, kept, told = watcher.start(truth, None), alone.init(truth), keep.init(truth), []
    for step, image in enumerate(noise.astype(np.float32) / 40):
        seen = Iterate(jnp.int32(step), 40, jnp.asarray(image), {"measurement_loss": jnp.ones(())})
        state, ends, scalars = watcher.update(state, seen)
        single, stops, own = alone.update(single, seen)
        kept = keep.update(kept, seen._replace(scalars=seen.scalars | own))
        psnr = cs.metrics.psnr(keep.image(kept, seen.image), truth)
        assert not ends and scalars["rule: stops"] == stops
        np.testing.assert_allclose(scalars["rule: iterate"], psnr)
        told.append((bool(stops), float(own["variance"])))
    flags, variances = np.array(told).T
    first = int(np.flatnonzero(flags)[0]) + 1
    assert 20 < first < 40 and watching.ends_after(variances, 3) == first
    assert watching.ends_after(variances, 30) is None


def test_what_rules_lose_is_counted_from_the_best_of_the_fit():
    every = {f"all steps: average {decay:g}": np.array([1.0, 6.0, 5.0]) for decay in watching.DECAYS}
    ends = {"all steps: stops": np.zeros(3), "all steps: iterate": np.array([1.0, 4.0, 2.0])}
    rule = {"R: stops": np.array([0.0, 1.0, 1.0]), "R: iterate": np.array([1.0, 3.5, 2.0])}
    averages = {f"{label}: average": np.array([1.0, 6.0, 5.5]) for label in ("all steps", "R")}
    never, never_average, of_rule, of_average = watching.outcomes(every | ends | rule | averages)
    assert (never["loss"], never["stopped"], never["steps"]) == (2.0, False, 3)
    assert (of_rule["loss"], of_rule["stopped"], of_rule["steps"]) == (0.5, True, 2)
    assert (of_average["loss"], of_average["loss of its kind"], never_average["loss of its kind"]) == (-2.0, 0.0, 0.5)


def test_fits_are_made_once(tmp_path, monkeypatch, capsys):
    """Of a method and of two rules, which compile fast."""
    every = watching.library_rules
    few = (watching.NEVER, "HeldOut")
    monkeypatch.setattr(trials, "library_rules", lambda *options: {name: every(*options)[name] for name in few})
    monkeypatch.setitem(trials.NETWORKS, "DCGAN", lambda shape, width, **rest: cs.methods.Tv(shape, **rest))
    images = trials.load(["chelsea"], SETUP.size)
    telling.run(str(tmp_path), SETUP, images, CELLS)
    first = capsys.readouterr().out
    assert "2 fits" in first and "HeldOut, patience 50" in first
    assert {"curves.png", "losses.png", "fits.csv", "stopping.md"} <= {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(cs, "reconstruct", None)
    telling.run(str(tmp_path), SETUP, images, CELLS)
    assert capsys.readouterr().out == first
    with pytest.raises(cs.InputError, match="other settings"):
        telling.run(str(tmp_path), SETUP._replace(steps=7), images, CELLS)
