"""Policies of whole texts keep their contract, and what is no such policy is refused."""

import json

import pytest
import torch
from transformers import (
    DistilBertConfig,
    DistilBertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    MPNetConfig,
    MPNetForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)

import seqil
from agents.revising.edit_dagger import EditDAgger
from agents.revising.ice import ICE, corrupted
from agents.revising.masked import Masked, drawn_set
from envs.tasks import Potentials
from seqil import Trajectories, Vocabulary
from seqil.errors import CheckpointError, InvalidInputError, UnsupportedModelError
from seqil.mdp.edits import INSERT, SUBSTITUTE
from seqil.randomness import seeded
from seqil.revision import EditPolicy, MaskedPolicy, ParallelPolicy
from seqil.revision.draws import uniforms
from seqil.revision.edit_policy import Guide
from seqil.revision.making import small_bert
from seqil.revision.whole_text import open_texts
from seqil.testing import check_agent
from seqil.testing.agents import tiny_demonstrations, tiny_whole_text

V = Vocabulary(5, 4)


def total(prefixes):
    """An attribute: the sum of a text's tokens."""
    beyond = torch.arange(prefixes.tokens.shape[1]) >= prefixes.length[:, None]
    return prefixes.tokens.masked_fill(beyond, 0).sum(1).double() / 2


MAKERS = {
    "ice": (lambda policy: ICE(policy, steps=6, attribute=total), EditPolicy, {}),
    "ice, tags": (lambda policy: ICE(policy, steps=6, attribute=total, tag=True, delta=5.0), EditPolicy, {}),
    "ice, worth": (lambda policy: ICE(policy, steps=6, attribute=total, worth=True), EditPolicy, {"worth": True}),
    "edit_dagger": (lambda policy: EditDAgger(policy, steps=6), EditPolicy, {}),
    "edit_dagger, alone": (lambda policy: EditDAgger(policy, steps=6, edits=3, states=2, anneal=0.0), EditPolicy, {}),
    "masked": (lambda policy: Masked(policy, steps=6), MaskedPolicy, {}),
    "masked, span": (lambda policy: Masked(policy, steps=6, block=2, span=True), MaskedPolicy, {}),
    "masked, quality": (lambda policy: Masked(policy, steps=6, quality=True), MaskedPolicy, {"quality": True}),
}


@pytest.mark.parametrize("name", MAKERS)
def test_agents_of_whole_texts_keep_the_contract(name):
    make, policy_class, options = MAKERS[name]
    check_agent(make, make_policy=lambda: tiny_whole_text(policy_class, **options))


@pytest.mark.parametrize("name", MAKERS)
def test_other_things_are_drawn_at_the_next_update(name):
    make, policy_class, options = MAKERS[name]
    agent = make(tiny_whole_text(policy_class, **options))
    agent.loss.eval()
    data = tiny_demonstrations(backspace=False)
    losses = []
    for _ in range(3):
        losses.append(float(agent.loss.losses(data, None)[agent.loss.out_keys[0]].detach()))
        agent.loss.calls += 1
    assert len(set(losses)) == 3


def test_draws_belong_to_texts():
    data = tiny_demonstrations(backspace=False)
    found = uniforms(data, 400, 3)
    assert torch.equal(uniforms(data.select(torch.tensor([5, 2])), 400, 3), found[[5, 2]])
    assert not torch.equal(uniforms(data, 400, 4), found)
    assert ((found >= 0) & (found < 1)).all()
    assert len(found.unique()) == found.numel()
    assert abs(float(found.mean()) - 0.5) < 4 / (12 * found.numel()) ** 0.5
    assert abs(float((found[:, 1:] * found[:, :-1]).mean()) - 0.25) < 0.02


@pytest.mark.parametrize("policy_class", [EditPolicy, MaskedPolicy])
def test_a_saved_policy_is_the_same(policy_class, tmp_path):
    options = {"kinds": ["substitute", "delete"]} if policy_class is EditPolicy else {"quality": True}
    policy = tiny_whole_text(policy_class, **options).eval()
    with seeded(1), torch.no_grad():
        for name, value in policy.named_parameters():
            if not name.startswith("model."):
                value.normal_()
    policy.save_pretrained(tmp_path)
    again = policy_class.from_pretrained(tmp_path, V).eval()
    assert all(torch.equal(a, b) for a, b in zip(policy.parameters(), again.parameters(), strict=True))
    g = [torch.Generator().manual_seed(0) for _ in range(2)]
    a, b = (
        p.write([[0], [1]], max_length=4, generator=h).trajectories for p, h in zip((policy, again), g, strict=True)
    )
    assert torch.equal(a.actions, b.actions)
    other = MaskedPolicy if policy_class is EditPolicy else EditPolicy
    with pytest.raises(CheckpointError, match="holds a policy of kind"):
        other.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="was saved with"):
        policy_class.from_pretrained(tmp_path, Vocabulary(5, 3))
    (tmp_path / "heads.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="is damaged or was edited"):
        policy_class.from_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="is missing or damaged"):
        policy_class.from_pretrained(tmp_path, verify=False)
    (tmp_path / "seqil.json").write_text(json.dumps({"vocabulary": V.to_json()}))
    with pytest.raises(CheckpointError, match="damaged or of another kind"):
        policy_class.from_pretrained(tmp_path)
    for content, complaint in (
        ("[1]", "holds no JSON object"),
        ("[" * 10**5, "is damaged"),
        (json.dumps({"vocabulary": V.to_json(), "kind": policy_class.kind, "hue": 3}), "has no 'hue'"),
    ):
        (tmp_path / "seqil.json").write_text(content)
        with pytest.raises(CheckpointError, match=complaint):
            policy_class.from_pretrained(tmp_path, verify=False)
    with pytest.raises(CheckpointError, match="was not written by"):
        policy_class.from_pretrained(tmp_path / "nowhere")


def test_other_families_will_do():
    with seeded(0):
        models = [
            DistilBertForMaskedLM(DistilBertConfig(vocab_size=5, dim=16, n_layers=1, n_heads=2, hidden_dim=32)),
            RobertaForMaskedLM(
                RobertaConfig(vocab_size=9, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                              intermediate_size=32, max_position_embeddings=32)
            ),
        ]  # fmt: skip
    for model in models:
        rows = len(model.get_input_embeddings().weight)
        for policy in (EditPolicy(model, V), MaskedPolicy(model, V, mask=3)):
            written = policy.write([[0, 1], [2]], max_length=3, generator=torch.Generator().manual_seed(0))
            assert written.trajectories.ended.all()
            assert len(policy.weight) == max(rows, 6)
        assert torch.equal(policy.weight[5], policy.weight[3])
        assert len(model.get_input_embeddings().weight) == rows


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: EditPolicy(torch.nn.Identity(), V), UnsupportedModelError, "no Hugging Face masked LM"),
        (lambda: EditPolicy(small_bert(Vocabulary(3, 0), 8, 1, 16, 2, 0), V), InvalidInputError, "too few"),
        (lambda: MaskedPolicy(small_bert(V, 8, 1, 16, 2, 0), V, mask=6), InvalidInputError, "mask=6"),
        (lambda: small_bert(V, 8, 1, 15, 2, 0), InvalidInputError, "not a multiple"),
        (lambda: tiny_whole_text(MaskedPolicy).check_positions(17), InvalidInputError, "17 positions"),
        (lambda: ICE(tiny_whole_text(EditPolicy), attribute=total, delta=0), InvalidInputError, "keeps no edit"),
        (lambda: ICE(tiny_whole_text(EditPolicy), attribute=total, warm_up=0.5), InvalidInputError, "no warm-up"),
        (lambda: Masked(tiny_whole_text(MaskedPolicy), block="all"), InvalidInputError, "block='all'"),
        (lambda: Masked(tiny_whole_text(MaskedPolicy), block=0), InvalidInputError, "block=0"),
        (lambda: Masked(tiny_whole_text(MaskedPolicy), quality=True), InvalidInputError, "quality needs a policy"),
        (lambda: Guide(steps=-1), InvalidInputError, "-1 steps"),
        (lambda: EditPolicy(small_bert(V, 8, 1, 16, 2, 0), V, kinds=["swap"]), InvalidInputError, "'swap'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, error, said):
    with pytest.raises(error, match=said) as refused:
        make()
    assert "\n" not in str(refused.value)


def test_an_autoregressive_model_is_refused():
    config = GPT2Config(vocab_size=6, n_positions=8, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=4)
    with seeded(0):
        model = GPT2LMHeadModel(config)
    with pytest.raises(UnsupportedModelError, match="it is causal"):
        EditPolicy(model, V)


def test_every_corruption_can_be_mended_by_the_edit_that_is_learned():
    data = tiny_demonstrations(backspace=False)
    right, edits = open_texts(data), seqil.Edits(V, 6)
    seen = set()
    for column in uniforms(data, 60, 0).unbind(1):
        wrong, back = corrupted(edits, right, column)
        assert (back >= 0).all()
        assert all(a != b for a, b in zip(wrong.texts(), right.texts(), strict=True))
        assert seqil.revise(edits, wrong, back).texts() == right.texts()
        seen |= set(edits.split(back)[0].tolist())
    assert seen == {0, 1, 2}


def test_texts_of_one_length_are_only_substituted():
    policy = tiny_whole_text(EditPolicy)
    written = policy.write([[0], [1, 2]] * 4, max_length=4, min_length=4, generator=torch.Generator().manual_seed(0))
    assert written.trajectories.ended.all()
    assert written.trajectories.lengths.tolist() == [5] * 8
    assert {kind for row in written.revisions for kind, _, _ in row} <= {2, 3}
    assert (written.forwards > 0).all()


def test_sets_have_the_size_that_is_asked_for_and_hold_real_cells():
    real = torch.tensor([[True] * 5, [True, True, False, False, False]])
    for seed in range(20):
        chance = torch.rand(2, 6, generator=torch.Generator().manual_seed(seed))
        for span in (True, False):
            found = drawn_set(chance, real, 3, span)
            assert found.sum(1).tolist() == [3, 2]
            assert not (found & ~real).any()
            assert 1 <= int(drawn_set(chance, real, None, span)[0].sum()) <= 5
            if span:
                at = found[0].nonzero()[:, 0]
                assert (at[1:] - at[:-1] == 1).all()


def test_the_edit_loss_is_the_likelihood_of_the_edits_that_are_kept():
    task = Potentials(length=5, size=3)
    policy = EditPolicy(small_bert(task.vocabulary, 8, 1, 16, 2, 0), task.vocabulary).eval()
    agent = ICE(policy, attribute=task.attribute, delta=0.8, corruptions=2, steps=3)
    data = task.demonstrations(12, "train", 0)
    found = agent.loss.losses(data, None)
    right, edits, logs = open_texts(data), policy.edits(5, 5), []
    for column in uniforms(data, 2, 0).unbind(1):
        wrong, back = corrupted(edits, right, column)
        for row in range(12):
            score = [task.score(p.texts()[row]) for p in (right, wrong)]
            if 0 < score[0] - score[1] <= 0.8 and back[row] >= 0:
                logs.append(float(policy.log_probs(wrong)[row, back[row]].detach()))
    assert 0 < len(logs) < 24
    assert float(found["loss_edit"].detach()) == pytest.approx(-sum(logs) / len(logs), rel=1e-5)
    assert float(found["kept"]) == pytest.approx(len(logs) / 24)


def test_the_masked_loss_is_the_likelihood_of_each_hidden_cell():
    policy = tiny_whole_text(MaskedPolicy).eval()
    data = Trajectories.from_actions(V, [[0], [1]], [[1, 2, 4], [3, 3, 0, 1, 4]], max_length=4)
    agent = Masked(policy, block=2, steps=3)
    found = float(agent.loss.losses(data, None)["loss_masked"].detach())
    W, expected = 5, []
    real = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    sets = drawn_set(uniforms(data, 1 + 2 * W, 0)[:, : 1 + W], real, 2, False)
    for row, text in enumerate([[1, 2, 4, 4, 4], [3, 3, 0, 1, 4]]):
        end = text.index(4)
        hidden = sets[row].tolist()
        hidden = [h or (hidden[end] and i > end) for i, h in enumerate(hidden)]
        cells = torch.tensor([[row, *(5 if h else t for t, h in zip(text, hidden, strict=True))]])
        _, logits = policy.read(cells, torch.ones_like(cells, dtype=torch.bool))
        logits = logits[0, 1:].clone()
        logits[4, :4] = -torch.inf  # the last cell of one more than max_length
        laws = logits.log_softmax(-1)
        asked = sets[row].nonzero()[:, 0].tolist()
        expected.append(-sum(float(laws[i, text[i]].detach()) for i in asked) / len(asked))
    assert found == pytest.approx(sum(expected) / 2, rel=1e-5)


@pytest.mark.parametrize("kind", [EditPolicy, MaskedPolicy, ParallelPolicy])
@pytest.mark.parametrize("least", [0, 5])
def test_what_is_told_of_a_text_ends_with_it(kind, least):
    """Kept tokens are the final text; what was taken away, and what stood in the draft, is there too."""
    policy = tiny_whole_text(kind)
    g = torch.Generator().manual_seed(1)
    written = policy.write([[0], [1, 2]] * 6, max_length=5, min_length=least, generator=g)
    final = [[t for t in row if t != V.eos] for row in written.trajectories.replay().texts()]
    told = [written.told(row) for row in range(len(final))]
    assert [[token for token, gone in row if not gone] for row in told] == final
    draft = [[t for t in row if t != V.eos] for row in written.drafts]
    for row, edits in enumerate(written.revisions):
        left = [token for token, _ in told[row]]
        assert all(left.count(token) >= draft[row].count(token) for token in draft[row])
        put = sum(kind in (INSERT, SUBSTITUTE) and token != V.eos for kind, _, token in edits)
        assert len(left) == len(draft[row]) + put
    assert kind is ParallelPolicy or any(gone for row in told for _, gone in row)


@pytest.mark.parametrize("kind", [EditPolicy, MaskedPolicy, ParallelPolicy])
@pytest.mark.parametrize("temperature", [float("inf"), float("nan"), 1e-9, -1.0])
def test_a_temperature_that_overflows_is_refused_by_the_policy_itself(kind, temperature):
    g = torch.Generator().manual_seed(0)
    with pytest.raises(InvalidInputError, match="must be 0"):
        tiny_whole_text(kind).write([[0]], max_length=3, min_length=3, generator=g, temperature=temperature)


@pytest.mark.parametrize(("config", "model"), [(RobertaConfig, RobertaForMaskedLM), (MPNetConfig, MPNetForMaskedLM)])
def test_positions_that_begin_behind_padding_are_not_cells(config, model):
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    small |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    with seeded(0):
        encoder = model(config(vocab_size=6, max_position_embeddings=10, pad_token_id=1, **small))
    policy = MaskedPolicy(encoder, V)
    assert policy.max_positions == 8
    policy.read(torch.zeros(1, 8, dtype=torch.int64), torch.ones(1, 8, dtype=torch.bool))
    with pytest.raises(InvalidInputError, match=f"take 9 positions, {model.__name__}"):
        policy.read(torch.zeros(1, 9, dtype=torch.int64), torch.ones(1, 9, dtype=torch.bool))
