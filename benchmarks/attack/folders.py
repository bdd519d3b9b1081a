"""Folders of models and rewards that are damaged, or hold code that must not run."""

import json
import os
import pickle
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

import textenv
from benchmarks.attack.models import tiny_classifier, tiny_language_model
from benchmarks.attack.outcomes import Row, Try, fault_of, outcome_of_call, outcome_of_command, outcome_of_process
from benchmarks.attack.outcomes import textenv as in_process
from benchmarks.attack.runs import DAMAGES, HEADERS

Damage = Callable[[Path], Any]


def _json(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Change what a file of JSON holds."""

    def damage(path: Path) -> None:
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return damage


def _fields(**changed: Any) -> Damage:
    return _json(lambda content: {**content, **changed})


def _without(name: str) -> Damage:
    return _json(lambda content: {key: value for key, value in content.items() if key != name})


def _tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Damage:
    """Change the weights of a file; its metadata stay."""

    def damage(path: Path) -> None:
        save_file({name: tensor.contiguous() for name, tensor in change(load_file(path)).items()}, path, metadata={"format": "pt"})

    return damage


def _lacks(count: int, seed: int) -> Damage:
    def change(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        lost = random.Random(seed).sample(sorted(tensors), min(count, len(tensors)))
        return {name: tensor for name, tensor in tensors.items() if name not in lost}

    return _tensors(change)


def _cut_header(path: Path) -> None:
    """Let the header of the weights end beyond the file."""
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", len(data) * 2) + data[8:])


def _each(name: str, *values: Any) -> dict[str, Damage]:
    """Return what sets a field, by what it is set to."""
    return {f"{name} {value!r:.20}": _fields(**{name: value}) for value in values}


WEIGHTS: Final[dict[str, Damage]] = {
    **HEADERS,
    "a header beyond the file": _cut_header,
    "cut by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "cut to 100 bytes": lambda path: os.truncate(path, 100),
    "names behind _orig_mod.": _tensors(lambda tensors: {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}),
    "names behind module.": _tensors(lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()}),
    "names behind x.": _tensors(lambda tensors: {f"x.{name}": tensor for name, tensor in tensors.items()}),
    "no weights": _tensors(lambda tensors: {}),
    "half of the weights": lambda path: _lacks(len(load_file(path)) // 2, 0)(path),
    **{f"a tensor missing, {number}": _lacks(1, number) for number in range(4)},
    "shapes that do not fit": _tensors(lambda tensors: {name: tensor[:1] for name, tensor in tensors.items()}),
    "a dimension more": _tensors(lambda tensors: {name: tensor[None] for name, tensor in tensors.items()}),
}
CONFIGS: Final[dict[str, Damage]] = {
    **{f"without {name}": _without(name) for name in ("model_type", "architectures")},
    **_each("model_type", "none", "t5", "bert", "", 5, None, [], "../x", "\x1b[2J"),
    **_each("architectures", ["X"], 5, [None], ["GPT2ForTokenClassification"]),
    **_each("n_layer", 6, 1, "x", None, -1, 1.5),
    **_each("n_embd", 32, 0, -1, "x", 15),
    **_each("n_head", 3, 0, "x"),
    **_each("vocab_size", 4095, 5000, 0, -1, "x", 1.5),
    "an unknown activation": _fields(activation_function="x"),
    "an unknown type of numbers": _fields(dtype="x"),
    "a quantization": _fields(quantization_config={"quant_method": "x"}),
}


def _damages(folder: Path) -> Iterator[tuple[str, str, Damage]]:
    """Yield file, name and damage for every file of a whole folder."""
    for file in sorted(path.name for path in folder.iterdir() if path.name not in ("README.md", "metrics.json")):
        for name, damage in DAMAGES.items():
            yield file, name, damage
    for file in ("model.safetensors", "value_head.safetensors"):
        if (folder / file).is_file():
            yield from ((file, name, damage) for name, damage in WEIGHTS.items())


# Of damage within the numbers nothing tells, as the formats have no checksums.
UNSEEN: Final = ("noise", "a hole")
# What a configuration says of shapes must not lead to weights that are made up or left out.
SHAPES: Final = ("n_layer", "n_embd", "vocab_size")


def _weights(model: Any) -> bytes:
    return b"".join(name.encode() + tensor.float().numpy().tobytes() for name, tensor in sorted(model.state_dict().items()))


def damaged_models(folder: Path, seed: int) -> Iterator[Try]:
    """Load each damaged model as a policy: a LoadError, or the weights of the whole one."""
    whole = tiny_language_model(folder / "whole")
    policy = textenv.LanguagePolicy.from_pretrained(str(whole))
    expected = _weights(policy.model)
    damages = [*_damages(whole), *(("config.json", name, damage) for name, damage in CONFIGS.items())]
    for number, (file, name, damage) in enumerate(damages):
        broken = folder / str(number)
        shutil.copytree(whole, broken)
        damage(broken / file)
        outcome = outcome_of_call(lambda broken=broken: _weights(textenv.LanguagePolicy.from_pretrained(str(broken)).model), 15)
        fault = fault_of(outcome, right=None if name in UNSEEN else lambda weights: weights == expected)
        yield Try(f"{file}: {name}", fault.partition(": b'")[0])
        if number % 12 == seed % 12:
            sampled = outcome_of_command(["sample", str(broken), "TextSentiment-v0", "--n", "1"], 30)
            may = ("taken", "refused") if outcome.kind == "taken" else ("refused",)
            yield Try(f"textenv sample, {file}: {name}", fault_of(sampled, may=may, code=2))
        shutil.rmtree(broken, ignore_errors=True)


def damaged_rewards(folder: Path, seed: int) -> Iterator[Try]:
    """Load each damaged reward, a classifier and n-grams: a LoadError, or the scores of the whole one."""
    prompts, completions = ["The film", "A cat"], [" was good.", " was bad, and dull."]
    ngrams = folder / "ngrams"
    shutil.copytree(str(files("textenv.assets") / "tiny-sentiment-judge"), ngrams)
    for kind, whole in (("classifier", tiny_classifier(folder / "classifier")), ("n-grams", ngrams)):
        expected = textenv.load_reward(str(whole))(prompts=prompts, completions=completions)
        damages = [*_damages(whole)]
        content = json.loads((whole / "config.json").read_text())
        fields = [*content] if kind == "n-grams" else ["model_type", "architectures", "id2label"]
        damages += [("config.json", f"without {name}", _without(name)) for name in fields if name in content]
        if kind == "n-grams":
            values: tuple[Any, ...] = (None, "x", -1, [], {}, 1.5, 10**400, "(", "\x1b[2J")
            damages += [("config.json", f"{name} {value!r:.20}", _fields(**{name: value})) for name in fields[1:] for value in values]
        else:
            damages += [("config.json", name, damage) for name, damage in CONFIGS.items()]
            labels = _each("id2label", 5, [], "x", {"0": 1}, {"x": "y"})
            damages += [("config.json", name, damage) for name, damage in labels.items()]
        for number, (file, name, damage) in enumerate(damages):
            broken = folder / f"{kind}-{number}"
            shutil.copytree(whole, broken)
            damage(broken / file)

            def score(broken: Path = broken) -> Any:
                return textenv.load_reward(str(broken))(prompts=prompts, completions=completions)

            outcome = outcome_of_call(score, 15)
            # Another configuration may mean other scores; of the weights nothing may be made up.
            other = name in UNSEEN or (file == "config.json" and not name.startswith(SHAPES))
            wanted = [*expected]
            right = (lambda scores: len(scores) == 2) if other else (lambda scores, wanted=wanted: [*scores] == wanted)
            yield Try(f"{kind}, {file}: {name}", fault_of(outcome, right=right))
            if number % 16 == seed % 16:
                command = ["sample", "tiny-en", "TextSentiment-v0", "--n", "1", "--reward", str(broken)]
                sampled = outcome_of_command(command, 30)
                may = ("taken", "refused") if outcome.kind == "taken" else ("refused",)
                yield Try(f"textenv sample --reward, {kind}, {file}: {name}", fault_of(sampled, may=may, code=2))
            shutil.rmtree(broken, ignore_errors=True)


# Code


class _Runs:
    """Runs a command when it is read from a pickle."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


def _hostile(canary: Path) -> Iterator[tuple[str, Damage]]:
    """Yield what puts code into a folder of a model that would make the canary file."""
    touch = f"touch {canary}"
    module = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\nclass Model: pass\nclass Config: pass\nclass Tokenizer: pass\n"

    def pickled(name: str, write: Callable[[Any, Path], None]) -> Damage:
        def damage(folder: Path) -> None:
            (folder / "model.safetensors").unlink(missing_ok=True)
            write(_Runs(touch), folder / name)

        return damage

    def by_pickle(value: Any, path: Path) -> None:
        path.write_bytes(pickle.dumps(value))

    def by_torch(value: Any, path: Path) -> None:
        torch.save({"transformer.wte.weight": value}, path)

    for name in ("pytorch_model.bin", "model.bin", "tf_model.h5", "flax_model.msgpack", "adapter_model.bin", "value_head.bin", "model.pkl"):
        yield f"a pickle as {name}", pickled(name, by_pickle)
        yield f"torch.save as {name}", pickled(name, by_torch)
    yield "a pickle as model.safetensors", pickled("model.safetensors", by_pickle)
    yield "a pickle as value_head.safetensors", pickled("value_head.safetensors", by_pickle)
    yield "a pickle as training_args.bin", lambda folder: by_pickle(_Runs(touch), folder / "training_args.bin")
    yield "a pickle as tokenizer.json", lambda folder: by_pickle(_Runs(touch), folder / "tokenizer.json")

    def with_module(file: str, **changed: Any) -> Damage:
        def damage(folder: Path) -> None:
            (folder / "code.py").write_text(module)
            (folder / "__init__.py").write_text(module)
            path = folder / file
            content = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps({**content, **changed}))

        return damage

    maps = {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model", "AutoModelForSequenceClassification": "code.Model"}
    for kind in ("gpt2", "unknown"):
        yield f"auto_map, model_type {kind}", with_module("config.json", auto_map=maps, model_type=kind)
        trusted = with_module("config.json", auto_map=maps, model_type=kind, trust_remote_code=True)
        yield f"auto_map and trust_remote_code, model_type {kind}", trusted
    tokenizers = {"AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"]}
    yield "auto_map of the tokenizer", with_module("tokenizer_config.json", auto_map=tokenizers, tokenizer_class="Tokenizer")

    def custom_generate(folder: Path) -> None:
        (folder / "custom_generate").mkdir()
        (folder / "custom_generate" / "generate.py").write_text(module)

    yield "custom_generate", custom_generate
    yield (
        "modules of sentence-transformers",
        lambda folder: (
            (folder / "code.py").write_text(module),
            (folder / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "code.Model"}])),
        ),
    )
    yield (
        "modules that are functions of Python",
        lambda folder: (folder / "modules.json").write_text(
            json.dumps(
                [
                    {"idx": 0, "name": touch, "path": touch, "type": "os.system"},
                    {"idx": 1, "name": "1", "path": touch, "type": "subprocess.Popen"},
                ]
            )
        ),
    )
    for number, attack in enumerate(("cycler.__init__.__globals__.os", "self._TemplateReference__context.cycler.__init__.__globals__.os")):
        template = "{{ " + attack + f".popen('{touch}').read() }}}}"
        yield f"a chat template, {number}", with_module("tokenizer_config.json", chat_template=template)
        yield f"chat_template.jinja, {number}", partial(_write_template, template)
    yield (
        "a peft adapter of code",
        lambda folder: (folder / "adapter_config.json").write_text(
            json.dumps({"peft_type": "LORA", "base_model_name_or_path": str(folder), "auto_mapping": {"parent_library": "code"}})
        ),
    )
    yield (
        "sitecustomize",
        lambda folder: [(folder / name).write_text(module) for name in ("sitecustomize.py", "torch.py", "json.py", "config.py")],
    )


def _write_template(template: str, folder: Path) -> None:
    (folder / "chat_template.jinja").write_text(template)


def hostile_code(folder: Path, seed: int) -> Iterator[Try]:
    """Load each hostile folder as a policy, a reward and a tokenizer: no code of it runs."""
    model, reward = tiny_language_model(folder / "model"), tiny_classifier(folder / "reward")
    canary = folder / "canary"
    # The check can fail: this code does run.
    pickle.loads(pickle.dumps(_Runs(f"touch {canary}")))
    yield Try("the canary itself", "" if canary.exists() else "it does not sing")
    canary.unlink(missing_ok=True)
    number = 0
    for name, damage in _hostile(canary):
        for kind, whole in (("policy", model), ("reward", reward), ("tokenizer", model), ("environment", model)):
            number += 1
            place = folder / str(number)
            shutil.copytree(whole, place)
            damage(place)
            outcome = outcome_of_call(lambda kind=kind, place=place: _load(kind, str(place)), 20)
            sang = canary.exists()
            canary.unlink(missing_ok=True)
            yield Try(f"{name}, as a {kind}", "its code ran" if sang else fault_of(outcome))
            shutil.rmtree(place, ignore_errors=True)


def _load(kind: str, place: str) -> None:
    import gymnasium

    if kind == "policy":
        policy = textenv.LanguagePolicy.from_pretrained(place)
        textenv.collect(
            policy, gymnasium.make_vec("TextSentiment-v0", num_envs=1, tokenizer=place, reward=_ones, max_new_tokens=1), 1, seed=0
        )
    elif kind == "reward":
        textenv.load_reward(place)(prompts=["a"], completions=["b"])
    else:
        name = "reference" if kind == "environment" else "tokenizer"
        arguments: dict[str, Any] = {name: place, "reward": _ones, **({"kl_coef": 0.1} if kind == "environment" else {})}
        env = gymnasium.make("TextSentiment-v0", **arguments)
        env.reset(seed=0)
        env.step(5)


def _ones(completions: list[str]) -> list[float]:
    return [1.0] * len(completions)


def honest(folder: Path, seed: int) -> Iterator[Try]:
    """Load what is whole, in each way that weights are saved, so that refusing everything does not count."""
    whole = tiny_language_model(folder / "whole")
    expected = _weights(textenv.LanguagePolicy.from_pretrained(str(whole)).model)
    saved = folder / "bin"
    shutil.copytree(whole, saved)
    state = load_file(saved / "model.safetensors")
    torch.save({**state}, saved / "pytorch_model.bin")
    (saved / "model.safetensors").unlink()
    for name, place in (("safetensors", whole), ("pytorch_model.bin", saved)):
        outcome = outcome_of_call(lambda place=place: _weights(textenv.LanguagePolicy.from_pretrained(str(place)).model))
        yield Try(name, fault_of(outcome, may=("taken",), right=lambda weights: weights == expected))
    outcome = outcome_of_command(["sample", str(whole), "TextSentiment-v0", "--n", "1"], 60)
    yield Try("textenv sample", fault_of(outcome, may=("taken",)))


def in_processes(folder: Path, seed: int) -> Iterator[Try]:
    """Give models without weights to commands in processes of their own."""
    for number, name in enumerate(("names behind _orig_mod.", "a tensor missing, 0")):
        broken = tiny_language_model(folder / str(number))
        WEIGHTS[name](broken / "model.safetensors")
        for arguments in (
            ["sample", broken, "TextSentiment-v0"],
            ["train", "TextSentiment-v0", "--model", broken, "--out", folder / "run"],
        ):
            outcome = outcome_of_process(in_process(*arguments), 90)
            fault = fault_of(outcome, may=("refused",), code=2)
            yield Try(f"textenv {arguments[0]}: {name}", fault or ("a run was begun" if (folder / "run").exists() else ""))


ROWS: Final = (
    Row("damaged models", "a LoadError and exit 2, or the very weights", damaged_models),
    Row("damaged rewards", "a LoadError and exit 2, or the very scores", damaged_rewards),
    Row("hostile folders", "no code of theirs runs, no traceback", hostile_code),
    Row("whole models", "loaded", honest),
    Row("models without weights, in processes", "exit 2, one sentence, no run begun", in_processes),
)
