"""Recipes: a method asked for by name, with what departs from its preset."""

import dataclasses
from collections import Counter

import pytest

import csdip_jax as cs
from csdip_jax import rules
from csdip_jax.generators import DCGAN, GENERATORS
from csdip_jax.methods import METHODS, PARTS, CsDip, Method, Recipe
from csdip_jax.rules import RULES
from tests.methods.toys import ITERATED

SHAPE = (16, 16, 1)
CSDIP = METHODS["csdip"]


@pytest.mark.parametrize("name", METHODS)
def test_a_recipe_makes_its_method(name):
    recipe = METHODS[name]
    assert recipe.name == name and recipe.label and isinstance(recipe, Recipe)
    if not recipe.installed:
        pytest.skip(f"needs the extra {recipe.extra}")
    method = recipe.preset("paper", SHAPE)
    assert type(method) is recipe.method and isinstance(method, Method)
    assert all(getattr(method, field) == value for field, value in recipe.fixed.items())
    assert recipe.make("paper", SHAPE) == method
    assert recipe.make("paper", SHAPE, dict.fromkeys(recipe.settings), {part: {} for part in PARTS}) == method


@pytest.mark.parametrize("name", ITERATED)
def test_grid_toy_and_fixed_fields_are_fields_that_can_be_set(name):
    recipe = METHODS[name]
    fields = {field.name for field in dataclasses.fields(recipe.method)}
    assert recipe.grid and {*recipe.grid, *recipe.toy, *recipe.fixed} <= fields
    assert not recipe.fixed.keys() & (recipe.settings.keys() | recipe.grid.keys() | recipe.toy.keys())
    assert recipe.settings.keys() <= fields - {"image_shape"}
    for field, values in recipe.grid.items():
        assert len(set(values)) == len(values) > 1
        if recipe.installed:
            for value in values:
                assert getattr(recipe.make("paper", SHAPE, {field: value}), field) == value


def test_labels_and_colours_are_told_apart():
    for values in ([recipe.label for recipe in METHODS.values()], [recipe.colour for recipe in METHODS.values()]):
        assert max(Counter(values).values()) == 1


def test_settings_replace_the_preset_s():
    method = CSDIP.make("paper", SHAPE, {"steps": 7, "learning_rate": 0.02, "tv_weight": None})
    assert method == dataclasses.replace(CsDip.preset("paper", SHAPE), steps=7, learning_rate=0.02)
    assert CSDIP.make("reference", (28, 28, 1)) == CsDip.preset("reference", (28, 28, 1))


@pytest.mark.parametrize(("part", "name"), [(kind, name) for kind, known in RULES.items() for name in known])
def test_rules_are_chosen_by_name(part, name):
    method = CSDIP.make("paper", SHAPE, {part: name})
    assert getattr(method, part) == RULES[part][name]()


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_are_chosen_by_name_and_made_for_the_image(name):
    method = CSDIP.make("paper", SHAPE, {"generator": name})
    assert method.generator == GENERATORS[name](SHAPE)


def test_fields_of_a_part_that_is_chosen_or_of_the_one_that_is_there():
    chosen = CSDIP.make("paper", SHAPE, {"keep": "average"}, {"keep": {"decay": 0.5}})
    assert chosen.keep == rules.Average(0.5)
    there = CSDIP.make("paper", SHAPE, {}, {"generator": {"latent_dim": 7}, "fail": {"residual": 0.2}})
    assert there.generator == DCGAN(SHAPE, latent_dim=7) and there.fail == rules.Collapsed(0.2)
    usual = CSDIP.make("paper", SHAPE, {}, {"keep": {"window": 3}})  # of the rule that it keeps by itself
    assert usual.keep == rules.Best(window=3)
    reference = CSDIP.make("reference", (28, 28, 1), {}, {"keep": {"window": 3}})
    assert reference.keep == rules.Best(3, "objective", "last")


def test_fields_that_the_part_does_not_have_are_left_out():
    """Meant for another method beside this one."""
    parts = {"keep": {"decay": 0.5, "window": None}, "stop": {"patience": 3}, "generator": {"depth": 4}}
    assert CSDIP.make("paper", SHAPE, {}, parts) == CSDIP.preset("paper", SHAPE)
    assert METHODS["tv"].make("paper", SHAPE, {}, parts) == METHODS["tv"].preset("paper", SHAPE)


@pytest.mark.parametrize(
    ("settings", "parts", "message"),
    [
        ({"stop": "never"}, {}, "csdip.stop = 'never': choose .*plateau"),
        ({"keep": "mean"}, {}, "csdip.keep = 'mean': choose average, best, best_average, last, tail"),
        ({"generator": "gan"}, {}, "csdip.generator = 'gan': choose conv_decoder, dcgan"),
        ({"keep": "average"}, {"keep": {"decay": 2.0}}, "keep.decay = 2.0: it must be below 1"),
        ({"steps": 0}, {}, "steps = 0"),
    ],
)
def test_unknown_names_and_bad_values_are_refused(settings, parts, message):
    with pytest.raises(cs.InputError, match=f"^{message}"):
        CSDIP.make("paper", SHAPE, settings, parts)


def test_unknown_presets_are_refused():
    with pytest.raises(cs.InputError, match="unknown preset 'best': choose paper or reference"):
        CSDIP.make("best", SHAPE)
