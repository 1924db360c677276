"""Trajectories as a data set of the library `datasets`, for the trainers of others."""

from __future__ import annotations

from typing import Any, Literal, get_args

from ..errors import InvalidInputError, MissingExtraError
from .plain_rows import as_rows
from .rendering import continuation
from .trajectory import Trajectories

Form = Literal["rows", "text", "messages"]


def as_dataset(trajectories: Trajectories, form: Form = "rows", reader: Any = None) -> Any:
    """A `datasets.Dataset` of trajectories.

    Args:
        trajectories: demonstrations or rollouts.
        form: `rows`: `input_ids` and `labels` as of `as_rows`, deletions included, and `log_probs` where the
            trajectories have them, 0 where no token counts; `text`: `prompt` and `completion`, the text that stands in
            the end; `messages`: the same as one of a user and one of an assistant.
        reader: a tokenizer or a task, for text.

    Raises:
        InvalidInputError: an unknown form, no reader for text, or texts that are unfinished: those who read a
            completion take its end for the end.
        MissingExtraError: `datasets` is not installed.
    """
    if form not in get_args(Form):
        raise InvalidInputError(f"form={form!r} is none of {', '.join(get_args(Form))}")
    try:
        from datasets import Dataset
    except ImportError:
        raise MissingExtraError("to_dataset needs datasets; pip install -e '.[datasets]'") from None
    rows = as_rows(trajectories, log_probs=True) if form == "rows" else _texts(trajectories, form, reader)
    columns = sorted({name for row in rows for name in row})
    return Dataset.from_dict({name: [row[name] for row in rows] for name in columns})


def _texts(trajectories: Trajectories, form: Form, reader: Any) -> list[dict[str, Any]]:
    if reader is None:
        raise InvalidInputError(f"form={form!r} is text: give reader=, the tokenizer or the task of the trajectories")
    unfinished = int((~trajectories.ended).sum())
    if unfinished:
        raise InvalidInputError(
            f"{unfinished} of {len(trajectories)} texts are unfinished, which a completion cannot say; "
            "leave them out: trajectories.select(trajectories.ended)"
        )
    size, texts = trajectories.vocabulary.size, trajectories.replay().texts(eos=False)
    found = []
    for cells, text in zip(trajectories.prompts.tolist(), texts, strict=True):
        prompt = [token for token in cells if token != size]
        pair = str(reader.decode(prompt)), continuation(reader.decode, prompt, text)
        found.append(_as_messages(*pair) if form == "messages" else {"prompt": pair[0], "completion": pair[1]})
    return found


def _as_messages(prompt: str, completion: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]}
