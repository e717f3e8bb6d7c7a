from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.camera import write_mjpeg
from tests.end_to_end.camera_scene import write_scene
from tests.end_to_end.serving import Served, serving


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One `mattebox serve` for all tests of this folder. It must end cleanly and leave no process behind."""
    limits = {"live_sessions": "64", "max_offers": "1000", "udp_address": "127.0.0.1"}
    with serving(tmp_path_factory.mktemp("serve"), "-v", **limits) as running:
        yield running


@pytest.fixture(scope="package")
def scene_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same with test engines that know the matte of `scene`."""
    limits = {"live_sessions": "64", "max_offers": "1000", "udp_address": "127.0.0.1"}
    with serving(
        tmp_path_factory.mktemp("scene_server"), "-v", program="tests.end_to_end.mattebox_with_scene_engines", **limits
    ) as running:
        yield running


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene") / "scene.mjpeg")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mjpeg(tmp_path_factory.mktemp("camera") / "camera.mjpeg")
