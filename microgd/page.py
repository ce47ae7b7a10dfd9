"""A page that is one HTML file: its style, script and data stand in it, and it needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any


def assemble(stem: Path, style: str = "", scripts: Sequence[str] = (), **fields: object) -> str:
    """The page that the files `stem`.html, .css and .js make, as one text.

    The template has `$policy`, `$css` and `$js`, and a place for each of the fields. The style is
    that of all pages, then the page's own, then what `style` adds. `scripts` are the names of more
    files in the same folder, which come before the page's own script. The policy lets no other
    style or script in, and nothing out. Fields are HTML already: escape what comes from a user.
    """
    css = _read(Path(__file__).with_name("page.css")) + _read(stem.with_suffix(".css")) + style
    js = "".join(_read(stem.with_name(f"{name}.js")) for name in (*scripts, stem.name))
    policy = (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(js)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    template = Template(_read(stem.with_suffix(".html")))
    return template.substitute(fields, policy=policy, css=css, js=js)


def as_json(content: Any) -> str:
    """The content as JSON that may stand within a `<script>`, which no text in it can end."""
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """The hash by which the policy of the page recognizes a script or a style."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
