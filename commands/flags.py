"""A record's fields as flags of a command line: names, ranges, defaults and help are said once, in the record."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

Command = Callable[..., None]


def with_flags(record: type[BaseModel], panel: str) -> Callable[[Command], Command]:
    """Decorate a typer command: its parameter annotated with `record` becomes one flag for each field of the record,
    listed in help under `panel`. Numbers out of range are refused by typer, with the flag's name."""

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command)
        (place,) = [p.name for p in signature.parameters.values() if p.annotation is record]
        flags = [_flag(name, field, panel) for name, field in record.model_fields.items()]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            fields = {flag.name: given.pop(flag.name) for flag in flags}
            command(**given, **{place: record(**fields)})

        others = [p.replace(kind=p.KEYWORD_ONLY) for p in signature.parameters.values() if p.name != place]
        parameters = [*others, *flags]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _flag(name: str, field: FieldInfo, panel: str) -> inspect.Parameter:
    limits = {
        end: getattr(m, key) for m in field.metadata for end, key in (("min", "ge"), ("max", "le")) if hasattr(m, key)
    }
    option = typer.Option(help=field.description, rich_help_panel=panel, **limits)
    annotation = Annotated[field.annotation, option]  # type: ignore[name-defined]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=annotation)
