"""HTML that cannot be broken by what it shows: every text that is not Markup is escaped."""

import html


class Markup(str):
    """HTML as it is to be written."""


VOID = {"img", "meta"}  # written without children


def element(tag: str, *children: str | None, **attributes) -> Markup:
    """<tag attributes>children</tag>.

    Args:
        children: Markup, or texts, which are escaped; None for nothing.
        attributes: True stands for one without a value, None or False for none at all; `class_` and `data_value`
            are written class and data-value.
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children) -> Markup:
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child), quote=False)
            for child in children
            if child is not None
        )
    )
