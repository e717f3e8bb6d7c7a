"""Runs a segmentation network of transformers on one device: uint8 pictures in, its outputs in float32.

Owns everything that depends on the device: mixed precision, transfers, normalisation (on the device, so that only uint8
is uploaded) and too little memory. Knows nothing about classes, frames and videos.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from stream.errors import EngineError
from workers.device.tensors import Bytes
from workers.weights.preprocessing import Rgb

_BATCH = {"cpu": 1, "cuda": 8}


class Segmenter:
    """network: in float32, called as `network(pixel_values=...)`. fields: the tensors of its output that are returned.

    dtype: of those operations that torch's autocast computes in lower precision; float32: none. name: for messages.
    batch: most pictures in one pass; permanently halved when they do not fit in the device's memory. Not thread-safe.
    """

    def __init__(
        self,
        network: nn.Module,
        fields: Sequence[str],
        normalisation: tuple[Rgb, Rgb],
        device: torch.device,
        dtype: torch.dtype,
        name: str,
    ) -> None:
        self.device, self.dtype, self.batch = device, dtype, _BATCH[device.type]
        self._network = network.to(device).eval()
        self._fields, self._name = tuple(fields), name
        mean, deviation = (torch.tensor(values, device=device)[:, None, None] for values in normalisation)
        self._scale, self._shift = 1 / (255 * deviation), -mean / deviation

    def __call__(self, pictures: Sequence[Bytes]) -> Iterator[tuple[Tensor, ...]]:
        """The outputs of each picture, float32, on the device, without the dimension of the batch. Where lower
        precision overflows, they are recomputed in float32.

        pictures: uint8 (h, w, 3), RGB, all of one size. Raises EngineError.
        """
        waiting = list(pictures)
        while waiting:
            outputs = self._try(waiting[: self.batch])
            if outputs is None:  # handled outside `except`: the exception's traceback would keep tensors alive
                self._halve(min(self.batch, len(waiting)))
                continue
            waiting = waiting[len(outputs[0]) :]
            yield from zip(*outputs, strict=True)

    @torch.inference_mode()
    def _try(self, pictures: Sequence[Bytes]) -> list[Tensor] | None:
        """The outputs of a batch, or None if the device has too little memory for it."""
        try:
            uploaded = torch.stack([torch.from_numpy(picture) for picture in pictures]).to(self.device)
            values = uploaded.permute(0, 3, 1, 2).float() * self._scale + self._shift
            outputs = self._run(values, self.dtype)
            if self.dtype is torch.float32 or all(bool(output.isfinite().all()) for output in outputs):
                return outputs
            return self._run(values, torch.float32)
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as exc:
            raise EngineError(f"{self._name}: {str(exc).splitlines()[0]}") from exc

    def _run(self, values: Tensor, dtype: torch.dtype) -> list[Tensor]:
        with torch.autocast(self.device.type, dtype, enabled=dtype is not torch.float32):
            output = self._network(pixel_values=values)
        return [output[field].float() for field in self._fields]

    def _halve(self, batch: int) -> None:
        torch.cuda.empty_cache()
        if batch == 1:
            raise EngineError(f"{self._name}: one picture does not fit in the device's memory")
        self.batch = batch // 2
