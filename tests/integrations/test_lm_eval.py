"""The harness sees the law of the tokens, as plain `generate` does."""

import json

import pytest
import torch
from small_llama import V, llama, tokenizer

import seqil
from seqil import TokenPolicy
from seqil.errors import InvalidInputError
from seqil.randomness import seeded

pytestmark = [pytest.mark.clients, pytest.mark.filterwarnings("ignore")]
WORDS = {f"w{i}": i for i in range(27)} | {"<eos>": 27}
TEXTS = [("w1 w2", " w3 w4"), ("w5", " w6"), ("w7 w8 w9", " w1 w2 w3")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("lm_eval")
    policy = TokenPolicy(llama(), V)
    with torch.no_grad():
        policy.weight[:27] *= 20
        policy.weight[V.size] = 5 * policy.weight[3]  # often the most probable action
    words = tokenizer(WORDS)
    words.pad_token = "<eos>"
    policy.save_pretrained(tmp_path_factory.mktemp("model"), words)
    return tmp_path_factory.getbasetemp() / "model0"


def harness(folder, **options):
    from seqil.integrations.lm_eval import BackspaceLM

    with seeded(0):
        return BackspaceLM(pretrained=str(folder), device="cpu", batch_size=2, **options)


def asked(kind, *arguments):
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, one, at) for at, one in enumerate(arguments)]


def by_hand(model, before, after):
    """Log-probability of a continuation under the softmax over the tokens alone."""
    first, more = ([WORDS[w] for w in text.split()] for text in (before, after))
    with torch.no_grad():
        law = model(torch.tensor([[*first, *more]])).logits[0, :, : V.size].log_softmax(-1)
    places = range(len(first) - 1, len(first) + len(more) - 1)
    taken = [float(law[at, token]) for at, token in zip(places, more, strict=True)]
    return sum(taken), all(int(law[at].argmax()) == token for at, token in zip(places, more, strict=True))


def test_a_likelihood_is_that_of_the_tokens(folder):
    lm = harness(folder)
    found = lm.loglikelihood(asked("loglikelihood", *TEXTS), disable_tqdm=True)
    whole = [
        float(lm.model(torch.tensor([[1, 2]])).logits[0, -1].softmax(-1)[V.size].detach()),
    ]
    assert whole[0] > 0.005  # so that leaving the backspace out matters
    for pair, (log_prob, greedy) in zip(TEXTS, found, strict=True):
        expected = by_hand(lm.model, *pair)
        assert log_prob == pytest.approx(expected[0], abs=1e-5)
        assert greedy == expected[1]
    rolling = lm.loglikelihood_rolling(asked("loglikelihood_rolling", ("w1 w2 w3",)), disable_tqdm=True)
    assert rolling[0] == pytest.approx(by_hand(lm.model, "<eos>", "w1 w2 w3")[0], abs=1e-5)


def test_texts_are_those_of_generate(folder):
    how = {"until": ["w0"], "max_gen_toks": 6, "do_sample": False}
    requests = asked("generate_until", ("w1 w2", how), ("w5", how))
    plain = harness(folder).generate_until(requests, disable_tqdm=True)
    deleting = harness(folder, deletes=True)
    for written, model, write in (
        (plain, deleting.model, deleting.model.generate),
        (deleting.generate_until(requests, disable_tqdm=True), deleting.model, None),
    ):
        for (prompt, _), text in zip([one.args for one in requests], written, strict=True):
            ids = torch.tensor([[WORDS[w] for w in prompt.split()]])
            options = {"max_new_tokens": 6, "do_sample": False}
            out = write(ids, **options) if write else seqil.generate(model, ids, **options)
            words = tokenizer(WORDS).decode([t for t in out[0, ids.shape[1] :].tolist() if t < 27])
            assert text.strip() == words.split("w0")[0].strip()


def test_a_task_of_the_harness_runs(folder, tmp_path):
    import lm_eval

    lines = [{"before": before, "after": after.strip()} for before, after in TEXTS]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    task = {
        "task": "tiny", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(tmp_path / "a.jsonl")}},
        "test_split": "test", "output_type": "loglikelihood",
        "doc_to_text": "{{before}}", "doc_to_target": " {{after}}",
        "target_delimiter": "",
        "metric_list": [{"metric": "perplexity"}, {"metric": "acc"}],
    }  # fmt: skip
    lm = harness(folder)
    with seeded(0):
        found = lm_eval.simple_evaluate(model=lm, tasks=[task], bootstrap_iters=0)["results"]["tiny"]
    mean = sum(by_hand(lm.model, *pair)[0] for pair in TEXTS) / len(TEXTS)
    assert found["perplexity,none"] == pytest.approx(float(torch.tensor(-mean).exp()), rel=1e-4)


def test_what_is_no_text_is_refused(folder, tmp_path):
    with pytest.raises(InvalidInputError, match="spells the backspace"):
        harness(folder).loglikelihood(asked("loglikelihood", ("w1", " w2 <|backspace|>")), disable_tqdm=True)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(InvalidInputError, match="--merge"):
        harness(tmp_path)
    words = tokenizer(WORDS)
    llama().save_pretrained(tmp_path / "plain")
    words.save_pretrained(tmp_path / "plain")
    with pytest.raises(InvalidInputError, match="is evaluated by --model hf"):
        harness(tmp_path / "plain")


def test_what_is_no_folder_of_a_model_is_named(folder, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text("{}")
    for place, why in {
        tmp_path / "none": "is not there; give the folder that seqil export",
        tmp_path: "holds no model; give the folder",
        tmp_path / "run": "holds no model; it is a run: write its model with seqil export",
    }.items():
        with pytest.raises(InvalidInputError, match=f"pretrained={place} {why}"):
            harness(place)
    with pytest.raises(InvalidInputError, match="deletes='maybe'"):
        harness(folder, deletes="maybe")
