"""Work spread over the cores, one part each."""

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

_WORTH_A_THREAD = 32  # items


def in_threads(function: Callable[[slice], Any], n: int, n_items: int) -> None:
    """Call a function with parts of ``range(n)``, one per core where that is worth it.

    Meanwhile BLAS keeps to the thread it is called from. As many threads as ``TF_NUM_INTRAOP_THREADS``, else cores.

    Parameters
    ----------
    function : callable
        Takes a slice.
    n, n_items : int
        What is divided, and how many windows or the like it holds: few of them stay in one thread.
    """
    n_parts = min(_n_threads(), n_items // _WORTH_A_THREAD, n)
    if n_parts < 2:
        if n:
            function(slice(0, n))
        return
    borders = [n * part // n_parts for part in range(n_parts + 1)]
    with _single_blas():
        list(_threads().map(function, [slice(low, high) for low, high in itertools.pairwise(borders)]))


class _Blas:
    """How many calls want BLAS to keep to the thread it is called from, and what ends that."""

    lock = threading.Lock()
    callers = 0
    limits: Any = None


@contextmanager
def _single_blas() -> Iterator[None]:
    with _Blas.lock:
        if not _Blas.callers:
            _Blas.limits = _controller().limit(limits=1, user_api="blas")
        _Blas.callers += 1
    try:
        yield
    finally:
        with _Blas.lock:
            _Blas.callers -= 1
            if not _Blas.callers:
                _Blas.limits.restore_original_limits()


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@cache
def _n_threads() -> int:
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0) or len(os.sched_getaffinity(0))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_n_threads(), thread_name_prefix="ripe-parts")
