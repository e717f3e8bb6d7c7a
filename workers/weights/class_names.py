"""The names of a checkpoint's classes, and which of them a user means. Knows nothing about networks.

A class may have several names: in ADE20K it is a list of synonyms ("person, individual, someone"), in COCO a name with
an ending of the data set ("sky-other-merged").
"""

import functools
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from stream.errors import UsageError, WeightsError
from stream.settings import Settings
from stream.suggestions import nearest
from workers.weights.transformers_repos import CONFIG, Catalogue

_ENDING = re.compile(r"(-other|-stuff|-merged)+$")
_NO_NAME = re.compile(r"label[_ ]?\d+")  # the library's names for classes that a checkpoint does not name


@dataclass(frozen=True)
class ClassNames:
    """labels: by class, as the checkpoint has them. origin: of the checkpoint, for messages."""

    labels: Mapping[int, str]
    origin: str

    @classmethod
    def of(cls, folder: Path, origin: str) -> "ClassNames":
        """Those in the config.json of a checkpoint's folder. Raises WeightsError if it has none."""
        try:
            labels = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["id2label"]
            return cls({int(index): str(label) for index, label in labels.items()}, origin)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as exc:
            raise WeightsError(f"{origin}: {folder / CONFIG} does not name classes ({_reason(exc)})") from None

    def listed(self) -> list[list[str]]:
        """All names of each class, in the order of the classes."""
        return [_names(self.labels[index]) for index in sorted(self.labels)]

    def unique(self) -> list[str]:
        """Of each class, the first name that no other class has; its first name if all are shared."""
        return [
            next((name for name in names if len(self._by_name[_key(name)]) == 1), names[0] if names else "")
            for names in self.listed()
        ]

    def find(self, names: Iterable[str]) -> frozenset[int]:
        """The classes that have one of these names, in any case. Raises UsageError for a name that none has."""
        by_name = self._by_name
        found: set[int] = set()
        for name in names:
            if _key(name) not in by_name:
                raise UsageError(f"class: {self._unknown(name, list(by_name))}")
            found |= by_name[_key(name)]
        return frozenset(found)

    @functools.cached_property
    def _by_name(self) -> dict[str, set[int]]:
        classes: dict[str, set[int]] = defaultdict(set)
        for index, label in self.labels.items():
            for name in _names(label):
                classes[_key(name)].add(index)
                classes[_ENDING.sub("", _key(name))].add(index)
        return classes

    def _unknown(self, name: str, known: list[str]) -> str:
        if all(map(_NO_NAME.fullmatch, known)):
            return f"{name!r} is unknown, because {self.origin} does not name its classes; choose other weights"
        hint = nearest(name.strip(), known) or "; list all with: mattebox models classes"
        return f"{name!r} is not a class of {self.origin}{hint}"


def of_local(catalogue: Catalogue, spec: str, settings: Settings) -> ClassNames:
    """The names of the classes of weights that are on this disk. Never uses the network. Raises UsageError,
    WeightsError."""
    repo, folder = catalogue.parse(spec)
    if folder is None and (folder := catalogue.find_local(spec, settings)) is None:
        command = f"mattebox models pull {catalogue.name}:{spec}"
        raise WeightsError(f"the weights {spec} are missing; download them with: {command}")
    return ClassNames.of(folder, repo.repo or str(folder))


def _names(label: str) -> list[str]:
    return [name.strip() for name in re.split("[,;]", label) if name.strip()]


def _key(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())


def _reason(exc: Exception) -> str:
    return (exc.strerror or "unreadable") if isinstance(exc, OSError) else "no id2label"
