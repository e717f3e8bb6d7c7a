"""Objects that several processes write in parts, on an S3 server."""

import io
import time
from pathlib import Path

import pytest

from stream.errors import DiskError
from stream.settings import Settings
from stream.storage import Storage, open_storage
from stream.storage.multipart import LEAST_PART_BYTES, Multipart, Part, PartsLost

KEY = "uploads/a/source"
FULL = bytes(range(256)) * (LEAST_PART_BYTES // 256)


def parts_of(storage: Storage) -> Multipart:
    """What one of several processes has."""
    assert storage.multipart is not None
    return storage.multipart


@pytest.mark.long
def test_parts_of_several_processes_become_one_object(s3: Settings) -> None:
    first, second = (open_storage(s3) for _ in range(2))
    id = parts_of(first).begin(KEY)
    parts = [parts_of(first).send_part(KEY, id, 1, io.BytesIO(FULL))]
    parts_of(first).send_part(KEY, id, 2, io.BytesIO(b"of a writer that was replaced"))
    file = io.BytesIO(b"before" + b"the end")
    file.seek(6)
    parts.append(parts_of(second).send_part(KEY, id, 3, file))
    assert second.keys("uploads/") == [], "it is not complete"
    parts_of(second).complete(KEY, id, parts)
    assert b"".join(first.read(KEY)) == FULL + b"the end"


def test_parts_that_were_replaced_are_reported(s3: Settings) -> None:
    storage = open_storage(s3)
    multipart = parts_of(storage)
    id = multipart.begin(KEY)
    multipart.send_part(KEY, id, 1, io.BytesIO(FULL))
    with pytest.raises(PartsLost):
        multipart.complete(KEY, id, [Part(1, '"0123456789abcdef0123456789abcdef"')])


def test_unfinished_ones_are_listed_by_age_and_aborted(s3: Settings) -> None:
    storage = open_storage(s3)
    multipart = parts_of(storage)
    id, other = multipart.begin(KEY), multipart.begin("jobs/a/result.mp4")
    assert multipart.unfinished("uploads/", 0.0) == []
    assert multipart.unfinished("uploads/", time.time() + 60) == [(KEY, id)]
    for _ in range(2):
        multipart.abort(KEY, id)
    assert multipart.unfinished("", time.time() + 60) == [("jobs/a/result.mp4", other)]


def test_an_unreachable_server_is_a_disk_error(s3: Settings) -> None:
    multipart = Multipart("films", "", "http://127.0.0.1:9", retries=0)
    with pytest.raises(DiskError, match="s3://films"):
        multipart.begin(KEY)
    with pytest.raises(DiskError, match="NoSuchBucket"):
        Multipart("nowhere", "", s3.s3_endpoint, retries=0).begin(KEY)


def test_a_folder_has_no_parts(tmp_path: Path) -> None:
    assert open_storage(Settings(data_dir=tmp_path)).multipart is None
