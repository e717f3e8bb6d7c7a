import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from stream.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def test_readme_lists_every_setting_and_no_other() -> None:
    table = set(re.findall(r"^\| `MATTEBOX_([A-Z_]+)` \|", README.read_text(), re.MULTILINE))
    assert table == {name.upper() for name in Settings.model_fields}


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTEBOX_THREADS", "3")
    monkeypatch.setenv("MATTEBOX_OFFLINE", "1")
    settings = Settings()
    assert settings.cores() == 3
    assert settings.offline


def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATTEBOX_THREADS", "-2")
    with pytest.raises(ValidationError):
        Settings()


@pytest.mark.parametrize(("threads", "codec"), [(1, 1), (2, 1), (8, 2), (64, 8)])
def test_codecs_leave_the_cores_to_the_engine(threads: int, codec: int) -> None:
    assert Settings(threads=threads).codec_threads() == codec
