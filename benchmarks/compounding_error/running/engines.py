"""Who runs the cells: processes of this machine, a Ray cluster, or SLURM."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from seqil.errors import MissingExtraError, SeqilError, first_line

from .cells import Cell, run
from .records import Record

Outcome = tuple[Cell, Record | SeqilError]
Engine = Callable[[Sequence[Cell], int], Iterator[Outcome]]


def local(cells: Sequence[Cell], workers: int) -> Iterator[Outcome]:
    """Processes of one thread each, which end with this one, whatever ends it."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_die_with_parent)
    try:
        futures = {pool.submit(attempt, cell): cell for cell in cells}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise SeqilError("a process was killed (out of memory?); run again to go on, with fewer --workers") from None
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def on_ray(cells: Sequence[Cell], workers: int) -> Iterator[Outcome]:
    """The Ray cluster of the environment variable RAY_ADDRESS, or a new one of `workers` cores on this machine.

    Every node needs seqil installed; the studies travel with the cells.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtraError("--engine ray needs Ray; pip install 'seqil[ray]'") from None
    here = Path(__file__).resolve().parents[2]
    address = os.environ.get("RAY_ADDRESS")
    ray.init(
        address,
        num_cpus=None if address else workers,
        runtime_env={"py_modules": [str(here)]},
        include_dashboard=False,
        log_to_driver=False,
        logging_level="warning",
    )
    try:
        submitted = {
            ray.remote(num_cpus=1, num_gpus=cell.gpus, max_retries=2)(attempt).remote(cell): cell for cell in cells
        }
        left = list(submitted)
        while left:
            (ready, *_), left = ray.wait(left)
            try:
                yield submitted[ready], ray.get(ready)
            except ray.exceptions.RayError as error:
                yield submitted[ready], SeqilError(first_line(error))
    finally:
        ray.shutdown()


def on_slurm(cells: Sequence[Cell], workers: int) -> Iterator[Outcome]:
    """Jobs of a SLURM cluster by submitit, `workers` of them at a time.

    The environment variable SEQIL_SLURM names another cluster of submitit's, `local` or `debug`.

    Partition, account and time are those of SLURM's own variables, SBATCH_PARTITION and so on. Every node needs this
    installation and this working directory, where the folder `submitit` keeps what jobs write.
    """
    try:
        import submitit
    except ImportError:
        raise MissingExtraError("--engine slurm needs submitit; pip install -e '.[slurm]'") from None
    executor = _executor(submitit)
    executor.update_parameters(name="seqil", cpus_per_task=1, gpus_per_node=math.ceil(max(c.gpus for c in cells)))
    if executor.cluster == "slurm":
        executor.update_parameters(slurm_array_parallelism=workers)
    submitted = dict(zip(executor.map_array(attempt, list(cells)), cells, strict=True))
    try:
        for job in submitit.helpers.as_completed(list(submitted), poll_frequency=_POLL):
            try:
                yield submitted[job], job.result()
            except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
                yield submitted[job], SeqilError(f"job {job.job_id}: {first_line(error)}")
    finally:
        for job in submitted:
            if not job.done():
                job.cancel(check=False)


def _executor(submitit: Any) -> Any:
    cluster = os.environ.get("SEQIL_SLURM", "slurm")
    try:
        return submitit.AutoExecutor(folder=Path("submitit") / "%j", cluster=cluster)
    except (RuntimeError, ValueError) as error:
        raise SeqilError(f"--engine slurm: {first_line(error)}; start it where sbatch is") from None


_POLL = 1  # seconds; what has changed is asked of the cluster less often
ENGINES: dict[str, Engine] = {"local": local, "ray": on_ray, "slurm": on_slurm}


def attempt(cell: Cell) -> Record | SeqilError:
    """The record of a cell, or why there is none: the others go on."""
    try:
        return run(cell)
    except SeqilError as error:
        return SeqilError(first_line(error))
    except Exception as error:  # whatever torch or a plug-in may raise
        return SeqilError(f"{type(error).__name__}: {first_line(error)}")


def _die_with_parent() -> None:
    """Let Ctrl-C be the parent's business, and end when it has ended: a killed one cannot say goodbye."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
