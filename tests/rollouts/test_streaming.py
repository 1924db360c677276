"""Text that appears as it is written, and texts in, texts out."""

import io
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import V, tiny_policy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from envs.tasks import Automaton
from seqil import DeletionStreamer, Task, Vocabulary, complete, rollout
from seqil.errors import InvalidInputError
from seqil.mdp.rendering import marked, spans, struck


class Letters:
    """The ids 0 … 5 as letters and a line break, 6 is eos."""

    def decode(self, ids):
        return "".join("abcd \n"[i] for i in ids if i != 6)


class Utf8:
    def decode(self, ids):
        return bytes(i for i in ids if i < 256).decode(errors="replace")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def screen(written, columns=80):
    """What a terminal shows after all that was written: its lines, and which characters are struck out."""
    cells, row, column, style = {}, 0, 0, False
    at = 0
    while at < len(written):
        if written.startswith("\x1b[", at):
            end = next(i for i in range(at + 2, len(written)) if written[i].isalpha())
            number, kind = written[at + 2 : end], written[end]
            at = end + 1
            if kind == "A":
                row -= int(number)
            elif kind == "C":
                column += int(number)
            elif kind == "J":
                cells = {k: v for k, v in cells.items() if k < (row, column)}
            else:
                style = number != "0"
            continue
        character, at = written[at], at + 1
        if character == "\n":
            row, column = row + 1, 0
        elif character == "\r":
            column = 0
        else:
            if column == columns:
                row, column = row + 1, 0
            cells[row, column] = (character, style)
            column += 1
    rows = max((r for r, _ in cells), default=-1) + 1
    return [
        "".join(f"({c})" if s else c for (r, _), (c, s) in sorted(cells.items()) if r == row) for row in range(rows)
    ]


def streamed(monkeypatch, actions, erase=False, terminal=True, prompt=(0, 1), reader=None, v=V):
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    streamer = DeletionStreamer(reader or Letters(), v.backspace, v.eos, erase=erase)
    streamer.put(torch.tensor([prompt]))
    for action in actions:
        streamer.put(torch.tensor([action]))
    streamer.end()
    return out.getvalue()


def histories(most=30):
    """Legal actions over the ids of `Letters`."""

    def legal(draws):
        held, found = 0, []
        for draw in draws:
            if draw == V.backspace and not held:
                continue
            held += -1 if draw == V.backspace else 1
            found.append(draw)
        return found

    return st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, V.backspace, V.backspace]), max_size=most).map(legal)


def kept(actions):
    standing = []
    for action in actions:
        _ = standing.pop() if action == V.backspace else standing.append(action)
    return standing


@given(histories())
def test_erased_text_vanishes_from_a_terminal(actions):
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = streamed(monkeypatch, actions, erase=True)
    expected = ("ab" + Letters().decode(kept(actions))).split("\n")
    found = [line.rstrip() for line in screen(shown)]
    assert found == [line.rstrip() for line in expected][: len(found)]
    assert not any(line.strip() for line in expected[len(found) :])


@given(histories())
def test_deleted_text_is_struck_out_on_a_terminal(actions):
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = streamed(monkeypatch, actions)
    lines = "\n".join(screen(shown))
    without_breaks = [a for a in actions if a != 5]
    if without_breaks == actions:
        standing = "".join(c for c in lines.replace(")", "(").split("(")[::2])
        assert standing == "ab" + Letters().decode(kept(actions))
        assert lines.count("(") == actions.count(V.backspace)


@given(histories(), st.booleans())
def test_without_a_terminal_each_sign_deletes_a_character(actions, erase):
    with pytest.MonkeyPatch.context() as monkeypatch:
        shown = streamed(monkeypatch, actions, erase, terminal=False)
    standing = []
    for character in shown.removesuffix("\n"):
        _ = standing.pop() if character == "⌫" else standing.append(character)
    assert "".join(standing) == "ab" + Letters().decode(kept(actions))
    assert "\x1b" not in shown


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_styles_that_are_unwanted_are_signs(monkeypatch, name, value):
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(name, value)
    streamer = DeletionStreamer(Letters(), V.backspace, V.eos, skip_prompt=True)
    for ids in ([0, 1], [2], [V.backspace], [3], [V.eos]):
        streamer.put(torch.tensor(ids))
    streamer.end()
    assert sys.stdout.getvalue() == "c⌫d\n"


def test_long_lines_are_found_again(monkeypatch):
    actions = [2] * 100 + [V.backspace] * 60 + [3]
    assert screen(streamed(monkeypatch, actions, erase=True)) == ["ab" + "c" * 40 + "d"]


def test_a_terminal_obeys_no_text(monkeypatch):
    text = b"\x1b[2J\x07\t"
    shown = streamed(monkeypatch, text, prompt=[65], reader=Utf8(), v=Vocabulary(257, 256))
    assert shown == "A␛[2J␇␉\n"


def test_bytes_of_a_character_appear_together(monkeypatch):
    v = Vocabulary(257, 256)
    first, *rest = "🙂".encode()
    actions = [first, rest[0], 0x98, v.backspace, *rest[1:], ord("b"), v.eos]
    shown = streamed(monkeypatch, actions, terminal=False, prompt=[ord("a")], reader=Utf8(), v=v)
    assert shown == "a🙂b\n"
    with pytest.raises(InvalidInputError, match="shows one row, not 2"):
        DeletionStreamer(Utf8(), 257, 256).put(torch.zeros(2, 3))


# -- display of what was written


def test_kept_text_is_decoded_as_a_whole():
    v = Vocabulary(257, 256)
    first, second, third, fourth = "🙂".encode()
    actions = [first, second, 0x98, v.backspace, third, fourth, ord("b"), v.eos]
    found = spans(v, actions, Utf8().decode, [ord("a")])
    assert found == [("\ufffd", True), ("🙂b", False)]
    assert "".join(text for text, deleted in spans(v, [ord("a"), *actions], Utf8().decode) if not deleted) == "a🙂b"
    assert marked([("2 + 2 = ", False), ("5", True), ("4", False)]) == "2 + 2 = [-5-]4"
    assert struck([("a", False), ("bc", True)]) == "ab\u0336c\u0336"


def metaspace():
    words = ["<e>", "▁the", "▁cat", "▁sat", "s", "▁"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, "▁"))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<e>")


def test_blanks_of_pieces_are_kept():
    tokenizer, v = metaspace(), Vocabulary(6, 0)
    found = spans(v, [2, 3, v.backspace, 4, 3], tokenizer.decode, [1])
    assert found == [(" cat", False), (" sat", True), ("s sat", False)]


@given(st.binary(max_size=8), st.lists(st.one_of(st.just(257), st.integers(0, 255), st.sampled_from([*"é🙂".encode()])),
                                       max_size=30))  # fmt: skip
def test_kept_runs_are_the_text(prompt, draws):
    v, actions, held = Vocabulary(257, 256), [], 0
    for draw in draws:
        if draw != v.backspace or held:
            held += -1 if draw == v.backspace else 1
            actions.append(draw)
    standing = []
    for action in actions:
        _ = standing.pop() if action == v.backspace else standing.append(action)
    decode = Utf8().decode
    found = spans(v, actions, decode, [*prompt])
    whole = decode([*prompt, *standing])
    assert whole.endswith("".join(text for text, deleted in found if not deleted))
    runs = [deleted for _, deleted in found]
    assert sum(runs) >= (v.backspace in actions)


# -- texts in, texts out


class Named(Task):
    name, vocabulary, max_length = "letters", V, 12

    def prompts(self, n, split, seed):
        raise NotImplementedError

    def demonstrations(self, n, split, seed):
        raise NotImplementedError

    def decode(self, tokens):
        return Letters().decode(tokens)


def test_complete_gives_the_texts_of_rollout():
    policy, task = tiny_policy("gpt2"), Named()
    g = torch.Generator().manual_seed(3)
    texts = complete(policy, ["ab", "c\n"], task, max_length=12, generator=g)
    t = rollout(policy, [[0, 1], [2, 5]], max_length=12, generator=torch.Generator().manual_seed(3))
    assert texts == [task.decode(ids) for ids in t.replay().texts()]
    assert complete(policy, [""], task, max_length=4) == complete(policy, [""], task, max_length=4)
    with pytest.raises(InvalidInputError, match="task 'letters' has no token for 'xyz'"):
        complete(policy, ["abxyz"], task, max_length=4)
    with pytest.raises(InvalidInputError, match="takes a list of prompts"):
        complete(policy, "ab", task, max_length=4)


@pytest.mark.parametrize(
    ("reader", "complaint"),
    [
        (None, "complete: reader=None is neither a task nor a tokenizer"),
        ("gpt2", "complete: reader='gpt2' is neither a task nor a tokenizer"),
        (Automaton(), "complete: the reader has 16 ids, the policy a vocabulary of "),
    ],
)
def test_a_reader_of_other_ids_is_refused(reader, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        complete(tiny_policy("gpt2"), ["ab"], reader, max_length=4)


def test_complete_with_a_tokenizer():
    policy = tiny_policy("gpt2")
    tokenizer = metaspace()
    found = complete(policy, ["the cat"], tokenizer, max_length=5, temperature=0.0)
    t = rollout(policy, [tokenizer("the cat")["input_ids"]], max_length=5, temperature=0.0)
    assert (
        tokenizer.decode([*tokenizer("the cat")["input_ids"], *t.replay().texts(eos=False)[0]]) == "the cat" + found[0]
    )


def test_watch_sees_every_action_as_it_is_drawn():
    seen = {0: [], 1: [], 2: []}
    t = rollout(tiny_policy("gpt2"), [[0], [1], [2, 3]], max_length=10, batch_size=2,
                watch=lambda row, action: seen[row].append(action))  # fmt: skip
    assert [seen[row] for row in range(3)] == [
        a[:n] for a, n in zip(t.actions.tolist(), t.lengths.tolist(), strict=True)
    ]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("abc", "'abc' are not ids; give tokenizer"),
        ([0.5], "are not ids"),
        (None, "None are not ids"),
        (torch.ones(2, dtype=torch.bool), "are not ids"),
        (torch.zeros(2, 3, dtype=torch.int64), "shows one row, not 2"),
    ],
)
def test_what_are_no_ids_is_not_shown(value, says):
    with pytest.raises(InvalidInputError, match=says):
        DeletionStreamer(Letters(), 7, 6).put(value)


def test_a_deletion_of_nothing_is_refused():
    streamer = DeletionStreamer(Letters(), 7, 6)
    streamer.put([])
    with pytest.raises(InvalidInputError, match="no id is left to delete"):
        streamer.put([7])
