"""The GPU as a deployment needs it: its driver, torch with CUDA, and free memory."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

from stream.finding import Finding
from stream.install import install_command

_LOW = 4 * 2**30  # bytes
_DEVICE = Path("/dev/nvidia0")
_TIMEOUT_S = 20


def check(device: Path = _DEVICE) -> list[Finding]:
    driver = _driver()
    if driver is None and not device.exists():
        return [Finding("gpu", None, "no NVIDIA driver is visible here; engines run on the CPU")]
    found = [Finding("gpu driver", True, driver)] if driver else []
    if device.exists() and driver is None:
        remedy = "install NVIDIA's driver on the machine, and its container toolkit for containers"
        found = [Finding("gpu driver", False, f"{device} exists, but nvidia-smi does not work", remedy)]
    return [*found, _torch()]


def _driver() -> str | None:
    """Name, driver and memory of the GPUs, by nvidia-smi; None if it does not work."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return "; ".join(done.stdout.split("\n")).strip("; ") if done.returncode == 0 else None


def _torch() -> Finding:
    name, remedy = "gpu torch", install_command("mattebox[birefnet]")
    if importlib.util.find_spec("torch") is None:
        return Finding(name, None, "torch is not installed: the GPU is not used", remedy)
    import torch

    if torch.version.cuda is None:
        return Finding(name, False, f"torch {torch.__version__} is a build without CUDA", "use the image worker-cuda")
    if not torch.cuda.is_available():
        detail = f"torch {torch.__version__} for CUDA {torch.version.cuda} finds no device"
        return Finding(name, False, detail, "the driver is too old for it, or the container has no GPU: --gpus all")
    free, total = torch.cuda.mem_get_info()
    detail = (
        f"torch {torch.__version__} on {torch.cuda.get_device_name()}: {free / 2**30:.1f} of {total / 2**30:.1f} GiB"
    )
    if free < _LOW:
        return Finding(name, None, f"{detail} free", "end what else uses the GPU")
    return Finding(name, True, f"{detail} free")
