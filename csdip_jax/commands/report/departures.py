"""Which of a run's settings are not the defaults."""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from ml_collections.config_dict import ConfigDict

from csdip_jax.commands.configs import default, sweep

BASES: dict[str, Callable[[], ConfigDict]] = {"default": default.get_config, "sweep": sweep.get_config}
"""Name -> the configuration that others start from; other packages add theirs."""
ALIKE = 0.6  # share of its fields that a configuration must have in common with its base, which may have got more since


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
    settings = _dict(config.get("settings"))
    inputs = {name: value for name, value in settings.items() if name not in ("config", "flags")}
    fields = _flat(_dict(settings.get("config")))
    base, defaults = _closest_base(fields)
    departing = {name: text for name, text in fields.items() if base and text != defaults.get(name, "null")}
    others = {name: text for name, text in fields.items() if name not in departing}
    return Settings(base, departing | _flat(inputs | _dict(settings.get("flags"))), others)


def _dict(value) -> dict:
    return value if isinstance(value, dict) else {}


def _flat(values: Mapping, prefix: str = "") -> dict[str, str]:
    """{"a": {"b": 1}} -> {"a.b": "1"}."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str) else json.dumps(value)
    return flat


def _closest_base(fields: Mapping[str, str]) -> tuple[str | None, dict[str, str]]:
    """The base that shares most names with the fields and, as some have the same names, values; its values."""

    def in_common(base):
        return len(base.keys() & fields.keys()) / max(len(fields), 1)

    def likeness(name):
        base = bases[name]
        return in_common(base) + sum(fields.get(field) == value for field, value in base.items()) / len(base)

    bases = {name: _flat(json.loads(json.dumps(base().to_dict()))) for name, base in BASES.items()}
    best = max(BASES, key=likeness)
    return (best, bases[best]) if in_common(bases[best]) > ALIKE else (None, {})
