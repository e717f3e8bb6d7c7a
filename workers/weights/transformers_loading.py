"""Loads a model of transformers from a folder: `config.json` and safetensors files, as `save_pretrained` writes them.

The tensors are read here and passed to transformers, which therefore opens no file, contacts no hub, and runs neither
pickles nor code from a repository. Knows nothing about what the models compute.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers.utils import logging

from stream.errors import WeightsError
from workers.weights.transformers_repos import CATALOGUES, CONFIG, tensor_files

# Keys that make transformers run code of a repository, load kernels or use other formats of tensors.
_REFUSED = ("auto_map", "quantization_config", "fusion_config", "kernel_config")
# Keys that select an implementation, which may be a kernel on the hub. The default is used.
_IGNORED = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")
_NAMED = 3  # names of tensors in an error message

Adapt = Callable[[Any], Any]


def load(folder: Path, model: str, adapt: Adapt = lambda config: config, unused: str = "") -> Any:
    """The model in float32, for inference. model: its class in transformers. adapt: changes the content of
    `config.json` before the model is created. unused: tensors whose names begin with this are left out.

    Raises WeightsError for a folder that is not one of this class, and for missing, unexpected and misshapen tensors.
    """
    cls = getattr(transformers, model)
    config = _config(folder, cls, adapt)
    tensors = {name: tensor for name, tensor in _tensors(folder).items() if not (unused and name.startswith(unused))}
    with _silent():
        try:
            loaded, info = cls.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # reported below, by name
                output_loading_info=True,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except Exception as exc:  # a configuration that its class accepts can fail anywhere in the model's code
            raise WeightsError(f"{folder / CONFIG} does not describe a usable {model}: {_first_line(exc)}") from exc
    _check(info, folder, model)
    return loaded.requires_grad_(False)


def _config(folder: Path, cls: Any, adapt: Adapt) -> Any:
    file, model = folder / CONFIG, cls.__name__
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise WeightsError(f"{file} cannot be read: {_first_line(exc)}") from None
    names = content.get("architectures") if isinstance(content, dict) else None
    if not isinstance(names, list) or model not in names:
        found = ", ".join(map(str, names)) if isinstance(names, list) and names else "no class"
        raise WeightsError(f"{file} is for {found}, not for {model}{_setting_of(names)}")
    if refused := _keys(content) & set(_REFUSED):
        raise WeightsError(f"{file} has {min(refused)}, which is not supported")
    try:
        with _silent():
            return cls.config_class.from_dict(adapt(_without_ignored(content)))
    except Exception as exc:  # its validators raise errors of their own
        raise WeightsError(f"{file} is not a valid configuration of {model}: {_first_line(exc)}") from exc


def _setting_of(models: Any) -> str:
    """The setting for weights of these classes, as the rest of a sentence."""
    for catalogue in CATALOGUES.values():
        if isinstance(models, list) and catalogue.model in models:
            return f"; it can be used as MATTEBOX_{catalogue.name.upper()}"
    return ""


def _keys(value: Any) -> set[str]:
    """All keys that have a value, at any depth."""
    if isinstance(value, list):
        return set().union(*map(_keys, value))
    if not isinstance(value, dict):
        return set()
    return {key for key, inner in value.items() if inner}.union(*map(_keys, value.values()))


def _without_ignored(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_ignored(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_ignored(inner) for key, inner in value.items() if key not in _IGNORED}
    return value


def _tensors(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for file in tensor_files(folder):
        if not file.is_file():
            raise WeightsError(f"{file} is missing; only safetensors files are read")
        try:
            tensors |= load_file(file)
        except (SafetensorError, OSError) as exc:
            raise WeightsError(f"{file} is not a safetensors file, or is truncated: {_first_line(exc)}") from None
    return tensors


def _check(info: Any, folder: Path, model: str) -> None:
    """Raise WeightsError, with names, unless exactly the tensors of the model were loaded. transformers only warns."""
    if mismatched := sorted(info["mismatched_keys"], key=str):
        shapes = [f"{name} has the shape {tuple(shape)}, not {tuple(right)}" for name, shape, right in mismatched]
        raise WeightsError(f"{folder} is not for {model} as configured: {_listed(shapes)}")
    for fault in ("missing", "unexpected"):
        if names := sorted(info[f"{fault}_keys"]):
            raise WeightsError(f"{folder} is not for {model} as configured: {fault} tensors: {_listed(names)}")
    if errors := info.get("error_msgs"):
        raise WeightsError(f"{folder} is not for {model} as configured: {_first_line(errors[0])}")


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _first_line(error: object) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]


@contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' warnings and progress bars. What matters of them is raised."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
