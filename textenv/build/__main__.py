"""Build the embedded models from the corpora: `python -m textenv.build --corpora DIR`.

Everything on the way lies in the work folder, one folder a model: what is there is not made again, and
an interrupted training goes on from its last checkpoint.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
import tyro

from textenv.build.builder import Build
from textenv.build.catalogue import NEEDED, Name, Recipes
from textenv.build.distillation import check_teacher
from textenv.errors import ArgumentError, TextenvError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Build the embedded models of textenv from the corpora."""

    corpora: Path
    """Folder with the parquet files."""
    out: Path = Path(__file__).parent.parent / "assets"
    """Folder of the finished models."""
    work: Path = Path("build")
    """Folder of checkpoints and intermediate results; an interrupted build goes on from it."""
    only: tuple[Name, ...] = get_args(Name)
    """Models to build; what they start from is built too, but only into the work folder."""
    teacher: Path | None = None
    """Folder of the sentence encoder that tiny-embed-2 learns from."""
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


def check_corpora(corpora: Path, only: tuple[Name, ...]) -> None:
    """Refuse to start without the corpora.

    Raises:
        ArgumentError: the folder, or a file that one of the models needs, is not there.
    """
    if not corpora.is_dir():
        raise ArgumentError(f"There is no folder of corpora at {corpora}; pass the one with the parquet files as --corpora.")
    needed = dict.fromkeys(file for name in only for file in NEEDED[name])
    missing = [file for file in needed if not (corpora / file).is_file()]
    if missing:
        raise ArgumentError(
            f"{corpora} lacks {', '.join(missing)}, which {' and '.join(only)} {'is' if len(only) == 1 else 'are'} built from."
        )


def build(options: Options, recipes: Recipes | None = None) -> None:
    """Build the chosen models.

    Raises:
        ArgumentError: a corpus or the teacher is missing.
    """
    check_corpora(options.corpora, options.only)
    if "tiny-embed-2" in options.only:
        check_teacher(options.teacher)
    device: Literal["cpu", "cuda"] = ("cuda" if torch.cuda.is_available() else "cpu") if options.device == "auto" else options.device
    run = Build(options.corpora, options.work, options.out, (recipes or Recipes()).seeded(options.seed), device, options.teacher)
    for name in run.makers:
        if name in options.only:
            run.makers[name]()


def main() -> None:
    """Run the command line."""
    try:
        build(tyro.cli(Options, prog="python -m textenv.build"))
    except TextenvError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
