"""A figure of the library as SVG for the page: its colours follow the page, and its marks say what they show."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

from markupsafe import Markup

from slr_probe.show.charts.marks import marks
from slr_probe.show.charts.style import ROLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_THEME = {colour: f"var(--{role})" for role, colour in reversed(ROLES.items())}
"""Colours that the style sheet sets for light and for dark."""
_PLAIN = ("opacity", "stroke-width", "stroke-dasharray", "stroke-linecap", "text-anchor")
_PLACES = ("x", "y", "width", "height", "transform", "clip-path")
_GREY = re.compile(r"#([0-9a-f]{2})\1\1")
_NUMBER = re.compile(r"-?\d+\.\d+")
_SIZE = re.compile(r"([\d.]+)px")
_BOLD = re.compile(r"\b(bold|[6-9]00)\b")


def inline(figure: Figure, name: str, label: str, *, prefix: str = "") -> Markup:
    """A figure as an element of the page that can be read out and walked with the arrow keys.

    The same figure gives the same text.

    Args:
        figure: A figure with marks; see `slr_probe.show.charts.marks`.
        name: Its class, and what tells its shapes from those of other figures in the page.
        label: What it shows, for those who do not see it.
        prefix: Stands before the ids of its marks, where the page holds the same figure twice.
    """
    drawn = fromstring(_svg(figure, name))
    found = Element("svg", {"xmlns": _SVG[1:-1], "viewBox": drawn.get("viewBox", ""), "class": f"plot {name}"})
    found.attrib |= {"role": "group", "aria-label": label, "tabindex": "0"}
    SubElement(found, "defs").extend(_definitions(drawn))
    found.extend(_joined(_shapes(drawn, marks(figure))))
    for shape in found.iter() if prefix else ():
        if shape.find("title") is not None:
            shape.set("id", prefix + shape.get("id", ""))
    return Markup(tostring(found, encoding="unicode"))


def _svg(figure: Figure, salt: str) -> str:
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def _definitions(drawn: Element) -> Iterator[Element]:
    """Shapes of markers and the frames that cut curves off, which others name."""
    for definitions in drawn.iter(f"{_SVG}defs"):
        for node in definitions:
            if node.tag == f"{_SVG}path":  # its style is that of whatever uses it
                yield Element("path", {"id": node.get("id", ""), "d": _path(node.get("d", ""))})
            elif node.tag == f"{_SVG}clipPath":
                frame = Element("clipPath", {"id": node.get("id", "")})
                frame.extend(_shape(child) for child in node)
                yield frame


def _shapes(group: Element, words: Mapping[str, str]) -> Iterator[Element]:
    """All that is drawn in a group, without groups that do nothing."""
    for node in group:
        if node.tag == f"{_SVG}g":
            inner, name = list(_shapes(node, words)), node.get("id", "")
            if name in words:
                yield _marked(inner, name, words[name])
            elif node.get("clip-path"):
                yield _grouped(inner, {"clip-path": node.get("clip-path", "")})
            else:
                yield from (shape for shape in inner if not _is_invisible(shape))
        elif node.tag not in (f"{_SVG}defs", f"{_SVG}metadata"):
            yield _shape(node)


def _joined(shapes: Iterable[Element]) -> list[Element]:
    """Lines of one style that follow each other become one path."""
    found: list[Element] = []
    for shape in shapes:
        if found and _line_style(shape) and _line_style(shape) == _line_style(found[-1]):
            found[-1].set("d", found[-1].get("d", "") + shape.get("d", ""))
        else:
            found.append(shape)
    return found


def _line_style(shape: Element) -> dict[str, str]:
    """Attributes of a line but its course; empty for what is no line, or has a name."""
    is_line = shape.tag == "path" and shape.get("fill") == "none" and not shape.get("id")
    return {name: value for name, value in shape.items() if name != "d"} if is_line else {}


def _marked(shapes: list[Element], name: str, words: str) -> Element:
    """What a mark draws as one element with its name; invisible bars can be pointed at as well."""
    found = shapes[0] if len(shapes) == 1 else _grouped(shapes, {})
    if _is_invisible(found):
        found.set("pointer-events", "all")
    found.set("id", name)
    title = Element("title")
    title.text = words
    found.insert(0, title)
    return found


def _grouped(shapes: list[Element], attributes: dict[str, str]) -> Element:
    found = Element("g", attributes)
    found.extend(shapes)
    return found


def _is_invisible(shape: Element) -> bool:
    """A shape without fill, stroke and name."""
    return shape.tag == "path" and shape.get("fill") == "none" and shape.get("stroke") is None and not shape.get("id")


def _shape(node: Element) -> Element:
    """A path, text, image or use of a marker; its style as attributes, which the style sheet may overrule."""
    style = dict(re.findall(r"([\w-]+):\s*([^;]+)", node.get("style", "")))
    found = Element(node.tag.removeprefix(_SVG))
    if node.get(_LINK):
        found.set("href", node.get(_LINK, ""))
    if node.get("d"):
        found.set("d", _path(node.get("d", "")))
    for name in _PLACES:
        value = node.get(name)
        if value is not None and not value.startswith("rotate(-0 "):
            found.set(name, _rounded(value))
    for name in _PLAIN:
        if name in style:
            found.set(name, _rounded(style[name]))
    for name in ("fill", "stroke"):
        if name in style:
            found.set(name, _themed(style[name]))
        if f"{name}-opacity" in style:
            found.set(f"{name}-opacity", style[f"{name}-opacity"])
    if found.tag == "text":
        found.attrib |= _font(node.get("style", ""))
        found.text = node.text
    return found


def _themed(colour: str) -> str:
    """A colour that the style sheet sets for light and for dark; greys lie between the page's paper and its ink.

    Examples:
        >>> _themed("#000000"), _themed("#999999"), _themed("#ffffff"), _themed("#440154")
        ('currentColor', 'var(--grey-4)', 'var(--paper)', '#440154')
    """
    grey = _GREY.fullmatch(colour)
    if not grey:
        return _THEME.get(colour, colour)
    tenths = round(10 * (1 - int(grey[1], 16) / 255))
    return {0: "var(--paper)", 10: "currentColor"}.get(tenths, f"var(--grey-{tenths})")


def _font(style: str) -> dict[str, str]:
    """Size, weight and slant; the family is that of the page."""
    size = _SIZE.search(style)
    found = {"font-size": _rounded(size[1])} if size else {}
    found |= {"font-weight": "600"} if _BOLD.search(style) else {}
    return found | ({"font-style": "italic"} if "italic" in style else {})


def _path(data: str) -> str:
    """Path data in few characters."""
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(_rounded(data).split()))


def _rounded(text: str) -> str:
    """All numbers to a hundredth of a point.

    Examples:
        >>> _rounded("translate(12.345678 -0.5)")
        'translate(12.35 -0.5)'
    """
    return _NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), text)
