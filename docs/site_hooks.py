"""What mkdocs does besides its plugins: formulas as MathML, and a quiet kernel.

Browsers show MathML by themselves; a script for TeX would be fetched from elsewhere.
"""

import html
import os
import re

from latex2mathml.converter import convert
from mkdocs.structure.pages import Page

# Code and scripts are taken whole, so that a dollar in them is no formula.
_CODE = r"<(?P<tag>pre|code|script|style)\b.*?</(?P=tag)>"
_TEX = r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$"
_PARTS = re.compile(f"{_CODE}|{_TEX}", re.DOTALL)


def on_startup(**_: object) -> None:
    """Keep tqdm from warning, in a page, that a notebook lacks a widget."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")


def on_page_content(content: str, page: Page, **_: object) -> str:
    """The page with its formulas as MathML; only the tutorial has any."""
    return with_mathml(content) if page.file.src_path == "tutorial.py" else content


def with_mathml(content: str) -> str:
    """HTML whose TeX between dollars (one: inline, two: a line) is MathML."""
    return _PARTS.sub(_converted, content)


def _converted(match: re.Match[str]) -> str:
    block, inline = match["block"], match["inline"]
    if block is None and inline is None:
        return match[0]
    display = "inline" if block is None else "block"
    formula: str = convert(html.unescape(block or inline), display=display)
    # As TeX has it; of a name browsers do not know that it is a function's.
    return formula.replace("<mi>log</mi>", '<mi>log</mi><mspace width="0.17em"/>')
