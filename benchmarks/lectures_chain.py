"""The chain that the claims of `benchmarks.lectures` share: each piece is made once, in a folder."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from rich.console import Console

from textenv.agents.dpo import DPOConfig
from textenv.agents.ppo import PPOConfig
from textenv.agents.reward_model import RewardModelConfig
from textenv.agents.sft import SFTConfig
from textenv.build.lessons import demonstrations, documents, exercises
from textenv.build.prompts import USE_CASES, row
from textenv.commands.compare import CompareConfig, compare
from textenv.commands.dpo import DPOCommandConfig, prefer_to
from textenv.commands.label import LabelConfig, simulate
from textenv.commands.reward import RewardConfig, make_reward_model
from textenv.commands.sft import SFTCommandConfig, fine_tune_to
from textenv.models.hub import ASSETS
from textenv.training import TrainConfig, train
from textenv.world.skills import SKILLS

ENV: Final = "TextInstruct-v1"
JUDGE: Final = "textenv.world.judging:right"
INSTRUCTED: Final = tuple(skill for _, skills in USE_CASES.values() for skill in skills)
"""The skills of TextInstruct-v1."""
MEASURED: Final = ASSETS / "prompts" / "instruct-v1.jsonl"
"""The prompts of TextInstruct-v1, on which none of the policies is trained by reinforcement learning."""
TOKENS: Final = 64
"""Of an answer at most, as in TextInstruct-v1."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is learnt, and how much is measured."""

    base: str = "tiny-base"
    """The model that has read documents only."""
    demonstrations: int = 9600
    """Of all 24 skills alike, to learn from."""
    sft: SFTConfig = field(default_factory=lambda: SFTConfig(epochs=1, batch_size=8, learning_rate=1e-3, held_out=0.05))
    prompts: int = 2000
    """Of the comparisons and of reinforcement learning."""
    noise: float = 0.25
    """Of the simulated annotators, in units of the exact judge, which says 0 or 1."""
    tie: float = 0.5
    """Difference that they take for none, in the same units."""
    reward: RewardModelConfig = field(default_factory=lambda: RewardModelConfig(epochs=2, batch_size=16, learning_rate=5e-4))
    ppo: PPOConfig = field(default_factory=lambda: PPOConfig(kl_coef=0.1, episodes_per_update=256, linear_decay=False))
    episodes: int = 4096
    """To learn from."""
    longer: int = 8192
    """To learn from until over-optimisation shows."""
    every: int = 2
    """Updates between evaluations in training."""
    ptx_coef: float = 0.2
    corpus: int = 1500
    """Documents for PPO-ptx."""
    dpo: DPOConfig = field(default_factory=lambda: DPOConfig(epochs=2, learning_rate=1e-4, max_new_tokens=TOKENS))
    samples: int = 4
    """Answers to each prompt of TextInstruct-v1 that policies are measured by."""
    asked: int = 24
    """Exercises of a skill that policies are measured by."""


class Chain:
    """What is trained of one seed, in the order of the lectures; each piece is made when it is first asked for.

    Args:
        folder: of the pieces; what it holds is not made again.
        seed: of everything.
        sizes: how much is learnt.
    """

    def __init__(self, folder: Path, seed: int, sizes: Sizes) -> None:
        self.folder, self.seed, self.sizes = folder, seed, sizes
        self.console = Console(stderr=True)
        self.made = 0.0
        """Seconds of processor time that were spent on pieces."""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of processor time that each piece took."""
        notes = sorted(self.folder.glob("*.seconds"))
        return {note.stem: float(note.read_text(encoding="utf-8")) for note in notes}

    def once(self, name: str, make: Callable[[Path], object]) -> Path:
        """Make a piece, unless it is there, and note the processor time that it took."""
        place, note = self.folder / name, self.folder / f"{name.partition('.')[0]}.seconds"
        if not note.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            self.console.print(f"seed {self.seed}: {name} …", markup=False)
            before = time.process_time(), self.made
            make(place)
            # What a piece has had made before is not its own time.
            spent = time.process_time() - before[0] - (self.made - before[1])
            self.made += spent
            note.write_text(f"{spent:.1f}\n", encoding="utf-8")
        return place

    def sft(self, name: str = "sft", skills: Sequence[str] = tuple(SKILLS), slips: bool = True) -> Path:
        """Fine-tune the base on demonstrations.

        Args:
            name: of the piece.
            skills: that are demonstrated, each as often as if all were.
            slips: whether the demonstrators err, about one time in four over all skills.
        """

        def make(place: Path) -> None:
            count = self.sizes.demonstrations * len(skills) // len(SKILLS)
            turns = demonstrations(count, self.seed, tuple(skills), slips)
            rows = [{"prompt": turn.prompt, "response": f" {turn.answer}"} for turn in turns]
            data = write_rows(place.with_suffix(".jsonl"), rows)
            fine_tune_to(
                SFTCommandConfig(
                    model=self.sizes.base,
                    data=str(data),
                    out=place,
                    fitting=seeded(self.sizes.sft, self.seed),
                ),
                self.console,
            )

        return self.once(name, make)

    def prompts(self) -> Path:
        """Write instructions in the shares of TextInstruct-v1; none of its prompts is among them."""
        return self.once(
            "prompts.jsonl",
            lambda place: write_rows(place, instructions(self.sizes.prompts, self.seed)),
        )

    def comparisons(self) -> Path:
        """Let the fine-tuned policy write four answers to each prompt, and an annotator rank them."""
        sft, prompts = self.sft(), self.prompts()

        def make(place: Path) -> None:
            compare(
                CompareConfig(
                    policy=str(sft),
                    env=ENV,
                    reward=JUDGE,
                    task={"prompts": str(prompts)},
                    prompts=self.sizes.prompts,
                    out=place,
                    seed=self.seed,
                )
            )
            annotator = {"noise": self.sizes.noise, "tie": self.sizes.tie, "seed": self.seed}
            simulate(LabelConfig(store=place, simulate=JUDGE, **annotator))  # type: ignore[arg-type]

        return self.once("comparisons.db", make)

    def reward(
        self,
        name: str = "reward",
        comparisons: Path | None = None,
        hold_out: tuple[str, ...] = (),
    ) -> Path:
        """Fit a reward model to comparisons, by default the chain's own."""
        sft, judged = self.sft(), comparisons or self.comparisons()

        def make(place: Path) -> None:
            make_reward_model(
                RewardConfig(
                    comparisons=str(judged),
                    model=str(sft),
                    out=place,
                    hold_out_annotators=hold_out,
                    fitting=seeded(self.sizes.reward, self.seed),
                ),
                self.console,
            )

        return self.once(name, make)

    def ppo(self, name: str = "ppo", episodes: int | None = None, **changed: Any) -> Path:
        """Train the fine-tuned policy by PPO against the reward model.

        Args:
            name: of the piece.
            episodes: in place of `Sizes.episodes`.
            **changed: options of PPO that differ.
        """
        sft, reward, prompts = self.sft(), self.reward(), self.prompts()

        def make(place: Path) -> None:
            algorithm = seeded(self.sizes.ppo, None, **changed)
            config = TrainConfig(
                env=ENV,
                model=str(sft),
                reward=str(reward),
                task={"prompts": str(prompts)},
                episodes=episodes or self.sizes.episodes,
                eval_every=self.sizes.every,
                algorithm=algorithm,
                seed=self.seed,
                out=place,
                resume=True,
            )
            train(config, self.console, results=Console(quiet=True))

        return self.once(name, make)

    def ppo_ptx(self) -> Path:
        """Train as `ppo`, with documents such as the base has read mixed in."""
        corpus = self.once(
            "corpus.jsonl",
            lambda place: write_rows(
                place,
                [{"text": text} for text in documents(self.sizes.corpus, self.seed + 1000)],
            ),
        )
        return self.ppo("ppo-ptx", ptx_coef=self.sizes.ptx_coef, ptx_corpus=corpus)

    def dpo(self) -> Path:
        """Fit the fine-tuned policy to the comparisons themselves."""
        sft, comparisons = self.sft(), self.comparisons()

        def make(place: Path) -> None:
            prefer_to(
                DPOCommandConfig(
                    comparisons=str(comparisons),
                    model=str(sft),
                    out=place,
                    fitting=seeded(self.sizes.dpo, self.seed),
                ),
                self.console,
            )

        return self.once("dpo", make)


def seeded(config: Any, seed: int | None, **changed: Any) -> Any:
    """Return a configuration with other values, and with the seed where it has one."""
    if seed is not None:
        changed["seed"] = seed
    return type(config)(**{**vars(config), **changed})


def instructions(count: int, seed: int) -> list[dict[str, Any]]:
    """Write about so many instructions in the shares of TextInstruct-v1, without any of its own.

    All are requests that the base and the assistants may be taught; few greetings and the like exist, so that these are fewer.
    """
    taken = {each["prompt"] for each in read_rows(MEASURED)}
    rng, rows = Random(seed), dict[str, dict[str, Any]]()
    sources = {skill: exercises(skill, rng, held_out=False) for skill in INSTRUCTED}
    whole = sum(share for share, _ in USE_CASES.values())
    for use_case, (share, skills) in USE_CASES.items():
        for index in range(round(count * share / whole)):
            made = row(next(sources[skills[index % len(skills)]]))
            if made["prompt"] not in taken:
                rows.setdefault(made["prompt"], {**made, "use_case": use_case})
    return list(rows.values())


def read_rows(file: Path) -> list[dict[str, Any]]:
    """Read a row a line."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write_rows(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write a row a line."""
    file.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return file
