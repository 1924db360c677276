"""Records that hold messages: a template writes them, and every answer that counts is learned."""

import pytest
from byte_tokenizer import CHAT, byte_tokenizer
from corpora import texts, write

from envs.tasks import Text
from seqil.errors import InvalidInputError


def said(content, **more):
    return {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": content, **more}]}


def test_parts_of_a_message_are_one_text_and_what_is_no_text_is_named(tmp_path):
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    path = write(tmp_path, "parts.jsonl", said(parts), said("Well"))
    assert {x for _, x, _ in texts(Text(path, byte_tokenizer(CHAT)))} == {"Hello", "Well"}
    for content in (3, None, [], [{"type": "image_url", "image_url": "x"}], [3]):
        path = write(tmp_path, "odd.jsonl", said("Well"), said(content))
        with pytest.raises(InvalidInputError, match=r"a message of 'assistant' in record 2 of .*; give it as text"):
            Text(path, byte_tokenizer(CHAT))
    called = write(tmp_path, "calls.jsonl", said(None, tool_calls=[{"id": 3}]))
    with pytest.raises(InvalidInputError, match=r"record 1 of .* calls a tool, which no template is told of"):
        Text(called, byte_tokenizer(CHAT))


def test_messages_go_through_the_template(tmp_path):
    one = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    more = [*one, {"role": "user", "content": "And?"}, {"role": "assistant", "content": "Well"}]
    path = write(
        tmp_path, "chat.jsonl", {"messages": one}, {"messages": more}, {"prompt": one[:1], "completion": one[1:]}
    )
    task = Text(path, byte_tokenizer(CHAT))
    first = "<user>Hi\n<assistant>"
    both = f"{first}Hello\n<user>And?\n<assistant>"
    assert {(p, x) for p, x, _ in texts(task)} == {(first, "Hello"), (both, "Well")}
    assert all(ended for *_, ended in texts(task))
    with pytest.raises(
        InvalidInputError, match=r"record 1 of .*chat.jsonl: it holds messages, but .* no chat template"
    ):
        Text(path, byte_tokenizer())
    with pytest.raises(InvalidInputError, match="it holds messages; give the tokenizer"):
        Text(path)
    with pytest.raises(InvalidInputError, match=r"record 1 of .* holds no answer of an assistant"):
        Text(write(tmp_path, "asked.jsonl", {"messages": one[:1]}), byte_tokenizer(CHAT))
    begun = write(tmp_path, "begun.jsonl", {"messages": one[1:] + one[:1]})
    with pytest.raises(InvalidInputError, match=r"no answer of .* to train on \(what stands first answers nothing\)"):
        Text(begun, byte_tokenizer(CHAT))


@pytest.mark.parametrize("weight", [0, 0.0, False])
def test_messages_of_no_weight_are_context_alone(tmp_path, weight):
    wrong = said("Wrong", weight=weight)["messages"]
    right = said("Right", weight=1)["messages"]
    given = [{"messages": wrong + right}, {"prompt": wrong[:1], "completion": wrong[1:]}, {"messages": wrong}]
    task = Text(write(tmp_path, "chat.jsonl", *given), byte_tokenizer(CHAT))
    assert [(p, x) for p, x, _ in texts(task)] == [("<user>Hi\n<assistant>Wrong\n<user>Hi\n<assistant>", "Right")]


@pytest.mark.parametrize("weight", [0.5, -1, "1", [0]])
def test_other_weights_are_refused(tmp_path, weight):
    path = write(tmp_path, "chat.jsonl", said("Hello", weight=weight))
    with pytest.raises(InvalidInputError, match=r"a message of record 1 of .* has the weight .*; .* counts by 1 or 0"):
        Text(path, byte_tokenizer(CHAT))


@pytest.mark.parametrize("weight", [0, 0.5, "2", [1]])
def test_the_weight_of_a_record_is_refused(tmp_path, weight):
    for record in (said("Hello"), {"prompt": "a", "completion": "b"}):
        path = write(tmp_path, "chat.jsonl", {**record, "weight": weight})
        with pytest.raises(InvalidInputError, match=r"record 1 of .* has the weight .*, and records count alike"):
            Text(path, byte_tokenizer(CHAT))


@pytest.mark.parametrize("weight", [None, "", 1, 1.0, True, "1", " 1.0"])
def test_a_record_may_count_once_and_a_text_weigh_what_it_likes(tmp_path, weight):
    for record in ({**said("Hello"), "weight": weight}, {"text": "Hello", "weight": 7}):
        assert len(texts(Text(write(tmp_path, "chat.jsonl", record), byte_tokenizer(CHAT), prompt_length=1))) == 1


@pytest.mark.parametrize("field", ["tools", "functions", "documents", "chat_template_kwargs"])
def test_what_is_for_the_template_is_refused_where_there_are_messages(tmp_path, field):
    path = write(tmp_path, "chat.jsonl", {**said("Hello"), field: [{"name": "f"}]})
    with pytest.raises(InvalidInputError, match=f"record 1 of .* has {field}, which no template is told of"):
        Text(path, byte_tokenizer(CHAT))
    for record in ({**said("Hello"), field: None}, {**said("Hello"), field: []}, {"text": "Hello", field: ["a"]}):
        assert len(texts(Text(write(tmp_path, "chat.jsonl", record), byte_tokenizer(CHAT), prompt_length=1))) == 1


def test_a_template_of_two_minds_is_told_where(tmp_path):
    thinking = CHAT.replace("<assistant>{% endif %}", "<assistant>(think){% endif %}")
    path = write(tmp_path, "chat.jsonl", said("Hello"))
    with pytest.raises(InvalidInputError, match=r"begin with \('\(think\)' in the one, 'Hello.*' in the other"):
        Text(path, byte_tokenizer(thinking))


def test_half_a_character_is_named_before_a_tokenizer_stumbles(tmp_path):
    path = write(tmp_path, "a.jsonl", {"text": "whole"}, {"text": "\ud800 half"})
    with pytest.raises(InvalidInputError, match=r"record 2 of .*: it holds half a character, a surrogate alone"):
        Text(path, byte_tokenizer())
