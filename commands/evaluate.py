"""`mattebox eval`: the quality of a matte, measured against the true alpha."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from commands import shared_options


def evaluate(
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="Alpha as a video, a folder of PNGs or %05d.png.")],
    true: Annotated[Path, typer.Argument(metavar="TRUE", help="The true alpha, frame by frame.")],
    as_json: shared_options.Json = False,
) -> None:
    """Compare an alpha video with the true alpha: MAD, MSE, Grad, Conn, dtSSD."""
    from stream.settings import settings
    from workers.measure.evaluate import evaluate

    scores = evaluate(pred, true, settings())
    if as_json:
        print(json.dumps(asdict(scores)))
        return
    if scores.warning:
        print(f"warning: {scores.warning}", file=sys.stderr)
    dtssd = "-" if scores.dtssd is None else f"{scores.dtssd:.2f}"
    print(f"frames  {scores.frames}\nMAD     {scores.mad:.2f}   x1e3\nMSE     {scores.mse:.2f}   x1e3")
    print(f"Grad    {scores.grad:.2f}   sum/1000\nConn    {scores.conn:.2f}   sum/1000")
    print(f"dtSSD   {dtssd}   x1e2, without the first frame")
