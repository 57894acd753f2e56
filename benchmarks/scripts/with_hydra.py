"""A Hydra app: `python with_hydra.py --multirun problem=linreg gamma=0,0.5,0.9` (basic launcher, one folder a job)."""

from dataclasses import dataclass
from pathlib import Path

import hydra
import linreg
import rosenbrock
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig

PROBLEMS = {"linreg": linreg, "rosenbrock": rosenbrock}


@dataclass
class Config:
    problem: str = "linreg"
    gamma: float = 0.9


ConfigStore.instance().store(name="config", node=Config)


@hydra.main(version_base=None, config_name="config")
def main(config: Config) -> None:
    losses = PROBLEMS[config.problem].train(config.gamma)
    linreg.write(str(Path(HydraConfig.get().runtime.output_dir) / "losses.csv"), losses)


if __name__ == "__main__":
    main()
