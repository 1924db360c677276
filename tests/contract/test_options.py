"""What an environment does not know it refuses in one line, through `gymnasium.make` too."""

import gymnasium
import pytest
from torchrl.envs import GymEnv
from torchrl.envs.utils import check_env_specs

import envs
from envs.tasks import Sudoku4
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


SMALL = {"vocabulary": {"size": 5, "eos": 4}, "max_length": 6, "prompts": [[0]]}
FACES = {
    GENERATION: ("TextGenerationEnv", "TextGenerationVectorEnv", "TorchTextGenerationEnv"),
    REVISION: ("TextRevisionEnv", "TextRevisionVectorEnv", "TorchTextRevisionEnv"),
}


def made(face, **options):
    rows = {"num_envs": 2} if "Vector" in face else {}
    return getattr(envs, face)(**{**SMALL, **rows, **options})


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *(({name: value}, f"Env: {name}=.* is not an int")
          for name in ("max_length", "min_length", "max_actions", "max_prompt_length") for value in ("6", True, [3])),
        ({"max_length": 6.5}, "Env: max_length=6.5 is not a whole number"),
        ({"fixed_horizon": 3}, "Env: fixed_horizon=3 is not a bool"),
        ({"vocabulary": 5}, "Env: vocabulary=5 is not a Vocabulary"),
        *(({"prompts": wrong}, "prompts=.* must be lists of integer ids")
          for wrong in ([0, 4], "ab", 5, [["a"]], [None], [[1.5]])),
        ({"prompts": []}, "no prompts were given"),
        ({"reward": "len"}, "the environment: reward='len' is not a function of prompt and text"),
        ({"task": Sudoku4}, r"task=Sudoku4 is a class; give one of its tasks, Sudoku4\(\)"),
        ({"min_length": 5, "max_actions": 5}, "max_actions=5 ends before any text can: .* takes 6 actions; allow more"),
        *(({name: 10**n}, "so many cells fit into no memory; lower|beyond 64 bits")
          for name in ("max_length", "max_prompt_length")
          for n in (13, 30)),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("face", [face for faces in FACES.values() for face in faces])
def test_a_setting_of_another_kind_is_refused_by_name(face, options, complaint):
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        made(face, **options)
    assert "\n" not in str(refused.value)
    assert "Episodes" not in str(refused.value)


@pytest.mark.parametrize("face", FACES[GENERATION])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"backspace": "no"}, "Env: backspace='no' is not a bool"),
        ({"backspace": False, "memory": "tried"}, "memory='tried' remembers deletions"),
        ({"backspace": False, "memory": "history"}, "memory='history' remembers deletions"),
        ({"memory": 3}, "unknown memory 3"),
        ({"step_reward": 3}, "step_reward=3 is not a function"),
        *(({"memory": memory, "max_actions": 10**13}, "fit into no memory") for memory in ("tried", "history")),
    ],
)
def test_what_rules_the_process_is_refused_where_it_cannot_be(face, options, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        made(face, **options)


@pytest.mark.parametrize("face", FACES[REVISION])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"kinds": "inset"}, "unknown kind of edit 'inset'; .*; did you mean 'insert'"),
        *(({"kinds": wrong}, "kinds=.* must be a list of some of insert, delete, substitute") for wrong in (3, None)),
        ({"kinds": ["delete"]}, "can do nothing to an empty text; add 'insert'"),
        ({"start": None}, "start=None is not a str"),
        ({"mistakes": 0.1}, "mistakes are not made with start='empty'"),
        *(({"start": "draft", "drafts": [[1]], "mistakes": wrong}, "mistakes=.* must lie in")
          for wrong in (-0.1, 1.5, float("nan"))),
        ({"start": "draft", "drafts": [[1]], "mistakes": "some"}, "mistakes='some' is not a float"),
        *(({"start": "draft", "drafts": wrong}, "drafts=.* must be lists of integer ids")
          for wrong in ([1], "a", [[0.5]])),
        ({"start": "draft", "drafts": [[1]], "min_length": 4, "max_actions": 3}, "max_actions=3 ends before"),
    ],
    ids=str,
)  # fmt: skip
def test_what_rules_edits_is_refused_where_it_cannot_be(face, options, complaint):
    with pytest.raises(InvalidInputError, match=complaint):
        made(face, **options)


def test_one_kind_of_edit_may_be_a_word():
    assert made("TextRevisionEnv", kinds="insert").edits.kinds == ("insert",)


@pytest.mark.parametrize("face", [face for faces in FACES.values() for face in faces if face.startswith("Torch")])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *(({"batch_size": wrong}, "batch_size=.* is not a number of rows")
          for wrong in (-1, 0, "3", 2.5, [2, -1], [2.5], None, True)),
        ({"device": "gpu"}, "device='gpu' cannot be used"),
        ({"seed": 2**70}, "seed=.* is not an int of 64 bits"),
    ],
    ids=str,
)  # fmt: skip
def test_rows_device_and_seed_are_refused_in_one_line(face, options, complaint):
    with pytest.raises(InvalidInputError, match=complaint) as refused:
        made(face, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: envs.TextGenerationEnv(SMALL["vocabulary"], 6), "takes vocabulary alone by place, and got 6, too"),
        (lambda: envs.TextGenerationVectorEnv(**SMALL), "missing a required argument: 'num_envs'"),
        (lambda: envs.TextRevisionEnv(**SMALL, frameskip=4), "unexpected keyword argument 'frameskip'"),
    ],
)
def test_a_call_that_does_not_fit_is_a_type_error_too(make, complaint):
    for kind in (InvalidInputError, TypeError):
        with pytest.raises(kind, match=complaint):
            make()


@pytest.mark.parametrize("name", [GENERATION, REVISION])
@pytest.mark.parametrize("options", [{}, {"frame_skip": 2}, {"from_pixels": True, "pixels_only": False}], ids=str)
def test_torchrl_makes_them_by_id(name, options):
    env = GymEnv(name, task="sudoku4", **options)
    check_env_specs(env)
    assert env.rollout(3).batch_size == (3,)


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


@pytest.mark.parametrize("name", [GENERATION, REVISION])
def test_a_limit_of_steps_has_another_name_in_a_vector(name):
    with pytest.raises(InvalidInputError, match=r"'max_episode_steps'; it has: .*; here an episode ends after max_act"):
        gymnasium.make_vec(name, num_envs=2, task="sudoku4", max_episode_steps=3)
