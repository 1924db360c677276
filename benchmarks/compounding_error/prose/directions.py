"""Which way a sentence goes: its words of direction, and whether the claim beside them says the same.

A word belongs to the claims that are marked next after it. It goes from the arm that is named before it to the arm that
is named after it, `A is better than B`; where a clause names neither side, as those before it in the sentence do, or
from the claim's figure to its control. A claim of `higher` or `lower` bears out `better`, `worse`, `more` and so on,
and the denial of the contrary; one of `not higher` no more than a denial; one that is undecided no more than words
which say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

VALUE, WORTH, OPEN = "value", "worth", "open"
WORDS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("above", "more", "higher", "raises", "exceeds", "tops"), (VALUE, 1)),
    **dict.fromkeys(("below", "less", "fewer", "lower", "lowers", "halves"), (VALUE, -1)),
    **dict.fromkeys(("better", "beats", "beat", "ahead", "helps", "help", "wins"), (WORTH, 1)),
    **dict.fromkeys(("outperforms", "outperform", "dominates", "surpasses", "eclipses", "superior"), (WORTH, 1)),
    **dict.fromkeys(("crushes", "defeats", "outdoes", "excels", "overtakes"), (WORTH, 1)),
    **dict.fromkeys(("worse", "behind", "loses", "harm", "trails", "underperforms", "lags", "inferior"), (WORTH, -1)),
    **dict.fromkeys(("undecided", "no difference", "not told apart", "not tell", "not apart"), (OPEN, 0)),
}
"""What a word of direction is about, the number or what it is worth, and which way. `As good as` is no worse."""

ARMS = {
    "MLE": r"[Mm]aximum likelihood|\bMLE\b|\b(?:[Nn]o|[Ww]ithout (?:an?|any)) backspace",
    "BC": r"\b[Cc]lon(?:ing|ed|es)\b",
    "SequenceMatch": r"\bSequenceMatch\b|\boccupancy matching\b",
    "GAIL": r"\bGAIL\b",
    "DAgger": r"\bDAgger\b|\ban expert\b",
    "Distillation": r"\b[Dd]istillation\b",
    "GOLD": r"\bGOLD\b",
    "min-p": r"\b[Mm]in[-_]p\b",
    "best of": r"\b(?:likeliest|best) of \w+",
    "tabu": r"\btabu\b",
    "restart": r"`restart`|\btext anew\b|\bnew start\b",
    "bias": r"\bbias\b",
    "tried": r"`tried`|\bhas tried\b",
    "history": r"`history`|\ball of its actions\b",
    "prefix": r"`prefix`|\bthe prefix\b",
    "average": r"\baveraged weights\b",
    "weight decay": r"\bweight decay\b",
    "label smoothing": r"\blabel smoothing\b",
    "detector": r"\bplanted detector\b",
    "next value": r"\bwithout the next state's value\b",
    "warm start": r"\bwarm start\b",
}
"""How prose names a row of which the name holds the key."""

MARKS = re.compile(r"(?:<!-- claim:[\w-]+ -->)+")
_MARK = re.compile(r"claim:([\w-]+)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_WORD = re.compile(rf"\b(?:{'|'.join(sorted(WORDS, key=len, reverse=True))}|as good as)\b", re.I)
_DENIED = re.compile(r"\b(?:no|not|none|nothing|never|neither|nor|cannot)\b(?:\s+[^\s,;:]+){0,3}\s*$", re.I)


@dataclass(frozen=True)
class Verdict:
    """What a claim says: of which row against which, which way, and whether little is good."""

    ours: str
    theirs: str
    direction: str
    lower_is_better: bool


@dataclass(frozen=True)
class Word:
    """A word of direction in a sentence: as it is said, where, and which way it goes."""

    said: str
    begin: int
    end: int
    about: str
    sign: int
    denied: bool


def words(text: str) -> list[Word]:
    """The words of direction of a text."""
    bare = _named_arms_hidden(text)
    return [_word(match, bare) for match in _WORD.finditer(bare)]


def _word(match: re.Match[str], text: str) -> Word:
    said = match[0].lower()
    about, sign = WORDS.get(said, (WORTH, -1))
    denied = said == "as good as" or _DENIED.search(text[: match.start()]) is not None
    return Word(match[0], *match.span(), about, sign, denied and about != OPEN)


def _named_arms_hidden(text: str) -> str:
    """`No backspace` is an arm and denies nothing."""
    return re.sub(ARMS["MLE"], lambda match: "_" * len(match[0]), text)


def named(text: str) -> list[tuple[int, str]]:
    """The arms that a text names, where."""
    return sorted((match.start(), arm) for arm, name in ARMS.items() for match in re.finditer(name, text))


def faults(sentence: str, known: dict[str, Verdict]) -> Iterator[str]:
    """What a sentence says and the claims beside it do not, and comparisons without a claim.

    Args:
        sentence: with its marks.
        known: verdicts of claims by id.
    """
    at, before = 0, ""
    for marks in MARKS.finditer(sentence):
        said = _spoken(sentence[at : marks.start()])
        claims = [known[name] for name in _MARK.findall(marks[0]) if name in known]
        for word in words(said) if claims else ():
            if not _borne_out(word, said, before, claims):
                yield f"says {_around(said, word)!r}, and {marks[0]} says {_saying(claims)}"
        at, before = marks.end(), before + said
    yield from _unmarked(_spoken(sentence[at:]), before, marked=at > 0)


def _unmarked(said: str, before: str, *, marked: bool) -> Iterator[str]:
    arms = {arm for _, arm in named(said)}
    for word in words(said):
        if word.about != OPEN and len(arms) > (0 if marked else 1):
            yield f"compares arms ({_around(said, word)!r}) and refers to no claim; add <!-- claim:id -->"
            return


def _spoken(text: str) -> str:
    return " ".join(_COMMENT.sub("", text).split())


def _around(text: str, word: Word) -> str:
    return text[max(0, text.rfind(" ", 0, max(0, word.begin - 24)) + 1) : word.end + 24].strip()


def _saying(claims: Sequence[Verdict]) -> str:
    return " and ".join(f"{one.ours} is {one.direction} than {one.theirs}" for one in claims)


def _borne_out(word: Word, said: str, before: str, claims: Sequence[Verdict]) -> bool:
    answers = [_answer(word, one, turned=_turned(word, said, before, one)) for one in claims]
    return True in answers and False not in answers


def _answer(word: Word, claim: Verdict, *, turned: bool) -> bool | None:
    """Whether a claim bears a word out; None where it says nothing of it."""
    if claim.direction == "undecided" or word.about == OPEN:
        return word.about == OPEN if claim.direction == "undecided" else False
    sign = word.sign * (-1 if turned else 1) * (-1 if word.about == WORTH and claim.lower_is_better else 1)
    up = sign > 0
    says_up = claim.direction.endswith("higher")
    if not claim.direction.startswith("not "):
        return (up == says_up) != word.denied
    if up != says_up:
        return None
    return word.denied


def _turned(word: Word, said: str, before: str, claim: Verdict) -> bool:
    """Whether a sentence goes from the control to the figure."""
    ours, theirs = _told_by(claim.ours, claim.theirs), _told_by(claim.theirs, claim.ours)
    after = [arm for at, arm in named(said) if at >= word.end and arm in ours | theirs]
    if after:
        return after[0] in ours
    here, there = ([arm for _, arm in named(text) if arm in ours | theirs] for text in (said[: word.begin], before))
    if here:
        return here[0] in theirs
    return bool(ours & set(there)) and there[0] in theirs


def _told_by(row: str, other: str) -> set[str]:
    """What names a row and not the other."""
    return {arm for arm in ARMS if arm in row and arm not in other}
