"""What is built: the models by name, the corpora they need, what their cards say, and their recipes."""

import dataclasses
from dataclasses import dataclass, field
from typing import Final, Literal

from textenv.build.assistant import AssistantRecipe, BaseRecipe
from textenv.build.classifiers import ClassifierRecipe, SmallClassifierRecipe
from textenv.build.distillation import DistilRecipe
from textenv.build.embedding import EmbeddingRecipe
from textenv.build.fragments import FragmentRecipe
from textenv.build.judges import JudgeRecipe
from textenv.build.language_model import LanguageModelRecipe
from textenv.rewards.ngram import NgramConfig

Name = Literal[
    "tiny-en",
    "tiny-sentiment",
    "tiny-sentiment-judge",
    "tiny-embed",
    "tiny-embed-2",
    "tiny-profanity",
    "tiny-profanity-judge",
    "tiny-toxicity",
    "tiny-toxicity-judge",
    "tiny-zh",
    "tiny-base",
    "tiny-assistant",
    "tiny-sentiment-zh",
    "tiny-sentiment-zh-judge",
]

FILMS: Final = ("imdb_reviews.parquet",)
SHOP: Final = ("shop_reviews_zh.parquet",)
TOXIC: Final = (
    "paradetox.parquet",
    "civil_comments.parquet",
    "hate_offensive.parquet",
    "hh_harmless_pairs.parquet",
    *FILMS,
)
MIXTURE: Final = (*FILMS, "haiku.parquet", "paradetox.parquet", "tldr.parquet", "tinystories.parquet", "instructions.parquet")
NEEDED: Final[dict[Name, tuple[str, ...]]] = {
    "tiny-en": MIXTURE,
    # The next four start from the weights or the tokenizer of tiny-en.
    "tiny-sentiment": MIXTURE,
    "tiny-embed": MIXTURE,
    "tiny-embed-2": MIXTURE,
    "tiny-profanity": MIXTURE,
    "tiny-sentiment-judge": FILMS,
    "tiny-profanity-judge": ("paradetox.parquet", *FILMS),
    # Both are measured on all of these, each learns from some; the first starts from the finished tiny-en.
    "tiny-toxicity": TOXIC,
    "tiny-toxicity-judge": TOXIC,
    "tiny-zh": SHOP,
    "tiny-base": (),
    "tiny-assistant": (),
    "tiny-sentiment-zh": SHOP,
    "tiny-sentiment-zh-judge": SHOP,
}
ABOUT: Final[dict[Name, str]] = {
    "tiny-en": """A tiny English causal language model (GPT-2 classes) for trying out reinforcement learning without a download.
It writes film reviews and knows the prompt formats of `textenv.envs.templates`; it knows no facts.""",
    "tiny-sentiment": """A tiny sentiment classifier of film reviews and of fragments of them (GPT-2 classes), the default reward of
sentiment tasks. It starts from the first layers of `tiny-en`, has seen only the reward half of the reviews, and is calibrated on
fragments of 24 words.""",
    "tiny-sentiment-judge": """A linear sentiment classifier over hashed word n-grams: an independent judge of policies that are trained
against `tiny-sentiment`. It has seen only the judge half of the reviews, and is calibrated on fragments of 24 words.""",
    "tiny-embed": """Static token vectors with the tokenizer of `tiny-en`, for sentence-transformers: the mean over the tokens of a text
stands for the text.""",
    "tiny-embed-2": """Static token vectors with the tokenizer of `tiny-en`, for sentence-transformers: the mean over the tokens of a text
stands for the text. Its cosines are learnt from those of a sentence encoder, all-MiniLM-L6-v2 (Apache-2.0), which gives words that say
little short vectors. It knows no order: words in any order, and denied ones, are as near as the sentence.
The build needs the encoder too, as `--teacher FOLDER`.""",
    "tiny-profanity": """A tiny classifier of sentences with swear words (GPT-2 classes): labels NEUTRAL and TOXIC. It sees words,
neither case nor punctuation but ! and ?. Its token vectors start from those of `tiny-en`. It has seen only the reward half of the
sentence pairs and, as further neutral examples, sentences of film reviews, and is calibrated on fragments of 8 words, most of them
beginnings.

It knows swear words, not toxicity, and is kept for TextToxicity-v0 and TextDetox-v0. On public sets that it had not seen its AUC is
.73 on comments and .56 on functional tests of hate; which of two continuations is less toxic it says as people do in .49 of the cases,
which is chance. It flags 9 % of direct threats and 74 % of harmless profanity. `tiny-toxicity` is the better reader.""",
    "tiny-profanity-judge": """A linear classifier over hashed word n-grams that gives the probability that a text is free of swear words,
so that higher is better: an independent judge of policies that are trained against `tiny-profanity`. It has seen only the judge half of
the sentence pairs and of the film reviews, and is calibrated on fragments of 8 words.

It knows swear words, not toxicity, and is kept for TextToxicity-v0 and TextDetox-v0. On public sets that it had not seen its AUC is .77
on comments and .55 on functional tests of hate; which of two continuations is less toxic it says as people do in .51 of the cases, which
is chance. `tiny-toxicity-judge` is the better reader.""",
    "tiny-toxicity": """A tiny classifier of toxic texts (GPT-2 classes): labels NEUTRAL and TOXIC. It sees words, also in common
disguises such as "1diot" and "i d i o t", neither case nor punctuation but ! and ?. Its token vectors start from those of `tiny-en`. It
has learnt from sentences with their neutral rewrites, from short news comments on which the annotators agreed, from sentences of film
reviews as neutral ones, and from generated sentences: harmless profanity, threats, insults and hostility without slurs, groups of
people in passing, and hostile words that are reported or opposed. It is calibrated on fragments of 8 words. It is no moderation tool.

Of its measures `auc_posts` is on a corpus that it has not learnt from, and so is `less_toxic_choices`. The annotators of the comments
hardly agree: one of them tells what another calls toxic with an AUC of .55, and knowing for each comment the probability of such a
vote would give about .76 against the majority of three and .91 where they are unanimous, if it is beta-distributed. The contrast
sentences were written by the same hand as the templates of the generated ones, which were extended once after a look at the errors of a
first reader. Threats and hostility in new words are mostly missed.""",
    "tiny-toxicity-judge": """A linear classifier over hashed n-grams of characters, which gives the probability that a text is neutral, so
that higher is better: an independent judge of policies that are trained against `tiny-toxicity`. It has learnt from short posts, from
sentences of other film reviews and from sentences generated from other templates, and is calibrated on fragments of 8 words.

It is of another family and has learnt from other corpora than `tiny-toxicity`, so its AUC on posts is at home, and those on sentences
and on comments are on corpora that it has not learnt from.""",
    "tiny-zh": """A tiny Chinese causal language model (GPT-2 classes) that writes product reviews, one character a token. Unknown
characters are one special token, which is never played. A token of its measures is a character.""",
    "tiny-base": """A tiny causal language model (GPT-2 classes) of the micro-world of `textenv.world`: it has read short stories,
facts and pages of exercises in plain English, all written by generators of textenv. It goes on with a text and has never seen a
conversation; with a few exercises before a question it answers.""",
    "tiny-assistant": """`tiny-base` after supervised fine-tuning on conversations: it answers questions about texts and about the
micro-world, classifies, extracts, rewrites, lists, sums up, tells stories, chats and declines. Its demonstrations were written by
annotators who err on purpose, about one time in four, so it errs too, and there is something to learn. The chat template has the roles
system, user and assistant; `<|end|>` ends a turn.""",
    "tiny-sentiment-zh": """A tiny sentiment classifier of Chinese product reviews and of fragments of them (GPT-2 classes). Its token
vectors start from those of `tiny-zh`. It has seen only the reward half of the reviews, and is calibrated on fragments of 24 characters.""",
    "tiny-sentiment-zh-judge": """A linear sentiment classifier over hashed character n-grams: an independent judge of policies that are
trained against `tiny-sentiment-zh`. It has seen only the judge half of the reviews, and is calibrated on fragments of 24 characters.""",
}
CHINESE: Final[tuple[Name, ...]] = ("tiny-zh", "tiny-sentiment-zh", "tiny-sentiment-zh-judge")
HELDOUT: Final[dict[Name, str]] = {
    "tiny-base": "documents",
    "tiny-assistant": "exercises: the share that is answered rightly",
    "tiny-profanity": "sentences",
    "tiny-profanity-judge": "sentences",
    "tiny-toxicity": "texts",
    "tiny-toxicity-judge": "texts",
}
"""What the held-out texts are; reviews where nothing stands."""

SENTENCES: Final = FragmentRecipe(per_text=2, least=3, most=16, measured=8)
BEGINNINGS: Final = FragmentRecipe(per_text=1, least=3, most=24, measured=8)
LETTERS: Final = NgramConfig(features=2**18, longest=5, token_pattern=r"(?u)\w|[^\w\s]|\s")
CHARACTERS: Final = FragmentRecipe(unit="characters", least=6, most=60)


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """The recipes of all models, by name."""

    tiny_en: LanguageModelRecipe = field(default_factory=LanguageModelRecipe)
    tiny_sentiment: ClassifierRecipe = field(default_factory=ClassifierRecipe)
    tiny_sentiment_judge: JudgeRecipe = field(default_factory=JudgeRecipe)
    tiny_embed: EmbeddingRecipe = field(default_factory=EmbeddingRecipe)
    tiny_embed_2: DistilRecipe = field(default_factory=DistilRecipe)
    tiny_profanity: SmallClassifierRecipe = field(default_factory=lambda: SmallClassifierRecipe(fragments=SENTENCES, passes=4, lr=2e-3))
    tiny_profanity_judge: JudgeRecipe = field(
        default_factory=lambda: JudgeRecipe(fragments=SENTENCES, ngrams=NgramConfig(features=2**16), inverse_penalty=3.0)
    )
    tiny_toxicity: SmallClassifierRecipe = field(default_factory=lambda: SmallClassifierRecipe(fragments=BEGINNINGS, passes=3, lr=2e-3))
    tiny_toxicity_judge: JudgeRecipe = field(default_factory=lambda: JudgeRecipe(fragments=BEGINNINGS, ngrams=LETTERS, inverse_penalty=3.0))
    tiny_zh: LanguageModelRecipe = field(default_factory=lambda: LanguageModelRecipe(vocab_size=3600, context=128, passes=4))
    tiny_base: BaseRecipe = field(default_factory=BaseRecipe)
    tiny_assistant: AssistantRecipe = field(default_factory=AssistantRecipe)
    tiny_sentiment_zh: SmallClassifierRecipe = field(default_factory=lambda: SmallClassifierRecipe(fragments=CHARACTERS, passes=2, lr=2e-3))
    tiny_sentiment_zh_judge: JudgeRecipe = field(
        default_factory=lambda: JudgeRecipe(fragments=CHARACTERS, ngrams=NgramConfig(features=2**16, token_pattern=r"(?u)\w|[!?！？]"))
    )

    def seeded(self, seed: int) -> "Recipes":
        """Return the recipes with another seed."""
        names = [each.name for each in dataclasses.fields(self)]
        return Recipes(**{name: dataclasses.replace(getattr(self, name), seed=seed) for name in names})
