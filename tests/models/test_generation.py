"""`generate` of transformers with deletions says what `rollout` says, and refuses what it cannot honour."""

import pytest
import torch
from small_llama import V, llama, tokenizer
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessorList, TextStreamer, pipeline
from transformers.generation import NoBadWordsLogitsProcessor

import seqil
from seqil import TokenPolicy, decoding, rollout
from seqil.errors import InvalidInputError
from seqil.randomness import seeded

pytestmark = pytest.mark.filterwarnings("ignore:.* ran out of")
WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}
PROMPTS = [[1, 2, 3], [4], [5, 6]]
IDS = torch.tensor([[1, 2, 3], [27, 27, 4], [27, 5, 6]])
MASK = torch.tensor([[1, 1, 1], [0, 0, 1], [0, 1, 1]])


@pytest.fixture(scope="module")
def policy():
    made = TokenPolicy(llama(), V)
    with torch.no_grad():
        made.weight[V.size] = 3 * made.weight[:27].mean(0)
        made.weight[:27] *= 20
    return made


@pytest.fixture
def folder(policy, tmp_path):
    policy.save_pretrained(tmp_path, tokenizer(WORDS))
    return tmp_path


def texts(ids, width=3):
    """Rows behind their prompts, before the end or the padding, which is the same token."""
    rows = [row[width:].tolist() for row in ids]
    return [row[: row.index(V.eos)] if V.eos in row else row for row in rows]


def drawn(policy, prompts=PROMPTS, temperature=1.0, **options):
    g = torch.Generator().manual_seed(3)
    options = {"max_length": 9, **options}
    return rollout(policy, prompts, generator=g, temperature=temperature, **options)


@pytest.mark.parametrize(
    ("asked", "same"),
    [
        ({"top_k": 0}, {}),
        ({}, {"rules": [decoding.top_k(50)]}),
        ({"top_k": 0, "temperature": 0.7}, {"temperature": 0.7}),
        ({"top_k": 5, "top_p": 0.8}, {"rules": [decoding.top_k(5), decoding.top_p(0.8)]}),
        ({"top_k": 0, "min_p": 0.2}, {"rules": [decoding.min_p(0.2)]}),
        ({"do_sample": False}, {"temperature": 0}),
        ({"top_k": 0, "min_new_tokens": 6}, {"min_length": 6}),
    ],
)
def test_equal_seeds_give_what_rollout_gives(policy, asked, same):
    options = {"do_sample": True, "max_new_tokens": 9, "attention_mask": MASK, **asked}
    expected = drawn(policy, **same)
    for call in (
        lambda: policy.model.generate(IDS, custom_generate=seqil.generate, **options),
        lambda: seqil.generate(policy.model, IDS, **options),
    ):
        with seeded(3):
            ids = call()
        assert torch.equal(ids[:, :3], IDS)
        assert texts(ids) == expected.replay().texts(eos=False)


def test_texts_that_were_cut_are_told_of(policy):
    """Their ids look like those of ended texts."""
    options = {"do_sample": True, "top_k": 0, "max_new_tokens": 9, "max_actions": 4, "attention_mask": MASK}
    cut = int((~drawn(policy, max_actions=4).ended).sum())
    with seeded(3), pytest.warns(UserWarning, match=rf"{cut} of 3 texts ran out of 4 actions") as said:
        seqil.generate(policy.model, IDS, **options)
    assert cut
    assert len(said) == 1


@pytest.mark.parametrize("through_transformers", [False, True])
def test_several_texts_of_a_prompt(policy, through_transformers):
    options = {"do_sample": True, "top_k": 0, "max_length": 12, "num_return_sequences": 2, "attention_mask": MASK}
    with seeded(3):
        if through_transformers:
            ids = policy.model.generate(IDS, custom_generate=seqil.generate, **options)
        else:
            ids = seqil.generate(policy.model, IDS, **options)
    assert texts(ids) == drawn(policy, [p for p in PROMPTS for _ in range(2)]).replay().texts(eos=False)


def test_a_generation_config_and_a_generator(policy):
    config = GenerationConfig(do_sample=True, max_new_tokens=9, top_k=0)
    g = torch.Generator().manual_seed(3)
    ids = seqil.generate(policy.model, IDS, config, attention_mask=MASK, generator=g)
    assert texts(ids) == drawn(policy).replay().texts(eos=False)


def test_the_folder_deletes_once_its_code_is_trusted(policy, folder, monkeypatch):
    monkeypatch.setenv("HF_MODULES_CACHE", str(folder / ".modules"))
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    with seeded(3):
        ids = model.generate(IDS, attention_mask=MASK, do_sample=True, top_k=0, max_new_tokens=9)
    assert texts(ids) == drawn(policy).replay().texts(eos=False)
    with pytest.raises(InvalidInputError, match="num_beams=2"):
        model.generate(IDS, attention_mask=MASK, num_beams=2)
    write = pipeline("text-generation", model=str(folder), trust_remote_code=True, device="cpu")
    with seeded(3):
        text = write("w1 w2 w3", do_sample=True, top_k=0, temperature=1.0, max_new_tokens=9)[0]["generated_text"]
    kept = drawn(policy, [[1, 2, 3]]).replay().texts(eos=False)[0]
    assert text.split("w")[1:] == [f"{i} " for i in [1, 2]] + ["3"] + [f"{i} " for i in kept[:-1]] + [str(kept[-1])]


HOSTILE = {
    **{
        "num_beams": 3,
        "repetition_penalty": 1.7,
        "no_repeat_ngram_size": 2,
        "length_penalty": 0.3,
        "penalty_alpha": 0.6,
    },
    **{
        "eos_token_id": [3, 27, 5],
        "max_length": 7,
        "min_length": 5,
        "max_new_tokens": 2,
        "num_return_sequences": 2,
        "num_beam_groups": 3,
    },
    **{"forced_eos_token_id": 4, "forced_bos_token_id": 10, "suppress_tokens": [1, 2], "begin_suppress_tokens": [3]},
    **{"bad_words_ids": [[6], [7, 8]], "sequence_bias": [[[9], 5.0]], "stop_strings": ["w4"], "guidance_scale": 1.5},
    **{"exponential_decay_length_penalty": [2, 1.5], "typical_p": 0.5, "diversity_penalty": 0.2},
}


@pytest.mark.parametrize(
    ("past", "sampling"),
    [
        (HOSTILE, {}),
        (
            {**HOSTILE, "do_sample": True, "temperature": 0.7, "top_k": 5, "min_p": 0.1},
            ["temperature", "top_k", "min_p"],
        ),
        ({**HOSTILE, "temperature": 0.7}, {}),  # of nothing that samples: transformers would refuse to save it
        ({**HOSTILE, "do_sample": True, "temperature": 0.0}, {}),
        ({"pad_token_id": 0, "bos_token_id": 1}, {}),
    ],
    ids=["greedy", "sampling", "idle", "wrong", "ids"],
)
def test_how_a_model_once_wrote_does_not_outlive_its_training(policy, tmp_path, past, sampling):
    """Beams, penalties, forbidden tokens and other ends of its past are neither saved nor honoured, nor refused."""
    trained = TokenPolicy(policy.model, V)
    own = trained.model.generation_config = GenerationConfig(**past)
    trained.save_pretrained(tmp_path, tokenizer(WORDS))
    assert trained.model.generation_config is own
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    kept = {name: past[name] for name in sampling}
    found = {k: v for k, v in model.generation_config.to_diff_dict().items() if k != "transformers_version"}
    ids = {name: past[name] for name in ("pad_token_id", "bos_token_id") if name in past}
    assert found == {
        **ids,
        "eos_token_id": 27,
        "suppress_tokens": [28],
        **kept,
        **({"do_sample": True} if kept else {}),
    }
    draws = {"do_sample": True, "top_k": 0} | {"max_new_tokens": 9, "attention_mask": MASK} | kept
    rules = [decoding.top_k(5), decoding.min_p(0.1)] if kept else []
    for write, other in ((through_transformers, policy), (lambda model, ids, **o: model.generate(ids, **o), None)):
        with seeded(3):
            ids = write(model, IDS, **draws)
        assert ids.shape[1] > 5
        if other is not None:
            wanted = drawn(other, temperature=kept.get("temperature", 1.0), rules=rules)
            assert texts(ids) == wanted.replay().texts(eos=False)
    greedy = model.generate(IDS, do_sample=False, max_new_tokens=9, attention_mask=MASK)
    clean = policy.model.generate(
        IDS,
        GenerationConfig(eos_token_id=27, pad_token_id=27, suppress_tokens=[28], do_sample=False, max_new_tokens=9),
        attention_mask=MASK,
    )
    assert texts(greedy) == texts(clean)


def test_code_that_is_not_written_is_not_named_in_a_saved_folder(tmp_path):
    model = llama()
    model.config.auto_map = {"AutoModelForCausalLM": "elsewhere.Llama"}
    TokenPolicy(model, V).save_pretrained(tmp_path)
    assert model.config.auto_map == {"AutoModelForCausalLM": "elsewhere.Llama"}
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=True)
    assert not hasattr(loaded.config, "auto_map")


def test_the_memory_of_a_policy_is_that_of_its_folder(policy, tmp_path):
    remembering = TokenPolicy(policy.model, V, memory="tried")
    remembering.save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    with seeded(3):
        ids = seqil.generate(model, IDS[:1].repeat(30, 1), do_sample=True, top_k=0, max_new_tokens=9)
    expected, forgetful = (drawn(one, PROMPTS[:1] * 30).replay().texts(eos=False) for one in (remembering, policy))
    assert texts(ids) == expected != forgetful


def through_transformers(model, ids, **options):
    return model.generate(ids, custom_generate=seqil.generate, **options)


@pytest.mark.parametrize("write", [seqil.generate, through_transformers])
def test_a_streamer_shows_one_row(policy, capsys, write):
    streamer = seqil.DeletionStreamer(tokenizer(WORDS), skip_prompt=True)
    with seeded(3):
        ids = write(policy.model, IDS[:1], streamer=streamer, do_sample=True, top_k=0, max_new_tokens=9)
    assert texts(ids) == drawn(policy, PROMPTS[:1]).replay().texts(eos=False)
    shown = []
    for character in capsys.readouterr().out.rstrip("\n"):
        if character == "⌫":
            shown.pop()
        else:
            shown.append(character)
    assert "".join(shown).strip() == " ".join(f"w{i}" for i in texts(ids)[0])


def test_a_streamer_that_takes_nothing_back_is_refused_by_way_of_transformers_too(policy):
    options = {"streamer": TextStreamer(tokenizer(WORDS)), "max_new_tokens": 4, "do_sample": False}
    with pytest.raises(InvalidInputError, match="TextStreamer cannot take text back"):
        through_transformers(policy.model, IDS[:1], **options)
    with seeded(3):
        unasked = through_transformers(policy.model, IDS[:1], max_new_tokens=4)
    assert unasked.shape[1] <= 7


@pytest.mark.parametrize("write", [seqil.generate, through_transformers])
def test_rules_are_handed_on(policy, write):
    rules = [decoding.ban([5], [7, 8]), decoding.processor("NoRepeatNGramLogitsProcessor", 1)]
    with seeded(3):
        ids = write(policy.model, IDS, attention_mask=MASK, rules=rules, do_sample=True, top_k=0, max_new_tokens=9)
    assert texts(ids) == drawn(policy, rules=rules).replay().texts(eos=False)
    assert all(len(set(text)) == len(text) for text in texts(ids))


def test_what_says_nothing_is_let_pass(policy):
    idle = {"repetition_penalty": 1, "typical_p": 1, "diversity_penalty": 0, "penalty_alpha": 0.0, "output_scores": 0}
    idle["trust_remote_code"] = True
    with seeded(3):
        found = seqil.generate(policy.model, IDS, attention_mask=MASK, max_new_tokens=2, do_sample=1, **idle)
    assert len(found) == len(IDS)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"num_beams": 3}, "num_beams=3"),
        ({"repetition_penalty": 1.2}, "repetition_penalty=1.2"),
        ({"no_repeat_ngram_size": 2}, "no_repeat_ngram_size=2"),
        ({"typical_p": 0.5}, "typical_p=0.5"),
        ({"suppress_tokens": [3]}, "suppress_tokens"),
        ({"return_dict_in_generate": True}, "return_dict_in_generate"),
        ({"eos_token_id": 5}, "eos_token_id=5"),
        ({"eos_token_id": [27, 5]}, r"eos_token_id=\[27, 5\]: this model ends with 27 alone"),
        ({"assistant_model": llama()}, "assistant_model"),
        ({"prefix_allowed_tokens_fn": print}, "prefix_allowed_tokens_fn"),
        ({"logits_processor": LogitsProcessorList([NoBadWordsLogitsProcessor([[3]], 27)])}, "NoBadWords"),
        ({"streamer": TextStreamer(tokenizer(WORDS))}, "TextStreamer cannot take text back"),
        ({"attention_mask": MASK.flip(1)}, "padding on the left"),
        ({"max_length": 3}, "leaves no token"),
        ({"max_time": 1.0}, "max_time"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(folder, options, complaint):
    model = AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(InvalidInputError, match=complaint):
        seqil.generate(model, IDS, **{"attention_mask": MASK, **options})


def test_an_assistant_is_refused_through_transformers_too(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    with pytest.raises(InvalidInputError, match="assistant_model cannot be honoured"):
        model.generate(
            IDS, attention_mask=MASK, custom_generate=seqil.generate, max_new_tokens=4, assistant_model=llama()
        )


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda p: seqil.generate(p, IDS), "generate: TokenPolicy is no model of transformers; give its policy.model"),
        (lambda p: seqil.generate("folder", IDS), "generate: str is no model of transformers$"),
        (lambda p: seqil.generate(p.model, [[1]]), r"input_ids are of type list, not int64 \[B, P\]$"),
        (lambda p: seqil.generate(p.model, IDS[0]), r"input_ids are of shape \[3\], not \[B, P\]"),
        (lambda p: seqil.generate(p.model, {"input_ids": IDS}), r"of type dict, .*; give \*\*inputs of a tokenizer"),
        (lambda p: rollout(p.model, [[1]], max_length=2), "is a model and no policy yet; give TokenPolicy"),
        (lambda p: seqil.selection.best_of(p, [[1]], 2.5, generator=torch.Generator()), "k=2.5 is not a whole number"),
        (
            lambda p: seqil.selection.best_of(p, [[1]], 2, "likelihood", generator=torch.Generator()),
            "score='likelihood' is no function of prompt and text and no Ranking",
        ),
        (
            lambda p: seqil.selection.rejection(p, [[1]], 3, lambda *_: True, generator=torch.Generator()),
            "most=.* is not an int",
        ),
    ],
)
def test_arguments_of_another_kind_are_named(policy, call, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        call(policy)


def test_a_model_without_a_backspace_is_refused():
    with pytest.raises(InvalidInputError, match="has no backspace"):
        seqil.generate(llama(), IDS, attention_mask=MASK)
