"""Exports a BiRefNet: finds its weights, writes it in float32, converts that file, checks it, and then publishes it."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from stream.errors import UsageError, disk_error
from stream.settings import Settings
from stream.sinks.parts.partial import Partial
from workers.device.tensors import Tensor
from workers.engines.birefnet import load_network, network_size
from workers.engines.onnx_file import normalised
from workers.export import pictures
from workers.export.check import FileAlpha, Report, TorchAlpha, alternately, check_bounds, difference
from workers.export.pictures import Pictures
from workers.export.precision import Precision, to_float16, to_int8
from workers.models.birefnet.export import OUTPUT, write_onnx
from workers.weights import birefnet_hub, embedded_card, onnx_cards
from workers.weights.imagenet import DEVIATION, MEAN
from workers.weights.known import Say
from workers.weights.onnx_cards import Activation, Card

CARD = Card("BiRefNet", MEAN, DEVIATION, output=OUTPUT, activation=Activation.SIGMOID)


def export(spec: str, precision: Precision, output: Path, clip: Path | None, settings: Settings, say: Say) -> Report:
    """Write a network to `output`, with its card inside, if its alpha is within the bounds of the precision.

    spec: as `--weights` takes it. clip: whose frames calibrate and check it; None: drawn pictures, for a check only.
    Raises UsageError, InputError, WeightsError, DiskError.
    """
    if output.suffix.lower() != onnx_cards.FILE_FORMAT:
        raise UsageError(f"models export: {output} must end in {onnx_cards.FILE_FORMAT}")
    if precision == "int8" and clip is None:
        raise UsageError("models export: int8 is calibrated on frames; specify a video like yours with --clip")
    partial = Partial(output)  # check that it can be written, before weights are downloaded
    checkpoint, _ = birefnet_hub.parse(spec)
    width, height = network_size(checkpoint, checkpoint.width, checkpoint.height)
    seen = pictures.of_clip(clip, width, height, settings) if clip else pictures.drawn(width, height)
    network = load_network(birefnet_hub.find(spec, settings, say))
    torch.set_num_threads(settings.cores())
    card = replace(CARD, about=f"{spec} in {precision}", licence=checkpoint.licence if checkpoint.repo else "")
    with folder_beside(partial) as folder:
        say(f"writing {spec} as ONNX, {width}x{height}")
        exact = folder / "fp32.onnx"
        write_onnx(network, width, height, exact)
        return published(network, exact, precision, card, partial, seen, settings, say)


def published(
    network: nn.Module,
    exact: Path,
    precision: Precision,
    card: Card,
    partial: Partial,
    seen: Pictures,
    settings: Settings,
    say: Say,
) -> Report:
    """Convert the float32 file `exact` of a network, check it, and publish it. Raises WeightsError, DiskError."""
    embed(exact, card)
    file = converted(exact, precision, seen, say)
    embed(file, card)
    say("comparing it with torch")
    report = checked(network, file, exact, precision, seen, settings)
    shutil.move(file, partial.path)
    partial.publish()
    return report


def converted(exact: Path, precision: Precision, seen: Pictures, say: Say) -> Path:
    """A file of this precision beside the float32 one; for float32, that one."""
    target = exact.with_name(f"{precision}.onnx")
    if precision == "fp16":
        to_float16(exact, target)
    elif precision == "int8":
        say(f"calibrating on {len(seen.calibrated)} frames")
        to_int8(exact, target, map(network_input, seen.calibrated))
    return target


def embed(path: Path, card: Card) -> None:
    """Replace the metadata of an ONNX file by a card."""
    model = onnx.load(str(path))
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, embedded_card.dumped(card))
    onnx.save(model, str(path))


def checked(
    network: nn.Module, file: Path, exact: Path, precision: Precision, seen: Pictures, settings: Settings
) -> Report:
    """Compare the file with torch, and its size and speed with `exact`. Raises WeightsError outside of the bounds."""
    inputs = [network_input(picture) for picture in seen.checked]
    by_torch = TorchAlpha(network)
    expected = [by_torch(each) for each in inputs]
    by_file = FileAlpha(file, settings)
    found = difference([by_file(each) for each in inputs], expected)
    check_bounds(found, precision)
    other = by_torch if file == exact else FileAlpha(exact, settings)
    mine_s, other_s = alternately([lambda: by_file(inputs[0]), lambda: other(inputs[0])])
    weights = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    size, other_size = file.stat().st_size, weights if file == exact else exact.stat().st_size
    return Report(found, len(inputs), size, 1e3 * mine_s, other_size / size, other_s / mine_s)


def network_input(picture: Tensor) -> Tensor:
    """float32 (1, 3, height, width) for RGB of 0-1, as the engine `onnx` makes it."""
    return np.ascontiguousarray(normalised(picture, CARD)[None])


@contextlib.contextmanager
def folder_beside(partial: Partial) -> Iterator[Path]:
    """A temporary folder on the output's disk. Raises DiskError for what fails while it is written."""
    try:
        with tempfile.TemporaryDirectory(prefix=".export-", dir=partial.final.parent) as folder:
            yield Path(folder)
    except OSError as exc:
        raise disk_error(exc, partial.final) from exc
