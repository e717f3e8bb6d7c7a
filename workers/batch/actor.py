"""A process of a cluster that runs calls, one after the other, on its `Node`. Knows no concrete cluster."""

import os
import socket
from typing import Any
from uuid import uuid4

from stream.errors import MatteboxError
from stream.settings import settings
from workers.batch.calls import Call
from workers.batch.node import Node
from workers.device import threads
from workers.files.workspace import Workspace

FOLDER = "batch"
"""In the data folder: the temporary files of actors."""


class Actor:
    """`run` is called in one thread, the other methods in another one, meanwhile."""

    def __init__(self, results: str, shared: dict[str, Any], gpu: bool) -> None:
        """shared: settings that replace those of this node. gpu: whether Ray has given it one, or a share of one."""
        if not gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray does not hide GPUs from those that did not ask for one
        self._fault = ""
        self._node: Node | None = None
        self._space: Workspace | None = None
        try:
            self._node, self._space = _opened(results, shared)
        except MatteboxError as exc:
            self._fault = f"{exc} (on {socket.gethostname()})"

    def fault(self) -> str:
        """Why this machine cannot run calls; "" if it can."""
        return self._fault

    def run(self, call: str) -> str:
        """Run a call. Takes and returns JSON text."""
        assert self._node is not None
        return self._node.run(Call.model_validate_json(call)).model_dump_json()

    def progress(self) -> tuple[int, int]:
        """(count of signs of progress, number of frames that the running call has written)."""
        assert self._node is not None
        return self._node.watcher.count, self._node.watcher.frames

    def stop(self) -> None:
        """End the running call, and all later ones."""
        if self._node is not None:
            self._node.watcher.stop.set()

    def close(self) -> None:
        """Remove the temporary files. A call that is still running then fails."""
        if self._space is not None:
            self._space.close()


def _opened(results: str, shared: dict[str, Any]) -> tuple[Node, Workspace]:
    own, host = settings().model_copy(update=shared), socket.gethostname()
    threads.apply(own)
    # A folder for each machine: no machine can tell whether processes of another one are alive.
    space = Workspace(own.data_dir / FOLDER / host, uuid4().hex)
    space.dead()
    return Node(own, results, space.path, host), space
