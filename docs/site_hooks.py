"""What mkdocs does besides its plugins: MathML, lines that break well, a quiet kernel.

Browsers show MathML by themselves; a script for TeX would be fetched from elsewhere.
"""

import html
import os
import re

from latex2mathml.converter import convert
from mkdocs.structure.pages import Page

# Flags are kept whole; longer names may break behind these.
_FLAG = re.compile(r"--[a-z][a-z0-9-]*")
_JOINT = re.compile(r"(_|/|::)(?=\w)")
_LONG_NAME = re.compile(r"[\w/:.]{24,}")
_TAG = re.compile(r"(<[^>]*>)")
# Code and scripts are taken whole, so that a dollar in them is no formula.
_CODE = r"<(?P<tag>pre|code|script|style)\b.*?</(?P=tag)>"
_CODE_WHOLE = (
    r"(<pre\b.*?</pre>|<code\b.*?</code>|<(?:script|style)\b.*?</(?:script|style)>)"
)
_TEX = r"\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^$\n]+)\$"
_PARTS = re.compile(f"{_CODE}|{_TEX}", re.DOTALL)


def on_startup(**_: object) -> None:
    """Keep tqdm out of a page: its bars, and its warning that there is no widget."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    os.environ.setdefault("TQDM_DISABLE", "1")


def on_page_content(content: str, page: Page, **_: object) -> str:
    """The page, readable; its formulas as MathML: only the tutorial has any."""
    content = readable(content)
    return with_mathml(content) if page.file.src_path == "tutorial.py" else content


def readable(content: str) -> str:
    """HTML whose lines do not break within flags and arrows, but within long names.

    Docstrings are reStructuredText where they announce code by two colons.
    """
    parts = re.split(_CODE_WHOLE, content, flags=re.DOTALL)
    # Every second one is code, or a block or script that is taken as it is.
    parts[::2] = [_arrows(part) for part in parts[::2]]
    parts[1::2] = [_joints(p) if p.startswith("<code") else p for p in parts[1::2]]
    return "".join(parts)


def _arrows(text: str) -> str:
    text = text.replace(" -&gt; ", " → ").replace(" +- ", " ± ")
    return text.replace("::</p>", ":</p>")


def _joints(code: str) -> str:
    def broken(match: re.Match[str]) -> str:
        return _JOINT.sub(r"\1<wbr>", match[0])

    parts = _TAG.split(code)
    parts[::2] = [
        _FLAG.sub(r'<span class="flag">\g<0></span>', _LONG_NAME.sub(broken, part))
        for part in parts[::2]
    ]
    return "".join(parts)


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
