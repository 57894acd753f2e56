"""Whole commands, from the shell to the CSV or the picture: ours, the article's script, and loops of scripts.

Nothing is loaded before the clock starts but this module: every command is a process of its own, and "cold" in that
it has no result to find again (the files of Python and its libraries are in the system's cache, for all alike).
"""

import csv
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SCRIPTS = Path(__file__).parent.parent / "scripts"
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
OURS = [sys.executable, "-m", "momentumlab"]


def timed(command: Sequence[str], folder: str | None = None) -> tuple[float, str]:
    """Seconds of a command, and what it printed. Raises RuntimeError in its last words when it fails."""
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return seconds, done.stdout


def gammas(runs: int) -> list[float]:
    """The γ of a grid: evenly from 0 to 0.9, where every run is stable."""
    return [float(gamma) for gamma in np.linspace(0, 0.9, runs)]


# ---- one run of the article -----------------------------------------------------------------------------------


def article() -> dict[str, Any]:
    """The article's script as it was printed: with torch.optim."""
    text = (EXAMPLES / "article.py").read_text(encoding="utf-8")
    ours, torchs = "import momentumlab.optimizers as optim", "import torch.optim as optim"
    if ours not in text:
        raise ValueError("examples/article.py has changed: its import of the optimizer is not where it was")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "article.py"
        script.write_text(text.replace(ours, torchs), encoding="utf-8")
        seconds, printed = timed([sys.executable, str(script)])
    learned = re.findall(r"[wb] = (\d+\.\d+)", printed)[:2]
    return {"seconds": seconds, "answer": {"w": float(learned[0]), "b": float(learned[1])}}


def default_sweep() -> dict[str, Any]:
    """`momentumlab sweep`: four γ, the CSV and the picture."""
    return _linreg(["sweep"], run=2, pictures=1)  # γ = 0, 0.5, 0.9, 0.99: the article's is run 2


def run_linreg() -> dict[str, Any]:
    """`momentumlab run linreg --no-plot`."""
    return _linreg(["run", "linreg", "--no-plot"], run=0, pictures=0)


def _linreg(arguments: Sequence[str], run: int, pictures: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        seconds, _ = timed([*OURS, *arguments, "--runs", folder])
        drawn = len(list(Path(folder).glob("*/figures/*.png")))
        if drawn < pictures:
            raise RuntimeError(f"{drawn} pictures were drawn, not {pictures}")
        last = [row for row in _metrics(folder) if row["run"] == str(run)][-1]
    return {"seconds": seconds, "answer": {"w": float(last["theta_0"]), "b": float(last["theta_1"])}}


def _metrics(folder: str) -> list[dict[str, str]]:
    path = next(Path(folder).glob("*/metrics.csv"))
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# ---- some runs, from the command to the CSV -------------------------------------------------------------------


def ours(problem: str, runs: int, steps: int) -> dict[str, Any]:
    """One sweep over γ, every metric of every step in its CSV."""
    length = [] if problem == "linreg" else ["--set", f"train.steps={steps}"]
    values = ",".join(map(repr, gammas(runs)))
    with tempfile.TemporaryDirectory() as folder:
        command = [*OURS, "sweep", problem, "--gamma", values, *length, "--no-plot", "--runs", folder]
        seconds, _ = timed(command)
        losses = {row["run"]: row["loss"] for row in _metrics(folder) if row["step"] == str(steps - 1)}
    return {"seconds": seconds, "answer": {f"run {run}": float(loss) for run, loss in losses.items()}}


def shell_loop(problem: str, runs: int, some: int) -> dict[str, Any]:
    """`for gamma in …; do python script.py --gamma $gamma; done`, of which only `some` runs are waited for."""
    all_gammas = gammas(runs)
    chosen = [round(place) for place in np.linspace(0, runs - 1, some)]
    seconds, answer = 0.0, {}
    with tempfile.TemporaryDirectory() as folder:
        for run in chosen:
            arguments = ["--gamma", repr(all_gammas[run]), "--out", f"losses_{run}.csv"]
            taken, printed = timed([sys.executable, str(SCRIPTS / f"{problem}.py"), *arguments], folder)
            seconds += taken
            answer[f"run {run}"] = float(printed)
    return {"seconds": seconds * runs / some, "answer": answer, "note": f"{some} of {runs} runs, scaled"}


# ---- peers, from the command to their CSV ---------------------------------------------------------------------


def hydra(problem: str, runs: int) -> dict[str, Any]:
    """Hydra's multirun: a folder and a CSV for every job."""
    values = ",".join(map(repr, gammas(runs)))
    with tempfile.TemporaryDirectory() as folder:
        script = [sys.executable, str(SCRIPTS / "with_hydra.py"), "--multirun"]
        seconds, _ = timed([*script, f"problem={problem}", f"gamma={values}", f"hydra.sweep.dir={folder}/jobs"], folder)
        files = sorted(Path(folder).glob("jobs/*/losses.csv"), key=lambda path: int(path.parent.name))
        answer = {f"run {run}": _last_loss(path) for run, path in enumerate(files)}
    return {"seconds": seconds, "answer": answer}


def _last_loss(path: Path) -> float:
    return float(path.read_text(encoding="utf-8").split()[-1].partition(",")[2])


def optuna(problem: str, runs: int) -> dict[str, Any]:
    """An Optuna study over the grid."""
    return _trials("with_optuna.py", problem, runs, "gamma", "loss")


def ray_tune(problem: str, runs: int) -> dict[str, Any]:
    """Ray Tune over the grid, one process for each of two processors."""
    return _trials("with_ray.py", problem, runs, "config/gamma", "loss")


def _trials(script: str, problem: str, runs: int, gamma: str, loss: str) -> dict[str, Any]:
    values = gammas(runs)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(SCRIPTS / script), problem, folder, *map(repr, values)]
        seconds, _ = timed(command, folder)
        with (Path(folder) / "trials.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    by_gamma = {float(row[gamma]): float(row[loss]) for row in rows}
    return {"seconds": seconds, "answer": {f"run {run}": by_gamma[value] for run, value in enumerate(values)}}


# ---- start-up -------------------------------------------------------------------------------------------------


def help_of_ours() -> dict[str, Any]:
    """`momentumlab --help`."""
    return {"seconds": timed([*OURS, "--help"])[0]}


def help_of(peer: str) -> dict[str, Any]:
    """`--help` of a peer's command, or of an app that is written with it."""
    beside = Path(sys.executable).parent
    command = [sys.executable, str(SCRIPTS / "hydra_app.py")] if peer == "hydra" else [str(beside / peer)]
    return {"seconds": timed([*command, "--help"])[0]}


def modules_of_torch(verb: str) -> dict[str, Any]:
    """How many modules of torch `show` or `plot` loads on a finished result, and how long the command takes."""
    with tempfile.TemporaryDirectory() as folder:
        timed([*OURS, "sweep", "linreg", "--no-plot", "--runs", folder])
        seconds = timed([*OURS, verb, folder])[0]
        watched = [sys.executable, "-X", "importtime", "-m", "momentumlab", verb, folder]
        told = subprocess.run(watched, capture_output=True, text=True, check=True).stderr
    loaded = sum(bool(re.search(r"\|\s+torch(\.|$)", line)) for line in told.splitlines())
    return {"value": loaded, "note": f"the command takes {seconds:.2f} s"}


# ---- memory ---------------------------------------------------------------------------------------------------


def peak_memory(arguments: Sequence[str]) -> dict[str, Any]:
    """The most MiB that a sweep holds, with the processes that it starts: what they share counts once."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        command = [*OURS, "sweep", *arguments, "--no-plot", "--quiet", "--runs", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(map(_held, _family(process.pid))))
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
        assert process.stderr is not None
        if process.returncode:
            raise RuntimeError((process.stderr.read().strip().splitlines() or ["no message"])[-1])
    if not peak:
        raise RuntimeError("not measured: this system has no /proc/PID/smaps_rollup")
    return {"value": peak / 1024, "note": f"{seconds:.1f} s in all"}


def _family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [process, *(one for child in children for one in _family(int(child)))]


def _held(process: int) -> int:
    """KiB of a process, every shared page divided by how many share it."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
