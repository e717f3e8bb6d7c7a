"""Makes command line options from the fields of a record, such as `Edges`, all at once.

Names, ranges, defaults and help are defined in the record. See `shared_options.py` for options that are written out.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Command = Callable[..., None]


def with_flags(record: type[BaseModel], panel: str) -> Callable[[Command], Command]:
    """Decorator of a typer command that replaces its parameter of type `record` by one option per field.

    The help lists them under `panel`. typer refuses numbers out of range, and names the option.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        (target,) = [p.name for p in signature.parameters.values() if p.annotation is record]
        flags = [_flag(name, field, panel) for name, field in record.model_fields.items()]

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            fields = {flag.name: arguments.pop(flag.name) for flag in flags}
            command(**arguments, **{target: record(**fields)})

        others = [p.replace(kind=p.KEYWORD_ONLY) for p in signature.parameters.values() if p.name != target]
        parameters = [*others, *flags]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _flag(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    limits = {
        name: getattr(m, key) for m in field.metadata for name, key in (("min", "ge"), ("max", "le")) if hasattr(m, key)
    }
    option = typer.Option(help=field.description, rich_help_panel=panel, **limits)
    annotation = Annotated[field.annotation, option]  # type: ignore[name-defined]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)
