from pathlib import Path

from stream.install import install_command, needs

PYTHON = "/opt/my env/bin/python"


def test_pip_of_this_interpreter(tmp_path: Path) -> None:
    assert install_command("av", str(tmp_path), PYTHON) == "'/opt/my env/bin/python' -m pip install av"
    assert install_command("mattebox[s3]", str(tmp_path), "/p") == "/p -m pip install 'mattebox[s3]'"


def test_uv_where_an_environment_has_no_pip(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.9.2\n")
    assert install_command("av", str(tmp_path), "/p") == "uv pip install --python /p av"


def test_tools_of_uv(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("uv = 0.9.2\n")
    (tmp_path / "uv-receipt.toml").touch()
    assert install_command("mattebox[s3]", str(tmp_path)) == "uv tool install 'mattebox[s3]'"
    assert install_command("av", str(tmp_path)) == "uv tool install mattebox --with av"


def test_pipx(tmp_path: Path) -> None:
    (tmp_path / "pipx_metadata.json").touch()
    assert install_command("mattebox[s3]", str(tmp_path)) == "pipx install --force 'mattebox[s3]'"
    assert install_command("av", str(tmp_path)) == "pipx inject mattebox av"


def test_the_sentence_about_what_is_missing() -> None:
    sentence = needs("EXR output", "OpenEXR", "mattebox[exr]")
    assert sentence == f"EXR output needs OpenEXR; install it: {install_command('mattebox[exr]')}"
