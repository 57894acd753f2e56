"""How much memory is free for this process, and the refusal of what would need more, before it is asked for."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path

from momentumlab.errors import ConfigError

_GROUPS = Path("/sys/fs/cgroup")


def refuse_beyond_memory(needed: float, what: str, way_out: str) -> None:
    """Raise ConfigError where `needed` bytes are not free. `way_out` says what would fit."""
    free = free_memory()
    if needed > free:
        raise ConfigError(f"{what} needs about {_size(needed)} of memory, and {_size(free)} are free: {way_out}")


def share_that_fits(needed: float) -> float:
    """Which share of `needed` bytes is free, at most 1."""
    return min(1.0, free_memory() / needed)


def free_memory() -> float:
    """Bytes that this process may still take: of the machine, of its group, of its own limit. inf where none says."""
    return max(0.0, min(_of_the_machine(), *_of_the_groups(), _of_the_process()))


def _of_the_machine() -> float:
    fields = dict(line.split(":", 1) for line in _text(Path("/proc/meminfo")).splitlines())
    free = [int(fields[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree") if name in fields]
    return sum(free) if free else math.inf


def _of_the_groups() -> Iterator[float]:
    # A container or a service may have less than the machine: its group's limit, or that of a group around it.
    inside = next((line[3:] for line in _text(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::")), "/")
    innermost = _GROUPS / inside.lstrip("/")
    for group in (innermost, *innermost.parents):
        if group.is_relative_to(_GROUPS):
            yield _left(group / "memory.max", group / "memory.current")
    older = _GROUPS / "memory"
    yield _left(older / "memory.limit_in_bytes", older / "memory.usage_in_bytes")


def _left(limit: Path, used: Path) -> float:
    most, now = _text(limit).strip(), _text(used).strip()
    if not (most.isdigit() and now.isdigit()):
        return math.inf
    # What was read from files counts as used, and is given up as soon as it is needed.
    fields = dict(line.split() for line in _text(used.with_name("memory.stat")).splitlines())
    return int(most) - int(now) + int(fields.get("inactive_file", 0))


def _of_the_process() -> float:
    if sys.platform == "win32":
        return math.inf
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _text(Path("/proc/self/statm")).split()
    return math.inf if limit == resource.RLIM_INFINITY or not pages else limit - int(pages[0]) * resource.getpagesize()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""


def _size(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
