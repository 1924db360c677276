"""The `generate` of transformers, with deletions."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import GenerationMixin

from ..decoding.interface import Rule
from ..decoding.rules import min_p, top_k, top_p
from ..errors import InvalidInputError, counted, first_line, on_one_line
from ..errors.arguments import check_count, check_kind
from ..errors.limits import check_memory, within_budget
from ..mdp.memory import PREFIX, Memory
from ..mdp.trajectory import Trajectories
from ..mdp.vocabulary import Vocabulary
from ..models.head_rows import MARK, MEMORY, name_of
from ..policy.saved.files import SETTINGS, Saved
from ..policy.token_policy import TokenPolicy
from .rollouts import rollout

if TYPE_CHECKING:
    from transformers import GenerationConfig

_HONOURED = frozenset(
    {"max_length", "max_new_tokens", "min_length", "min_new_tokens", "do_sample", "temperature", "top_k", "top_p"}
    | {"min_p", "num_return_sequences", "pad_token_id", "bos_token_id", "eos_token_id"}
)
# What changes speed alone, what is about assistants, which are refused, and names.
_WITHOUT_EFFECT = frozenset(
    {"use_cache", "cache_implementation", "cache_config", "transformers_version", "early_stopping", "length_penalty"}
    | {"num_assistant_tokens", "num_assistant_tokens_schedule", "assistant_confidence_threshold"}
    | {"assistant_lookbehind", "target_lookbehind", "disable_compile", "compile_config", "remove_invalid_values"}
    | {"is_assistant", "decoder_start_token_id", "custom_generate", "trust_remote_code"}
)
_GIVEN = {"logits_processor": "rules=[seqil.decoding.processor(…)]", "stopping_criteria": "max_actions"}
"""What a caller may give `generate` and what does the same with deletions; what a config asks for is read from it."""
_OF_FORWARD = frozenset(
    {
        "position_ids",
        "use_cache",
        "logits_to_keep",
        "cache_position",
        "token_type_ids",
        "tokenizer",
        "trust_remote_code",
    }
)


def _refuse_other_arguments(model: Any, input_ids: Any) -> None:
    if not hasattr(model, "generate"):
        inside = "; give its policy.model" if hasattr(model, "vocabulary") else ""
        raise InvalidInputError(f"generate: {type(model).__name__} is no model of transformers{inside}")
    if isinstance(input_ids, Tensor) and (input_ids.is_floating_point() or input_ids.dtype == torch.bool):
        raise InvalidInputError(f"generate: input_ids are of {input_ids.dtype}, not int64 [B, P]")
    if isinstance(input_ids, Tensor) and input_ids.dim() != 2:
        raise InvalidInputError(f"generate: input_ids are of shape {list(input_ids.shape)}, not [B, P]")
    if not isinstance(input_ids, Tensor):
        rest = "; give tokenizer(text, return_tensors='pt').input_ids" if isinstance(input_ids, str) else ""
        rest = "; give **inputs of a tokenizer, or inputs['input_ids']" if hasattr(input_ids, "keys") else rest
        raise InvalidInputError(f"generate: input_ids are of type {type(input_ids).__name__}, not int64 [B, P]{rest}")


@torch.no_grad()
def generate(
    model: Any,
    input_ids: Tensor | None = None,
    generation_config: GenerationConfig | None = None,
    logits_processor: Sequence[Any] | None = None,
    stopping_criteria: Sequence[Any] | None = None,
    *,
    streamer: Any = None,
    vocabulary: Vocabulary | None = None,
    rules: Sequence[Rule] = (),
    max_actions: int | None = None,
    generator: torch.Generator | None = None,
    **kwargs: Any,
) -> Tensor:
    """Continue texts with a model that deletes: `model.generate(ids, custom_generate=seqil.generate)`, or directly.

    Of a generation config it honours temperature, top_k, top_p, min_p, do_sample, the lengths, eos, the padding and
    num_return_sequences, as transformers reads them (top_k is 50 where nobody says otherwise); with the end among its
    `suppress_tokens` all texts have the most tokens. The lengths count tokens that stand, and not the end: a text of
    `max_new_tokens` tokens is closed by an eos more, and one that was cut there does not differ from one that ended.
    Whatever else would change the texts is refused. Equal seeds give what `rollout` gives.

    Args:
        model: a causal language model that was saved by, or taken from, a policy with a backspace.
        input_ids: int64 [B, P], left-padded; None: the first token of the model's config, `bos_token_id`.
        generation_config: None: that of the model.
        logits_processor: those that transformers makes of a generation config; the caller's own are refused, see
            `rules`.
        stopping_criteria: likewise.
        streamer: a `DeletionStreamer`, for one row.
        vocabulary: None: what `seqil.json` says where the model was loaded from, else the marks of its config.
        rules: of `seqil.decoding`, after those of the config.
        max_actions: budget of actions, deletions included; None: four times the most tokens.
        generator: of randomness; None: torch's global one.
        kwargs: of the generation config; `attention_mask`, [B, P], 0 at padding, without which padding is told by its
            id, if that is no other token's; and `inputs`, transformers' other name of `input_ids`.

    Returns:
        int64 [B * num_return_sequences, P + most tokens written]: the prompts as they came and the texts that stand in
        the end, padded on the right.

    Raises:
        InvalidInputError: what cannot be honoured, by name, or a model without a backspace.
    """
    input_ids = kwargs.pop("inputs", None) if input_ids is None else input_ids
    first = getattr(getattr(model, "config", None), "bos_token_id", None)
    if input_ids is None and isinstance(first, int):
        input_ids = torch.tensor([[first]], device=model.device)  # as transformers begins where nothing is given
    _refuse_other_arguments(model, input_ids)
    assert input_ids is not None
    if generation_config is not None and not hasattr(generation_config, "max_new_tokens"):
        what = type(generation_config).__name__
        raise InvalidInputError(f"generate: generation_config is of type {what}; give a transformers.GenerationConfig")
    if kwargs.get("eos_token_id", 0) is None:
        raise InvalidInputError("eos_token_id=None: a text ends by the end of the policy alone; leave it out")
    mask = kwargs.pop("attention_mask", None)  # one of its own would be taken out of transformers' hands
    inside = hasattr(generation_config, "_eos_token_tensor")  # transformers has prepared everything
    config: Any = generation_config
    config, rest = (config, kwargs) if inside else _prepared(model, config, kwargs)
    own = (_of_the_caller(name) for name in _GIVEN) if inside else (logits_processor, stopping_criteria)
    _refuse(model, config, rest, *own)
    policy = _policy(model, config, vocabulary)
    copies = 1 if inside else check_count("generate", "num_return_sequences", config.num_return_sequences, 1)
    padding = _padding(config, policy.vocabulary)
    prompts, real = _unpadded(input_ids, mask, None if inside else config.pad_token_id, policy.vocabulary)
    _check_places(rest, real)
    check_memory(64 * copies * len(prompts), f"{copies:,} texts of each prompt", "lower num_return_sequences")
    shown = streamer is None
    if inside and _of_the_caller("assistant_model") is not None:
        raise InvalidInputError("assistant_model cannot be honoured with deletions; leave it out")
    streamer = _of_the_caller("streamer") if inside and shown else streamer
    if streamer is not None:
        _check_streamer(streamer, len(prompts) * copies, policy.vocabulary)
        if not shown:
            streamer.put(torch.tensor(prompts))
    check_kind("generate", "do_sample", config.do_sample, bool, int)
    most, least = _lengths(model, config, generation_config, kwargs, input_ids.shape[1], inside)
    written = rollout(
        policy,
        [prompt for prompt in prompts for _ in range(copies)],
        max_length=most,
        min_length=least,
        max_actions=max_actions,
        generator=torch.default_generator if generator is None else generator,
        temperature=config.temperature if config.do_sample else 0.0,
        rules=[*_rules(config), *rules],
        watch=None if streamer is None else lambda row, action: streamer.put(torch.tensor([action])),
    )
    if streamer is not None:
        streamer.end()
    _warn_of_cut(written, most, max_actions)
    texts = [torch.tensor(text, dtype=torch.int64) for text in written.replay().texts()]
    after = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=padding)
    return torch.cat([input_ids.repeat_interleave(copies, 0), after.to(input_ids.device)], 1)


def _warn_of_cut(written: Trajectories, most: int, max_actions: int | None) -> None:
    """Ids do not tell a text that ran out of actions from one that has ended, nor from one of the most tokens."""
    budget = within_budget(max_actions, most)
    cut = ~written.ended & (written.lengths == budget)
    if bool(cut.any()):
        texts = f"{int(cut.sum())} of {counted(len(written), 'text')}"
        warnings.warn(
            f"{texts} ran out of {budget} actions, deletions included, before they ended; what a grammar promises "
            "holds of ended texts; give more max_actions",
            stacklevel=3,
        )


def _prepared(model: Any, config: GenerationConfig | None, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The config as transformers fills it in, and what is not of it."""
    given = {name: value for name, value in kwargs.items() if value is not None}
    try:
        prepared: tuple[Any, dict[str, Any]] = model._prepare_generation_config(config, **given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"generate: transformers refuses the options ({first_line(error)})") from error
    return prepared


def _refuse(
    model: Any, config: Any, rest: dict[str, Any], processors: Sequence[Any] | None, criteria: Sequence[Any] | None
) -> None:
    neutral = model.generation_config._get_default_generation_params()
    silent = getattr(model.config, MARK, 0)
    for name, value in config.to_dict().items():
        if name == "suppress_tokens" and all(token >= silent or _is_end(config, token) for token in value or ()):
            continue
        idle = name in _WITHOUT_EFFECT or name.startswith("_") or value is None
        plain = type(value).__module__ == "builtins"  # an array may be neither equal nor not
        if idle or (plain and value == neutral.get(name, False)):
            continue
        if name not in _HONOURED:
            raise InvalidInputError(f"{name}={value!s:.60} cannot be honoured with deletions; leave it out")
    for given, what in zip((processors, criteria), _GIVEN.values(), strict=True):
        for one in given or ():
            raise InvalidInputError(
                f"{type(one).__name__} knows nothing of deletions; leave it out, see {what} of seqil.generate"
            )
    for name, value in rest.items():
        empty = value is None or value is False or (name == "past_key_values" and not value.get_seq_length())
        if not empty and name not in _OF_FORWARD:
            raise InvalidInputError(f"{name} cannot be honoured with deletions; leave it out")


def _policy(model: Any, config: Any, vocabulary: Vocabulary | None) -> TokenPolicy:
    """The model as a policy, neither copied nor changed."""
    V = getattr(model.config, MARK, None)
    if V is None:
        raise InvalidInputError(
            f"{name_of(model)} has no backspace (no {MARK} in its config); it writes by generate as it is"
        )
    memory = Memory.of(getattr(model.config, MEMORY, PREFIX))
    return TokenPolicy.wrap(model, vocabulary or _vocabulary(model, config, V), memory=memory)


def _vocabulary(model: Any, config: Any, size: int) -> Vocabulary:
    """With the end that the policy was saved with, which must be the one that is asked for."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    folder = Path(str(model.name_or_path or "."))
    if model.name_or_path and (folder / SETTINGS).exists():
        saved = Saved.read(folder, verify=False).vocabulary
        if {*ends} != {saved.eos}:
            raise InvalidInputError(
                f"eos_token_id={config.eos_token_id}: this model ends with {saved.eos} alone; give that"
            )
        return saved
    if len(ends) != 1 or ends[0] is None:
        raise InvalidInputError(f"eos_token_id={config.eos_token_id}: name the one end, or give vocabulary")
    return Vocabulary(size, int(ends[0]))


def _padding(config: Any, vocabulary: Vocabulary) -> int:
    return vocabulary.eos if config.pad_token_id is None else int(config.pad_token_id)


def _check_places(rest: dict[str, Any], real: Tensor) -> None:
    """Refuse positions other than those of the tokens that are `real` (bool [B, P]), and types, which no policy has."""
    places, counted = rest.get("position_ids"), real.long().cumsum(1) - 1
    if places is not None and not _same(places, counted, real):
        raise InvalidInputError("position_ids cannot be honoured: a prompt begins at 0 and has no gaps; leave them out")
    types = rest.get("token_type_ids")
    if types is not None and not _same(types, torch.zeros_like(counted), real):
        raise InvalidInputError("token_type_ids cannot be honoured: a policy reads tokens alone; leave them out")


def _same(given: Any, expected: Tensor, real: Tensor) -> bool:
    found = torch.as_tensor(given, device=expected.device)
    found = found.expand_as(expected) if found.shape == (1, expected.shape[1]) else found
    return found.shape == expected.shape and torch.equal(found[real].long(), expected[real])


def _unpadded(
    ids: Tensor, mask: Tensor | None, pad: int | None, vocabulary: Vocabulary
) -> tuple[list[list[int]], Tensor]:
    """Prompts without their padding, and which tokens these are, bool [B, P].

    Raises:
        InvalidInputError: ids of another shape, or padding that is not on the left.
    """
    if ids.dim() != 2:
        raise InvalidInputError(f"input_ids must be [rows, tokens], got {tuple(ids.shape)}")
    if mask is None:
        mask = ids != pad if pad not in (None, vocabulary.eos) else torch.ones_like(ids)
    if not isinstance(mask, Tensor):
        raise InvalidInputError(f"attention_mask={on_one_line(mask, 60)} is no tensor; give torch.tensor(…)")
    real = mask.bool()
    if real.shape != ids.shape or bool((real[:, :-1] & ~real[:, 1:]).any()) or not bool(real[:, -1:].all()):
        raise InvalidInputError("attention_mask must be of the shape of input_ids, with padding on the left alone")
    return [row[kept].tolist() for row, kept in zip(ids, real, strict=True)], real


def _of_the_caller(name: str) -> Any:
    """An argument that the `generate` of transformers was given, and hands to none of the functions that it takes as
    `custom_generate`.
    """
    inside, frame = inspect.unwrap(GenerationMixin.generate).__code__, inspect.currentframe()
    while frame is not None and frame.f_code is not inside:
        frame = frame.f_back
    return None if frame is None else frame.f_locals.get(name)


def _check_streamer(streamer: Any, rows: int, vocabulary: Vocabulary) -> None:
    if getattr(streamer, "backspace", None) != vocabulary.backspace:
        raise InvalidInputError(
            f"{type(streamer).__name__} cannot take text back by id {vocabulary.backspace}; "
            "give a seqil.DeletionStreamer of the model's tokenizer"
        )
    if rows != 1:
        raise InvalidInputError("a streamer shows one row; generate one at a time")


def _lengths(
    model: Any, config: Any, given: GenerationConfig | None, kwargs: dict[str, Any], width: int, inside: bool
) -> tuple[int, int]:
    """Most and fewest tokens to write, where `max_length` counts the prompt, too."""
    asked = (kwargs.get("max_length"), getattr(given, "max_length", None), model.generation_config.max_length)
    counted = inside or any(value is not None for value in asked)
    most = config.max_length - width * counted if config.max_new_tokens is None else config.max_new_tokens
    least = max(config.min_length - width, 0) if config.min_new_tokens is None else config.min_new_tokens
    if most < 1:
        raise InvalidInputError(f"max_length={config.max_length} leaves no token behind prompts of {width}")
    return most, most if any(_is_end(config, token) for token in config.suppress_tokens or ()) else least


def _is_end(config: Any, token: int) -> bool:
    ends = config.eos_token_id
    return bool(token == ends if isinstance(ends, int) else token in (ends or ()))


def _rules(config: Any) -> list[Rule]:
    """In the order of transformers."""
    if not config.do_sample:
        return []
    made: list[Rule] = []
    if config.top_k:
        made.append(top_k(config.top_k))
    if config.top_p is not None and config.top_p < 1:
        made.append(top_p(config.top_p))
    if config.min_p:
        made.append(min_p(config.min_p))
    return made
