"""The smallest Hydra app, for its --help: nothing is loaded but Hydra."""

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None)
def main(config: DictConfig) -> None:
    print(config)


if __name__ == "__main__":
    main()
