"""Trajectories as a data set of the library `datasets`, for the trainers of others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from ..errors import InvalidInputError, MissingExtraError, counted, on_one_line
from .prefix import Prefixes
from .rendering import continuation

Form = Literal["rows", "text", "messages"]


def as_dataset(
    rows: Callable[[], list[dict[str, Any]]], final: Prefixes, form: Form = "rows", reader: Any = None
) -> Any:
    """A `datasets.Dataset` of trajectories.

    Args:
        rows: of `as_rows`, made where they are asked for.
        final: the states after the last actions.
        form: `rows`: `input_ids` and `labels` as of `as_rows`, deletions included, and `log_probs` where the
            trajectories have them, 0 where no token counts; `text`: `prompt` and `completion`, the text that stands in
            the end; `messages`: the same as one of a user and one of an assistant.
        reader: a tokenizer or a task, for text.

    Raises:
        InvalidInputError: an unknown form, no reader for text, or texts that are unfinished: those who read a
            completion take its end for the end.
        MissingExtraError: `datasets` is not installed.
    """
    if not isinstance(form, str) or form not in get_args(Form):
        raise InvalidInputError(f"form={on_one_line(form, 60)} is none of {', '.join(get_args(Form))}")
    if form == "rows" and reader is not None:
        raise InvalidInputError("reader would do nothing: rows are ids; leave it out, or ask for another form")
    try:
        from datasets import Dataset
    except ImportError:
        raise MissingExtraError("to_dataset needs datasets; pip install -e '.[datasets]'") from None
    found = rows() if form == "rows" else _texts(final, form, reader)
    columns = sorted({name for row in found for name in row})
    return Dataset.from_dict({name: [row[name] for row in found] for name in columns})


def _texts(final: Prefixes, form: Form, reader: Any) -> list[dict[str, Any]]:
    if reader is None:
        raise InvalidInputError(f"form={form!r} is text: give reader=, the tokenizer or the task of the trajectories")
    if not callable(getattr(reader, "decode", None)):
        raise InvalidInputError(f"reader={reader!r:.60} cannot decode ids; give a tokenizer or a task, not its name")
    unfinished = int((~final.ended).sum())
    if unfinished:
        raise InvalidInputError(
            f"of {counted(len(final), 'text')} {unfinished} did not end, which a completion cannot say; "
            "leave them out: trajectories.select(trajectories.ended)"
        )
    found = []
    columns = final.tokens.tolist(), final.prompt_length.tolist(), final.texts(eos=False)
    for cells, length, text in zip(*columns, strict=True):
        prompt = cells[:length]
        pair = str(reader.decode(prompt)), continuation(reader.decode, prompt, text)
        found.append(_as_messages(*pair) if form == "messages" else {"prompt": pair[0], "completion": pair[1]})
    return found


def _as_messages(prompt: str, completion: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}
