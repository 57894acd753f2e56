"""Trainings in copies of a warm process, to be killed: torch is imported once, and a try costs a tenth of a second.

The process with the copies is a script, `python -m tests.faults.copies SEED FOLDER VICTIMS CASE ...`, and not pytest's
own, whose threads a copy would lack. It prints what happened as one object of JSON.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path

from momentumlab import lab
from momentumlab.engine import chunks, loop, workers
from momentumlab.errors import MomentumLabError
from momentumlab.experiment import expand, load, single
from momentumlab.problems.formulas import ObjectiveProblem
from momentumlab.problems.models import ModelProblem
from momentumlab.results.writer import Pace, ResultWriter

MOST_ROUNDS = 10
REFUSED, INTERRUPTED = 3, 130
FILES = ("metrics.csv", "runs.csv", "parameters.npz")
NET = {
    "data": {"kind": "moons", "samples": 60, "test": 0.2},
    "model": {"kind": "mlp", "hidden": [8]},
    "train": {"epochs": 40, "batch_size": 8, "dtype": "float32"},
    "optimizer": {"gamma": 0.9, "eta": 0.05},
}
FORMULA = {
    "objective": {"kind": "rosenbrock", "noise": 0.1},
    "train": {"steps": 800},
    "optimizer": {"gamma": 0.9, "eta": 0.0005},
}
_TORCH = {"backend": "torch", "kind": "nesterov", "form": "torch"}


def _with_torch(experiment):
    return experiment | {"optimizer": experiment["optimizer"] | _TORCH}


def _longer(experiment, times):
    [length] = experiment["train"].keys() & {"epochs", "steps"}
    return experiment | {"train": experiment["train"] | {length: int(times * experiment["train"][length])}}


SWEPT = {"gamma": [0, 0.9], "seed": [0, 1, 2]}
CASES = {
    "net, run": (_longer(NET, 4), {}),
    "net, sweep": (NET, SWEPT),
    "net, torch, run": (_with_torch(NET), {}),
    "net, torch, sweep": (_with_torch(_longer(NET, 0.4)), {"seed": [0, 1, 2]}),
    "formula, run": (_longer(FORMULA, 8), {}),
    "formula, sweep": (_longer(FORMULA, 2), SWEPT),
    "formula, torch, run": (_with_torch(FORMULA), {}),
    "formula, torch, sweep": (_with_torch(_longer(FORMULA, 0.4)), {"seed": [0, 1, 2]}),
}


class Tries:
    """One experiment, trained again and again in copies of this process, into one folder."""

    together = 2  # runs a chunk

    def __init__(self, experiment, axes, folder, *, processes=1):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self._experiment = load(experiment)
        self._grid = expand(self._experiment, **axes) if axes else single(self._experiment)
        self._log = self.folder / "log"
        self._processes = processes

    def begin(self, runs, before=lambda: None, **ways):
        """A copy that trains into a folder of this name: the number of the process."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until the copy can heed it
        process = os.fork()
        if process:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            return process
        code = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            os.setpgid(0, 0)
            if self._processes > 1:
                workers.WORTH, workers._processors = 0, lambda: self._processes
            before()
            lab.carry_out(self._experiment, self._grid, "sweep", runs=self.folder / runs, tell=self._note, **ways)
            code = 0
        except MomentumLabError as error:
            self._note(f"refused: {error}")
            code = REFUSED
        except KeyboardInterrupt:
            code = INTERRUPTED
        except BaseException:
            self._note(f"broke: {traceback.format_exc()}")
        finally:
            os._exit(code)

    def end(self, process):
        """How the copy ended: its exit code, or minus the signal."""
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])

    def undisturbed(self):
        """What the result is if nothing happens: bytes by the name of the file; and the seconds that it takes."""
        for runs in ("warm", "undisturbed"):  # in this process, which loads what its copies need
            start = time.monotonic()
            lab.carry_out(self._experiment, self._grid, "sweep", runs=self.folder / runs)
        return self.files("undisturbed"), time.monotonic() - start

    def files(self, runs):
        """The files of the one result in this folder."""
        [result] = [path for path in (self.folder / runs).iterdir() if path.is_dir()]
        names = sorted(path.name for path in result.iterdir())
        return {"names": names, **{name: (result / name).read_bytes() for name in FILES if name in names}}

    def log(self):
        """What the copies have noted, line by line."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    def _note(self, text):
        with self._log.open("a") as file:
            file.write(f"{text}\n")


@contextmanager
def watched(tries):
    """Let copies note from which steps they go on, and when they train a chunk again, which few should need."""
    go_on, alone, abandon = loop._go_on, chunks.train_alone, ResultWriter.abandon_chunk

    def noted(text, function):
        def called(*arguments):
            tries._note(text(*arguments))
            return function(*arguments)

        return called

    loop._go_on = noted(lambda stack, ledger, watch, saved, tick: f"from step {int(saved['step'])}", go_on)
    chunks.train_alone = workers.train_alone = noted(lambda *_: "alone", alone)
    ResultWriter.abandon_chunk = noted(lambda *_: f"abandoned: {traceback.format_exc()}", abandon)
    yield
    loop._go_on, chunks.train_alone, workers.train_alone, ResultWriter.abandon_chunk = go_on, alone, alone, abandon


def small():
    """Few runs a chunk, and a checkpoint every few milliseconds."""
    Pace.SECONDS, Pace.TIMES = 0.005, 3
    for problem in (ModelProblem, ObjectiveProblem):
        made = problem.__init__

        def begun(self, *arguments, made=made):
            made(self, *arguments)
            self.stack_limit = Tries.together

        problem.__init__ = begun


def children_of(process):
    """The processes that this one has started."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def killed_until_finished(tries, dice, seconds, victims="parents"):
    """Kill copies at random moments until one comes to its end: how often that was, and how it ended.

    Of "workers" one is killed, whose parent goes on by itself.
    """
    kills = 0
    while True:
        process = tries.begin("disturbed")
        # Longer and longer, so that it comes to its end where most of the time goes into beginning.
        wait(dice.uniform(0, 0.6 * seconds * (1 + kills / 10)), process)
        if victims == "workers" and (children := children_of(process)):
            os.kill(dice.choice(children), signal.SIGKILL)  # who ended meanwhile is not reaped yet, or it is a miss
            return 1, tries.end(process)
        os.kill(process, signal.SIGKILL)
        code = tries.end(process)
        if code != -signal.SIGKILL:
            return kills, code
        kills += 1


def wait(seconds, process):
    """Until so many seconds are over, or the process is."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.0005)


def resumed(log):
    """Whether a copy has gone on from the middle of a chunk."""
    return any(line.startswith("from step ") and line != "from step 0" for line in log)


def difference(found, expected, *, ordered=True):
    """The names of what differs; where a chunk was trained run by run, its rows are not in the order of the steps."""
    if not ordered:
        found, expected = (
            {**files, "metrics.csv": sorted(files["metrics.csv"].splitlines())} for files in (found, expected)
        )
    return [name for name in expected if found.get(name) != expected[name]]


def _enough(victims, tell, log):
    return tell["kills"] and (resumed(log) or victims == "workers")


def main(seed, folder, victims, cases):
    """Kill each case until it has come to its end, and until it was resumed from the middle; what happened, by case."""
    small()
    happened = {}
    for number, case in enumerate(cases):
        name, _, workers_too = case.partition(" / ")
        tries = Tries(*CASES[name], Path(folder) / str(number), processes=2 if workers_too else 1)
        dice = random.Random(f"{seed} {case}")
        tell = happened[case] = {"kills": 0, "rounds": 0, "code": 0, "differ": [], "log": []}
        with watched(tries):
            expected, seconds = tries.undisturbed()
            while tell["rounds"] < MOST_ROUNDS and not tell["differ"] and not _enough(victims, tell, tries.log()):
                shutil.rmtree(tries.folder / "disturbed", ignore_errors=True)
                kills, tell["code"] = killed_until_finished(tries, dice, seconds, victims)
                tell["kills"] += kills
                tell["rounds"] += 1
                if tell["code"] == 0:
                    tell["differ"] = difference(tries.files("disturbed"), expected, ordered=victims == "parents")
                else:
                    break
        tell["log"] = tries.log()
    return happened


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4], sys.argv[4:])))
