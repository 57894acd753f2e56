"""Ray Tune over a grid of γ, 2 processors: `python with_ray.py linreg OUT 0 0.5 0.9`; its table goes to a CSV."""

import sys

import linreg
import ray
import rosenbrock
from ray import tune

PROBLEMS = {"linreg": linreg, "rosenbrock": rosenbrock}


def main(problem: str, out: str, *values: str) -> None:
    def trainable(config: dict[str, float]) -> None:
        tune.report({"loss": PROBLEMS[problem].train(config["gamma"])[-1]})

    ray.init(num_cpus=2, include_dashboard=False)
    tuner = tune.Tuner(
        trainable,
        param_space={"gamma": tune.grid_search([float(value) for value in values])},
        run_config=tune.RunConfig(storage_path=out, verbose=0),
    )
    tuner.fit().get_dataframe().to_csv(f"{out}/trials.csv", index=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
