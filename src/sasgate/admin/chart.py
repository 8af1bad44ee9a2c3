"""The last hour as a picture, and what is left of something as a bar: SVG, without a script."""

from collections.abc import Sequence

from sasgate.admin.labels import Labels
from sasgate.admin.markup import Markup, element, joined
from sasgate.admin.recorder import MINUTES, Minute


_WIDTH, _HEIGHT, _STEP = 720, 96, 12


def hour_chart(minutes: Sequence[Minute], labels: Labels) -> Markup:
    """A bar a minute, the latest at the right: requests above the line, refusals below it."""
    above = max([1, *(each.requests for each in minutes)])
    below = max([1, *(each.refusals + each.closed for each in minutes)])
    middle = _HEIGHT * 2 // 3
    bars = []
    for at, each in enumerate(minutes, MINUTES - len(minutes)):
        tall = each.requests / above * (middle - 2)
        deep = (_HEIGHT - middle - 2) / below
        text = (
            f"{MINUTES - 1 - at} min: {each.requests} {labels['requests']}, {each.refusals}"
            f" {labels['refusals']}, {each.closed} {labels['closed']}"
        )
        bars.append(
            element(
                "g",
                element("title", text),
                _bar("requests", at, middle - tall, tall),
                _bar("refusals", at, middle + 1, each.refusals * deep),
                _bar("closed", at, middle + 1 + each.refusals * deep, each.closed * deep),
            )
        )
    line = element("path", d=f"M0 {middle}h{_WIDTH}", class_="line")
    label = f"{labels['traffic']}: {labels['requests']}, {labels['refusals']}"
    return element(
        "svg",
        joined(*bars),
        line,
        class_="hour",
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        role="img",
        aria_label=label,
    )


def _bar(kind: str, at: int, top: float, height: float) -> Markup | None:
    if not height:
        return None
    return element(
        "rect", class_=kind, x=at * _STEP + 1, y=f"{top:.1f}", width=10, height=f"{height:.1f}"
    )


def left_bar(part: float, level: str, label: str) -> Markup:
    """How much is left, from 0 to 1, in the colour of a level."""
    width = round(100 * min(1.0, max(0.0, part)), 1)
    return element(
        "svg",
        element("rect", class_="whole", width=100, height=8, rx=2),
        element("rect", class_=level, width=width, height=8, rx=2),
        class_="bar",
        viewBox="0 0 100 8",
        role="img",
        aria_label=label,
    )
