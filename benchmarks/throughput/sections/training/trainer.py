"""Maximum likelihood against transformers' own `Trainer`: same model, texts, optimizer and number type."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from agents.behavior_cloning import BehaviorCloning
from seqil import TokenPolicy, Trajectories, train

from ...subjects.isolated import apart, peak
from ...subjects.measure import Ratio, clock, ratio
from ...subjects.models import GPT2_124M, SMALL, Subject

_RATE, _CLIP = 1e-4, 1.0


@dataclass(frozen=True)
class Size:
    """A shape of GPT-2, rows and tokens of a batch, and updates that are timed, after one that is not."""

    name: str
    shape: dict[str, int]
    rows: int
    tokens: int
    steps: int

    def __str__(self) -> str:
        return f"{self.name}, {self.rows} rows of {self.tokens}"


_NO_DROPOUT = {"resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
SIZES = (Size("4 x 256", SMALL | _NO_DROPOUT, 32, 128, 8), Size("124M", GPT2_124M | _NO_DROPOUT, 4, 128, 4))


@dataclass(frozen=True)
class Found:
    """Updates per second, largest growth of memory from before the model on (MiB), and the last loss."""

    rate: float
    memory: float
    loss: float


def measure(repetitions: int, sizes: tuple[Size, ...] = SIZES) -> Iterator[Ratio]:
    """Each side in a process of its own, in turns.

    Raises:
        AssertionError: they do not come to one loss.
    """
    for size in sizes:
        runs = [(apart(_run, "ours", size), apart(_run, "trainer", size)) for _ in range(max(1, repetitions // 2))]
        for ours, theirs in runs:
            if abs(ours.loss - theirs.loss) > 1e-2 * theirs.loss:
                raise AssertionError(f"the losses of {size} differ: {ours.loss} and {theirs.loss}")
        first, second = zip(*runs, strict=True)
        name = f"maximum likelihood / transformers' Trainer, {size}"
        yield ratio(f"updates, {name}", "updates/s", [x.rate for x in first], [x.rate for x in second])
        memory = [x.memory for x in first], [x.memory for x in second]
        yield ratio(f"peak memory, {name}", "MiB", memory[0], memory[1], more_is_better=False)


def _run(who: str, size: Size) -> Found:
    import transformers.trainer  # noqa: F401  # what it imports is no memory of a run

    before = peak()
    subject = Subject.of(size.shape, size.tokens)
    g = torch.Generator().manual_seed(0)
    v = subject.policy.vocabulary
    texts = torch.randint(0, v.eos, (size.rows * (size.steps + 1), size.tokens), generator=g)
    times: list[float] = []
    losses = (_ours if who == "ours" else _theirs)(subject, texts, size, lambda: times.append(clock()))
    rate = (len(times) - 1) / (times[-1] - times[0])
    return Found(rate, peak() - before, losses[-1])


def _ours(subject: Subject, texts: torch.Tensor, size: Size, tick: Callable[[], None]) -> list[float]:
    policy = TokenPolicy(subject.model, subject.policy.vocabulary, backspace=False)
    t = Trajectories.from_actions(policy.vocabulary, texts[:, :1], texts[:, 1:])
    agent = BehaviorCloning(policy, steps=size.steps + 1, learning_rate=_RATE, warm_up=0.0, weight_decay=0.0)
    losses = []
    for _, metrics in train(agent, t, generator=torch.Generator().manual_seed(0), batch_size=size.rows):
        tick()
        losses.append(metrics["loss"])
    return losses


def _theirs(subject: Subject, texts: torch.Tensor, size: Size, tick: Callable[[], None]) -> list[float]:
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    losses: list[float] = []

    class Ticks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *given: object, **more: object) -> None:
            tick()

        def on_log(self, args: object, state: object, control: object, logs: dict[str, float], **more: object) -> None:
            if "loss" in logs:
                losses.append(logs["loss"])

    with tempfile.TemporaryDirectory() as folder:
        how = TrainingArguments(
            output_dir=folder,
            max_steps=size.steps + 1,
            per_device_train_batch_size=size.rows,
            learning_rate=_RATE,
            max_grad_norm=_CLIP,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        labels = texts.index_fill(1, torch.tensor([0]), -100)  # it counts the first token too, which nothing predicts
        rows = [{"input_ids": row, "labels": label} for row, label in zip(texts, labels, strict=True)]
        trainer = Trainer(subject.model.train(), how, train_dataset=rows, callbacks=[Ticks()])
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return losses
