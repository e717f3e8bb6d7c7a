"""`mattebox subjects`: lists what could be a subject in one frame, with the `--subject` that chooses it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import shared_options
from commands.messages import to_stderr
from commands.overwriting import check_file, check_not_input
from stream import limits
from stream.records.choosers import lister_names
from stream.records.engines import AUTO

if TYPE_CHECKING:
    from stream.records.candidates import Candidate

_CHOOSERS = ", ".join(lister_names())


def subjects(
    source: Annotated[str, typer.Argument(metavar="IN", help="A video or a picture.")],
    at: Annotated[str, typer.Option(metavar="T", help="The time of the frame in a video: seconds or h:mm:ss.")] = "0",
    chooser: Annotated[str, typer.Option(metavar="NAME", help=f"What finds the candidates: {_CHOOSERS}.")] = AUTO,
    weights: Annotated[
        str | None, typer.Option(metavar="NAME", help="Weights of --chooser: a name, a repo id or a folder.")
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="OUT", help="Draw the candidates into this picture."),
    ] = None,
    grid: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=64,
            metavar="N",
            help="sam2, edgetam: ask at N x N points; default 32 on a GPU, 16 on a CPU. Fewer are faster.",
        ),
    ] = None,
    smallest: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, metavar="SHARE", help="Leave out what is smaller than this share of the picture."
        ),
    ] = limits.CANDIDATE_SHARE,
    most: Annotated[
        int, typer.Option(min=1, max=limits.CANDIDATES_MOST, metavar="N", help="List the N largest at most.")
    ] = limits.CANDIDATES,
    overwrite: shared_options.Overwrite = False,
    as_json: shared_options.Json = False,
) -> None:
    """List what could be a subject in one frame of a video or picture, each with its --subject."""
    from stream.settings import settings
    from workers.choosers.base import Search
    from workers.runs.subjects import SubjectsRun, run_subjects

    path, at_s = shared_options.local(source), shared_options.parse_seconds("--at", at)
    if picture is not None:
        check_not_input(path, shared_options.local(str(picture)))
        check_file(picture, overwrite)
    search = Search(grid, smallest, most)
    found = run_subjects(SubjectsRun(path, at_s, chooser, weights, picture, search), settings(), to_stderr)
    if not found:
        to_stderr("nothing was found that could be a subject")
    (_print_json if as_json else _print)(found)


def _print_json(found: Sequence["Candidate"]) -> None:
    for each in found:
        print(json.dumps(each.model_dump(mode="json")))


def _print(found: Sequence["Candidate"]) -> None:
    """One line each, in columns."""
    wide = max((len(candidate.subject) for candidate in found), default=0)
    for each in found:
        box = ",".join(f"{number:.3f}" for number in each.box)
        print(f"{each.number:3}  {each.subject:{wide}}  box {box}  area {each.area:6.1%}  score {each.score:.2f}")
