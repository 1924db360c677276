"""What a caller gives `generate` himself, beside what transformers makes of a config."""

from functools import partial

import pytest
import torch
from small_llama import V, llama, tokenizer
from transformers import AutoModelForCausalLM, LogitsProcessorList
from transformers.generation import (
    MaxLengthCriteria,
    StoppingCriteriaList,
    SuppressTokensLogitsProcessor,
    TopKLogitsWarper,
)

import seqil
from seqil import TokenPolicy
from seqil.errors import InvalidInputError
from seqil.randomness import seeded

pytestmark = pytest.mark.filterwarnings("ignore:.* ran out of")
WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}
IDS = torch.tensor([[1, 2, 3], [27, 27, 4], [27, 5, 6]])
MASK = torch.tensor([[1, 1, 1], [0, 0, 1], [0, 1, 1]])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    TokenPolicy(llama(), V).save_pretrained(made, tokenizer(WORDS))
    return made


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize(
    "own",
    [{"logits_processor": LogitsProcessorList([TopKLogitsWarper(1)])},
     {"logits_processor": LogitsProcessorList([SuppressTokensLogitsProcessor([1, 2])])},
     {"stopping_criteria": StoppingCriteriaList([MaxLengthCriteria(4)])}],
)  # fmt: skip
def test_what_a_caller_made_is_refused_even_if_transformers_makes_such_too(folder, own, through):
    model = AutoModelForCausalLM.from_pretrained(folder)
    name = type(next(iter(own.values()))[0]).__name__
    how = {"attention_mask": MASK, "do_sample": True, "max_new_tokens": 4, **own}
    written = partial(model.generate, custom_generate=seqil.generate) if through else partial(seqil.generate, model)
    with pytest.raises(InvalidInputError, match=f"{name} knows nothing of deletions"):
        written(IDS, **how)


def test_what_transformers_makes_of_a_config_passes(folder):
    """Its warpers and criteria stand in the arguments beside the caller's own."""
    with seeded(0):
        model = AutoModelForCausalLM.from_pretrained(folder)
        how = {"top_k": 3, "top_p": 0.9, "min_p": 0.1, "temperature": 0.7, "min_new_tokens": 2, "max_new_tokens": 4}
        found = model.generate(IDS, attention_mask=MASK, custom_generate=seqil.generate, do_sample=True, **how)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"eos_token_id": None}, "eos_token_id=None"),
        ({"generation_config": {"max_new_tokens": 3}}, "generation_config is of type dict; give a"),
    ],
)
def test_options_that_would_be_passed_over_are_named(folder, options, complaint):
    model = AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(InvalidInputError, match=complaint):
        seqil.generate(model, IDS, **options)


def test_ids_may_come_by_the_other_name_of_transformers(folder):
    with seeded(0):
        model = AutoModelForCausalLM.from_pretrained(folder)
        found = [
            seqil.generate(model, attention_mask=MASK, do_sample=False, max_new_tokens=3, **{name: IDS})
            for name in ("inputs", "input_ids")
        ]
    assert torch.equal(*found)


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("places", [torch.arange(3).expand(3, 3), torch.arange(3)])
def test_places_of_ones_own_are_refused(folder, through, places):
    model = AutoModelForCausalLM.from_pretrained(folder)
    make = partial(model.generate, custom_generate=seqil.generate) if through else partial(seqil.generate, model)
    make = partial(make, IDS, attention_mask=MASK, max_new_tokens=3, do_sample=True)
    with seeded(0), pytest.raises(InvalidInputError, match="position_ids cannot be honoured: a prompt begins at 0"):
        make(position_ids=places)
    found = []
    for given in ({}, {"position_ids": (MASK.cumsum(1) - 1).clamp(0)}):
        with seeded(0):
            found.append(make(**given))
    assert torch.equal(*found)


def test_types_of_tokens_are_refused_unless_they_are_none(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    types = torch.zeros(3, 3, dtype=torch.int64)
    with seeded(0):
        seqil.generate(model, IDS, attention_mask=MASK, max_new_tokens=3, token_type_ids=types)
    with pytest.raises(InvalidInputError, match="token_type_ids cannot be honoured: a policy reads tokens alone"):
        seqil.generate(model, IDS, attention_mask=MASK, max_new_tokens=3, token_type_ids=types + 1)


def test_ids_that_are_no_integers_are_refused(folder):
    with pytest.raises(InvalidInputError, match=r"input_ids are of torch\.float32, not int64"):
        seqil.generate(AutoModelForCausalLM.from_pretrained(folder), torch.zeros(1, 2))
