"""What is done to a picture after its layout: it scales, speaks, and turns dark with the page."""

import html
import re

from microgd.pictures.markup import LOOKS

# A point of Graphviz's is 4/3 pixels. The smallest text has 9 points, so 12 pixels, and may shrink
# to 9 pixels. In a narrower place the picture scrolls.
_PIXELS = 4 / 3
_SMALLEST = 0.75
_FONTS = "Helvetica, Arial, sans-serif"
_IN_FILES = "@media (prefers-color-scheme: dark) {{ {} }}"
# Notebooks have themes of their own, which say nothing of the system's.
_IN_NOTEBOOKS = ":is([data-jp-theme-light=false], [data-vscode-theme-kind$=dark])"


def finished(svg: str, title: str, description: str, in_notebook: bool = False) -> str:
    """The SVG of a layout program as one that can stand in a page.

    Its title and its description are what a screen reader reads.
    """
    head, body = _opened(svg)
    style = dark_rules(_IN_NOTEBOOKS) if in_notebook else _IN_FILES.format(dark_rules())
    said = f"<title>{html.escape(title)}</title>\n<desc>{html.escape(description)}</desc>\n"
    return f"{head}\n{said}<style>{style}</style>\n{body}"


def bare(svg: str) -> str:
    """The SVG for a page that has styles and words of its own."""
    head, body = _opened(svg, has_style=False)
    body = re.sub('<g id="a_', '<g id="', body)  # dot's names of what a link is on
    return f"{head}\n{body}"


def _opened(svg: str, has_style: bool = True) -> tuple[str, str]:
    """The opening tag, with a size that fits its place, and the rest, without keys as titles."""
    svg = svg[svg.index("<svg") :]
    head, rest = svg[: svg.index(">") + 1], svg[svg.index(">") + 1 :]
    width, height = (float(x) for x in re.findall(r'(?:width|height)="([\d.]+)pt"', head))
    view_box = re.search(r'viewBox="[^"]*"', head)
    assert view_box is not None
    pixels = _PIXELS * width
    least = _SMALLEST * pixels
    style = f' style="max-width: 100%; height: auto; min-width: {least:.0f}px"'
    opened = (
        f'<svg class="microgd" role="img" width="{pixels:.0f}" height="{_PIXELS * height:.0f}" '
        f'{view_box[0]}{style if has_style else ""} xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    rest = re.sub(r"<!--.*?-->\n?|<title>.*?</title>\n?", "", rest, flags=re.DOTALL)
    rest = re.sub(r'font-family="[^"]*"', f'font-family="{_FONTS}"', rest)
    return opened, rest.strip()


def in_a_box(svg: str) -> str:
    """The SVG as HTML that scrolls where it has to."""
    return f'<div style="overflow-x: auto">{svg}</div>'


def dark_rules(within: str = "") -> str:
    """The style that turns each light colour into its dark one."""
    pairs = [*LOOKS["colours"].values()]
    pairs += zip(LOOKS["shades"]["light"], LOOKS["shades"]["dark"], strict=True)
    rules = []
    for light, dark in pairs:
        for attribute in ("fill", "stroke"):
            rules.append(f'{within} .microgd [{attribute}="{light}"] {{{attribute}: {dark}}}')
    return " ".join(rule.strip() for rule in rules)
