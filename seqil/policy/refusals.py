"""Models that a policy cannot be made of are refused by name, before anything is trained."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import InvalidInputError, NonFiniteError, SeqilError, UnsupportedModelError, first_line
from ..mdp.trajectory import Trajectories
from ..mdp.tree import PrefixTree, pack
from ..mdp.vocabulary import Vocabulary
from ..models.head_rows import name_of
from ..models.windows import FULL, SLIDING, Windows
from .language_model import LanguageModel

F = TypeVar("F", bound=Callable[..., Any])


def refuse_wrapped(policy: Any) -> None:
    """Refuse a module around a policy: it would act on its `forward`, which training does not call.

    A policy of another kind is none: it has a vocabulary of its own, and no language model in it that is a policy.
    """
    if not isinstance(policy, nn.Module) or isinstance(policy, LanguageModel):
        return
    if hasattr(policy, "get_output_embeddings") and not hasattr(policy, "vocabulary"):
        raise UnsupportedModelError(
            f"{type(policy).__name__} is a model and no policy yet; make one of it: TokenPolicy(model, vocabulary)"
        )
    if not hasattr(policy, "vocabulary") or any(isinstance(module, LanguageModel) for module in policy.modules()):
        raise UnsupportedModelError(
            f"{type(policy).__name__} is no TokenPolicy: it works through the forward of the one that it wraps, which "
            "training does not call; make the agent of the bare policy, and wrap agent.loss instead"
        )


def refuse_untrainable(name: str, policy: nn.Module) -> None:
    """Refuse a policy that an agent of this name could not change."""
    own = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    if not own:
        raise InvalidInputError(f"{name}: no parameter of the policy is trainable; call policy.requires_grad_() first")
    if any(parameter.is_inference() for parameter in own):
        raise InvalidInputError(f"{name}: the policy was made under torch.inference_mode(); make it outside")


def with_its_policy(initialize: F) -> F:
    """The constructor of an agent that refuses a policy of another kind than its `policy_class`, by both names.

    Raises:
        InvalidInputError: when called, with a policy of whole texts for one of tokens, or the other way round.
    """
    names = [*inspect.signature(initialize).parameters][1:]
    place = names.index("policy") if "policy" in names else len(names)

    @functools.wraps(initialize)
    def checked(self: Any, *args: Any, **options: Any) -> None:
        given = args[place] if place < len(args) else options.get("policy")
        _refuse_other_kind(type(self).__name__, type(self).policy_class, given)
        initialize(self, *args, **options)

    return checked  # type: ignore[return-value]


def _refuse_other_kind(name: str, wanted: Any, policy: Any) -> None:
    """What is no policy at all others refuse."""
    if not isinstance(policy, nn.Module) or not hasattr(policy, "vocabulary"):
        return
    own, given = wanted.__name__, type(policy).__name__
    if getattr(wanted, "autoregressive", True):
        if not getattr(policy, "autoregressive", True):
            raise InvalidInputError(
                f"{name} trains a {own}; {given} writes whole texts: give a {own}, or another agent"
            )
    elif not isinstance(policy, wanted) and getattr(policy, "kind", None) != getattr(wanted, "kind", own):
        raise InvalidInputError(f"{name} trains policies of the kind {own}; {given} is none: give {own}(model, …)")


@contextmanager
def refusing(model: nn.Module) -> Iterator[None]:
    """Whatever else an architecture complains of while it is tried is a refusal by its name."""
    try:
        yield
    except SeqilError:
        raise
    except Exception as error:  # of code that is not ours, at input that it may never have seen
        raise UnsupportedModelError(
            f"{name_of(model)} cannot be tried ({type(error).__name__}: {first_line(error)}); use GPT-2 or Llama say"
        ) from None


def refuse_no_model(model: object) -> None:
    """Refuse what is no module at all: a name, a config, a folder."""
    if not isinstance(model, nn.Module):
        raise InvalidInputError(
            f"TokenPolicy: model={model!r:.60} is not a model; give a causal language model of transformers, or load a "
            "folder by TokenPolicy.from_pretrained"
        )


def refuse_stateful(model: Any) -> None:
    """A backspace rewinds by position: refuse by name what carries a state that is not indexed by position."""
    if not hasattr(model, "config") or not hasattr(model, "get_output_embeddings"):
        raise UnsupportedModelError(f"{type(model).__name__} is not a Hugging Face causal LM; pass a …ForCausalLM")
    config = model.config.get_text_config()
    layers: Sequence[str] = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None) or ()
    other = sorted({str(kind) for kind in layers} - {FULL, SLIDING, "global"})
    kernel = str(getattr(model.config, "_attn_implementation", ""))
    ropes = sorted(rope for rope in _rope_types(model) if rope == "longrope" or "dynamic" in rope)
    reason = (
        "it is an encoder-decoder" if getattr(config, "is_encoder_decoder", False)
        else f"its layers are of type {', '.join(other)}" if other
        else f"its attention is {kernel}, which takes no additive mask (load it with attn_implementation='sdpa')"
        if kernel.startswith(("flex", "flash"))
        else f"its rotary frequencies ({', '.join(ropes)}) follow the length of the batch" if ropes
        else "its state is recurrent" if getattr(model, "_is_stateful", False)
        else None
    )  # fmt: skip
    if reason:
        raise UnsupportedModelError(
            f"{name_of(model)} cannot be rewound by a backspace: {reason}; use a model with full causal attention"
        )


def _rope_types(model: nn.Module) -> set[str]:
    """Kinds of the rotary embeddings, which have one, or one per type of layer."""
    found: set[str] = set()
    for module in model.modules():
        kind = getattr(module, "rope_type", ())
        found |= {kind} if isinstance(kind, str) else set(dict(kind).values())
    return found


States = Callable[[PrefixTree], Tensor]
Head = Callable[[Tensor], Tensor]


def refuse_other_logits(model: Any, vocabulary: Vocabulary, states: States, head: Head) -> None:
    """Refuse a model whose own logits are not what a policy makes of its trunk and its head.

    What enters the head is compared, too, and parameters of zeros are filled for the while: a head that says little
    yet, or a branch that is added later, must not hide what is wrong behind it.

    Args:
        model: a causal language model.
        vocabulary: the ids.
        states: the last hidden state of every node of a tree, [B, N, D].
        head: the logits of states, [..., A].
    """
    with _no_zeros(model):
        _refuse_unlike_tree(model, vocabulary, states, head)
        _refuse_reshaped_logits(model)
        _refuse_other_windows(model, vocabulary, states, head)


@contextmanager
@torch.no_grad()
def _no_zeros(model: nn.Module) -> Iterator[None]:
    """Small noise where a parameter is all zero, which multiplies away what others do, and zeros again in the end."""
    empty = [p for p in model.parameters() if p.is_floating_point() and not p.any()]
    generator = torch.Generator().manual_seed(0)
    try:
        for parameter in empty:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
        yield
    finally:
        for parameter in empty:
            parameter.zero_()


@torch.no_grad()
def _refuse_broken(model: Any, text: Tensor) -> None:
    """Say so where the model cannot read a text [1, N] the way it is meant to be read."""
    try:
        model(input_ids=text)
    except Exception as error:  # whatever its layers break at
        raise UnsupportedModelError(
            f"{name_of(model)} cannot read two tokens by itself ({type(error).__name__}: {first_line(error)}); "
            "its configuration does not go with its layers: mend config.json, or use another model"
        ) from None


@torch.no_grad()
def _difference(model: Any, text: Tensor, size: int, states: Tensor, head: Head) -> float:
    """How far the last state of a text [1, N] and its logits are from those of a plain forward; 0: within rounding."""
    table, entered = model.get_output_embeddings(), []
    hook = table.register_forward_pre_hook(lambda module, inputs: entered.append(inputs[0]))
    try:
        logits = model(input_ids=text.to(table.weight.device), use_cache=False).logits[0, -1, :size]
    finally:
        hook.remove()
    if not logits.isfinite().all():
        raise NonFiniteError(f"the logits of {name_of(model)} are not finite; its weights are damaged: load sound ones")
    theirs, ours = [logits, *(inputs[0, -1] for inputs in entered[-1:])], [head(states)[:size], states]
    tolerance, worst = 1e-3 if table.weight.dtype in (torch.float32, torch.float64) else 5e-2, 0.0
    for one, other in zip(ours, theirs, strict=False):
        if one.shape != other.shape:
            return float("inf")
        least = tolerance * float(other.abs().max())
        if not torch.allclose(one, other.to(one.dtype), rtol=tolerance, atol=least):
            worst = max(worst, float((one - other).abs().max()))
    return worst


_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "final_logit_softcapping")
_BOTH_WAYS = frozenset(("bert", "roberta", "electra", "camembert", "xlm-roberta", "data2vec-text", "ernie", "rembert"))
_LONGEST_WINDOW = 512  # that is tried


@torch.no_grad()
def _refuse_other_windows(model: Any, vocabulary: Vocabulary, states: States, head: Head) -> None:
    """Read a text that is longer than a sliding window, for what a config says of it a forward may not do."""
    windows = Windows.of(model)
    if windows is None or windows.width > _LONGEST_WINDOW:
        return
    tokens = [token for token in range(vocabulary.size) if token != vocabulary.eos]
    text = torch.tensor([[tokens[7 * n % len(tokens)] for n in range(windows.width + 4)]])
    text = text.to(model.get_output_embeddings().weight.device)
    last = states(pack(vocabulary, Trajectories.from_actions(vocabulary, text[:, :1], text[:, 1:])))[0, -1]
    if off := _difference(model, text, vocabulary.size, last, head):
        raise UnsupportedModelError(
            f"{name_of(model)} does not see the last {windows.width} tokens alone, as its config.json says "
            f"(sliding_window; off by {off:.2g}); take the window out of its config, or use GPT-2 or Llama say"
        )


@torch.no_grad()
def _refuse_unlike_tree(model: Any, vocabulary: Vocabulary, states: States, head: Head) -> None:
    """Compare a small tree, read through mask and positions, with plain forwards of the whole model."""
    v, weight = vocabulary, model.get_output_embeddings().weight
    device = weight.device
    a, b, c = ((v.eos + k) % v.size for k in (1, 2, 3))
    a, b, c = (x if x != v.eos else (x + 1) % v.size for x in (a, b, c))
    walk = [a, b, v.backspace, c, v.backspace, v.backspace, c]  # ends at the prefix [a, c]
    tree = pack(
        v, Trajectories.from_actions(v, torch.tensor([[a]], device=device), torch.tensor([walk], device=device))
    )
    try:
        last = states(tree)[0, tree.node_at[0, -1]]
        off = _difference(model, torch.tensor([[a, c]]), v.size, last, head)
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        _refuse_broken(model, torch.tensor([[a, c]], device=device))
        raise UnsupportedModelError(
            f"{name_of(model)} does not take position ids and a 4D attention mask "
            f"({type(error).__name__}: {first_line(error)}); use a model that does, GPT-2 or Llama say"
        ) from None
    if off:
        raise UnsupportedModelError(
            f"{name_of(model)} gives other logits when its prefixes are packed into a tree (off by {off:.2g}): "
            f"{_why(model)}; "
            + (
                "use a model that does not, GPT-2 or Llama say"
                if weight.dtype in (torch.float32, torch.float64)
                else f"or that is the rounding of weights in {weight.dtype}: load it in torch.float32, with "
                "dtype='bfloat16' the policy computes in 16 bits all the same"
            )
        )


def _why(model: Any) -> str:
    """What of a config is known to change logits after the head, else what it may be."""
    said = model.config.to_dict()
    scales = [f"{name}={said[name]}" for name in _SCALES if said.get(name)]
    if scales:
        return f"it scales or caps its logits ({', '.join(scales)} in its config.json)"
    if said.get("model_type") in _BOTH_WAYS and not said.get("is_decoder"):
        return "it reads what comes later, too"
    return "it scales its logits, or ignores position ids or the mask"


@torch.no_grad()
def _refuse_reshaped_logits(model: Any) -> None:
    """Put known logits in the place of the head's and see whether the model hands them on as they are."""
    head = model.get_output_embeddings()
    known = torch.linspace(-100, 100, len(head.weight), dtype=head.weight.dtype, device=head.weight.device)
    hook = head.register_forward_hook(lambda module, inputs, output: known.expand_as(output))
    try:
        found = model(input_ids=torch.tensor([[0]], device=known.device), use_cache=False).logits[0, -1]
    finally:
        hook.remove()
    if not torch.allclose(found.double(), known.double(), rtol=1e-3):
        raise UnsupportedModelError(
            f"{name_of(model)} scales or caps the logits of its head, which a policy would not; "
            "use a model that hands them on as they are, GPT-2 or Llama say"
        )
