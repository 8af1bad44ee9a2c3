"""Bars with spreads, as SVG: what a page of figures shows at a glance."""

from collections.abc import Sequence
from xml.etree import ElementTree

from attrs import frozen

from bench.figures import Spread


_WIDTH, _LABEL, _VALUE = 860, 180, 190
_BAR, _STEP, _HEAD, _GAP, _MARGIN = 16, 24, 34, 18, 16
_FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_INK, _QUIET, _OURS, _OTHERS = "#1f2933", "#616e7c", "#0b6e99", "#b8c4ce"


@frozen
class Bar:
    """One contender; `ours` is the one that the page is about."""

    name: str
    spread: Spread
    ours: bool = False


@frozen
class Panel:
    """Bars with one scale, from zero; `digits` after the point of each figure."""

    title: str
    unit: str
    bars: Sequence[Bar]
    digits: int = 2

    @property
    def height(self) -> int:
        """In pixels."""
        return _HEAD + _STEP * len(self.bars) + _GAP


def picture(title: str, panels: Sequence[Panel]) -> str:
    """The panels below each other; length is the median, the line its spread over all rounds."""
    height = 2 * _MARGIN + 28 + sum(panel.height for panel in panels)
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "width": str(_WIDTH),
            "height": str(height),
            "viewBox": f"0 0 {_WIDTH} {height}",
            "font-family": _FONT,
            "font-size": "13",
            "role": "img",
        },
    )
    ElementTree.SubElement(root, "title").text = title
    _rectangle(root, 0, 0, _WIDTH, height=height, color="#ffffff")
    _text(root, _MARGIN, _MARGIN + 14, title, size=16, weight="600")
    top = _MARGIN + 28
    for panel in panels:
        _draw(root, panel, top)
        top += panel.height
    ElementTree.indent(root)
    return ElementTree.tostring(root, "unicode") + "\n"


def _draw(root: ElementTree.Element, panel: Panel, top: int) -> None:
    _text(root, _MARGIN, top + 20, f"{panel.title}, {panel.unit}", weight="600")
    most = max((max(bar.spread.values) for bar in panel.bars), default=0.0) or 1.0
    scale = (_WIDTH - _LABEL - _VALUE - 2 * _MARGIN) / most
    left = _MARGIN + _LABEL
    for number, bar in enumerate(panel.bars):
        y = top + _HEAD + number * _STEP
        least, highest = min(bar.spread.values) * scale, max(bar.spread.values) * scale
        width, middle = bar.spread.median * scale, y + _BAR / 2
        _text(root, left - 8, y + 13, bar.name, anchor="end", weight="600" if bar.ours else "400")
        _rectangle(root, left, y, width, height=_BAR, color=_OURS if bar.ours else _OTHERS)
        _line(root, left + least, middle, left + highest, middle)
        for end in (least, highest):
            _line(root, left + end, middle - 4, left + end, middle + 4)
        shown = bar.spread.text(panel.digits)
        _text(root, left + max(width, highest) + 8, y + 13, shown, color=_QUIET)


def _rectangle(
    root: ElementTree.Element, x: float, y: float, width: float, *, height: float, color: str
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "width": f"{width:.1f}", "height": f"{height:.1f}"}
    ElementTree.SubElement(root, "rect", {**place, "fill": color})


def _line(root: ElementTree.Element, x: float, y: float, to_x: float, to_y: float) -> None:
    place = {"x1": f"{x:.1f}", "y1": f"{y:.1f}", "x2": f"{to_x:.1f}", "y2": f"{to_y:.1f}"}
    ElementTree.SubElement(root, "line", {**place, "stroke": _INK, "stroke-width": "1.5"})


def _text(
    root: ElementTree.Element,
    x: float,
    y: float,
    text: str,
    *,
    size: int = 13,
    weight: str = "400",
    anchor: str = "start",
    color: str = _INK,
) -> None:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor, "fill": color}
    font = {"font-size": str(size), "font-weight": weight}
    ElementTree.SubElement(root, "text", {**place, **font}).text = text
