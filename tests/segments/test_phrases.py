import pytest

from focusmae.segments.phrases import MOST_LETTERS, MOST_PHRASES, MOST_WORDS, core, prompt, read_phrases
from tests.tiny import is_one_sentence


@pytest.mark.parametrize(
    "text, phrases",
    [
        ("a dog; grass", ("a dog", "grass")),
        ("a dog,grass\nsky\r\n", ("a dog", "grass", "sky")),
        ("狗；草，天、 海", ("狗", "草", "天", "海")),
        ("  two   words.  ", ("two words",)),
        ("a dog; The dog; DOG; dogs", ("a dog", "dogs")),
        ("a\x00b\tc", ("a b c",)),
        ("a", ("a",)),
        ("rock'n'roll; 7", ("rock'n'roll", "7")),
        ("", ()), (None, ()), (" ;;,.\n!?", ()), ("\ud800", ()),
    ],
)  # fmt: skip
def test_phrases_are_read_from_any_text(text, phrases):
    assert read_phrases(text) == (phrases, ())


def test_long_texts_are_cut_and_say_so():
    prose = read_phrases("word " * 500)
    assert prose.phrases == (" ".join(["word"] * MOST_WORDS),)
    listed = read_phrases(", ".join(f"thing {n}" for n in range(500)))
    assert listed.phrases == tuple(f"thing {n}" for n in range(MOST_PHRASES)) and "500" in listed.notes[0]
    endless = read_phrases("x" * 5000)
    assert endless.phrases == ("x" * MOST_LETTERS,)
    for read in (prose, listed, endless):
        assert len(read.notes) == 1 and is_one_sentence(read.notes[0])
    assert len(read_phrases("word " * 99 + ";" + "; ".join(f"thing {n}" for n in range(99))).notes) == 2


def test_what_the_encoder_is_given():
    assert prompt("A Dog") == "a photo of a dog." and prompt("grass") == "a photo of a grass."
    assert core("the") == "the" and core("Another dog") == "another dog" and core("an owl") == "owl"
