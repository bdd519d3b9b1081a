"""The table of syllables."""

import gzip
from pathlib import Path

from textenv.build.syllables import write_table


def test_words_stand_in_the_line_of_their_first_pronunciation(tmp_path: Path) -> None:
    known = {
        "pond": [["P", "AA1", "N", "D"]],
        "fire": [["F", "AY1", "ER0"], ["F", "AY1", "R"]],
        "a": [["AH0"]],
        "don't": [["D", "OW1", "N", "T"]],
        "shh": [["SH"]],
        "x-ray": [["EH1", "K", "S", "R", "EY2"]],
        "university": [["Y", "UW2", "N", "AH0", "V", "ER1", "S", "AH0", "T", "IY0"]],
    }
    write_table(known, tmp_path / "table.gz")
    assert gzip.decompress((tmp_path / "table.gz").read_bytes()).decode() == "a don't pond\nfire\n\n\nuniversity\n"
