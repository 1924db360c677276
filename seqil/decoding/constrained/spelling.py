"""What each token adds to a text, in bytes of UTF-8."""

from __future__ import annotations

import json
import random
from typing import Any

from ...errors import InvalidInputError, on_one_line

Pieces = list[bytes | None]
"""By token; None: it is no text, or there is no such token."""

_SAMPLES, _LENGTH = 24, 8


def check_reader(where: str, reader: Any) -> None:
    """Refuse what reads no text, the name of a task say; None is for rules about ids."""
    if reader is not None and not callable(reader) and not callable(getattr(reader, "pieces", None)):
        raise InvalidInputError(f"{where}: reader={on_one_line(reader, 60)} reads no text; give a tokenizer or a task")


def pieces(reader: Any, size: int, eos: int) -> Pieces:
    """Those of a tokenizer or task, once they have proved to make up its texts.

    Args:
        reader: a tokenizer, or a task.
        size: of the vocabulary.
        eos: which is no text.

    Raises:
        InvalidInputError: none was given, or what a token adds depends on the tokens around it.
    """
    if reader is None:
        raise InvalidInputError("a rule about text needs what reads it: give reader=, a tokenizer or a task")
    tokenizer = reader if callable(reader) else getattr(reader, "tokenizer", None)
    found: Pieces = list(reader.pieces()) if tokenizer is None else _of_tokenizer(tokenizer, size)
    if len(found) != size:
        raise InvalidInputError(
            f"{_named(reader)} has {len(found)} ids, the policy a vocabulary of {size}; give the rule what reads the "
            "policy's own texts"
        )
    found[eos] = None
    _prove(reader, found)
    return found


def _of_tokenizer(tokenizer: Any, size: int) -> Pieces:
    special, names = set(tokenizer.all_special_ids), tokenizer.convert_ids_to_tokens(range(min(size, len(tokenizer))))
    names += [None] * (size - len(names))
    kinds = _decoders(tokenizer)
    table = {character: byte for byte, character in _characters_of_bytes().items()}
    found: Pieces = []
    for token, name in enumerate(names):
        if name is None or token in special:
            found.append(None)
        elif token in tokenizer.added_tokens_decoder:
            found.append(name.encode())
        elif "ByteLevel" in kinds:
            found.append(bytes(table[c] for c in name) if all(c in table for c in name) else None)
        elif "ByteFallback" in kinds and len(name) == 6 and name.startswith("<0x"):
            found.append(bytes([int(name[3:5], 16)]))
        else:
            found.append(name.replace("\u2581", " ").encode())
    return found


def _decoders(tokenizer: Any) -> set[str]:
    """Kinds of the steps in which a tokenizer makes text of tokens."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = json.loads(backend.to_str())["decoder"] if backend is not None else None
    steps = (decoder or {}).get("decoders", [decoder] if decoder else [])
    return {step["type"] for step in steps}


def _characters_of_bytes() -> dict[int, str]:
    """The characters by which byte-level tokenizers write bytes (Radford et al. 2019)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {byte: chr(256 + n) for n, byte in enumerate(others)}


def _prove(reader: Any, found: Pieces) -> None:
    known = [token for token, piece in enumerate(found) if piece and _whole(piece)]
    draw = random.Random(0)
    for _ in range(_SAMPLES if known else 0):
        ids = draw.choices(known, k=_LENGTH)
        made = b"".join(found[token] or b"" for token in ids).decode(errors="replace")
        if not _same(made, reader.decode(ids)):
            raise InvalidInputError(
                f"the text of {_named(reader)} is not its tokens' put together ({made!r:.40} is read as "
                f"{reader.decode(ids)!r:.40}): give the rule ids of tokens, or an Automaton over them"
            )


def _whole(piece: bytes) -> bool:
    """Whether it is no part of a character of several bytes: how broken ones are shown differs."""
    return "\ufffd" not in piece.decode(errors="replace")


def _same(made: str, read: str) -> bool:
    """A tokenizer may leave out the blank at the beginning of a text."""
    return read in (made, made.removeprefix(" "))


def _named(reader: Any) -> str:
    return f"the task {reader.name}" if hasattr(reader, "vocabulary") else type(reader).__name__
