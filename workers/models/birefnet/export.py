"""Export a BiRefNet to ONNX: standard operators of opset 19, dynamic batch, fixed image size.

The deformable convolutions become ONNX's own DeformConv, for which runtimes have kernels. The rest is the fused network
as torch's exporter writes it.
"""

import logging
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from stream.errors import UsageError, WeightsError, disk_error
from stream.sinks.parts.partial import Partial
from workers.models.birefnet.deform import DeformableConv2d
from workers.models.birefnet.fuse import fuse
from workers.models.birefnet.fused import MergedDeformableConv2d, OffsetMask
from workers.models.birefnet.network import STRIDE, BiRefNet

OPSET = 19  # the first with DeformConv
_TOLERANCE = 1e-3  # in logits


def export_onnx(network: BiRefNet, width: int, height: int, path: Path) -> float:
    """Write the network to `path`. Its `input` is float32 (batch, 3, height, width), normalised; its output is
    `logits` (batch, 1, height, width).

    The file is run in onnxruntime and compared with torch before it is published. Returns the largest difference of
    the logits. Raises UsageError for sides that are not multiples of 32, WeightsError if the two differ, DiskError.
    """
    if width % STRIDE or height % STRIDE:
        raise UsageError(f"{width}x{height}: both sides must be multiples of {STRIDE}")
    partial = Partial(path)
    try:
        _write(_with_onnx_deform(fuse(network)), width, height, partial.path)
        difference = compare(network, width, height, partial.path)
        if difference > _TOLERANCE:
            raise WeightsError(f"the exported file differs from torch by {difference:.2g}")
    except BaseException:
        partial.discard()
        raise
    partial.publish()
    return difference


def compare(network: BiRefNet, width: int, height: int, path: Path) -> float:
    """The largest difference in logits between the file in onnxruntime and `network`, for two random images."""
    images = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = network(images).numpy()
    return float(np.abs(session.run(None, {"input": images.numpy()})[0] - expected).max())


def _write(network: nn.Module, width: int, height: int, path: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(
        logging.ERROR
    )  # it warns that torchvision, which is not needed, is missing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own
        program = torch.onnx.export(
            network,
            (torch.zeros(2, 3, height, width),),  # not 1: the exporter treats a batch of one as constant
            dynamo=True,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    try:
        program.save(str(path))
    except OSError as exc:
        raise disk_error(exc, path) from exc


class OnnxDeformableConv2d(nn.Module):
    """A merged deformable convolution that torch's exporter writes as one node."""

    def __init__(self, merged: MergedDeformableConv2d) -> None:
        super().__init__()
        self.merged = merged
        self.split = merged.split

    def forward(self, x: Tensor, relu: bool = False, offset_mask: OffsetMask | None = None) -> Tensor:
        offset, mask = offset_mask or self.merged.offset_and_mask(x)
        weight, bias = self.merged.regular_conv.weight, self.merged.regular_conv.bias
        out_channels, _, kernel, _ = weight.shape
        inputs = [x, weight, offset, torch.zeros(out_channels) if bias is None else bias, mask]
        padding = [kernel // 2] * 4
        out = torch.onnx.ops.symbolic(
            "DeformConv",
            inputs,
            {"kernel_shape": [kernel, kernel], "pads": padding, "group": 1, "offset_group": 1},
            dtype=x.dtype,
            shape=(x.shape[0], out_channels, x.shape[2], x.shape[3]),
            version=OPSET,
        )
        return out.relu() if relu else out


def _with_onnx_deform(network: nn.Module) -> nn.Module:
    """Replace the deformable convolutions in place: `network` is the exporter's own copy."""
    for name, child in network.named_children():
        if isinstance(child, MergedDeformableConv2d):
            setattr(network, name, OnnxDeformableConv2d(child))
        else:
            assert not isinstance(child, DeformableConv2d)
            _with_onnx_deform(child)
    return network
