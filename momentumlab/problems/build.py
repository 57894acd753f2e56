"""The problem that an experiment describes."""

from momentumlab.errors import ConfigError, DataError
from momentumlab.experiment import Experiment
from momentumlab.problems.problem import Problem


def build(experiment: Experiment) -> Problem:
    """The problem of an experiment, its data loaded and checked; torch is loaded only for a model.

    Raises DataError for data that does not fit the experiment.
    """
    objective, train = experiment.objective, experiment.train
    if objective is not None:
        from momentumlab.problems.formulas import ForcesProblem, ObjectiveProblem

        kind = ForcesProblem if objective.kind == "forces" else ObjectiveProblem
        return kind(objective, train.dtype)
    return _model(experiment)


def _model(experiment: Experiment) -> Problem:
    from momentumlab.problems.data import build as build_data
    from momentumlab.problems.data import cast
    from momentumlab.problems.least_squares import LeastSquares, few_parameters
    from momentumlab.problems.models import ModelProblem

    assert experiment.loss is not None
    _check_device(experiment.train.device)
    dataset = cast(build_data(experiment.data, experiment.loss), experiment.train.dtype)
    samples, batch = len(dataset.x), experiment.train.batch_size
    if batch != "full" and batch > samples:
        raise DataError(
            f"train.batch_size: got {batch}, but the number of samples to train on is {samples}. "
            f"Use at most {samples}, or full."
        )
    problem = ModelProblem(experiment.model, experiment.loss, dataset, experiment.train)
    size = sum(parameter.size for parameter in problem.parameters)
    start = getattr(experiment.model, "start", None)
    if start is not None and len(start) != size:
        raise DataError(f"model.start: got {len(start)} numbers, but the model has {size} parameters.")
    return LeastSquares(problem) if few_parameters(experiment, problem) else problem


def _check_device(device: str) -> None:
    import torch

    kind, _, number = device.partition(":")
    if kind != "cuda":
        return
    devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= devices:
        here = f"this machine has {devices} of them" if devices else "torch finds none here"
        raise ConfigError(f"train.device: got {device!r}, a GPU, but {here}. Use cpu.")
