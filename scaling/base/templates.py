"""Pages and tables in HTML: templates that escape what they are given."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


@cache
def template(package: str, name: str) -> Template:
    """The template ``name`` in the folder ``templates`` of ``package``; unset names are errors."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only HTML asks for it

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
