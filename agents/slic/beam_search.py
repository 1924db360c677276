"""The likeliest texts of a policy, by the beam search of transformers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from seqil import TokenPolicy, Trajectories
from seqil.errors.arguments import check_count, typed
from seqil.errors.limits import check_lengths
from seqil.mdp.prefix import Prompts, legal_mask, pad_prompts
from seqil.models.modes import evaluating
from seqil.models.silence import silently

_NOTHING = -1e8
"""transformers gives beams that lead nowhere a score of -1e9, and adds to it."""


class _Legal:
    """A processor that leaves what may follow so many tokens, of the policy's law given that none is deleted."""

    def __init__(self, policy: TokenPolicy, width: int, max_length: int, min_length: int) -> None:
        self.policy, self.width, self.limits = policy, width, (max_length, min_length)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [R, rows of the head] after texts of the same length: log-probabilities of what is legal."""
        v, n = self.policy.vocabulary, torch.tensor(input_ids.shape[1] - self.width)
        legal = legal_mask(v, n, torch.zeros_like(n, dtype=torch.bool), *self.limits, backspace=False)[: v.size]
        inside = scores[:, : v.size].masked_fill(~legal.to(scores.device), -torch.inf).log_softmax(-1)
        return torch.cat([inside, torch.full_like(scores[:, v.size :], -torch.inf)], 1)


@typed
@torch.no_grad()
def beams(
    policy: TokenPolicy, prompts: Prompts, *, number: int, max_length: int, min_length: int = 0
) -> tuple[Trajectories, int]:
    """The `number` likeliest texts that a beam of that width finds, given that nothing is deleted, the best first.

    Args:
        policy: any; its memory is of no effect, since there are no deletions.
        prompts: B of them, as for `seqil.start`.
        number: of texts per prompt, at least 2. Where there are fewer, the best one stands in for those that lack.
        max_length, min_length: as for `seqil.start`.

    Raises:
        InvalidInputError: prompts, a number or lengths that are none, or more cells than the model has positions.

    Returns:
        B times `number` trajectories, those of a prompt one after another; cells that were fed to the model.
    """
    check_count("beams", "number", number, 2)
    check_lengths(max_length, min_length)
    v = policy.vocabulary
    given, lengths = pad_prompts(v, prompts)
    width = int(lengths.max())
    policy.check_positions(width + max_length)
    place = torch.arange(width) - (width - lengths.cpu()[:, None])  # padded on the left
    cells = torch.where(place >= 0, given.cpu().gather(1, place.clamp(min=0)), v.eos).to(policy.device)
    fed: list[int] = []
    model: Any = policy.model
    counting = model.register_forward_pre_hook(lambda *given: fed.append(_cells(*given)), with_kwargs=True)
    config = GenerationConfig(
        num_beams=number,
        num_return_sequences=number,
        do_sample=False,
        length_penalty=0.0,
        early_stopping=False,
        max_new_tokens=max_length + 1,
        eos_token_id=v.eos,
        pad_token_id=v.eos,
        bos_token_id=v.eos,
        return_dict_in_generate=True,
        output_scores=True,
    )
    try:
        with evaluating(policy), silently():
            found = model.generate(
                cells,
                attention_mask=(place >= 0).long().to(cells.device),
                generation_config=config,
                logits_processor=LogitsProcessorList([_Legal(policy, width, max_length, min_length)]),
            )
    finally:
        counting.remove()
    texts = _whole(found, number, width)
    ends = (texts == v.eos).long().argmax(1) + 1
    rows = given.cpu().repeat_interleave(number, 0)
    made = Trajectories.from_actions(v, rows, texts, lengths=ends, max_length=max_length, min_length=min_length)
    return made.to(policy.device), sum(fed)


def _whole(found: Any, number: int, width: int) -> Tensor:
    """Ids behind the prompts; of beams that came upon nothing legal those of the best one."""
    texts, lost = found.sequences[:, width:].cpu(), (found.sequences_scores <= _NOTHING).cpu()
    best = torch.arange(len(texts)) // number * number
    return torch.where(lost[:, None], texts[best], texts)


def _cells(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    ids = kwargs.get("input_ids", args[0] if args else None)
    return int(ids.numel()) if ids is not None else int(kwargs["inputs_embeds"].shape[:2].numel())
