"""Load causal language models and tokenizers by embedded name, local path or hub id."""

import os
import re
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from textenv.errors import ArgumentError, LoadError, install
from textenv.models.folders import loading, read_json
from textenv.models.hub import files_of, locate
from textenv.models.lora import within_peft

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NUMBER: Final = re.compile(r"\d+")
"""Of a layer, in the name of a weight."""
_tokenizers: "dict[str, tuple[PreTrainedTokenizerBase, Any]]" = {}


def load_tokenizer(name: str | Path) -> "PreTrainedTokenizerBase":
    """Load a tokenizer; equal names give the same object, unless its files or it itself have been changed since.

    A folder of adapters without one has that of the model that they belong to.

    Raises:
        LoadError: there is none.
    """
    place = locate(name)
    if os.path.isdir(place) and not any(os.path.lexists(Path(place) / file) for file in ("tokenizer.json", "tokenizer_config.json")):
        if (base := adapter_base(name)) is not None:
            return load_tokenizer(base)
        raise LoadError(f"{name} holds no tokenizer; save one there with tokenizer.save_pretrained({str(name)!r}).")
    version = files_of(str(name))
    kept = _tokenizers.get(place)
    if kept is None or kept[1] != (version, _state(kept[0])):
        with loading(f"The tokenizer of {name}", place):
            tokenizer = cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(place, trust_remote_code=False))
        kept = _tokenizers[place] = (tokenizer, (version, _state(tokenizer)))
    return kept[0]


def _state(tokenizer: "PreTrainedTokenizerBase") -> tuple[Any, ...]:
    """Return what a user may have changed of a tokenizer."""
    return len(tokenizer), dict(tokenizer.special_tokens_map), tokenizer.chat_template


def load_causal_lm(name: str | Path, device: str = "cpu") -> "PreTrainedModel":
    """Load a causal language model in float32, whatever its file holds.

    A folder of adapters gives the model that they belong to, the adapters merged into its weights.

    Raises:
        LoadError: it is not there, cannot be read, or lacks weights.
        ArgumentError: it is an encoder-decoder or a classifier.
    """
    place = locate(name)
    if adapter_base(name) is not None:
        return _merged_adapter(name, device)
    if os.path.isdir(place) and not os.path.lexists(Path(place) / "config.json"):
        raise LoadError(f"{name} holds no model: it has no config.json.")
    with loading(f"The model {name}", place):
        config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        if config.is_encoder_decoder:
            raise ArgumentError(f"{name} is an encoder-decoder; textenv acts with decoder-only models.")
        for kind in config.architectures or ():
            if kind.endswith("Classification"):
                raise ArgumentError(f"{name} is a {kind}, a reward and no language model; it goes where a reward is asked for.")
        both: Any = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, output_loading_info=True, trust_remote_code=False)
        model, loaded = both
        check_complete(name, model, loaded["missing_keys"], loaded["unexpected_keys"])
    return cast("PreTrainedModel", model.to(device))


def check_complete(name: str | Path, model: "PreTrainedModel", missing: Collection[str], left_over: Collection[str] = ()) -> None:
    """Refuse a model some of whose weights were not in its file, for they are drawn at random then.

    Args:
        name: under which it was loaded.
        model: as transformers made it.
        missing: names of the weights.
        left_over: names of weights that are in the file and not in the model.

    Raises:
        LoadError: some are missing, or layers are left over.
    """
    if not missing:
        refuse_layers(name, model, left_over)
        return
    some = sorted(missing)
    number = len(model.state_dict())
    what = "none" if len(some) >= number else f"not all {number}"
    kind = cast(Any, model.config).model_type
    raise LoadError(
        f"The file of {name} holds {what} of the weights of {type(model).__name__} ({kind}): "
        f"it lacks {', '.join(some[:3])}" + (f" and {len(some) - 3} more." if len(some) > 3 else ".")
    )


def refuse_layers(name: str | Path, model: "PreTrainedModel", left_over: Collection[str]) -> None:
    """Refuse a model of fewer layers than its file holds; other weights without a place, as of another head, are harmless.

    Args:
        name: under which it was loaded.
        model: as transformers made it.
        left_over: names of weights that are in the file and not in the model.

    Raises:
        LoadError: some of them are of a layer like those that the model has.
    """
    kinds = {_NUMBER.sub("#", key) for key in model.state_dict()}
    if not any("#" in kind for kind in kinds):  # a model without layers
        kinds = {_NUMBER.sub("#", key) for key in left_over if _NUMBER.search(key)}
    layers = sorted(key for key in left_over if _NUMBER.sub("#", key) in kinds)
    if layers:
        raise LoadError(
            f"The file of {name} holds layers that its config.json does not count, such as {layers[0]}; "
            "correct the number of layers there, or save the folder again."
        )


def adapter_base(name: str | Path) -> str | None:
    """Return the name of the model that a folder's adapters belong to.

    It is None if the folder holds no adapters, or a whole model too.

    Raises:
        LoadError: the folder's `adapter_config.json` names no model.
    """
    folder = Path(locate(name))
    file = folder / "adapter_config.json"
    if not os.path.lexists(file) or os.path.lexists(folder / "config.json"):
        return None
    with loading(f"The adapters of {name}", folder):
        base = read_json(file).get("base_model_name_or_path")
    if not isinstance(base, str):
        raise LoadError(f"{file} does not name the model that its adapters belong to, base_model_name_or_path.")
    return base


def _merged_adapter(name: str | Path, device: str) -> "PreTrainedModel":
    """Load the model of some adapters and merge them into it."""
    base = cast(str, adapter_base(name))
    what = f'{name} holds adapters of the model "{base}"'
    try:
        from peft import PeftModel
    except ImportError as error:
        raise LoadError(f"{what}, which need peft, of the extra: {install('lora')}.") from error
    place = locate(name)
    try:
        model: Any = load_causal_lm(base, device)
        with loading("They", place), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of names that peft takes from transformers
            warnings.filterwarnings("error", message="Found missing adapter keys")
            adapted = PeftModel.from_pretrained(model, place)
            within_peft(adapted)
            merged = adapted.merge_and_unload().requires_grad_(True)  # peft leaves them frozen
    except LoadError as error:
        why = str(error).removeprefix("They cannot be loaded: ")
        raise LoadError(f"{what}, and cannot be loaded: {why}") from error
    return cast("PreTrainedModel", merged)


def toy_causal_lm(tokenizer: "PreTrainedTokenizerBase", context: int, seed: int = 0, device: str = "cpu") -> "PreTrainedModel":
    """Make a small, randomly initialised GPT-2 over a tokenizer's vocabulary.

    Its weights are larger than usual (standard deviation 0.1), so that its distribution is not uniform.

    Args:
        tokenizer: of a toy environment.
        context: longest text in tokens.
        seed: of the weights; the global generator of torch is left as it was.
        device: such as "cpu" or "cuda".
    """
    config: Any = GPT2Config(
        vocab_size=max(tokenizer.get_vocab().values()) + 1,  # ids may have holes
        n_positions=context,
        n_embd=64,
        n_layer=2,
        n_head=2,
        activation_function="gelu_pytorch_tanh",
        initializer_range=0.1,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=cast(int, tokenizer.eos_token_id),
        eos_token_id=cast(int, tokenizer.eos_token_id),
        pad_token_id=cast(int, tokenizer.pad_token_id),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = GPT2LMHeadModel(config)
    return cast("PreTrainedModel", model.to(device))


def toy_tokenizer(symbols: Sequence[str]) -> "PreTrainedTokenizerBase":
    """Make a tokenizer of single characters, or of words that begin no other, and an end-of-text token, which comes last.

    >>> toy_tokenizer("ab")("abba")["input_ids"]
    [0, 1, 1, 0]
    >>> toy_tokenizer(["a", " to"])("a to a")["input_ids"]
    [0, 1, 2, 0]
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    end = "<|endoftext|>"
    tokenizer = Tokenizer(models.WordLevel({symbol: index for index, symbol in enumerate([*symbols, end])}, unk_token=end))
    pattern = "|".join([*(re.escape(symbol) for symbol in symbols if len(symbol) > 1), "."])
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, bos_token=end, pad_token=end)
