import torch
from hypothesis import given

from seqil import Trajectories, Vocabulary, pack
from tests.subjects.list_model import Row, cases


def path(tree, row: int, node: int) -> list:
    """Node indices from the root to `node`, by parents."""
    found = []
    while node >= 0:
        found.append(node)
        node = int(tree.parent[row, node])
    return found[::-1]


@given(cases())
def test_the_path_to_node_at_is_the_prefix_before_the_action(case):
    tree = pack(case.v, case.trajectories)
    for b, states in enumerate(case.states):
        node_at = tree.node_at[b].tolist()
        for state, node in zip(states, node_at, strict=False):
            nodes = path(tree, b, node)
            assert tree.tokens[b, nodes].tolist() == state.cells
            assert tree.depth[b, nodes].tolist() == list(range(len(nodes)))
        assert set(node_at[len(states) - 1 :]) == {node_at[len(states) - 1]}  # the end of a row stays where it is


@given(cases())
def test_nodes_are_prompt_tokens_then_one_per_push(case):
    v, tree = case.v, pack(case.v, case.trajectories)
    for b, actions in enumerate(case.actions):
        n = len(case.prompts[b]) + sum(a != v.size for a in actions)
        assert int(tree.lengths[b]) == n
        assert tree.tokens[b].tolist() == case.prompts[b] + [a for a in actions if a != v.size] + [v.size] * (
            tree.tokens.shape[1] - n
        )
        assert all(p < i for i, p in enumerate(tree.parent[b, :n].tolist()))
        assert tree.parent[b, n:].eq(-1).all()
        assert tree.depth[b, n:].eq(0).all()
    assert tree.tokens.shape[1] == int(tree.lengths.max())


@given(cases())
def test_a_backspace_returns_to_the_parent_and_a_push_makes_a_new_node(case):
    tree = pack(case.v, case.trajectories)
    for b, actions in enumerate(case.actions):
        newest = len(case.prompts[b]) - 1
        for t, action in enumerate(actions):
            here, there = tree.node_at[b, t : t + 2].tolist()
            if action == case.v.size:
                assert there == int(tree.parent[b, here])
            else:
                newest += 1
                assert (there, int(tree.parent[b, there])) == (newest, here)


@given(cases())
def test_a_node_sees_its_ancestors_and_itself(case):
    tree = pack(case.v, case.trajectories)
    visible = tree.visible()
    for b in range(len(case.actions)):
        for node in range(tree.tokens.shape[1]):
            seen = visible[b, node].nonzero()[:, 0].tolist()
            if node < int(tree.lengths[b]):
                assert seen == path(tree, b, node)
                assert len(seen) == int(tree.depth[b, node]) + 1
            else:
                assert node in seen  # padding must see something, or its softmax is NaN


@given(cases())
def test_the_tree_of_a_row_does_not_depend_on_its_batch_mates(case):
    whole = pack(case.v, case.trajectories)
    for b in range(len(case.actions)):
        alone = pack(case.v, case.rows([b]).trajectories)
        n, T = int(alone.lengths), len(case.actions[b])
        for name in ("tokens", "parent", "depth"):
            assert torch.equal(getattr(alone, name)[0], getattr(whole, name)[b, :n])
        assert torch.equal(alone.node_at[0], whole.node_at[b, : T + 1])
        assert torch.equal(alone.visible()[0], whole.visible()[b, :n, :n])


def test_the_model_of_these_laws_knows_the_rules():
    """The list model itself, on one walk by hand."""
    from seqil import Vocabulary

    v, row = Vocabulary(3, 2), Row([2], 2, 1)
    assert row.legal(v) == {0, 1}
    row = row.take(v, 0).take(v, 1)
    assert (row.text, row.legal(v)) == ([0, 1], {2, 3})
    assert row.take(v, 0).text == [0, 1]
    assert row.take(v, 3).text == [0]
    assert row.take(v, 2).legal(v) == {2}
    assert row.take(v, 2).take(v, 3).text == [0, 1, 2]


def test_a_tree_by_hand():
    """`a b c <B> d <B> <B> e </s>` after the prompt `<s>`."""
    s, a, b, c, d, e, end, B = range(8)
    t = Trajectories.from_actions(Vocabulary(7, end), [[s]], [[a, b, c, B, d, B, B, e, end]], max_length=4)
    tree = pack(t.vocabulary, t)
    assert tree.tokens.tolist() == [[s, a, b, c, d, e, end]]
    assert tree.depth.tolist() == [[0, 1, 2, 3, 3, 2, 3]]
    assert tree.parent.tolist() == [[-1, 0, 1, 2, 2, 1, 5]]
    assert tree.node_at.tolist() == [[0, 1, 2, 3, 2, 4, 2, 1, 5, 6]]
    assert tree.visible()[0, 5].nonzero()[:, 0].tolist() == [0, 1, 5]
