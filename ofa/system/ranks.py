"""The processes that train one job together, one per device; the only file that calls paddle.distributed.

Whoever starts them, ``ofa.jobs.spawn`` or ``python -m paddle.distributed.launch``, numbers them in the
environment. In a job of one process every function here does nothing or returns what it was given.

Gloo, which CPUs use, has a fixed timeout of 30 seconds. So ranks
that may be far apart, because one of them wrote files, :func:`barrier` before they exchange anything.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, zip_longest
from typing import Any, TypeVar

from ofa.errors import UserError
from ofa.system import process

Item = TypeVar("Item")
# What Paddle reads to let ranks meet.
LAUNCHED = ("PADDLE_TRAINER_ID", "PADDLE_CURRENT_ENDPOINT", "PADDLE_TRAINER_ENDPOINTS")
POLL_S = (0.001, 0.05)  # pause between two looks at who has come, growing from the first to the second
_meetings = count()


def rank() -> int:
    """This process's number; 0 leads: it writes, reports and decides."""
    return process.number("PADDLE_TRAINER_ID", 0)


def size() -> int:
    """How many processes train this job together, on all machines."""
    return process.number("PADDLE_TRAINERS_NUM", 1, 1)


def is_main() -> bool:
    """Whether this process is rank 0."""
    return rank() == 0


def init(device: str) -> None:
    """Join the others on ``device`` (``auto``, ``cpu`` or ``gpu``), once per process; rank 0 alone keeps a log file.

    Raises:
        UserError: as :func:`ofa.system.process.set_device`, and if the environment is not that of a launcher.
    """
    if rank() >= size():
        raise UserError(f"PADDLE_TRAINER_ID: {rank()} in the environment is not below PADDLE_TRAINERS_NUM, {size()}")
    if size() == 1:
        return
    missing = [name for name in LAUNCHED if name not in os.environ]
    if missing:
        raise UserError(
            f"PADDLE_TRAINERS_NUM: {size()} in the environment without {', '.join(missing)}, which launchers set too\n"
            "unset it, and start several processes with hardware.devices or python -m paddle.distributed.launch"
        )
    from paddle import distributed

    if process.set_device(device) == "cpu":
        os.environ["PADDLE_DISTRI_BACKEND"] = "gloo"
    for handler in list(logging.root.handlers):
        if isinstance(handler, logging.FileHandler) and not is_main():
            logging.root.removeHandler(handler)
    if not distributed.is_initialized():
        with contextlib.redirect_stderr(io.StringIO()):  # a list of Paddle's flags
            distributed.init_parallel_env()
    barrier()


def barrier() -> None:
    """Wait, for as long as it takes, until every rank has called this as often as this one."""
    if size() == 1:
        return
    from paddle.base import core

    store = core.create_or_get_global_tcp_store()
    key = f"ofa/meeting/{next(_meetings)}"
    # The store takes a read that a signal interrupts for a broken connection. Every new handler undoes this.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.siginterrupt(number, False)
    store.add(key, 1)
    pause = POLL_S[0]
    while store.add(key, 0) < size():  # not store.wait, which gives up after 15 minutes
        time.sleep(pause)
        pause = min(2 * pause, POLL_S[1])


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """Run a block in rank 0, then in the others: what it makes in a shared folder they find there."""
    if not is_main():
        barrier()
    yield
    if is_main():
        barrier()


def gather(value: Any) -> list[Any]:
    """The ``value`` of every rank, in their order; anything that can be pickled."""
    if size() == 1:
        return [value]
    from paddle import distributed

    barrier()
    found: list[Any] = []
    distributed.all_gather_object(found, value)
    return found


def broadcast(value: Any) -> Any:
    """The ``value`` of rank 0."""
    return gather(value)[0]


def shard(items: Sequence[Item]) -> Sequence[Item]:
    """This rank's share of ``items``: dealt out in turns."""
    return items[rank() :: size()]


def unshard(results: list[Item]) -> list[Item]:
    """The results of every rank's :func:`shard`, in the order of all items."""
    nothing = object()
    turns = zip_longest(*gather(results), fillvalue=nothing)
    return [result for turn in turns for result in turn if result is not nothing]


def sum_gradients(parameters: Iterable[Any], numbers: list[float]) -> list[float]:
    """Replace every gradient by its sum over ranks; returns the sums of ``numbers`` (float32).

    One message carries all. A rank must not be later than the others by more than a step: see above.
    """
    if size() == 1:
        return numbers
    import paddle
    from paddle import distributed

    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = [gradient.flatten() for gradient in gradients]
    message = paddle.concat([*flat, paddle.to_tensor(numbers, dtype="float32")])
    distributed.all_reduce(message)
    *summed, tail = message.split([part.shape[0] for part in flat] + [len(numbers)])
    for gradient, total in zip(gradients, summed, strict=True):
        paddle.assign(total.reshape(gradient.shape), gradient)
    return [float(value) for value in tail.numpy()]
