"""The contestants, by theme. Each function does the work, measures it, and gives seconds and an answer."""

import statistics
import time
from collections.abc import Callable


def median_seconds(work: Callable[[], object], lasting: float = 0.4, most: int = 15) -> float:
    """Median seconds of one call: batches of calls that last some milliseconds each, for `lasting` seconds in all."""
    begun = time.perf_counter()
    work()
    once = max(time.perf_counter() - begun, 1e-7)
    calls = max(1, int(lasting / most / once))
    batches = []
    for _ in range(max(5, min(most, int(lasting / once)))):
        begun = time.perf_counter()
        for _ in range(calls):
            work()
        batches.append((time.perf_counter() - begun) / calls)
    return statistics.median(batches)
