"""Networks in ONNX files that the engine `onnx` knows by name: a card of each, and where its weights are published.

A card has what an ONNX file does not say: how its input is normalised, and under which licence it is. Cards of networks
without `weights`, and those of common normalisations, are for files that users have already. Files that we write have
their own card inside (`embedded_card.py`).
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from stream.errors import UsageError, WeightsError
from stream.settings import Settings
from stream.suggestions import nearest
from workers.weights import known
from workers.weights.imagenet import DEVIATION, MEAN
from workers.weights.input_size import Size, split_size
from workers.weights.known import Say, Weights
from workers.weights.sources import Url

MODULES = ()  # needed to find and download them
FILE_FORMAT = ".onnx"
_ENGINE = "onnx"
_RELEASE = "https://github.com/danielgatis/rembg/releases/download/v0.0.0"

Rgb = tuple[float, float, float]


class Activation(StrEnum):
    """What turns the network's output into alpha."""

    NONE = "none"  # the output is alpha already
    SIGMOID = "sigmoid"  # the output is logits
    AUTO = "auto"  # read from the graph, else from the range of the output


@dataclass(frozen=True)
class Card:
    """How to use a network.

    about: what it is for. mean, deviation: of RGB; the input is (colour - mean) / deviation. by_maximum: colour is
    relative to the brightest value of the picture, as the network's authors define it; otherwise it is 0-1. side_px: of
    the square input, if the graph accepts any size. output: index or name of the output that is the matte; None: found
    by its shape. licence: as its authors state it. weights: the published file; None if there is none to download.
    stems: further names of the file, without suffix.
    """

    about: str
    mean: Rgb = MEAN
    deviation: Rgb = DEVIATION
    by_maximum: bool = False
    side_px: int = 512
    output: int | str | None = None
    activation: Activation = Activation.AUTO
    licence: str = ""
    weights: Weights | None = None
    stems: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        return str(self.weights.sources[0]) if self.weights else ""


def _published(url: str, file: str, sha256: str, size: int, licence: str) -> Weights:
    return Weights(file, sha256, size, licence, (Url(url),))


def _u2net(about: str, file: str, sha256: str, size: int) -> Card:
    """U²-Net and its smaller versions: seven outputs after a sigmoid, of which the first is the matte."""
    weights = _published(f"{_RELEASE}/{file}", file, sha256, size, "Apache-2.0")
    return Card(
        about, by_maximum=True, side_px=320, output=0, activation=Activation.NONE, licence="Apache-2.0",
        weights=weights, stems=(Path(file).stem,),
    )  # fmt: skip


CARDS = {
    "u2net": _u2net(
        "U²-Net: salient objects", "u2net.onnx",
        "8d10d2f3bb75ae3b6d527c77944fc5e7dcd94b29809d47a739a7a728a912b491", 175_997_641,
    ),
    "u2netp": _u2net(
        "U²-Net, small: salient objects", "u2netp.onnx",
        "309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8", 4_574_861,
    ),
    "u2net-human": _u2net(
        "U²-Net trained on people", "u2net_human_seg.onnx",
        "01eb6a29a5c4d8edb30b56adad9bb3a2a0535338e480724a213e0acfd2d1c73c", 175_997_641,
    ),
    "silueta": _u2net(
        "U²-Net, reduced: salient objects", "silueta.onnx",
        "75da6c8d2f8096ec743d071951be73b4a8bc7b3e51d9a6625d63644f90ffeedb", 44_173_029,
    ),
    # On 20 frames of one video of a person it lost a shoulder: MAD 59, where selfie has 28.
    "isnet": Card(
        "IS-Net: objects and photos; in videos it loses parts of people",
        (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), by_maximum=True, side_px=1024, output=0, activation=Activation.NONE,
        licence="Apache-2.0", stems=("isnet-general-use",),
        weights=_published(
            f"{_RELEASE}/isnet-general-use.onnx", "isnet-general-use.onnx",
            "60920e99c45464f2ba57bee2ad08c919a52bbf852739e96947fbb4358c0d964a", 178_648_008, "Apache-2.0",
        ),
    ),
    "birefnet-lite": Card(
        "BiRefNet with a small backbone: any subject", side_px=1024, licence="MIT",
        stems=("birefnet-general-lite", "birefnet-general-bb_swin_v1_tiny-epoch_232"),
        weights=_published(
            f"{_RELEASE}/BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx", "birefnet-general-lite.onnx",
            "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333", 224_005_088, "MIT",
        ),
    ),
    "ben2": Card(
        "BEN2: any subject", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), side_px=1024, activation=Activation.NONE,
        licence="MIT", stems=("ben2_base",),
        weights=_published(
            "https://huggingface.co/PramaLLC/BEN2/resolve/main/BEN2_Base.onnx", "ben2_base.onnx",
            "22cea62108ff53b7ccc20f7a008bf30494228d84b1687f29ecbe76936a998101", 222_932_053, "MIT",
        ),
    ),
    "rmbg-1.4": Card(
        "RMBG 1.4: any subject", (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), side_px=1024, output=0,
        licence="bria-rmbg-1.4, for non-commercial use",
    ),
    "rmbg-2.0": Card(
        "RMBG 2.0: any subject", side_px=1024, licence="CC BY-NC 4.0, for non-commercial use",
        stems=("bria-rmbg-2.0",),
    ),
    "imagenet": Card("the mean and deviation of ImageNet"),
    "unit": Card("colours from 0 to 1", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "signed": Card("colours from -1 to 1", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}  # fmt: skip
"""By name. The sha256 of a file is known before it is downloaded."""

DEFAULT = "imagenet"
"""The card of a file whose name is not known."""

VARIANTS = {name: card for name, card in CARDS.items() if card.weights is not None}
"""The networks that can be downloaded."""


@dataclass(frozen=True)
class Spec:
    """What a user asked for. name: of its card, in `CARDS`. file: a local one; None: the published one. size: (width,
    height) of the network's input, or None. chosen: the card was given as `CARD=FILE.onnx`."""

    name: str
    file: Path | None
    size: Size | None
    chosen: bool = False

    @property
    def card(self) -> Card:
        return CARDS[self.name]


def parse(spec: str) -> Spec:
    """Parse `NAME[@WxH]` or `[CARD=]FILE.onnx[@WxH]`. A file without `CARD=` gets the card that its name matches.

    Raises UsageError.
    """
    text, size = split_size(spec)
    if text.lower().endswith(FILE_FORMAT):
        name, _, rest = text.partition("=")
        return Spec(name, Path(rest), size, True) if name in CARDS else Spec(_card_of(Path(text)), Path(text), size)
    if text in VARIANTS:
        return Spec(text, None, size)
    if text in CARDS and CARDS[text].licence:
        raise UsageError(f"weights: {text} cannot be downloaded here; use your own file: {text}=FILE.onnx")
    hint = f"{', '.join(VARIANTS)} or an .onnx file{nearest(text, tuple(VARIANTS))}"
    raise UsageError(f"weights: {text!r} is not one of {hint}")


def owns(name: str) -> bool:
    """Whether weights of this name, without a size, are for the engine `onnx`."""
    return name in CARDS or name.lower().endswith(FILE_FORMAT)


def weights(variant: str) -> Weights:
    """The published file of a network. Raises UsageError if it cannot be downloaded."""
    found = parse(variant)
    if found.file is not None or found.card.weights is None:
        raise UsageError(f"models: {variant} is a file of your own, not a name")
    return found.card.weights


def find(spec: str, settings: Settings, say: Say) -> Path:
    """The file of a network, downloaded if it is a published one, whose licence is reported first. That of an own file
    is reported by `announce`, when the file has been read.

    Raises UsageError, WeightsError, DiskError.
    """
    found = parse(spec)
    if found.file is None:
        say(f"{_ENGINE}: {found.name}: {found.card.about}")
        return known.ensure(f"{_ENGINE}:{found.name}", settings, say)
    if not found.file.is_file():
        raise WeightsError(f"{found.file} {'is a folder' if found.file.is_dir() else 'does not exist'}")
    return found.file


def announce(spec: Spec, own: Card | None, say: Say) -> None:
    """Report the card and the licence of an own file. own: the card inside it, if that is used."""
    if spec.file is None:
        return
    card, name = (own, f"its own card, {own.about}") if own else (spec.card, f"the card {spec.name}")
    subject = "it" if own else spec.name
    licence = f"{subject} is licensed under {card.licence}" if card.licence else "its licence is unknown"
    say(f"{_ENGINE}: {spec.file} is your own file, used with {name}; {licence}")


def pull(spec: str, settings: Settings, say: Say) -> Path:
    """Download, verify and cache a published file. Raises UsageError, WeightsError, DiskError."""
    return known.pull(_published_name(spec), settings, say)


def verify(spec: str, settings: Settings) -> Path:
    """The cached file of a published network, its sha256 verified. Raises UsageError, WeightsError."""
    return known.path(_published_name(spec), settings)


def find_local(spec: str, settings: Settings) -> Path | None:
    """The file of a network if it is on this disk, else None. Never uses the network. Raises UsageError."""
    found = parse(spec)
    file = found.file or known.cache_path(f"{_ENGINE}:{found.name}", settings)
    return file if file.is_file() else None


def _published_name(spec: str) -> str:
    weights(spec)
    return f"{_ENGINE}:{parse(spec).name}"


def _card_of(file: Path) -> str:
    """The card whose name, or whose file's name, a file has; else the default."""
    stem = file.stem.lower()
    return next((name for name, card in CARDS.items() if stem == name or stem in card.stems), DEFAULT)
