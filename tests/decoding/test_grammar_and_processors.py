"""Regular expressions, banned words and transformers' processors as rules: what they mean, and what is refused."""

import json
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_llama import V, llama
from table_policy import TablePolicy
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    NoRepeatNGramLogitsProcessor,
    PrefixConstrainedLogitsProcessor,
    PreTrainedTokenizerFast,
    RepetitionPenaltyLogitsProcessor,
    SynthIDTextWatermarkLogitsProcessor,
)

import seqil.cli.commands
from envs.tasks import PyDoc
from envs.tasks.markov.automaton import Automaton as AutomatonTask
from seqil import TokenPolicy, Vocabulary, rollout, start
from seqil.cli.options import main
from seqil.decoding import Automaton, Standing, ban, grammar, parse, processor, top_k
from seqil.decoding.constrained.patterns import automaton_of, byte_ranges
from seqil.errors import InvalidInputError
from seqil.rollouts import rollout_reference
from seqil.runs import plugins

SMALL = Vocabulary(4, 3)
LETTERS = "abé\n🙂\u0800"
BYTES = [bytes([b]) for b in range(256)]

leaves = st.sampled_from(["a", "b", "é", "🙂", ".", "[^a]", "[a-é]", "[\u07ff-\u0801]"])
patterns = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,1}?", "{2,}"])),
    ),
    max_leaves=4,
)


@settings(max_examples=25)
@given(patterns, st.text(LETTERS, max_size=5))
def test_an_expression_means_what_it_means_to_re(pattern, text):
    made = automaton_of(pattern, BYTES)
    assert (made.after(list(text.encode())) in made.ends) == bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize("kind", [r"\d", r"[\W\d]", r"[^\s\d]", r"\S"])
def test_kinds_of_characters(kind):
    made = automaton_of(kind, BYTES)
    for character in "a_ 7\n\u00a0é٣🙂\u2028\x1c-":
        assert (made.after(list(character.encode())) in made.ends) == bool(re.fullmatch(kind, character))


@pytest.mark.parametrize(("low", "high"), [(0, 0x10FFFF), (0x7F, 0x80), (0x7FE, 0x10001), (0xD7FE, 0xE001)])
def test_ranges_of_characters_as_bytes(low, high):
    sequences = list(byte_ranges(low, high))
    for character in {low, high, 0x41, 0xE9, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x1F642, *range(0xD7F0, 0xD800)}:
        spelled = chr(character).encode()
        hits = [
            s
            for s in sequences
            if len(s) == len(spelled) and all(a <= b <= z for (a, z), b in zip(s, spelled, strict=True))
        ]
        assert len(hits) == (low <= character <= high)


@pytest.fixture(scope="module")
def byte_level():
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<eos>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    made.train_from_iterator(["the count is 12 and 345 then é 🙂 " * 20], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<eos>")


def test_a_tokenizer_of_pieces_writes_what_the_expression_says(byte_level):
    v = Vocabulary.from_tokenizer(byte_level)
    policy = TablePolicy(v, deletes=3.0)
    pattern = r" (the|count|é🙂)( is)? [0-9]{1,3}"
    rules = [top_k(4), grammar(pattern, reader=byte_level)]
    t = rollout_reference(policy, [[5]] * 6, max_length=9, max_actions=60, rules=rules)
    texts = t.replay().texts(eos=False)
    assert t.ended.sum() >= 4
    assert len({byte_level.decode(text) for text in texts}) > 2
    assert (t.actions == v.backspace)[t.inside].any()
    for text, ended in zip(texts, t.ended.tolist(), strict=True):
        assert not ended or re.fullmatch(pattern, byte_level.decode(text))


def test_a_text_ends_within_its_lengths_though_the_expression_goes_on():
    task = PyDoc()
    rule = grammar(r"[a-z]+\.", reader=task)
    t = rollout_reference(
        TablePolicy(task.vocabulary, deletes=-20.0), [[5]] * 8, max_length=4, min_length=3, rules=[rule]
    )
    texts = [task.decode(text) for text in t.replay().texts()]
    assert t.ended.all()
    assert all(re.fullmatch(r"[a-z]{2,3}\.", text) for text in texts)


def test_what_constrains_comes_first_wherever_it_stands():
    policy = TablePolicy(SMALL, deletes=-9.0)
    only = Automaton(0, {0: {2: 1}, 1: {1: 2}}, frozenset([2]))
    for rules in ([grammar(only), top_k(1)], [top_k(1), grammar(only)]):
        t = rollout_reference(policy, [[0]], max_length=3, rules=rules, max_actions=50)
        assert t.replay().texts() == [[2, 1, 3]]


def test_nothing_left_is_said():
    rules = [grammar(Automaton(0, {0: {1: 1}}, frozenset([1]))), ban([1])]
    with pytest.raises(
        InvalidInputError, match=r"grammar\(an automaton\) and ban\(\[1\]\) leave nothing to do in row 0"
    ):
        rollout_reference(TablePolicy(SMALL), [[0]], max_length=3, rules=rules)
    with pytest.raises(InvalidInputError, match="has no text of 2 to 3 tokens"):
        rollout_reference(TablePolicy(SMALL), [[0]], max_length=3, min_length=2, rules=rules[:1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: grammar("(a", reader=PyDoc()), "is no regular expression: missing"),
        (lambda: grammar("a(?=b)", reader=PyDoc()), "holds assert, which a rule cannot follow"),
        (lambda: grammar(r"(a)\1", reader=PyDoc()), "holds groupref"),
        (lambda: grammar("^a$", reader=PyDoc()), "holds at, which"),
        (lambda: grammar("(?i)a", reader=PyDoc()), "holds flags"),
        (lambda: grammar("(a{99}){999}", reader=PyDoc()), "more than 20,000 states"),
        (lambda: grammar("[0-9]+"), "give reader="),
        (lambda: grammar("é", reader=PyDoc()), "has no text of 0 to 3 tokens"),
        (lambda: grammar(3), "3 is neither a regular expression nor an Automaton"),
        (lambda: grammar(Automaton(0, {0: {3: 1}}, frozenset([1]))), "a move by 3, which is no token of a text"),
        (lambda: grammar("1 2", reader=AutomatonTask()), "give the rule ids of tokens, or an Automaton"),
        (lambda: ban(), "ban: give at least one word"),
        (lambda: ban(""), "ban: give at least one word"),
        (lambda: ban(3), "ban: 3 is neither a text nor a list of ids"),
        (lambda: ban([]), "is neither a text nor a list of ids"),
        (lambda: ban([99]), "ban: 99 is no token of a text"),
        (lambda: ban([3]), "ban: 3 is no token of a text"),
        (lambda: ban("word"), "give reader="),
        (lambda: processor("NoRepeatNgramLogitsProcessor", 2), "did you mean 'NoRepeatNGramLogitsProcessor'?"),
        (lambda: processor("NoRepeatNGramLogitsProcessor", -1), "has to be a strictly positive integer"),
        (lambda: processor(7), "7 is no logits processor"),
        (lambda: processor("GPT2Model"), "transformers has no logits processor 'GPT2Model'"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(make, message):
    def write():
        rule = make()
        v = SMALL if "automaton" in str(rule) or "ban" in str(rule) else PyDoc().vocabulary
        v = AutomatonTask().vocabulary if "1 2" in str(rule) else v
        rollout_reference(TablePolicy(v), [[0]], max_length=3, rules=[rule])

    with pytest.raises(InvalidInputError, match=re.escape(message)) as refused:
        write()
    assert "\n" not in str(refused.value)


class Remembers(LogitsProcessor):
    def __init__(self):
        self.seen = 0

    def __call__(self, input_ids, scores):
        self.seen += 1
        return scores + torch.arange(scores.shape[1]) * self.seen


class Draws(LogitsProcessor):
    def __call__(self, input_ids, scores):
        return scores + torch.rand_like(scores)


class Fails(LogitsProcessor):
    def __call__(self, input_ids, scores):
        raise KeyError("nothing")


class Narrow(LogitsProcessor):
    def __call__(self, input_ids, scores):
        return scores[:, :2]


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (Remembers(), "processor(Remembers) depends on what came before"),
        (Draws(), "processor(Draws) depends on what came before"),
        (Fails(), "processor(Fails) fails: KeyError"),
        (Narrow(), "processor(Narrow) does not return scores of the shape"),
        (PrefixConstrainedLogitsProcessor(lambda row, ids: [row], 1), "depends on the other rows"),
        (SynthIDTextWatermarkLogitsProcessor(2, [3, 5], 8, 8, 1, "cpu"), "SynthIDTextWatermarkLogitsProcessor) fails"),
    ],
)
def test_a_processor_that_cannot_follow_deletions_is_refused(one, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        rollout_reference(TablePolicy(SMALL), [[0]], max_length=3, rules=[processor(one)])


def test_a_processor_is_shown_each_text_as_it_stands():
    policy, pair = (
        TablePolicy(SMALL, deletes=1.0),
        [NoRepeatNGramLogitsProcessor(2), RepetitionPenaltyLogitsProcessor(1.3)],
    )
    warp = processor(LogitsProcessorList(pair)).begin(policy)
    state = start(SMALL, [[0, 1, 0], [2], [1, 1]], 6)
    for action in (1, 0, 4, 2, 2, 4, 4, 1):
        logits = policy.log_probs(state) + 3.7
        found = warp(state, torch.arange(3), logits)
        for row, text in enumerate(state.texts(prompt=True)):
            expected = pair[1](torch.tensor([text]), pair[0](torch.tensor([text]), logits[[row]].log_softmax(-1)))
            torch.testing.assert_close(found[row], expected[0])
        state = seqil.transition(SMALL, state, torch.tensor([action] * 3))


@pytest.mark.parametrize(
    ("asked", "rules"),
    [
        ({"no_repeat_ngram_size": 2}, [processor("NoRepeatNGramLogitsProcessor", 2)]),
        ({"bad_words_ids": [[5], [3, 4], [9, 1, 2]]}, [ban([5], [3, 4], [9, 1, 2])]),
        ({"suppress_tokens": [1, 2, 3]}, [processor("SuppressTokensLogitsProcessor", [1, 2, 3])]),
    ],
)
def test_without_deletions_it_is_the_generate_of_transformers(asked, rules):
    model = llama()
    with torch.no_grad():
        model.lm_head.weight *= 30
    policy = TokenPolicy(model, V, backspace=False)
    prompts = torch.tensor([[1, 2, 3], [4, 3, 9]])
    expected = model.generate(
        prompts, max_new_tokens=12, do_sample=False, attention_mask=torch.ones_like(prompts), **asked
    )
    t = rollout(policy, prompts, max_length=12, temperature=0, rules=rules)
    plain = rollout(policy, prompts, max_length=12, temperature=0)
    for row, text in enumerate(t.replay().texts(eos=False)):
        assert text == expected[row, 3 : 3 + len(text)].tolist()
    assert not torch.equal(plain.actions, t.actions)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("grammar=[0-9]{1,3}", "grammar([0-9]{1,3})"),
        ('grammar="[0-9]"', "grammar([0-9])"),
        ("grammar=42", "grammar(42)"),
        ("ban=cat", "ban('cat')"),
        ("ban=cat,dog", "ban('cat', 'dog')"),
        ('ban="a, b",[3,4]', "ban('a, b', [3, 4])"),
        ("ban=[3]", "ban([3])"),
        ("processor=NoRepeatNGramLogitsProcessor,2", "processor(NoRepeatNGramLogitsProcessor, 2)"),
        ('processor="SuppressTokensLogitsProcessor",[1,2]', "processor(SuppressTokensLogitsProcessor, [1, 2])"),
    ],
)
def test_as_they_are_written_on_the_command_line(text, name):
    assert str(parse(text)) == name


@pytest.mark.parametrize("text", ["ban", "ban=", "ban=cat,[3", "grammar", "grammar=", "processor", 'ban="a'])
def test_half_of_one_is_refused(text):
    with pytest.raises(InvalidInputError, match=r"is not of the form|give at least one|give reader|leaves"):
        parse(text)


def test_a_strangers_rule_gets_the_task_if_it_asks_for_a_reader(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from seqil import decoding\n\n\ndef mine(word: str, *, reader):\n"
        '    return decoding.ban(word + "!", reader=reader)\n'
    )
    found = plugins.rule(f"{tmp_path}/mine.py:mine=x", PyDoc())
    assert str(found) == "ban('x!')"
    v = PyDoc().vocabulary
    ids = PyDoc().encode("ax")
    allowed = found.allows(TablePolicy(v))(Standing([0], ids, 9, 0))
    assert [PyDoc().decode([t]) for t in (~allowed).nonzero()[:, 0].tolist()] == ["!"]


def test_the_command_line_writes_by_a_grammar(tmp_path, monkeypatch, capsys):
    (tmp_path / "a.txt").write_text("the cat sat on the mat; 3 + 4 = 7. " * 40, encoding="utf-8")
    options = ["--task", "text", "--task-option", f"path={tmp_path}/a.txt", "--task-option", "prompt_length=4"]
    options += ["--task-option", "max_length=12", "--agent", "bc", "--steps", "1", "--width", "8", "--heads", "1"]

    def typed(*arguments):
        monkeypatch.setattr("sys.argv", ["seqil", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    assert typed("train", *options, "--layers", "1", "--out", f"{tmp_path}/run") == 0
    capsys.readouterr()
    rules = ["--rule", "grammar= [a-d]{2,5}(-[0-9]+)?", "--rule", "ban=aa,bb"]
    assert typed("sample", f"{tmp_path}/run", "-n", "6", "--format", "json", *rules) == 0
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(written) == 6
    for one in written:
        assert not one["ended"] or re.fullmatch(" [a-d]{2,5}(-[0-9]+)?", one["text"])
        assert "aa" not in one["text"]
    assert typed("evaluate", f"{tmp_path}/run", "-n", "4", "--rule", "grammar=(x") == 2
    assert "is no regular expression" in capsys.readouterr().err


def test_the_end_of_a_text_cannot_be_banned_as_a_word():
    class Reader:
        eos_token = "<eos>"

        def __call__(self, text):
            return text

    with pytest.raises(InvalidInputError, match=r"ban: 'x<eos>' spells the end of a text"):
        ban("x<eos>", reader=Reader())
