"""Prompts of one's own, as they come from a shell or a file."""

import pytest

from envs.tasks import PyDoc
from envs.tasks.corpora.text import Bytes
from seqil.errors import InvalidInputError
from seqil.rollouts.completion import prompt_of_file, read_prompt


@pytest.mark.parametrize("prompt", ["a\udcff", "\ud83d", "ok \udcc3\udca9"])
@pytest.mark.parametrize("reader", [PyDoc(), Bytes()])
def test_what_is_no_character_is_refused(reader, prompt):
    with pytest.raises(InvalidInputError, match="holds a character that is none"):
        read_prompt(reader, reader.vocabulary, prompt)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfThe quick", b"The quick\n", b"The quick\r\n"])
def test_a_file_is_its_text(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert prompt_of_file(tmp_path / "a.txt") == "The quick"
