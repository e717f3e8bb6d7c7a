"""Weights of transformers' models: names, cached repositories and local folders. Nothing is downloaded."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

from stream.errors import UsageError, WeightsError
from stream.records.choosers import CHOOSERS
from stream.settings import Settings
from workers.weights import known
from workers.weights.known import silent
from workers.weights.transformers_repos import CATALOGUES, INDEX, tensor_files

SAM2 = CATALOGUES["sam2"]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
WHOLE = {"config.json": b"{}", "model.safetensors": b"tensors"}
PARTS = {
    "config.json": b"{}",
    INDEX: json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode(),
    "model-1.safetensors": b"first",
    "model-2.safetensors": b"second",
}
Cache = Callable[[str, dict[str, bytes]], Path]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path, offline=True)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Writes files of a repository into the hub's cache, as huggingface-hub does."""

    def write(repo: str, files: dict[str, bytes]) -> Path:
        root = tmp_path / "hub" / f"models--{repo.replace('/', '--')}"
        snapshot = root / "snapshots" / COMMIT
        for folder in (root / "refs", root / "blobs", snapshot):
            folder.mkdir(parents=True)
        (root / "refs" / "main").write_text(COMMIT)
        for name, content in files.items():
            digest = sha256(content).hexdigest()
            blob = root / "blobs" / (digest if name.endswith(".safetensors") else digest[:40])
            blob.write_bytes(content)
            (snapshot / name).symlink_to(blob)
        return snapshot

    return write


def test_every_chooser_with_weights_has_a_catalogue_and_a_setting_that_is_in_it() -> None:
    for record in CHOOSERS.values():
        if record.catalogue:
            catalogue = known.catalogue(record.name)
            assert getattr(Settings(), record.name) in catalogue.VARIANTS
    for name, catalogue in CATALOGUES.items():
        assert name == catalogue.name
        for repo in catalogue.VARIANTS.values():
            assert all((repo.repo, repo.model, repo.licence, repo.use, repo.size_mb))


@pytest.mark.parametrize("files", [WHOLE, PARTS], ids=["whole", "parts"])
def test_a_cached_repository_is_found_and_verified(settings: Settings, cache: Cache, files: dict[str, bytes]) -> None:
    assert SAM2.find_local("tiny", settings) is None
    snapshot = cache("facebook/sam2.1-hiera-tiny", files)
    messages: list[str] = []
    for spec in ("tiny", "facebook/sam2.1-hiera-tiny"):
        assert SAM2.find(spec, settings, messages.append) == snapshot
        assert SAM2.find_local(spec, settings) == snapshot
    assert messages[0] == "sam2: facebook/sam2.1-hiera-tiny is licensed under Apache-2.0, according to its authors"
    assert SAM2.verify("tiny", settings) == snapshot
    assert {file.name for file in tensor_files(snapshot)} == {name for name in files if name.endswith(".safetensors")}


def test_a_damaged_file_is_refused(settings: Settings, cache: Cache) -> None:
    snapshot = cache("facebook/sam2.1-hiera-tiny", PARTS)
    (snapshot / "model-2.safetensors").resolve().write_bytes(b"other")
    with pytest.raises(WeightsError, match=r"damaged.*mattebox models pull sam2:tiny"):
        SAM2.find("tiny", settings, silent)


@pytest.mark.parametrize("missing", ["config.json", "model-2.safetensors", INDEX])
def test_an_incomplete_repository_is_missing(settings: Settings, cache: Cache, missing: str) -> None:
    cache("facebook/sam2.1-hiera-tiny", {name: content for name, content in PARTS.items() if name != missing})
    assert SAM2.find_local("tiny", settings) is None
    with pytest.raises(WeightsError, match=r"MATTEBOX_OFFLINE is set.*mattebox models pull sam2:tiny"):
        SAM2.find("tiny", settings, silent)


def test_other_files_of_a_repository_are_needed_too(settings: Settings, cache: Cache) -> None:
    snapshot = cache("facebook/sam3", WHOLE)
    assert CATALOGUES["sam3"].find_local("sam3", settings) is None
    (snapshot / "tokenizer.json").write_text("{}")
    assert CATALOGUES["sam3"].find_local("sam3", settings) == snapshot


def test_a_local_folder_is_used_as_it_is(settings: Settings, tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        SAM2.find(str(tmp_path), settings, messages.append)
    for name, content in WHOLE.items():
        (tmp_path / name).write_bytes(content)
    assert SAM2.find(str(tmp_path), settings, messages.append) == tmp_path
    assert "its licence is not known here" in messages[-1]
    assert SAM2.find_local(str(tmp_path), settings) == tmp_path
    with pytest.raises(WeightsError, match="cannot be verified"):
        SAM2.verify(str(tmp_path), settings)
    with pytest.raises(WeightsError, match="does not exist"):
        SAM2.find(str(tmp_path / "none"), settings, messages.append)


@pytest.mark.parametrize("spec", ["nonsense", "a/b/c", "a/", "", "a b/c"])
def test_an_invalid_name_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match=r"sam2: .* is not one of tiny, small, base-plus, large"):
        SAM2.parse(spec)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"weight_map": {"a": "../up.safetensors"}}', '{"weight_map": {"a": "code.bin"}}',
                '{"weight_map": {"a": 1}}'],
)  # fmt: skip
def test_an_index_that_names_other_files_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(WeightsError, match="index"):
        tensor_files(tmp_path)


def test_a_file_that_a_repository_lacks_is_not_needed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are those of huggingface-hub: the file is not published, there is no connection, or the disk is full."""
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    from workers.weights import hub

    asked: list[str] = []

    def failing(error: Exception) -> None:
        def download(repo: str, file: str, *_: object) -> Path:
            asked.append(file)
            raise WeightsError("the weights are missing") from error

        monkeypatch.setattr(hub, "download", download)

    def ask(offline: bool = False) -> None:
        chosen = settings.model_copy(update={"offline": offline})
        hub.download_if_published("owner/name", "preprocessor_config.json", "mask2former:owner/name", chosen, "c" * 40)

    failing(EntryNotFoundError.__new__(EntryNotFoundError))
    ask()
    assert asked == ["preprocessor_config.json"]
    for error in (LocalEntryNotFoundError("no connection"), OSError("disk full")):
        failing(error)
        with pytest.raises(WeightsError):
            ask()
    ask(offline=True)
    assert len(asked) == 3
