"""Every key is one that storages take, and can be told apart from the others."""

import pytest

from stream.records.jobs import Output
from stream.storage import checked, keys

MATTE, PICTURES = Output(name="matte", format="mkv"), Output(name="frames", format="png")
ID, OWNER = "0123456789abcdef", "Zoë of the 3rd floor"
KEYS = {
    keys.upload_info(ID): "uploads/0123456789abcdef/info",
    keys.upload_source(ID): "uploads/0123456789abcdef/source",
    keys.job_source("j"): "jobs/j/source",
    keys.job_preview("j"): "jobs/j/preview.jpg",
    keys.job_segment("j", 7, MATTE): "jobs/j/segments/0007-matte.mkv",
    keys.job_result("j", MATTE): "jobs/j/matte.mkv",
    keys.job_result("j", PICTURES): "jobs/j/frames.zip",
    keys.gallery("dusk"): "gallery/dusk.jpg",
    keys.gallery_thumbnail("dusk"): "gallery/dusk.small.jpg",
    keys.background(OWNER, ID, "video"): "backgrounds/9821034b1209e7eaace2f551/0123456789abcdef.video",
    keys.check("c"): "checks/c",
    keys.background_thumbnail(OWNER, ID): "backgrounds/9821034b1209e7eaace2f551/0123456789abcdef.jpg",
}


@pytest.mark.parametrize(("key", "written"), KEYS.items())
def test_objects_written_by_older_versions_are_found(key: str, written: str) -> None:
    assert checked(key) == written
    assert key.startswith(keys.PREFIXES)
    assert written.partition("/")[0] + "/<" in (keys.__doc__ or ""), "its line in the table"


def test_folders_hold_what_belongs_to_them() -> None:
    assert all(key.startswith(keys.upload(ID)) for key in (keys.upload_info(ID), keys.upload_source(ID)))
    ours = keys.job_source("j"), keys.job_preview("j"), keys.job_segments("j"), keys.job_result("j", MATTE)
    assert all(key.startswith(keys.job("j")) for key in ours)
    assert keys.job_segment("j", 0, MATTE).startswith(keys.job_segments("j"))
    assert not keys.job_result("j", MATTE).startswith(keys.job_segments("j")), "results outlive the segments"
    assert keys.background(OWNER, ID, "image").startswith(keys.backgrounds(OWNER))
    assert keys.backgrounds(OWNER) != keys.backgrounds(OWNER.lower())


def test_what_a_key_stands_for() -> None:
    assert keys.id_of(keys.job_preview("j")) == "j"
    assert keys.upload_of(keys.upload_source(ID)) == ID
    assert keys.upload_of(keys.job_source("j")) == keys.upload_of("") == ""
    assert keys.gallery_name(keys.gallery("dusk")) == "dusk"
    assert keys.gallery_name(keys.background(OWNER, ID, "image")) == ""
    assert keys.background_id(keys.background(OWNER, ID, "image")) == ID
    assert keys.background_kind(keys.background(OWNER, ID, "image")) == "image"
    assert keys.background_kind(keys.background_thumbnail(OWNER, ID)) not in ("image", "video")
