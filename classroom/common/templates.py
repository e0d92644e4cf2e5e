"""Render the project's Jinja2 templates; an undefined variable is an error."""

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from classroom.common.paths import REPO


def render(name: str, **values: object) -> str:
    """Return templates/`name` rendered with `values`; UndefinedError names a missing variable."""
    # No HTML is rendered here, so that autoescape stays off.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(REPO / "templates"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(name).render(values)
