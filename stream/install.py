"""The command that installs a package into the environment of this program, for error messages.

A plain `pip install` may install into another environment, and environments made by uv and pipx have no pip.
"""

import shlex
import sys
from pathlib import Path


def install_command(package: str, prefix: str = sys.prefix, python: str = sys.executable) -> str:
    """The command, for a shell. package: its name, or an extra such as "mattebox[s3]". prefix: folder of the
    environment. python: path of its interpreter."""
    environment, name = Path(prefix), shlex.quote(package)
    if (environment / "pipx_metadata.json").exists():
        return f"pipx install --force {name}" if _is_extra(package) else f"pipx inject mattebox {name}"
    if (environment / "uv-receipt.toml").exists():
        return f"uv tool install {name}" if _is_extra(package) else f"uv tool install mattebox --with {name}"
    if _made_by_uv(environment):
        return f"uv pip install --python {shlex.quote(python)} {name}"
    return f"{shlex.quote(python)} -m pip install {name}"


def needs(what: str, missing: str, package: str) -> str:
    """The sentence about a missing module or program, with the command that installs it. what: that needs it. package:
    as for `install_command`."""
    return f"{what} needs {missing}; install it: {install_command(package)}"


def _is_extra(package: str) -> bool:
    return package.startswith("mattebox")


def _made_by_uv(environment: Path) -> bool:
    try:
        lines = (environment / "pyvenv.cfg").read_text().splitlines()
    except (OSError, ValueError):
        return False
    return any(line.partition("=")[0].strip() == "uv" for line in lines)
