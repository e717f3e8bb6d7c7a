"""`mattebox camera --server`: a real server mattes what the virtual camera shows. The virtual camera is a stand-in."""

import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyvirtualcam")

from tests.end_to_end.serving import Served
from tests.flashes import make_clip
from tests.media import ROOT, command
from tests.virtual_camera import HEIGHT, WIDTH, LoopbackDevice, Picture

pytestmark = pytest.mark.slow
TOKEN = "a-token-of-the-server-0123456789"
KEYED = ("--background", "color:#0000ff", "--engine", "chroma", "--key", "#00c83c", "--size", f"{WIDTH}x{HEIGHT}")
LEVELS = {"black": (16, 128, 128), "blue": (41, 240, 110), "grey": (128, 128, 128), "white": (235, 128, 128)}


def shown(picture: Picture) -> str:
    """The name of a picture's one colour. The room, in the key colour, has none."""
    planes = picture[:HEIGHT], *picture[HEIGHT:].reshape(2, -1)
    means = np.array([float(plane.mean()) for plane in planes])
    return next((name for name, level in LEVELS.items() if np.abs(means - level).max() < 14), str(means))


def test_the_virtual_camera_shows_only_what_the_server_sent(tmp_path: Path) -> None:
    """The room is green, and flashes in white, which is matted as the subject."""
    clip, device = make_clip(tmp_path / "room.mkv", 2.0), LoopbackDevice(tmp_path)
    served = Served(tmp_path, {"MATTEBOX_UDP_ADDRESS": "127.0.0.1", "MATTEBOX_TOKEN": TOKEN})
    served.wait_ready()
    target = ("--device", f"camera:{device.path}", "--server", served.url, "--token", TOKEN)
    line = command("camera", "--source", clip, "--loop", *target, *KEYED)
    env = device.environment | {"MATTEBOX_UDP_ADDRESS": "127.0.0.1", "MATTEBOX_HW_ENCODE": "0"}
    camera = subprocess.Popen(line, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True)
    seen: list[str] = []
    try:
        for picture in device.pictures():
            seen.append(shown(picture))
            if seen[-30:].count("blue") > 20:
                served.kill()
                break
        until_s = time.monotonic() + 40
        for picture in device.pictures():
            seen.append(shown(picture))
            assert time.monotonic() < until_s, seen[-100:]
            if seen[-40:].count("grey") == 40:
                break
        camera.send_signal(signal.SIGINT)
        _, messages = camera.communicate(timeout=60)
    finally:
        camera.kill()
        served.kill()
        device.close()
    assert camera.returncode == 0, messages
    assert {"blue", "grey"} <= set(seen) <= set(LEVELS), set(seen)
    assert "server live" in messages
    assert TOKEN not in messages
