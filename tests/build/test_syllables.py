"""The table of syllables."""

import gzip
from pathlib import Path

from textenv.build.syllables import write_shorter, write_table

KNOWN = {
    "pond": [["P", "AA1", "N", "D"]],
    "fire": [["F", "AY1", "ER0"], ["F", "AY1", "R"]],
    "spring": [["S", "P", "R", "IH1", "NG"], ["S", "P", "ER0", "IH1", "NG"]],
    "a": [["AH0"]],
    "don't": [["D", "OW1", "N", "T"]],
    "shh": [["SH"]],
    "x-ray": [["EH1", "K", "S", "R", "EY2"]],
    "university": [["Y", "UW2", "N", "AH0", "V", "ER1", "S", "AH0", "T", "IY0"]],
}


def test_words_stand_in_the_line_of_their_first_pronunciation(tmp_path: Path) -> None:
    write_table(KNOWN, tmp_path / "table.gz")
    assert gzip.decompress((tmp_path / "table.gz").read_bytes()).decode() == "a don't pond spring\nfire\n\n\nuniversity\n"


def test_words_that_are_also_said_shorter_have_the_fewest_syllables(tmp_path: Path) -> None:
    write_shorter(KNOWN, tmp_path / "table.gz")
    assert gzip.decompress((tmp_path / "table.gz").read_bytes()).decode() == "fire 1\n"
