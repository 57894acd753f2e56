"""An Optuna study over a grid of γ: `python with_optuna.py linreg OUT 0 0.5 0.9`; its trials go to a CSV."""

import csv
import sys

import linreg
import optuna
import rosenbrock

PROBLEMS = {"linreg": linreg, "rosenbrock": rosenbrock}


def main(problem: str, out: str, *values: str) -> None:
    gammas = [float(value) for value in values]

    def objective(trial: optuna.Trial) -> float:
        losses = PROBLEMS[problem].train(trial.suggest_float("gamma", 0, 0.99))
        linreg.write(f"{out}/losses_{trial.number}.csv", losses)
        return losses[-1]

    study = optuna.create_study(sampler=optuna.samplers.GridSampler({"gamma": gammas}, seed=0))
    study.optimize(objective, n_trials=len(gammas))
    with open(f"{out}/trials.csv", "w", newline="", encoding="utf-8") as file:  # its own table needs pandas: 0.3 s
        writer = csv.writer(file)
        writer.writerow(["gamma", "loss"])
        writer.writerows((trial.params["gamma"], trial.value) for trial in study.trials)


if __name__ == "__main__":
    main(*sys.argv[1:])
