from pathlib import Path

import pytest

from stream.errors import UsageError
from workers.export.naming import birefnet_name, default_output


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("lite", "lite"),
        ("lite@512x512", "lite@512x512"),
        ("birefnet:lite", "lite"),
        ("birefnet-lite@512x512", "lite@512x512"),
        ("me/mine", "me/mine"),
        ("birefnet-mine.safetensors", "birefnet-mine.safetensors"),
        ("/w/a:b.safetensors@64x32", "/w/a:b.safetensors@64x32"),
    ],
)
def test_names_of_birefnet_are_values_of_weights(name: str, spec: str) -> None:
    assert birefnet_name(name) == spec


@pytest.mark.parametrize("name", ["rvm", "selfie", "chroma", "u2net", "onnx:u2net", "sam2:tiny", "my.onnx"])
def test_other_networks_cannot_be_exported(name: str) -> None:
    with pytest.raises(UsageError, match=f"^models export: {name} cannot be exported, only BiRefNet: general, lite"):
        birefnet_name(name)


@pytest.mark.parametrize("name", ["nonsense", "birefnet:nonsense", "lite@100x100", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"is not one of general|multiples of 32"):
        birefnet_name(name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("lite", "birefnet-lite-int8.onnx"),
        ("lite@512x320", "birefnet-lite-512x320-int8.onnx"),
        ("ZhengPeng7/BiRefNet_HR", "BiRefNet_HR-int8.onnx"),
        ("/w/v1.2.safetensors", "birefnet-v1.2-int8.onnx"),
    ],
)
def test_files_are_named_after_weights_size_and_precision(name: str, file: str) -> None:
    assert default_output(name, "int8") == Path(file)
