"""Which of a run's settings are not the defaults."""

import importlib
import json
from collections.abc import Mapping
from typing import NamedTuple

BASES = ("default", "sweep", "learned_regularization", "theorem_check")  # configurations that others start from
ALIKE = 0.6  # share of the fields that a configuration must have in common with its base


class Settings(NamedTuple):
    """Dotted name -> value, as text.

    Attributes:
        base: name of the configuration whose values count as defaults; None where none is alike.
        departing: what is not as there.
        others: the rest.
    """

    base: str | None
    departing: Mapping[str, str]
    others: Mapping[str, str]


def settings_of(config: Mapping) -> Settings:
    """The contents of a config.json -> its settings."""
    settings = config.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    inputs = {name: value for name, value in settings.items() if name not in ("config", "flags")}
    flags = settings.get("flags")
    inputs |= flags if isinstance(flags, dict) else {}
    fields = flatten(settings.get("config")) if isinstance(settings.get("config"), dict) else {}
    base, defaults = closest_base(fields)
    departing = {
        name: text for name, text in fields.items() if base is not None and text != defaults.get(name, _text(None))
    }
    others = {name: text for name, text in fields.items() if name not in departing}
    return Settings(base, departing | flatten(inputs), others)


def flatten(values: Mapping, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} -> {"a.b": "1"}."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = _text(value)
    return flat


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def closest_base(fields: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """The base that shares most with the fields, and its values; (None, {}) where none is alike.

    Sharing counts names and, as some have the same names, values.
    """
    bases = {name: defaults(name) for name in BASES}

    def names_in_common(base):
        return len(base.keys() & fields.keys()) / max(len(base.keys() | fields.keys()), 1)

    def likeness(name):
        base = bases[name]
        equal = sum(fields.get(field) == value for field, value in base.items())
        return names_in_common(base) + equal / len(base)

    best = max(BASES, key=likeness)
    return (best, bases[best]) if names_in_common(bases[best]) > ALIKE else (None, {})


def defaults(base: str) -> dict[str, str]:
    """The values of experiments/configs/<base>.py."""
    config = importlib.import_module(f"experiments.configs.{base}").get_config()
    return flatten(json.loads(json.dumps(config.to_dict())))
