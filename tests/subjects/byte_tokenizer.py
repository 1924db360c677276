"""A tokenizer of bytes, with a template of messages if asked."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% if m['role'] == 'assistant' %}<|endoftext|>"
    "{% endif %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_tokenizer(template=None, bos=False):
    """A token per byte, and `<|endoftext|>` = 256."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = {"eos_token": "<|endoftext|>"} | ({"bos_token": "<s>"} if bos else {})
    made = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=64, **special)
    made.chat_template = template
    return made
