"""Runs BiRefNet on one device: pictures as bytes in, alpha in float32 out.

Owns what depends on the device: data type, placing, normalising there (a byte a value is all that is uploaded), memory
that runs out, warming up. Knows nothing about files, frames and videos.
"""

import functools
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from stream.errors import EngineError
from workers.device.graphs import Graphs, release
from workers.models.birefnet.fuse import channels_last, fuse
from workers.models.birefnet.network import BiRefNet

# ImageNet's, of colours from 0 to 1. Nothing else in the project knows them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)

_BATCH = {"cpu": 1, "cuda": 4}
# What libraries say that got no memory, where torch raises no error of its own for it. The last is cuDNN's.
_SHORT = ("out of memory", "ALLOC_FAILED", "unable to find an engine")

Size = tuple[int, int]
"""(width, height), multiples of 32."""


class Runner:
    """load: gives the plain network in float32; called again if full precision is asked for beside another `dtype`.

    batch: most pictures that go through in one pass; halved for good when they did not fit in the device's memory.
    Not for several threads at once. Raises what `load` raises, and EngineError.
    """

    def __init__(self, load: Callable[[], BiRefNet], place: torch.device, dtype: torch.dtype) -> None:
        self.place, self.dtype = place, dtype
        self.batch = _BATCH[place.type]
        self._load = load
        self._networks: dict[torch.dtype, BiRefNet] = {}
        self._network(dtype)
        scale = 1 / (255 * torch.tensor(DEVIATION))
        shift = -torch.tensor(MEAN) / torch.tensor(DEVIATION)
        self._graphs = Graphs(functools.partial(self._matte, dtype=dtype))
        self._scale, self._shift = (t[:, None, None].to(place) for t in (scale, shift))

    @torch.inference_mode()
    def __call__(self, pictures: Tensor, exact: bool = False) -> Tensor:
        """Alpha, float32 (B, h, w) on `place`, 0 to 1, of pictures: uint8 (B, h, w, 3), RGB, on any device, B >= 1.

        exact: in float32, whatever the runner's dtype. Where half precision failed the answer holds NaN, never an
        infinite value or one that was made of it. More than `batch` go in several passes. Raises EngineError.
        """
        dtype = torch.float32 if exact else self.dtype
        alphas: list[Tensor] = []
        rest, most = pictures, self.batch
        while len(rest):
            alpha = self._attempt(rest[:most], dtype)
            if alpha is None:  # in a frame of its own: an exception's traceback would keep the tensors alive
                most = self._narrower(min(most, len(rest)), keep=not exact)
                continue
            alphas.append(alpha)
            rest = rest[len(alpha) :]
        return torch.cat(alphas) if len(alphas) > 1 else alphas[0]

    @torch.inference_mode()
    def warm(self, sizes: Iterable[Size], batches: Sequence[int] = (1, 2, 4)) -> None:
        """Capture a graph for each size and batch, the largest first, so that no request waits for it.

        Where memory runs out, that batch goes without, and `batch` becomes the largest that fitted. On a CPU nothing
        is done. Raises EngineError.
        """
        if self.place.type == "cpu":
            return
        for width, height in sizes:
            for batch in sorted((b for b in batches if b <= self.batch), reverse=True):
                self._capture(torch.zeros(batch, height, width, 3, dtype=torch.uint8, device=self.place))

    def _capture(self, example: Tensor) -> None:
        fits = True
        try:
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False, benchmark=True):  # it has time to choose
                self._graphs.warm(example)
        except RuntimeError as exc:
            _raise_unless_short(exc)
            fits = False
        if not fits:
            self._narrower(len(example), keep=True)

    def _attempt(self, pictures: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Alpha, or None if the device has too little memory for so many."""
        try:
            uploaded = self._upload(pictures)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is meant
                (alpha,) = self._graphs(uploaded) if dtype is self.dtype else self._matte(uploaded, dtype)
                return alpha
        except RuntimeError as exc:
            _raise_unless_short(exc)
            return None

    def _narrower(self, tried: int, keep: bool) -> int:
        if self.place.type == "cuda":
            release()
        if tried == 1:
            raise EngineError("birefnet: one picture does not fit in the device's memory")
        if keep:
            self.batch = tried // 2
        return tried // 2

    def _upload(self, pictures: Tensor) -> Tensor:
        if self.place.type == "cuda" and pictures.device.type == "cpu":
            return pictures.pin_memory().to(self.place, non_blocking=True)
        return pictures.to(self.place)

    def _matte(self, pictures: Tensor, dtype: torch.dtype) -> tuple[Tensor]:
        """uint8 (B, h, w, 3) on the device to alpha: the sigmoid is taken in float32 whatever the network's dtype."""
        x = pictures.permute(0, 3, 1, 2).float() * self._scale + self._shift
        logits: Tensor = self._network(dtype)(x.to(dtype))[:, 0].float()
        return (logits.sigmoid().masked_fill_(~logits.isfinite(), torch.nan),)

    def _network(self, dtype: torch.dtype) -> BiRefNet:
        if dtype not in self._networks:
            network = fuse(self._load())
            network = channels_last(network) if self.place.type == "cuda" else network
            network.to(self.place, dtype)
            self._networks[dtype] = network
        return self._networks[dtype]


def _raise_unless_short(exc: RuntimeError) -> None:
    """Raise EngineError, but for an error that says that memory ran out."""
    if not isinstance(exc, torch.OutOfMemoryError) and not any(words in str(exc) for words in _SHORT):
        raise EngineError(f"birefnet: {str(exc).splitlines()[0]}") from exc


def half_precision(place: torch.device) -> torch.dtype:
    """float16 on a GPU, bfloat16 on a CPU that computes in it, float32 on one that would only emulate it."""
    if place.type == "cuda":
        return torch.float16
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32
