"""Renders the project's Jinja2 templates; a name that is not given is an error."""

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from classroom.common.paths import REPO


def render(name: str, **values: object) -> str:
    """Return the template `name` of the folder templates/ filled with `values`; UndefinedError names a missing one."""
    # Nothing here makes HTML.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(REPO / "templates"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(name).render(values)
