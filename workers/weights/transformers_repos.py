"""Published weights of transformers' models: their short names, their repositories on the model hub, and the cached
folders. The only list of them.

Of a repository, only its configuration (`config.json`, for some models `preprocessor_config.json`) and tensor files are
downloaded. A folder that `save_pretrained` wrote is used as it is. `workers/weights/transformers_loading.py` loads
both.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UsageError, WeightsError
from stream.settings import Settings
from workers.weights import hub
from workers.weights.known import Say

CONFIG = "config.json"
TENSORS = "model.safetensors"
PREPROCESSOR = "preprocessor_config.json"
INDEX = "model.safetensors.index.json"  # of tensors that are stored in several files
_SHARD = re.compile(r"\w[\w.-]*\.safetensors")


@dataclass(frozen=True)
class Repo:
    """One set of weights.

    repo: on the hub, "" for a local folder. model: its class in transformers, which `config.json` has to name. licence:
    as its authors state it, "" if it is not known. use: what it is for. size_mb: of its tensors, 0 if it is not known.
    gated: the hub asks for a login, and for agreement to the licence. files: others that it needs.
    """

    repo: str
    model: str
    licence: str = ""
    use: str = ""
    size_mb: int = 0
    gated: bool = False
    files: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        return f"{self.repo} (gated)" if self.gated else self.repo


@dataclass(frozen=True)
class Catalogue:
    """The weights from which users can choose for one chooser, or for another use of transformers' models.

    It has the interface of the modules that engines' records name (`EngineRecord.catalogue`). name: the first part of
    `mattebox models pull NAME:VARIANT`, and of a field of `Settings`. model: the class of weights that are not listed.
    preprocessor: also download `preprocessor_config.json`, if the repository has it.
    """

    name: str
    model: str
    VARIANTS: Mapping[str, Repo]
    preprocessor: bool = False
    MODULES = hub.MODULES

    def parse(self, spec: str) -> tuple[Repo, Path | None]:
        """The repository that a spec names and, if it is one, the local folder. spec: a short name, a repo id or a
        folder. Raises UsageError."""
        if spec in self.VARIANTS:
            return self.VARIANTS[spec], None
        folder = Path(spec).expanduser()
        if (spec and folder.is_dir()) or spec.startswith(("/", "./", "../", "~")):
            return Repo("", self.model), folder
        known = next((repo for repo in self.VARIANTS.values() if repo.repo == spec), None)
        if known is None and not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", spec):
            names = ", ".join(self.VARIANTS)
            raise UsageError(f"{self.name}: {spec!r} is not one of {names}, a repo id (owner/name) or a folder")
        return known or Repo(spec, self.model), None

    def find(self, spec: str, settings: Settings, say: Say) -> Path:
        """The folder of the weights, downloaded if necessary. Raises UsageError, WeightsError."""
        repo, folder = self.parse(spec)
        if folder is not None:
            if not (folder / CONFIG).is_file():
                raise WeightsError(f"{folder} {f'has no {CONFIG}' if folder.is_dir() else 'does not exist'}")
            say(f"{self.name}: {folder} is your own folder; its licence is not known here")
            return folder
        licence = f"licensed under {repo.licence}, according to its authors" if repo.licence else "of unknown licence"
        say(f"{self.name}: {repo.repo} is {licence}")
        return self._downloaded(repo, spec, settings)

    def pull(self, spec: str, settings: Settings, say: Say) -> Path:
        """As `find`."""
        return self.find(spec, settings, say)

    def verify(self, spec: str, settings: Settings) -> Path:
        """The cached folder, its tensors compared with the sha256 of the hub. Raises UsageError, WeightsError."""
        repo, folder = self.parse(spec)
        folder = folder or self._downloaded(repo, spec, settings.model_copy(update={"offline": True}))
        if not all(map(hub.has_sha256, tensor_files(folder))):
            raise WeightsError(f"{folder} cannot be verified: its sha256 is not known")
        return folder

    def find_local(self, spec: str, settings: Settings) -> Path | None:
        """The folder of the weights if all of it is on this disk, else None. Never uses the network. Raises
        UsageError."""
        repo, folder = self.parse(spec)
        if folder is None:
            config = hub.cached(repo.repo, CONFIG, settings)
            folder = None if config is None else config.parent
        try:
            complete = folder is not None and all(
                file.is_file() for file in (folder / CONFIG, *tensor_files(folder), *map(folder.joinpath, repo.files))
            )
        except WeightsError:
            return None
        return folder if complete else None

    def _downloaded(self, repo: Repo, spec: str, settings: Settings) -> Path:
        """The cached folder, with all files of one commit, each verified."""
        name = f"{self.name}:{spec}"
        try:
            config = hub.download(repo.repo, CONFIG, name, settings)
            commit = config.parent.name
            for file in (*_published_tensors(repo.repo, name, settings, commit), *repo.files):
                hub.verified(hub.download(repo.repo, file, name, settings, commit), name)
            if self.preprocessor:
                hub.download_if_published(repo.repo, PREPROCESSOR, name, settings, commit)
        except WeightsError as exc:
            if not repo.gated or settings.offline:
                raise
            hint = f"{repo.repo} is gated: agree to its licence on its page at the hub, then log in with: hf auth login"
            raise WeightsError(f"{exc}; {hint}") from exc
        return config.parent


def tensor_files(folder: Path) -> list[Path]:
    """The files with the tensors, existing or not. Raises WeightsError for an invalid index."""
    index = folder / INDEX
    if (folder / TENSORS).is_file() or not index.is_file():
        return [folder / TENSORS]
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as exc:
        raise WeightsError(f"{index} is not an index of tensors: {exc!r}") from None
    if invalid := [name for name in names if not isinstance(name, str) or not _SHARD.fullmatch(name)]:
        raise WeightsError(f"{index}: {invalid[0]!r} is not the name of a safetensors file beside it")
    return [folder / name for name in names]


def _published_tensors(repo: str, name: str, settings: Settings, commit: str) -> list[str]:
    """The names of the files with the tensors. Raises WeightsError."""
    try:
        hub.download(repo, TENSORS, name, settings, commit)
    except WeightsError as whole:
        try:
            index = hub.download(repo, INDEX, name, settings, commit)
        except WeightsError:
            raise whole from None
        return [file.name for file in tensor_files(index.parent)]
    return [TENSORS]


_CLASSES = "finds the classes of ADE20K"
_CLIP_TOKENIZER = ("vocab.json", "merges.txt")
_MATTING = "computes the edges of mattes (--refine vitmatte)"
_TRACKING = "follows subjects from points, boxes and masks"

CATALOGUES = {
    catalogue.name: catalogue
    for catalogue in (
        Catalogue(
            "sam2",
            "Sam2VideoModel",
            {
                size: Repo(f"facebook/sam2.1-hiera-{size}", "Sam2VideoModel", "Apache-2.0", _TRACKING, size_mb)
                for size, size_mb in (("tiny", 156), ("small", 184), ("base-plus", 324), ("large", 898))
            },
        ),
        Catalogue(
            "edgetam",
            "EdgeTamVideoModel",
            {"edgetam": Repo("yonigozlan/EdgeTAM-hf", "EdgeTamVideoModel", "Apache-2.0", f"{_TRACKING}, fast", 56)},
        ),
        Catalogue(
            "sam3",
            "Sam3VideoModel",
            {
                "sam3": Repo(
                    "facebook/sam3",
                    "Sam3VideoModel",
                    "SAM License",
                    f"finds what words describe; {_TRACKING}",
                    3440,
                    gated=True,
                    files=("tokenizer.json",),
                )
            },
        ),
        Catalogue(
            "mask2former",
            "Mask2FormerForUniversalSegmentation",
            {
                size: Repo(
                    f"facebook/mask2former-swin-{size}-ade-semantic",
                    "Mask2FormerForUniversalSegmentation",
                    "other",
                    _CLASSES,
                    size_mb,
                )
                for size, size_mb in (("large", 866), ("small", 276))
            },
            preprocessor=True,
        ),
        Catalogue(
            "eomt",
            "EomtForUniversalSegmentation",
            {
                name: Repo(f"tue-mps/{repo}", "EomtForUniversalSegmentation", "MIT", use, 1270)
                for name, repo, use in (
                    ("ade20k", "ade20k_semantic_eomt_large_512", _CLASSES),
                    ("coco", "coco_panoptic_eomt_large_640", "finds the classes of COCO"),
                )
            },
            preprocessor=True,
        ),
        Catalogue(
            "oneformer",
            "OneFormerForUniversalSegmentation",
            {
                size: Repo(
                    f"shi-labs/oneformer_ade20k_swin_{size}",
                    "OneFormerForUniversalSegmentation",
                    "MIT",
                    _CLASSES,
                    size_mb,
                    files=_CLIP_TOKENIZER,
                )
                for size, size_mb in (("large", 880), ("tiny", 203))
            },
            preprocessor=True,
        ),
        Catalogue(
            "faces",
            "SegformerForSemanticSegmentation",
            {
                "faces": Repo(
                    "jonathandinu/face-parsing",
                    "SegformerForSemanticSegmentation",
                    "CC0-1.0",
                    "finds what people wear on their heads",
                    339,
                )
            },
            preprocessor=True,
        ),
        Catalogue(
            "vitmatte",
            "VitMatteForImageMatting",
            {
                name: Repo(f"hustvl/vitmatte-{repo}", "VitMatteForImageMatting", "Apache-2.0", _MATTING, size_mb)
                for name, repo, size_mb in (
                    ("small", "small-composition-1k", 103),
                    ("small-distinctions", "small-distinctions-646", 103),
                    ("base-distinctions", "base-distinctions-646", 387),
                )
            },
        ),
    )
}
"""By name, in the order of lists that users see."""
