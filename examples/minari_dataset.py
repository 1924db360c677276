"""Demonstrations to Minari and back: `python -m examples.minari_dataset` (extra `clients`; no jax).

Writes below `MINARI_DATASETS_PATH`, by default `~/.minari/datasets`.
"""

import gymnasium as gym
import minari
from minari.data_collector import EpisodeBuffer

from envs.tasks import Automaton
from examples.episodes import gather, play
from examples.three_tokens import ID
from seqil import Trajectories, Vocabulary

ABOUT = {  # yours
    "author": "A. N. Author",
    "author_email": "author@example.org",
    "code_permalink": "https://example.org/commit",
    "description": "Draws from the teacher",
}


def save(dataset_id: str, env: gym.Env, demonstrations: Trajectories, **about: str) -> minari.MinariDataset:
    """One episode per demonstration, and the environment that they were taken in; `about`: author and so on."""
    buffers = [
        EpisodeBuffer(
            id=i,
            observations=episode.observations,
            actions=episode.actions,
            rewards=episode.rewards.tolist(),
            terminations=episode.terminations.tolist(),
            truncations=episode.truncations.tolist(),
        )
        for i, episode in enumerate(play(env, demonstrations))
    ]
    return minari.create_dataset_from_buffers(dataset_id, buffers, env=env, eval_env=env, **about)


def load(dataset_id: str) -> tuple[gym.Env, Trajectories]:
    """The environment and the demonstrations of a dataset."""
    dataset = minari.load_dataset(dataset_id)
    settings = dataset.spec.env_spec.kwargs
    return dataset.recover_environment(), gather(
        Vocabulary.of(settings["vocabulary"]),
        dataset.iterate_episodes(),
        max_length=settings["max_length"],
        min_length=settings.get("min_length", 0),
    )


def main(n: int = 100, dataset_id: str = "seqil/automaton-v0") -> None:
    task = Automaton()
    env = gym.make(
        ID, vocabulary=task.vocabulary.to_json(), max_length=task.max_length, min_length=task.min_length, task=task.name
    )
    save(dataset_id, env, task.demonstrations(n, "train", 0), algorithm_name="teacher", **ABOUT)
    env, demonstrations = load(dataset_id)
    print(f"{dataset_id}: {len(demonstrations)} demonstrations of {env.spec.id}")


if __name__ == "__main__":
    main()
