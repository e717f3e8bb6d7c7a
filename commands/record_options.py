"""Makes command line options from the fields of a record, such as `Edges` or `MattingOptions`.

Names, ranges, defaults and help are defined in the record. See `shared_options.py` for options that are written out.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Command = Callable[..., None]


def with_flags(record: type[Any], panel: str | None = None) -> Callable[[Command], Command]:
    """Decorator of a typer command that replaces its parameter of type `record` by one option per field.

    record: a pydantic model, or a dataclass whose fields are annotated as parameters of a typer command. panel: the
    heading under which the help lists the fields of a model. typer refuses numbers out of range, and its message names
    the option.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        (target,) = [p.name for p in signature.parameters.values() if p.annotation is record]
        flags = _flags(record, panel)

        @functools.wraps(command)
        def run(**arguments: Any) -> None:
            fields = {flag.name: arguments.pop(flag.name) for flag in flags}
            command(**arguments, **{target: record(**fields)})

        parameters = list[inspect.Parameter]()  # in the order in which the help lists them
        for each in signature.parameters.values():
            parameters += flags if each.name == target else [each.replace(kind=each.KEYWORD_ONLY)]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _flags(record: type[Any], panel: str | None) -> list[inspect.Parameter]:
    if issubclass(record, BaseModel):
        return [_flag(name, field, panel) for name, field in record.model_fields.items()]
    types = get_type_hints(record, include_extras=True)
    return [_parameter(field.name, types[field.name], field.default) for field in dataclasses.fields(record)]


def _flag(name: str, field: FieldInfo, panel: str | None) -> inspect.Parameter:
    limits = {
        name: getattr(m, key) for m in field.metadata for name, key in (("min", "ge"), ("max", "le")) if hasattr(m, key)
    }
    option = typer.Option(help=field.description, rich_help_panel=panel, **limits)
    annotation = Annotated[field.annotation, option]  # type: ignore[name-defined]
    return _parameter(name, annotation, field.default)


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
