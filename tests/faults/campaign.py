"""The long campaign: random experiments, stopped, damaged and refused the disk at random, must end as if undisturbed.

    python -m tests.faults.campaign [MINUTES] [SEED]

Each trial has a seed of its own, which is printed where it fails and tried again by `campaign 0 SEED`.
"""

import errno
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from momentumlab.results import disk
from momentumlab.results.reader import is_finished
from tests.faults.copies import (
    FORMULA,
    INTERRUPTED,
    NET,
    REFUSED,
    Tries,
    children_of,
    difference,
    resumed,
    small,
    wait,
    watched,
)

MOST_TRIES = 8  # that are disturbed, in a trial
OPTIMIZERS = (
    {"gamma": 0.9},
    {"gamma": 0.9, "form": "torch", "dampening": 0.3, "weight_decay": 0.01},
    {"gamma": 0.95, "restart": "gradient"},
    {"kind": "nesterov", "gamma": 0.9},
    {"kind": "aggmo", "gammas": [0, 0.9, 0.99]},
    {"kind": "lion", "gamma": 0.9},
    {"gamma": {"schedule": "demon", "value": 0.9}, "momentum_correction": True},
    {"gamma": 0.9, "eta": 1e3},  # diverges
    {"backend": "torch", "kind": "nesterov", "form": "torch", "gamma": 0.9},
    {"backend": "torch", "kind": "Adam", "gamma": 0.9},
)
PROBLEMS = (
    NET,
    NET | {"model": {"kind": "softmax"}},
    NET | {"train": NET["train"] | {"dtype": "float64"}},
    {"data": {"kind": "line", "samples": 20}, "model": {"kind": "linear"}, "train": {"epochs": 400}},
    FORMULA,
    {"objective": {"kind": "booth"}, "train": {"steps": 1500}},
)


def trial(seed, folder, counts):
    """One experiment to its end: what is wrong with it, or nothing."""
    dice = random.Random(seed)
    problem, optimizer = dice.choice(PROBLEMS), dice.choice(OPTIMIZERS)
    processes, Tries.together = dice.choice((1, 1, 2)), dice.choice((1, 2, 3, 8))
    axes = dice.choice(({}, {"seed": list(range(dice.randint(2, 7)))}))
    tries = Tries(problem | {"optimizer": {"eta": 0.001} | optimizer}, axes, folder, processes=processes)
    with watched(tries):
        expected, seconds = tries.undisturbed()
        ordered, refused = True, False
        for number in range(dice.randint(1, MOST_TRIES)):
            process = tries.begin("disturbed", *([_refuse(dice)] if (refused := dice.random() < 0.2) else []))
            counts["tries"] += 1
            counts["disks refused"] += refused
            wait(dice.uniform(0, 0.6 * seconds * (1 + number / 5)), process)
            if dice.random() < 0.2 and (children := children_of(process)):
                os.kill(dice.choice(children), signal.SIGKILL)
                counts["workers killed"] += 1
                ordered = False
            else:
                os.kill(process, dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT)))
            code = tries.end(process)
            counts["killed"] += code == -signal.SIGKILL
            counts["interrupted"] += code == INTERRUPTED
            if code not in {0, -signal.SIGKILL, INTERRUPTED, *([REFUSED] if refused else [])}:
                return f"ended with {code}: {tries.log()[-3:]}"
            if code != 0 and dice.random() < 0.4:
                counts["files damaged"] += _damage(tries.folder / "disturbed", dice)
        code = tries.end(tries.begin("disturbed"))
    counts["trials"] += 1
    counts["gone on from the middle"] += sum(resumed([line]) for line in tries.log())
    if code != 0:
        return f"the last try ended with {code}: {tries.log()[-3:]}"
    if differ := difference(tries.files("disturbed"), expected, ordered=ordered):
        return f"not the bytes of an undisturbed training: {differ}"
    # A state that is no good would be hidden by training anew.
    if ordered and any(line.startswith("abandoned") for line in tries.log()):
        return f"trained anew: {tries.log()[-3:]}"
    return ""


def _refuse(dice):
    """Refuses a copy's disk from some request on, or one request alone."""
    first, last = dice.randint(1, 60), dice.choice((0, 10**9))
    count = itertools.count()

    def ask(request, *arguments):
        if first <= next(count) <= first + last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return request(*arguments)

    def refuse():
        disk.ask = ask

    return refuse


def _damage(folder, dice):
    """Flip a bit of one file of an unfinished result, or cut it: a finished one is named as damaged, and not mended."""
    kinds = ("checkpoint*", "metrics.csv", "runs.csv", "experiment.yaml")
    unfinished = [result for result in folder.glob("*/") if not is_finished(result)]
    files = sorted(path for result in unfinished for kind in kinds for path in result.glob(kind) if path.stat().st_size)
    if not files:
        return 0
    path = dice.choice(files)
    content = bytearray(path.read_bytes())
    place = dice.randrange(len(content))
    content[place] ^= 1 << dice.randrange(8)
    path.write_bytes(content if dice.random() < 0.5 else content[:place])
    return 1


def main(minutes=2.0, seed=None):
    """As many trials as fit, or the one with this seed; exits with 1 where one fails."""
    small()
    counts, end = Counter(), time.monotonic() + 60 * minutes
    first = random.SystemRandom().randrange(10**9) if seed is None else seed
    print(f"campaign: {minutes:g} minutes, seeds from {first}", flush=True)
    for number in itertools.count(first):
        folder = Path(tempfile.mkdtemp(prefix="campaign-"))
        problem = trial(number, folder / "trial", counts)
        if problem:
            sys.exit(f"seed {number}: {problem}. It lies in {folder}; again: campaign 0 {number}")
        shutil.rmtree(folder)
        if time.monotonic() > end:
            break
    print(", ".join(f"{name}: {number}" for name, number in counts.items()), flush=True)


if __name__ == "__main__":
    main(*(kind(text) for kind, text in zip((float, int), sys.argv[1:], strict=False)))
