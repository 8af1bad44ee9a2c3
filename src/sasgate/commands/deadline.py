"""A limit on the whole time of something that blocks, name resolution included."""

from collections.abc import Callable
from queue import Empty, Queue
from threading import Thread
from typing import TypeVar


T = TypeVar("T")


def within(seconds: float, work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread that is left behind when the time is over.

    Raises:
        TimeoutError: it was not done in time.
        Exception: whatever `work` raised.
    """
    results: Queue[Callable[[], T]] = Queue()
    Thread(target=lambda: results.put(_outcome(work)), daemon=True).start()
    try:
        outcome = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"not done within {seconds:g} s") from None
    return outcome()


def _outcome(work: Callable[[], T]) -> Callable[[], T]:
    try:
        result = work()
    except Exception as error:
        failure = error

        def fail() -> T:
            raise failure

        return fail
    return lambda: result
