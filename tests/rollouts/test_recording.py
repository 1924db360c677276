"""Recordings: at every moment the picture shows what stood, and at the end what was deleted too."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqil import Vocabulary
from seqil.errors import InvalidInputError
from seqil.rollouts.recording import Character, characters, followed, svg

V = Vocabulary(size=5, eos=4)
SHOWN = ["a", "bc", "\n", "<&", ""]


def decode(ids):
    return "".join(SHOWN[i] for i in ids)


@st.composite
def written(draw):
    actions, standing = [], 0
    for action in draw(st.lists(st.integers(0, V.size), max_size=20)):
        if action == V.eos or (action == V.backspace and not standing):
            continue
        standing += -1 if action == V.backspace else 1
        actions.append(action)
    return actions + [V.eos] * draw(st.integers(0, 1))


@given(written())
def test_at_every_action_what_is_alive_is_what_stands(actions):
    found = characters(V, [0, 1], actions, decode)
    for at in range(len(actions) + 1):
        standing = []
        for action in actions[:at]:
            _ = standing.pop() if action == V.backspace else standing.append(action)
        alive = "".join(c.shown for c in found if c.born <= at and (c.died is None or c.died > at))
        assert alive == decode([0, 1, *standing])


@given(written())
def test_the_end_is_readable_without_animation(actions):
    found = characters(V, [0], actions, decode)
    picture = svg("seqil sample runs/first", [found])
    pieces = ET.fromstring(picture).findall("{http://www.w3.org/2000/svg}text")[1:]
    shown = [piece for piece in pieces if "n" not in piece.get("class", "").split()]
    deleted = "".join(piece.text for piece in shown if "g" in piece.get("class", "").split())
    kept = "".join(piece.text for piece in shown if "g" not in piece.get("class", "").split())
    assert deleted == "".join(c.shown for c in found if c.died is not None).replace("\n", "")
    assert kept == "".join(c.shown for c in found if c.died is None).replace("\n", "")
    names = {name for piece in pieces for name in piece.get("class", "").split() if name.startswith("t")}
    assert names == set(re.findall(r"@keyframes (\S+?)\{", picture))


def test_a_long_line_is_broken_and_stays_within_the_picture():
    root = ET.fromstring(svg("seqil", [[Character("x", at) for at in range(200)]]))
    width = float(root.get("viewBox").split()[2])
    pieces = root.findall("{http://www.w3.org/2000/svg}text")
    assert len({piece.get("y") for piece in pieces}) == 1 + 3
    assert max(float(p.get("x")) + float(p.get("textLength")) for p in pieces) < width


def test_too_much_is_refused():
    with pytest.raises(InvalidInputError, match="a recording holds 2000 characters"):
        svg("seqil", [[Character("x", 1)] * 2001])


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), min_size=1, max_size=6))
def test_whatever_stood_in_between_is_shown_at_its_time(stages):
    found = followed([0, 1], stages, decode)
    for at, stage in enumerate(stages):
        alive = "".join(c.shown for c in found if c.born <= at and (c.died is None or c.died > at))
        assert alive == decode([0, 1, *stage])


def test_an_edit_in_the_middle_leaves_what_stands_around_it():
    found = followed([0], [[0, 1, 0], [0, 3, 0], [0, 0]], decode)
    shown = [(c.shown, c.born, c.died) for c in found]
    assert shown == [("a", 0, None), ("a", 0, None), ("b", 0, 1), ("c", 0, 1), ("<", 1, 2), ("&", 1, 2), ("a", 0, None)]
