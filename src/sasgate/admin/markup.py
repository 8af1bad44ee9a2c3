"""HTML and SVG as values: whatever is not markup already is escaped (S39)."""

from html import escape


class Markup(str):
    """Text that is HTML; only `element` and `joined` make it."""

    __slots__ = ()


Content = str | int | None


def element(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """An element with its content; an attribute of None is left out.

    Of an attribute's name a final `_` is taken off, any other becomes `-`: `class_`, `aria_label`.
    """
    shown = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{_escaped(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}>")
    return Markup(f"<{name}{shown}>{joined(*content)}</{name}>")


def joined(*content: Content) -> Markup:
    """Pieces one after the other; None is nothing."""
    return Markup("".join(map(_escaped, content)))


def _escaped(content: Content) -> str:
    if isinstance(content, Markup):
        return content
    if content is None:
        return ""
    # A NUL or a lone surrogate is nothing that a browser, or UTF-8, takes.
    return escape(
        "".join(each if _fit(each) else "\N{REPLACEMENT CHARACTER}" for each in str(content))
    )


def _fit(character: str) -> bool:
    return character.isprintable() or character == "\n"


_VOID = frozenset({"meta", "link", "br"})
