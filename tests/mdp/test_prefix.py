import pytest
import torch

from seqil import Vocabulary, legal_actions, start, transition
from seqil.errors import InvalidInputError

V = Vocabulary(size=4, eos=3)


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ([], "no prompts"),
        ([[0], []], "prompt 1 is empty"),
        ([[0], [1, 4]], "prompt token 4 in row 1"),
        ([[-1]], "prompt token -1 in row 0"),
        ([[1.5]], "lists of integer ids"),
        ([["a"]], "lists of integer ids"),
        ([[2**70]], "lists of integer ids"),
        ([0, 1], "lists of integer ids"),
        (torch.zeros(2), "int64"),
        (torch.zeros(2, 3), "int64"),
        (torch.ones(2, 3, dtype=torch.bool), "int64"),
        (torch.tensor([[0, 4, 1]]), "prompt 0 has tokens after its padding"),
        (torch.tensor([[4, 4]]), "prompt 0 is empty"),
    ],
)
def test_bad_prompts_are_refused_in_one_line(prompts, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        start(V, prompts, max_length=3)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("max_length", "min_length"), [(0, 0), (-1, 0), (3, 4), (3, -1)])
def test_lengths_that_no_text_can_meet_are_refused(max_length, min_length):
    with pytest.raises(InvalidInputError, match="length="):
        start(V, [[0]], max_length, min_length)


def test_prompts_as_lists_and_as_a_padded_tensor_are_the_same():
    listed = start(V, [[0, 1], [2]], 3)
    padded = start(V, torch.tensor([[0, 1], [2, 4]], dtype=torch.int32), 3)
    assert torch.equal(listed.tokens, padded.tokens)
    assert listed.tokens.shape == (2, 2 + 3 + 1)
    assert listed.tokens.dtype == padded.tokens.dtype == torch.int64
    assert padded.length.tolist() == padded.prompt_length.tolist() == [2, 1]


def test_a_prompt_tensor_is_copied():
    prompts = torch.tensor([[0, 1]])
    state = start(V, prompts, 3)
    prompts.zero_()
    assert state.texts(prompt=True) == [[0, 1]]


@pytest.mark.parametrize("action", [-1, 5])
def test_an_action_out_of_range_is_refused(action):
    with pytest.raises(InvalidInputError, match=f"action {action} in row 1 is out of range; ids go from 0 to 4"):
        transition(V, start(V, [[0], [0]], 3), torch.tensor([0, action]))


def test_actions_of_the_wrong_shape_are_refused():
    with pytest.raises(InvalidInputError, match=r"need shape \(2,\)"):
        transition(V, start(V, [[0], [0]], 3), torch.tensor([0]))


@pytest.mark.parametrize("action", [1.7, 1.0, float("nan"), True])
def test_actions_that_are_no_integers_are_refused(action):
    with pytest.raises(InvalidInputError, match="actions must be integers, got torch"):
        transition(V, start(V, [[0], [0]], 3), torch.tensor([action, action]))


def test_a_full_text_can_still_end_or_shrink():
    state = start(V, [[0]], max_length=2, min_length=2)
    for token in (1, 2):
        assert not legal_actions(V, state)[0, V.eos]
        state = transition(V, state, torch.tensor([token]))
    assert legal_actions(V, state)[0].tolist() == [False, False, False, True, True]
    assert legal_actions(V, state, backspace=False)[0].tolist() == [False, False, False, True, False]
    end = transition(V, state, torch.tensor([V.eos]))
    assert (end.texts(), end.texts(eos=False), end.ended.tolist()) == ([[1, 2, 3]], [[1, 2]], [True])
    assert end.generated.tolist() == [3]
    assert torch.equal(transition(V, end, torch.tensor([V.eos])).tokens, end.tokens)


def test_rows_can_be_selected_by_index_mask_and_slice():
    state = start(V, [[0], [1], [2]], 2)
    assert len(state) == 3
    for rows in (torch.tensor([0, 2]), torch.tensor([True, False, True]), slice(0, 3, 2)):
        assert state.select(rows).texts(prompt=True) == [[0], [2]]


def test_moving_keeps_the_states():
    state = start(V, [[0], [1, 2]], 2)
    assert torch.equal(state.to("cpu").tokens, state.tokens)
    assert state.to("meta").tokens.device.type == "meta"


@pytest.mark.parametrize(
    ("actions", "complaint"),
    [
        ("no ids", "transition: actions='no ids' are no ids"),
        ([[1], [2, 3]], r"transition: actions=\[\[1\], \[2, 3\]\] are no ids"),
        ([1], "actions"),
        ([1.5, 2.0], "actions"),
        ([1, 99], "99"),
        ([1, -1], "-1"),
    ],
)
def test_a_transition_names_what_is_no_action(actions, complaint):
    from seqil import Vocabulary, start, transition
    from seqil.errors import InvalidInputError

    v = Vocabulary(4, 3)
    with pytest.raises(InvalidInputError, match=complaint):
        transition(v, start(v, [[0], [1]], 3), actions)


def test_states_that_no_memory_holds_are_refused_before_they_are_made():
    from seqil import Vocabulary, start
    from seqil.errors import InvalidInputError

    with pytest.raises(
        InvalidInputError, match=r"states of max_length=.* tokens would take .* GiB, this machine has .*; lower it"
    ):
        start(Vocabulary(4, 3), [[0]], 10**15)
