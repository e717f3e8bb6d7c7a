"""Runs BiRefNet on one device: uint8 images in, float32 alpha out.

Owns everything that depends on the device: dtype, transfers, normalisation (on the device, so that only uint8 is
uploaded), out-of-memory handling and warm-up. Knows nothing about files, frames and videos.

Another runtime for the same network would be another runner beside this one; `workers/engines/birefnet.py` creates it.
"""

import functools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from stream.errors import EngineError
from workers.device.graphs import Graphs, release
from workers.models.birefnet.fuse import channels_last, fuse
from workers.models.birefnet.network import BiRefNet
from workers.weights.imagenet import DEVIATION, MEAN

_BATCH = {"cpu": 1, "cuda": 4}
# Out-of-memory messages of libraries for which torch raises no OutOfMemoryError. The last is cuDNN's.
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "unable to find an engine")

Size = tuple[int, int]
"""(width, height), multiples of 32."""


class Runner:
    """load: returns the plain network in float32; called again when `exact` first needs float32 beside another `dtype`.

    batch: most images in one pass; permanently halved when they do not fit in the device's memory.
    Not thread-safe. Raises what `load` raises, and EngineError.
    """

    def __init__(self, load: Callable[[], BiRefNet], device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self.batch = _BATCH[device.type]
        self._load = load
        self._networks: dict[torch.dtype, BiRefNet] = {}
        self._network(dtype)
        scale = 1 / (255 * torch.tensor(DEVIATION))
        shift = -torch.tensor(MEAN) / torch.tensor(DEVIATION)
        self._graphs = Graphs(functools.partial(self._matte, dtype=dtype))
        self._scale, self._shift = (t[:, None, None].to(device) for t in (scale, shift))

    @torch.inference_mode()
    def __call__(self, images: Tensor, exact: bool = False) -> Tensor:
        """Alpha, float32 (B, h, w), 0 to 1, on `device`. images: uint8 (B, h, w, 3), RGB, on any device, B >= 1.

        exact: compute in float32, whatever the runner's dtype. Where half precision overflows the alpha is NaN, never
        infinite or derived from an infinite value. More than `batch` images take several passes. Raises EngineError.
        """
        dtype = torch.float32 if exact else self.dtype
        alphas: list[Tensor] = []
        remaining, batch = images, self.batch
        while len(remaining):
            alpha = self._try(remaining[:batch], dtype)
            if alpha is None:  # handled outside `except`: the exception's traceback would keep tensors alive
                batch = self._halved(min(batch, len(remaining)), permanently=not exact)
                continue
            alphas.append(alpha)
            remaining = remaining[len(alpha) :]
        return torch.cat(alphas) if len(alphas) > 1 else alphas[0]

    @torch.inference_mode()
    def warm(self, sizes: Iterable[Size], batches: Sequence[int] = (1, 2, 4)) -> None:
        """Capture a graph for each size and batch, the largest first, so that no request waits for a capture.

        If memory runs out, that batch has no graph and `batch` is halved. Does nothing on a CPU. Raises EngineError.
        """
        if self.device.type == "cpu":
            return
        for width, height in sizes:
            for batch in sorted((b for b in batches if b <= self.batch), reverse=True):
                self._capture(torch.zeros(batch, height, width, 3, dtype=torch.uint8, device=self.device))

    def _capture(self, example: Tensor) -> None:
        fits = True
        try:
            # unlike in requests, there is time for cuDNN to benchmark its kernels
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, benchmark=True):
                self._graphs.warm(example)
        except RuntimeError as exc:
            _raise_unless_out_of_memory(exc)
            fits = False
        if not fits:
            self._halved(len(example), permanently=True)

    def _try(self, images: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Alpha, or None if the device has too little memory for this batch."""
        try:
            uploaded = self._upload(images)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 must be exact
                (alpha,) = self._graphs(uploaded) if dtype is self.dtype else self._matte(uploaded, dtype)
                return alpha
        except RuntimeError as exc:
            _raise_unless_out_of_memory(exc)
            return None

    def _halved(self, batch: int, permanently: bool) -> int:
        """The next batch to try after one that did not fit. Raises EngineError after a batch of one."""
        if self.device.type == "cuda":
            release()
        if batch == 1:
            raise EngineError("birefnet: one picture does not fit in the device's memory")
        if permanently:
            self.batch = batch // 2
        return batch // 2

    def _upload(self, images: Tensor) -> Tensor:
        if self.device.type == "cuda" and images.device.type == "cpu":
            return images.pin_memory().to(self.device, non_blocking=True)
        return images.to(self.device)

    def _matte(self, images: Tensor, dtype: torch.dtype) -> tuple[Tensor]:
        """uint8 (B, h, w, 3) on the device to alpha, float32 (B, h, w). The sigmoid is always computed in float32."""
        x = images.permute(0, 3, 1, 2).float() * self._scale + self._shift
        logits: Tensor = self._network(dtype)(x.to(dtype))[:, 0].float()
        return (logits.sigmoid().masked_fill_(~logits.isfinite(), torch.nan),)

    def _network(self, dtype: torch.dtype) -> BiRefNet:
        if dtype not in self._networks:
            network = fuse(self._load())
            network = channels_last(network) if self.device.type == "cuda" else network
            network.to(self.device, dtype)
            self._networks[dtype] = network
        return self._networks[dtype]


def _raise_unless_out_of_memory(exc: RuntimeError) -> None:
    """Raise EngineError, except for out-of-memory errors."""
    if not isinstance(exc, torch.OutOfMemoryError) and not any(text in str(exc) for text in _OUT_OF_MEMORY):
        raise EngineError(f"birefnet: {str(exc).splitlines()[0]}") from exc
