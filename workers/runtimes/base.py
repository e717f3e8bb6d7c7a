"""Interface of runtimes. A runtime loads a network from a file; the loaded network is a function of numpy arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from stream.settings import Settings

Array = npt.NDArray[Any]


class Precision(StrEnum):
    """In which a network computes. Its inputs and outputs have the types of its file all the same."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class Choice:
    """A runtime, by its name in `RUNTIMES`, and the precision in which it computes."""

    runtime: str
    precision: Precision = Precision.FLOAT32

    def __str__(self) -> str:
        return f"{self.runtime}, {self.precision}"


class Network(Protocol):
    """A loaded network. May be called by several threads at once. inputs, outputs: names, in the file's order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __call__(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> list[Array]:
        """The named outputs. feeds: every input by its name, of any shape that the file admits. The results are new
        arrays, which later calls do not modify; feeds are not modified. Raises EngineError."""
        ...

    def close(self) -> None:
        """Free the network. It cannot be called any more."""
        ...


class Runtime(Protocol):
    """A library that runs networks."""

    def load(self, graph: Path | bytes, precision: Precision, settings: Settings) -> Network:
        """Load a network from a file, or from the contents of an ONNX file.

        It computes in `precision`, with as many threads as the settings say. Raises what the library raises; few
        libraries have a common base class for their errors.
        """
        ...
