"""What a package offers by name: whatever of one kind it has imported, so that one import registers a new file."""

from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def named(namespace: Mapping[str, Any], kind: type[T]) -> dict[str, T]:
    """Name -> object of this kind that has a name, in the order in which the package imported them.

    Args:
        namespace: of the package, `globals()`.
        kind: of the objects.
    """
    found: list[Any] = [value for value in namespace.values() if isinstance(value, kind)]
    return {value.name: value for value in found if value.name}


def named_classes(namespace: Mapping[str, Any], base: type[T]) -> dict[str, type[T]]:
    """The same of classes that are derived from `base`."""
    found: list[Any] = [value for value in namespace.values() if isinstance(value, type) and issubclass(value, base)]
    return {cls.name: cls for cls in found if cls.name}
