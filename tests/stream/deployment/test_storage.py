"""The check of storage: folders and a real S3 server (moto)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.deployment.storage import check
from stream.settings import Settings
from stream.storage import keys, open_storage
from tests.mounts import mounted
from tests.servers import free_port


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that not even root can write to."""
    with mounted(tmp_path / "read-only", "ro") as folder:
        yield folder


def test_a_folder(tmp_path: Path) -> None:
    found = check(Settings(data_dir=tmp_path))
    assert found[0].ok
    assert [finding.name for finding in found] == ["storage", "storage space"]
    assert open_storage(Settings(data_dir=tmp_path)).keys(keys.CHECKS) == []


def test_a_folder_that_is_read_only(read_only: Path) -> None:
    (found,) = check(Settings(data_dir=read_only))
    assert found.ok is False
    assert "writable" in found.remedy


def test_little_space(small_disk: Path) -> None:
    assert [finding.ok for finding in check(Settings(data_dir=small_disk))] == [True, None]


def test_a_bucket(s3: Settings) -> None:
    (found,) = check(s3)
    assert found.ok
    assert open_storage(s3).keys(keys.CHECKS) == []


def test_a_bucket_that_does_not_exist(s3: Settings) -> None:
    (found,) = check(s3.model_copy(update={"storage": "s3://no-such-bucket"}))
    assert found.ok is False
    assert "MATTEBOX_STORAGE" in found.remedy


def test_an_s3_server_that_is_not_there(s3: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.storage.s3._RETRIES", {"max_retries": 0})
    (found,) = check(s3.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{free_port()}"}))
    assert found.ok is False
