"""What an environment does not know it refuses in one line, through `gymnasium.make` too."""

import gymnasium
import pytest

import envs
from seqil.errors import InvalidInputError

GENERATION, REVISION = "envs:seqil/TextGeneration-v0", "envs:seqil/TextRevision-v0"


@pytest.mark.parametrize("name", [GENERATION, REVISION])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"max_lenght": 3},
            "got an unexpected keyword argument 'max_lenght'; it has: vocabulary, .*; did you mean 'max_length'",
        ),
        ({"clues": 3}, "unexpected keyword argument 'clues'"),
        ({"low": 3, "task": "long_addition"}, r"the task has it: give task=LongAddition\(low=…\), of envs.tasks"),
        ({"task": "sudoku"}, "unknown task 'sudoku'; known: .*; did you mean 'sudoku4'"),
        ({"task": 3}, "task=3 is not a task"),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        gymnasium.make,
        lambda name, **options: gymnasium.make_vec(name, num_envs=2, **options),
        lambda name, **options: gymnasium.make_vec(name, num_envs=2, vectorization_mode="sync", **options),
        lambda name, **options: getattr(
            envs, "TorchTextGenerationEnv" if name == GENERATION else "TorchTextRevisionEnv"
        )(**options),
    ],
    ids=["make", "make_vec", "sync", "torchrl"],
)
def test_an_unknown_option_is_named(make, name, options, complaint):
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        make(name, **{"task": "sudoku4", **options})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [GENERATION, REVISION])
@pytest.mark.parametrize("action", ["x", None, 1.5, [1], [1, 2], True, {}])
def test_an_action_that_is_none_of_one_environment_is_shown_as_it_was_given(name, action):
    env = gymnasium.make(name, task="sudoku4", disable_env_checker=True)
    env.reset(seed=0)
    with pytest.raises(InvalidInputError) as refused:
        env.step(action)
    assert str(refused.value) == f"an action is one integer; got {action!r}"


def test_rows_are_spoken_of_where_there_are_some():
    env = gymnasium.make_vec(GENERATION, num_envs=2, task="sudoku4")
    env.reset(seed=0)
    with pytest.raises(InvalidInputError, match=r"one integer per row, here for 2 rows; got int64 \(3,\)"):
        env.step([1, 2, 3])
