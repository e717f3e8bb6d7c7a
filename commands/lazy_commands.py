"""Commands whose modules are imported when they are used: `mattebox --help` needs only their names and summaries.

Knows no command; `app.py` lists them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import typer
from typer.core import TyperCommand, TyperGroup

from stream import loading
from stream.registry import find

Command = TyperCommand | TyperGroup


@dataclass(frozen=True)
class Lazy:
    """A command, or a group of commands. target: "module:name" of its function or of its `typer.Typer`. summary: the
    first paragraph of its help, for the list of commands. loads_more: it calls `loading.end` after further imports."""

    target: str
    summary: str
    loads_more: bool = False


class LazyCommands(Mapping[str, Command]):
    """Commands by name. Getting one imports its module."""

    def __init__(self, records: Mapping[str, Lazy]) -> None:
        self.records = records
        self._loaded: dict[str, Command] = {}

    def __getitem__(self, name: str) -> Command:
        if name not in self._loaded:
            self._loaded[name] = _load(name, self.records[name].target)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


class LazyGroup(TyperGroup):
    """A group that imports only the command that runs, or whose own help is shown. Subclasses set `records`."""

    records: ClassVar[Mapping[str, Lazy]]

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.commands: Mapping[str, Command] = LazyCommands(self.records)  # type: ignore[assignment]  # never changed

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.records)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """The command as the list of commands shows it: it cannot run, `resolve_command` returns the one that can."""
        record = self.records.get(cmd_name)
        return None if record is None else TyperCommand(cmd_name, help=record.summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        if name is None:
            return None, None, rest
        command = self.commands[name]
        if not self.records[name].loads_more:
            loading.end()
        return name, command, rest


def _load(name: str, target: str) -> Command:
    found = find(target)
    app = typer.Typer(add_completion=False)
    app.callback()(lambda: None)  # without it, the group would be reduced to its only command
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name)(found)
    group = cast(TyperGroup, typer.main.get_command(app))
    return cast(Command, group.commands[name])
