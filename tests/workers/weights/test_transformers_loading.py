"""Models of transformers from folders: what does not fit is refused in one line, and nothing else is read or run."""

import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file

from stream.errors import WeightsError
from tests.workers.choosers import tiny_models
from workers.weights import transformers_loading

MODEL = "Sam2VideoModel"
TENSOR = "mask_decoder.iou_token.weight"
Content = dict[str, Any]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.sam2(tmp_path_factory.mktemp("weights") / "sam2")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def edit(folder: Path, change: Callable[[Content], object]) -> None:
    file = folder / "config.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        transformers_loading.load(folder, MODEL)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_model_has_exactly_the_tensors_of_its_folder(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = transformers_loading.load(folder, MODEL)
    stored = load_file(folder / "model.safetensors")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in stored.items())
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert capfd.readouterr() == ("", "")


def test_tensors_may_be_stored_in_several_files(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = {name: f"model-{index % 2}.safetensors" for index, name in enumerate(tensors)}
    for file in set(names.values()):
        save_file({name: tensors[name] for name in names if names[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    model = transformers_loading.load(folder, MODEL)
    assert torch.equal(model.state_dict()[TENSOR], tensors[TENSOR])


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_tensors_that_do_not_fit_are_refused_by_name(folder: Path, fault: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = TENSOR
    if fault == "missing":
        del tensors[name]
    elif fault == "unexpected":
        name = "mask_decoder.other.weight"
        tensors[name] = torch.zeros(2)
    else:
        tensors[name] = tensors[name][:, :5].clone()
    save_file(tensors, folder / "model.safetensors")
    message = refusal(folder)
    assert name in message
    assert fault in message
    assert fault != "shape" or "(1, 5)" in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(architectures=["EdgeTamVideoModel"]), "is for EdgeTamVideoModel, not for Sam2VideoModel"),
        (lambda c: c.pop("architectures"), "is for no class"),
        (lambda c: c.update(auto_map={"AutoModel": "code.Model"}), "auto_map, which is not supported"),
        (lambda c: c["vision_config"].update(auto_map={"AutoModel": "code.Model"}), "auto_map"),
        (lambda c: c.update(quantization_config={"quant_method": "gptq"}), "quantization_config"),
        (lambda c: c.update(num_maskmem="many"), "not a valid configuration"),
        (lambda c: c["vision_config"].update(backbone_config={"model_type": "nothing"}), "nothing"),
        (lambda c: c["mask_decoder_config"].update(num_attention_heads=0), "does not describe a usable"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[Content], object], reason: str
) -> None:
    edit(folder, change)
    assert reason in refusal(folder)


@pytest.mark.parametrize("content", ["", "{", "[1]", "\x00"])
def test_a_broken_configuration_is_refused(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert str(folder / "config.json") in refusal(folder)


def test_kernels_that_a_configuration_selects_are_not_used(folder: Path) -> None:
    edit(
        folder, lambda content: content.update(_attn_implementation="owner/kernel", attn_implementation="owner/kernel")
    )
    edit(folder, lambda content: content["vision_config"].update(_attn_implementation="owner/kernel"))
    model: Any = transformers_loading.load(folder, MODEL)
    assert "owner" not in str(model.config._attn_implementation)


def test_only_safetensors_are_read(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    assert "only safetensors files are read" in refusal(folder)
    (folder / "model.safetensors").write_bytes(b"\x80\x04garbage")
    assert "not a safetensors file" in refusal(folder)


def test_an_adapter_beside_the_model_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/other"}')
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("contacts a server"))
    assert transformers_loading.load(folder, MODEL)


@pytest.mark.long
def test_loading_imports_nothing_that_needs_more_packages(original: Path) -> None:
    assert transformers_loading.load(original, MODEL)
    assert not {"torchvision", "timm", "kernels", "peft"} & set(sys.modules)
