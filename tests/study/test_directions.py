"""Which way a sentence goes: every word of direction is borne out by the claim beside it, or found out."""

import pytest

from benchmarks.compounding_error.prose.directions import WORDS, Verdict, faults, words

ROWS = {
    "tried": Verdict("BC, tried", "BC, prefix", "higher", False),
    "hazard": Verdict("BC + backspace, noise masked", "MLE", "lower", True),
    "regret": Verdict("SequenceMatch", "MLE", "higher", True),
    "bound": Verdict("BC, history", "BC, prefix, restart", "not higher", False),
    "open": Verdict("MLE, min-p .1", "BC, tried", "undecided", False),
}


def said(sentence):
    """With `[id]` as marks."""
    marked = sentence.replace("[", "<!-- claim:").replace("]", " -->")
    return list(faults(marked, ROWS))


@pytest.mark.parametrize(
    "sentence",
    [
        "`tried` is better than `prefix`[tried].",
        "`prefix` is behind `tried`[tried].",
        "`prefix` is no better than `tried`[tried].",
        "`tried` is no worse than `prefix`[tried] and has more right texts[tried].",
        "Below `tried` lies `prefix`[tried].",
        "Cloning has less hazard than maximum likelihood[hazard] and is better than it[hazard].",
        "Without a backspace the hazard is higher than that of cloning[hazard].",
        "SequenceMatch has more regret than maximum likelihood and is worse[regret].",
        "`history` is not above starting the text anew[bound].",
        "Starting the text anew is no worse than `history`[bound], nor behind it[bound].",
        "`restart` is as good as `history`[bound].",
        "Min-p and cloning under `tried` are not told apart[open].",
        "What `tried` adds to min-p is undecided[open].",
        "Numbers of `tried`, 0.3 against 0.2 of `prefix`[tried].",
        "It was lower before.",
        "Under `tried` it is better[tried], under `prefix` no better[tried].",
    ],
)
def test_what_the_claim_says_is_borne_out(sentence):
    assert said(sentence) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "`tried` is worse than `prefix`[tried].",
        "`prefix` beats `tried`[tried].",
        "`tried` is no better than `prefix`[tried].",
        "`tried` is as good as `prefix` or less[tried].",
        "`tried` and `prefix` are not told apart[tried].",
        "Cloning has more hazard than maximum likelihood[hazard].",
        "Maximum likelihood is better than cloning[hazard].",
        "SequenceMatch has more regret and is better than maximum likelihood[regret].",
        "`history` is better than `restart`[bound].",
        "`history` is worse than `restart`[bound].",
        "`history` is as good as `restart`[bound].",
        "`history` and `restart` make no difference[bound].",
        "Min-p beats cloning under `tried`[open].",
        "Min-p is no better than cloning under `tried`[open].",
        "`tried` is better than `prefix`[tried] and `history` worse than both.",
        "Cloning beats SequenceMatch.",
        "`prefix` and `tried` follow, and it is better[tried].",
    ],
)
def test_what_it_does_not_say_is_found(sentence):
    assert len(said(sentence)) == 1


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_heard_and_its_flip_found(word):
    sentence = f"Figure, {word}[tried]."
    about, sign = WORDS[word]
    assert len(said(sentence)) == (sign <= 0)
    assert [(found.said, found.about, found.sign) for found in words(f"It is {word} here.")] == [(word, about, sign)]
