"""Export a BiRefNet to ONNX: standard operators of opset 19, dynamic batch, fixed image size.

The deformable convolutions become ONNX's own DeformConv, for which runtimes have kernels. The rest is the fused network
as torch's exporter writes it.
"""

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from stream.errors import UsageError, disk_error
from workers.models.birefnet.deform import DeformableConv2d
from workers.models.birefnet.fuse import fuse
from workers.models.birefnet.fused import MergedDeformableConv2d, OffsetMask
from workers.models.birefnet.network import STRIDE, BiRefNet

OPSET = 19  # the first with DeformConv
INPUT, OUTPUT = "input", "logits"
"""The names of the graph's input and output."""


def write_onnx(network: BiRefNet, width: int, height: int, path: Path) -> None:
    """Write the network to `path`. Its `input` is float32 (batch, 3, height, width), normalised; its output is
    `logits`, float32 (batch, 1, height, width).

    Raises UsageError for sides that are not multiples of 32, DiskError.
    """
    if width % STRIDE or height % STRIDE:
        raise UsageError(f"{width}x{height}: both sides must be multiples of {STRIDE}")
    # it warns that torchvision, which is not needed, is missing
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own
        program = torch.onnx.export(
            _with_onnx_deform(fuse(network)),
            (torch.zeros(2, 3, height, width),),  # not 1: the exporter treats a batch of one as constant
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
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
