"""One update of the parameters, the gradient given: the engine's, momentumlab.Momentum's, torch.optim.SGD's.

Everybody repeats the update with the same gradient, from the same start, γ = 0.9 and η = 0.01; they answer with some
parameters after three updates.
"""

import ctypes
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from contestants import median_seconds

ETA, GAMMA = 0.01, 0.9
_FIRST = 3

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "2": ("linreg", {}),
    "10k": ("digits_mlp", {}),
    "11M": ("digits_mlp", {"model.hidden": [3280, 3280], "train.threads": 2}),
    "100M": ("digits_mlp", {"model.hidden": [9962, 9962], "train.threads": 2}),
}
"""For the engine: an experiment whose model has as many parameters."""

SHAPES: dict[str, list[tuple[int, ...]]] = {
    "2": [(1, 1), (1,)],
    "10k": [(128, 64), (128,), (10, 128), (10,)],
    "11M": [(596, 596), (596,)] * 31,
    "100M": [(1414, 1414), (1414,)] * 50,
}
"""For a torch Optimizer: the tensors of Linear(1, 1), of the digits MLP, as many as ResNet-18 has, and a hundred."""


def engine(size: str) -> dict[str, Any]:
    """RuleStack.advance of one run."""
    stack, _, _ = _engine(size)
    for _ in range(_FIRST):
        stack.advance()
    # Looked at without a look, which would bring a new gradient: where that is 0, v decays until it is denormal, which
    # the engine forbids itself where it trains.
    found = answer(stack.now.theta.flatten())
    return {"seconds": median_seconds(stack.advance), "answer": found}


def _engine(size: str) -> tuple[Any, Any, Any]:
    """The stack, after its first look; its problem; what it saw."""
    from momentumlab.engine.plan import groups
    from momentumlab.experiment import load, single

    config, changes = MODELS[size]
    (group,) = groups(single(load(config, gamma=GAMMA, eta=ETA, set=changes)))
    stack = group.stack(group.cells)
    return stack, group.problem, stack.look(0)


def sgd_as_engine(size: str) -> dict[str, Any]:
    """The fastest torch.optim.SGD on the tensors of the engine's model, from the same start and gradient."""
    _, problem, look = _engine(size)
    shapes = [parameter.shape for parameter in problem.parameters]
    numbers = [torch.as_tensor(np.asarray(look.theta)).flatten(), torch.as_tensor(np.asarray(look.gradient)).flatten()]
    start, gradient = (_split(vector.float(), shapes) for vector in numbers)
    return _best_sgd(start, gradient)


def sgd(size: str) -> dict[str, Any]:
    """The fastest torch.optim.SGD on tensors of these shapes."""
    return _best_sgd(*_tensors(size))


def momentum(size: str) -> dict[str, Any]:
    """momentumlab.Momentum as a torch Optimizer."""
    import momentumlab

    parameters = _parameters(*_tensors(size))
    optimizer = momentumlab.Momentum(parameters, lr=ETA, momentum=GAMMA)
    return _stepped(optimizer, parameters)


def _best_sgd(start: Sequence[torch.Tensor], gradient: Sequence[torch.Tensor]) -> dict[str, Any]:
    best: dict[str, Any] = {"seconds": float("inf")}
    for name, options in (("default", {}), ("foreach", {"foreach": True}), ("fused", {"fused": True})):
        parameters = _parameters(start, gradient)
        given = _stepped(torch.optim.SGD(parameters, lr=ETA, momentum=GAMMA, **options), parameters)
        if given["seconds"] < best["seconds"]:
            best = given | {"note": name}
    return best


def _stepped(optimizer: torch.optim.Optimizer, parameters: Sequence[torch.Tensor]) -> dict[str, Any]:
    for _ in range(_FIRST):
        optimizer.step()
    found = answer(torch.cat([parameter.detach().flatten() for parameter in parameters]))
    return {"seconds": median_seconds(optimizer.step), "answer": found}


def _tensors(size: str) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    start, gradient = ([torch.randn(shape, generator=generator) for shape in SHAPES[size]] for _ in range(2))
    return start, gradient


def _parameters(start: Sequence[torch.Tensor], gradient: Sequence[torch.Tensor]) -> list[torch.nn.Parameter]:
    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in start]
    for parameter, pushed in zip(parameters, gradient, strict=True):
        parameter.grad = pushed.clone()
    return parameters


def _split(vector: torch.Tensor, shapes: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    sizes = [int(np.prod(shape)) for shape in shapes]
    return [part.view(*shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]


def answer(theta: Any) -> dict[str, float]:
    """Some of the parameters, all if they are few."""
    places = sorted({round(place) for place in np.linspace(0, len(theta) - 1, 9)})
    return {f"theta_{place}": float(theta[place]) for place in places}


# ---- the machine's limit --------------------------------------------------------------------------------------

_KERNEL = """
#include <pthread.h>
typedef struct { float *p, *v; const float *g; long n; } part;
static void *update(void *given) {
    part *a = given;
    float *restrict p = a->p, *restrict v = a->v; const float *restrict g = a->g;
    for (long i = 0; i < a->n; i++) { v[i] = 0.9f * v[i] + 0.01f * g[i]; p[i] -= v[i]; }
    return 0;
}
void step(float *p, float *v, const float *g, long n, int threads) {
    pthread_t other[64]; part parts[64];
    for (int t = 0; t < threads; t++) {
        long from = n / threads * t, to = t == threads - 1 ? n : n / threads * (t + 1);
        parts[t] = (part){p + from, v + from, g + from, to - from};
        if (t) pthread_create(&other[t], 0, update, &parts[t]);
    }
    update(&parts[0]);
    for (int t = 1; t < threads; t++) pthread_join(other[t], 0);
}
"""


def bandwidth(numbers: int, threads: int) -> dict[str, Any]:
    """A loop in C that does nothing but the update: reads p, v and g, writes p and v, at the memory's speed."""
    compiler = shutil.which("cc")
    if compiler is None:
        return {"seconds": float("nan"), "unmeasured": "no C compiler (cc) here"}
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "step.c", Path(folder) / "step.so"
        source.write_text(_KERNEL, encoding="ascii")
        flags = ["-O3", "-march=native", "-shared", "-fPIC", "-pthread"]
        built = subprocess.run([compiler, *flags, str(source), "-o", str(library)], capture_output=True, check=False)
        if built.returncode:
            return {"seconds": float("nan"), "unmeasured": "cc could not build the loop"}
        step = ctypes.CDLL(str(library)).step
        p, v, g = (np.full(numbers, value, np.float32) for value in (1.0, 0.0, 0.5))
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (p, v, g)]
        taken = []
        for _ in range(9):
            begun = time.perf_counter()
            step(*pointers, ctypes.c_long(numbers), threads)
            taken.append(time.perf_counter() - begun)
    seconds = statistics.median(taken)
    return {"seconds": seconds, "note": f"{20 * numbers / seconds / 1e9:.1f} GB/s in 5 streams on {threads} threads"}
