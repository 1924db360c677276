"""A function in two processes that train together."""

import multiprocessing
import traceback

import torch.distributed as dist


def in_two(function, folder):
    """What `function(ranks)` returns in each of two processes; it must be sendable."""
    context = multiprocessing.get_context("fork")  # everything is imported already
    answers = context.Queue()
    started = [context.Process(target=_run, args=(function, folder, rank, answers)) for rank in range(2)]
    for process in started:
        process.start()
    try:
        found = dict(answers.get(timeout=120) for _ in started)
    finally:
        for process in started:
            process.join(10)
            process.kill()
    for answer in found.values():
        if isinstance(answer, str):
            raise AssertionError(answer)
    return [found[rank] for rank in range(2)]


def _run(function, folder, rank, answers):
    from seqil.learning.processes import Ranks

    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    try:
        answers.put((rank, function(Ranks())))
    except BaseException:
        answers.put((rank, traceback.format_exc()))
    finally:
        dist.destroy_process_group()
