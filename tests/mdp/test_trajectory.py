from dataclasses import replace

import pytest
import torch

from seqil import Trajectories, Vocabulary, pack
from seqil.errors import InvalidInputError

V = Vocabulary(size=4, eos=3)
B = V.backspace


@pytest.mark.parametrize(
    ("actions", "says"),
    [
        ([[0], [1, B, B]], "row 1, step 2: action 4 is illegal: no generated token is left to delete"),
        ([[0, 3, 0]], "row 0, step 2: action 0 is illegal: the row has already ended with eos"),
        ([[0, 3, 3]], "row 0, step 2: action 3 is illegal: the row has already ended"),
        ([[0, 3, B]], "row 0, step 2: action 4 is illegal: the row has already ended"),
        ([[0, 1, 2]], "row 0, step 2: action 2 is illegal: max_length=2 tokens are already there"),
        ([[3]], "row 0, step 0: action 3 is illegal: eos needs min_length=1 generated tokens, there are 0"),
        ([[5]], "row 0, step 0: action 5 is illegal: ids go from 0 to 4"),
        ([[-1]], "row 0, step 0: action -1 is illegal: ids go from 0 to 4"),
    ],
)
def test_an_illegal_action_is_named_with_its_reason(actions, says):
    with pytest.raises(InvalidInputError, match=says) as caught:
        Trajectories.from_actions(V, [[0]] * len(actions), actions, max_length=2, min_length=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("actions", "options", "says"),
    [
        ([[0]], {}, "2 prompts, 1 rows of actions"),
        ([], {}, "no action lists"),
        ([0, 1], {}, "action lists must be lists of integer ids"),
        ([[0.5], [1]], {}, "action lists must be lists of integer ids"),
        (torch.zeros(2), {}, "int64"),
        (torch.zeros(2, 1), {}, "int64"),
        ([[0], [1]], {"imitate": torch.ones(2, 2)}, r"imitate has shape \(2, 2\); it must be \(2, 1\)"),
        ([[0], [1]], {"imitate": torch.ones(1)}, r"imitate has shape \(1,\)"),
        ([[0], [1]], {"log_prob": torch.ones(2)}, r"log_prob has shape \(2,\)"),
        ([[0], [1]], {"lengths": [1]}, r"lengths of shape \(1,\)"),
        ([[0], [1]], {"lengths": [1, 2]}, "lengths must lie in 0..1"),
        ([[0], [1]], {"lengths": [0.9, 1.0]}, "lengths must be integers, got torch.float32"),
        ([[0], [1, 2]], {"imitate": [[True], [True, False]]}, "imitate must be a tensor, or lists as long as 2"),
        ([[0], [1]], {"log_prob": [0.0, 0.0]}, r"log_prob has shape \(2,\)"),
        ([[0], [1]], {"max_length": 0}, "max_length=0"),
        ([[0], [1]], {"min_length": 2}, "min_length=2"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused(actions, options, says):
    with pytest.raises(InvalidInputError, match=says):
        Trajectories.from_actions(V, [[0], [1]], actions, **options)


ONE = Trajectories.from_actions(V, [[0], [1]], [[0, 3], [1]])
CHANGED = {
    "actions hold 50": {"actions": ONE.actions + 50},
    "actions is torch.float32": {"actions": ONE.actions.float()},
    "prompts hold -1": {"prompts": ONE.prompts - 1 - ONE.prompts},
    r"lengths hold 10; they go from 0 to 2": {"lengths": ONE.lengths + 8},
    r"lengths is torch.int64 \(1,\)": {"lengths": ONE.lengths[:1]},
    r"imitate is torch.int64 \(2, 2\); it must be bool": {"imitate": ONE.imitate.long()},
    r"labels is torch.int64 \(2, 1\)": {"labels": ONE.actions[:, :1]},
}


@pytest.mark.parametrize("says", CHANGED)
def test_what_holds_no_trajectories_is_refused_where_it_is_read(says):
    with pytest.raises(InvalidInputError, match=says):
        pack(V, replace(ONE, **CHANGED[says]))
    rows = ONE.to_tensordict().update({name: value for name, value in CHANGED[says].items() if len(value) == 2})
    if "lengths is" not in says:
        with pytest.raises(InvalidInputError, match=says):
            Trajectories.from_tensordict(V, rows)


@pytest.mark.parametrize("imitate", [torch.full((2, 2), 2), torch.ones(2), "x"])
def test_what_counts_is_a_bool_for_each_step(imitate):
    with pytest.raises(InvalidInputError, match="imitate"):
        ONE.labelled(ONE.actions, imitate=imitate)


@pytest.mark.parametrize("times", [-1, 1.5, None, "x", True, 10**12])
def test_copies_are_a_number_that_fits_into_the_memory(times):
    with pytest.raises(InvalidInputError, match=r"times=|copies of 2 texts would take"):
        ONE.repeat(times)


def test_columns_that_fit_into_no_memory_are_refused():
    with pytest.raises(InvalidInputError, match=r"2 rows of .* columns would take"):
        ONE.to_tensordict(None, 10**12)


def test_what_is_given_is_copied():
    actions, imitate = torch.tensor([[0, 1]]), torch.tensor([[True, False]])
    lengths, log_prob = torch.tensor([2]), torch.tensor([[-1.0, -2.0]])
    t = Trajectories.from_actions(V, [[0]], actions, imitate=imitate, lengths=lengths, log_prob=log_prob)
    for given in (actions, imitate, lengths, log_prob):
        given.zero_()
    assert (t.actions.tolist(), t.imitate.tolist()) == ([[0, 1]], [[True, False]])
    assert (t.lengths.tolist(), t.log_prob.tolist()) == ([2], [[-1, -2]])


def test_lists_serve_as_well_as_tensors():
    t = Trajectories.from_actions(
        V, [[0]], [[0, 1]], lengths=[1], imitate=[[True, False]], log_prob=[[-1.0, 0.0]], max_length=2
    )
    assert (t.lengths.tolist(), t.imitate.tolist(), t.log_prob.tolist()) == ([1], [[True, False]], [[-1, 0]])


def test_labels_that_are_no_integers_are_refused():
    with pytest.raises(InvalidInputError, match="labels: a tensor must be int64"):
        Trajectories.from_actions(V, [[0]], [[0, 1]]).labelled(torch.tensor([[0.5, 1.0]]))


def test_only_batches_of_one_vocabulary_and_one_limit_are_joined():
    a = Trajectories.from_actions(V, [[0]], [[0, 1]], max_length=3)
    with pytest.raises(InvalidInputError, match="cannot join trajectories over"):
        Trajectories.cat([a, Trajectories.from_actions(Vocabulary(4, 2), [[0]], [[0, 1]], max_length=3)])
    for limits in ({"max_length": 4}, {"max_length": 3, "min_length": 1}):
        with pytest.raises(InvalidInputError, match="length differs between rows"):
            Trajectories.cat([a, Trajectories.from_actions(V, [[0]], [[0, 1]], **limits)])


def test_a_tree_of_other_ids_is_refused():
    with pytest.raises(InvalidInputError, match=r"size=4, eos=3\), not over Vocabulary\(size=3"):
        pack(Vocabulary(3, 2), Trajectories.from_actions(V, [[0]], [[0, 1]]))


def test_a_tensordict_is_not_narrowed():
    t = Trajectories.from_actions(V, [[0, 1]], [[0, 1]])
    with pytest.raises(InvalidInputError, match="2 columns do not fit into 1"):
        t.to_tensordict(prompt_cells=1)


def test_no_rows_can_be_selected_but_not_replayed_into_something():
    t = Trajectories.from_actions(V, [[0, 1]], [[0, 1]])
    none = t.select(torch.tensor([False]))
    assert (len(none), none.actions.shape, none.prompts.shape) == (0, (0, 0), (0, 0))


def test_moving_keeps_the_steps():
    t = Trajectories.from_actions(V, [[0]], [[0, 1]], log_prob=torch.zeros(1, 2))
    moved = t.to("meta")
    assert {moved.actions.device.type, moved.imitate.device.type, moved.log_prob.device.type} == {"meta"}


ROWS = Trajectories.from_actions(V, [[0], [1], [2]], [[1, 3], [0, B, 2], [2]], max_length=4)


@pytest.mark.parametrize("rows", [[2, 0], torch.tensor([2, 0]), torch.tensor([-1, 0]), (2, 0)])
def test_rows_are_chosen_by_their_numbers(rows):
    assert ROWS.select(rows).prompts.tolist() == [[2], [0]]
    assert ROWS.replay().select(rows).prompt_length.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (0, "rows=0 is not a slice, a list of row numbers, or a bool for each of 3 rows"),
        ("a", "rows='a' is not a slice"),
        ([0.5], r"rows=\[0.5\] is not a slice"),
        ([[0]], r"rows=\[\[0\]\] is not a slice"),
        ([3], "there is no row 3; rows go from 0 to 2"),
        ([-4], "there is no row -4; rows go from 0 to 2"),
        ([True], "a bool for each row, 1 of them for 3 rows"),
    ],
)
@pytest.mark.parametrize("choose", [ROWS.select, ROWS.replay().select, lambda rows: ROWS.until(rows, [0])])
def test_rows_that_there_are_not_are_refused(choose, rows, says):
    with pytest.raises(InvalidInputError, match=says):
        choose(rows)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([0, 3], "steps 3 of row 1 does not lie in 0..2"),
        ([-1, 0], "steps -1 of row 0 does not lie in 0..3"),
        ([0], r"steps=\[0\] is not a list of 2 whole numbers"),
        ([0.0, 0.0], "is not a list of 2 whole numbers"),
        (None, "steps=None is not a list of 2 whole numbers"),
    ],
)
def test_more_steps_than_rows_have_are_refused(steps, says):
    with pytest.raises(InvalidInputError, match=says):
        ROWS.until([1, 0], steps)


@pytest.mark.parametrize(
    ("device", "says"),
    [("foo", "device='foo' is not a device"), (2.5, "is not a device"), (torch.int64, "is not a dev")],
)
def test_what_is_no_device_is_refused(device, says):
    for thing in (ROWS, ROWS.replay()):
        with pytest.raises(InvalidInputError, match=says):
            thing.to(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_cuda_that_there_is_not_is_refused():
    with pytest.raises(InvalidInputError, match="torch finds no CUDA here; give 'cpu'"):
        ROWS.to("cuda")


@pytest.mark.parametrize("parts", [[], ROWS, [ROWS, None], (row for row in [ROWS])])
def test_what_are_no_batches_are_not_joined(parts):
    with pytest.raises(InvalidInputError, match="cat joins a list of at least one"):
        Trajectories.cat(parts)
