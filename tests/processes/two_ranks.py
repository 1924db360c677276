"""Something in two processes that train together; they are forked, since everything is imported already."""

import multiprocessing
import os
import socket
import traceback

import torch.distributed as dist

from seqil.learning.processes import Ranks


def in_two(function, folder):
    """What `function(ranks)` returns in each of them; it must be sendable."""
    return _both(_met, function, folder)


def apart_in_two(function):
    """What `function()` returns in each of them, in the environment of a launcher; they have still to meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return _both(_launched, function, {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})


def _both(how, function, where):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    started = [context.Process(target=_answer, args=(answers, how, function, where, rank)) for rank in range(2)]
    for process in started:
        process.start()
    try:
        found = dict(answers.get(timeout=300) for _ in started)
    finally:
        for process in started:
            process.join(10)
            process.kill()
    for answer in found.values():
        if isinstance(answer, BrokenRank):
            raise AssertionError(answer.said)
    return [found[rank] for rank in range(2)]


class BrokenRank:
    """Why there is no answer."""

    def __init__(self, said):
        self.said = said


def _answer(answers, how, function, where, rank):
    try:
        answers.put((rank, how(function, where, rank)))
    except BaseException:
        answers.put((rank, BrokenRank(traceback.format_exc())))


def _met(function, folder, rank):
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    try:
        return function(Ranks())
    finally:
        dist.destroy_process_group()


def _launched(function, environment, rank):
    os.environ.update(environment, RANK=str(rank))
    return function()
