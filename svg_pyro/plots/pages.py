"""HTML pages that need no other file and no script, from templates beside this file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from svg_pyro.util.files import written_beside


def write_page(path: str | Path, template: str, **values: Any) -> None:
    """Fill a template in, and write what results.

    Parameters
    ----------
    path : str or Path
        HTML to write.
    template : str
        File of Jinja2 in this folder.
    **values
        What it shows. Text is escaped; `markupsafe.Markup` is taken as it is.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("svg_pyro", "plots"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(values)
    with written_beside(path) as beside:
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")


def encoded(path: Path) -> str:
    """A picture's bytes as a page holds them: in base64."""
    return base64.b64encode(path.read_bytes()).decode("ascii")
