"""Records with named fields: a text, a prompt with its completion, a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from seqil.errors import InvalidInputError

_OF_TEMPLATES = ("tools", "functions", "documents", "chat_template_kwargs")
"""Fields that others hand to a chat template beside the messages."""

Chat = list[Mapping[str, str]]
"""Messages, each with a `role` and a `content`."""


class Part(NamedTuple):
    """A piece of a document; a document is the parts up to its last.

    Attributes:
        number: of the record that it is of, from 1; 0 in plain text.
        text: what is written.
        prompt: what it answers; None: the document has no prompt of its own.
        last: whether the document ends here.
        split: that the data set itself says it belongs to, or None.
    """

    number: int
    text: str | Chat
    prompt: str | Chat | None = None
    last: bool = True
    split: str | None = None


def parts_of_record(place: str, record: Any, field: str | None) -> Iterator[Part]:
    """The documents of one record.

    Args:
        place: of it, for messages: its number and file.
        record: a mapping, or a text.
        field: see `documents.parts_of`.

    Raises:
        InvalidInputError: it lacks the field, or what stands there is neither text nor messages.
    """
    if isinstance(record, str) and field is None:
        record, field = {"text": record}, "text"
    if not isinstance(record, Mapping):
        raise InvalidInputError(f"record {place} has no named fields, it is of type {type(record).__name__}")
    if field is None and {"prompt", "completion"} <= set(record):
        _refuse_weight(place, record)
        prompt, completion = (_readable(place, record, name) for name in ("prompt", "completion"))
        if isinstance(completion, str) or all(_counts(place, message) for message in completion):
            yield Part(0, completion, prompt)
        return
    field = field or next((name for name in ("messages", "text") if name in record), None)
    if field is None or field not in record:
        wanted = f"field {field!r}" if field else "fields prompt and completion, messages or text"
        there = ", ".join(repr(name) if str(name) != str(name).strip() else str(name) for name in record)
        raise InvalidInputError(
            f"record {place} has no {wanted}; it has: {there:.300}; make prompt and completion of them, or name the "
            "one to read as text (--task-option field=NAME)"
        )
    value = _readable(place, record, field)
    if not isinstance(value, str):
        _refuse_weight(place, record)
    yield from [Part(0, value)] if isinstance(value, str) else _turns(place, value)


def _refuse_weight(place: str, record: Mapping[str, Any]) -> None:
    """Of prompts and conversations, beside which it says how much they count; of a text it may be anything."""
    weight = record.get("weight")
    if weight in (None, "") or weight == 1 or str(weight).strip() in ("1", "1.0"):
        return
    raise InvalidInputError(
        f"record {place} has the weight {weight!r:.20}, and records count alike; leave out those of weight 0, and take "
        "the field out of the others, or rename it"
    )


def _readable(place: str, record: Mapping[str, Any], field: str) -> str | Chat:
    value = record[field]
    if value is None and field == "prompt":
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(m, Mapping) and "role" in m for m in value):
        given = next((name for name in _OF_TEMPLATES if record.get(name)), None)
        if given:
            raise InvalidInputError(
                f"record {place} has {given}, which no template is told of; write what they say into the messages, and "
                f"take {given} out"
            )
        return [_message(place, m) for m in value]
    if value is None:
        raise InvalidInputError(f"field {field!r} of record {place} is null; leave the record out, or give it a text")
    raise InvalidInputError(
        f"field {field!r} of record {place} is neither text nor a list of messages: {value!r:.60}; give it as "
        "one of them"
    )


def _message(place: str, message: Mapping[str, Any]) -> Mapping[str, str]:
    """A message with its content as one text, parts of which may be given one by one."""
    content = message.get("content")
    if isinstance(content, list) and content and all(_is_part(part) for part in content):
        content = "".join(part["text"] for part in content)
    if message.get("tool_calls") or message.get("function_call"):
        raise InvalidInputError(
            f"record {place} calls a tool, which no template is told of; write calls into the content"
        )
    if not isinstance(content, str):
        raise InvalidInputError(
            f"the content of a message of {message['role']!r} in record {place} is {content!r:.40}; give it as text"
        )
    return {**message, "content": content}


def _is_part(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)


def _turns(place: str, messages: Chat) -> Iterable[Part]:
    """What the assistant said, each time as the completion of all that was said before."""
    turns = [at for at, message in enumerate(messages) if message["role"] == "assistant" and at]
    if not turns:
        rest = " (what stands first answers nothing)" if messages[0]["role"] == "assistant" else ""
        raise InvalidInputError(
            f"record {place} holds no answer of an assistant to train on{rest}; leave it out, or add one"
        )
    return [Part(0, messages[at : at + 1], messages[:at]) for at in turns if _counts(place, messages[at])]


def _counts(place: str, message: Mapping[str, Any]) -> bool:
    """Whether a message is to be learned: of `weight` 0 it is context alone, without one it counts."""
    weight = message.get("weight")
    if weight not in (None, 0, 1):
        raise InvalidInputError(
            f"a message of record {place} has the weight {weight!r:.20}; a message counts by 1 or 0"
        )
    return weight != 0
