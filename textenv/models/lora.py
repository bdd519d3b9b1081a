"""LoRA: adapters of low rank beside the frozen weights of a model, by peft.

A layer computes W x + (α/r) B A x, of which A (r, K), random, and B (N, r), zero at first, are trained and W (N, K) is not.
Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", https://arxiv.org/abs/2106.09685, section 4.1.
"""

import copy
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

from textenv.errors import ArgumentError, LoadError, install
from textenv.files import set_usual_permissions
from textenv.models.hub import name_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from textenv.models.policy import LanguagePolicy

ALPHA: Final = 32
"""α. With one for all ranks the best learning rate hardly depends on the rank and is about ten times that of all weights: Schulman et al.,
"LoRA Without Regret", https://thinkingmachines.ai/blog/lora/."""

KINDS: Final = frozenset({"LORA", "LOHA", "LOKR", "IA3", "OFT", "VERA"})
"""Of peft: adapters beside layers, switched off for the reference and merged for saving."""


def within_peft(model: Any) -> "PreTrainedModel":
    """Return the model of transformers that a `PeftModel` is around, with its adapters.

    Any other model is returned itself.

    Raises:
        LoadError: the adapters are of another kind than `KINDS`, or whole modules are trained too.
    """
    peft: Any = sys.modules.get("peft")  # without it nobody has made such a model
    if peft is None:
        return cast("PreTrainedModel", model)
    around = isinstance(model, peft.PeftModel)
    within = model.get_base_model() if around else model
    kinds = {str(config.peft_type.value) for config in dict(getattr(model, "peft_config", {})).values()}
    if strange := sorted(kinds - KINDS):
        raise LoadError(f"Adapters of peft's kind {strange[0]} cannot be switched off and merged; take one of {', '.join(sorted(KINDS))}.")
    wrapper = peft.utils.other.AuxiliaryTrainingWrapper
    copies = [name for name, module in within.named_modules() if isinstance(module, wrapper)]
    if copies:
        raise LoadError(
            f"peft trains a copy of {copies[0]} beside the adapters (modules_to_save or "
            "trainable_token_indices), which cannot be switched off; leave it to target_modules."
        )
    return cast("PreTrainedModel", within)


def add_lora(policy: "LanguagePolicy", rank: int, *, seed: int = 0) -> None:
    """Put adapters beside all linear layers of a policy's model but its head, in place, and freeze what was there.

    Beside the adapters, the value head is trained on. The policy is at first what it was, for B is zero.

    Args:
        policy: whose model keeps its class.
        rank: r, at least 1.
        seed: of A; the global generator of torch is left as it was.

    Raises:
        ArgumentError: the rank is below 1, the policy has adapters already, or peft is not installed.
    """
    if rank < 1:
        raise ArgumentError(f"The rank of LoRA adapters must be at least 1, got {rank!r}.")
    if has_lora(policy.model):
        raise ArgumentError("The policy has adapters already; add them to one that is freshly loaded.")
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ArgumentError(f"LoRA needs peft, which comes with the extra: {install('lora')}.") from error
    conv1d = any(isinstance(module, Conv1D) for module in policy.model.modules())  # GPT-2's, which keeps Wᵀ
    config = LoraConfig(r=rank, lora_alpha=ALPHA, target_modules="all-linear", fan_in_fan_out=conv1d)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inject_adapter_in_model(config, policy.model)
    policy.cache.clear()
    policy.eval()


def has_lora(model: nn.Module) -> bool:
    """Tell whether a model has adapters of peft."""
    return bool(getattr(model, "peft_config", None))


def twin(policy: "LanguagePolicy") -> "LanguagePolicy":
    """Copy a policy; the frozen weights that adapters are beside are shared with it, not copied."""
    frozen = (parameter for parameter in policy.parameters() if not parameter.requires_grad)
    return copy.deepcopy(policy, _kept(frozen if has_lora(policy.model) else ()))


def without_lora(policy: "LanguagePolicy") -> "LanguagePolicy":
    """Copy a policy as it is with its adapters off; the frozen weights are shared with it, so that there is no second model in memory."""
    copied = twin(policy)
    if has_lora(copied.model):
        _take_off(copied.model)
        copied.cache.clear()
    return copied


@torch.no_grad()
def merged(model: "PreTrainedModel") -> "PreTrainedModel":
    """Give a model of plain layers with W + (α/r) B A as weights; a model without adapters is returned itself.

    The weights of layers that have no adapters are the model's own.
    """
    if not has_lora(model):
        return model
    adapted = {id(parameter) for layer in _layers(model).values() for parameter in layer.parameters()}
    copied = copy.deepcopy(model, _kept(parameter for parameter in model.parameters() if id(parameter) not in adapted))
    for layer in _layers(copied).values():
        layer.merge()
    _take_off(copied)
    return copied


def save_adapters(model: "PreTrainedModel", folder: str | Path) -> None:
    """Write the adapters of a model in peft's format, for `PeftModel.from_pretrained(base, folder)`.

    Those of VeRA are not written, for half of what they compute with is kept outside of the model.

    Args:
        model: with adapters.
        folder: for `adapter_config.json` and `adapter_model.safetensors`; of adapters under other names than peft's
            "default", as there, each within a folder of its name.
    """
    from peft import get_peft_model_state_dict

    configs: dict[str, Any] = dict(cast(Any, model).peft_config)
    for name, config in configs.items():
        if config.peft_type.value == "VERA":
            continue
        place = Path(folder) if name == "default" else Path(folder) / name
        place.mkdir(parents=True, exist_ok=True)
        # Without embeddings, for which peft would ask the hub whether their number has changed.
        weights = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
        tensors = {f"base_model.model.{key}": value.contiguous() for key, value in weights.items()}
        save_file(tensors, place / "adapter_model.safetensors", metadata={"format": "pt"})
        set_usual_permissions(place / "adapter_model.safetensors")
        saved = copy.copy(config)
        saved.inference_mode = True
        base = saved.base_model_name_or_path or model.name_or_path
        saved.base_model_name_or_path = name_of(base) if base else None
        saved.save_pretrained(str(place))


def _kept(parameters: Iterable[nn.Parameter]) -> dict[int, Any]:
    """Tell `copy.deepcopy` which parameters are their own copies."""
    return {id(parameter): parameter for parameter in parameters}


def _layers(model: nn.Module) -> dict[str, Any]:
    """List the layers with adapters by name."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


def _take_off(model: Any) -> None:
    """Put the layers that the adapters are beside in their places."""
    for name, layer in _layers(model).items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    del model.peft_config
    model._hf_peft_config_loaded = False  # transformers would save adapters instead of the model
