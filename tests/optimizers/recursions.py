"""The problem of the reference case `equivalences`, our rules on it, and the recursions that are no rules of ours."""

import numpy as np
import torch

from momentumlab.optimizers.rules import RULES
from tests.reference import case

REFERENCE = case("equivalences")
STEPS, ETA, GAMMA = (REFERENCE["setting"][name] for name in ("steps", "eta", "gamma"))
START = np.array(REFERENCE["setting"]["z0"])
MATRIX = np.sin(3.0 * np.arange(8)[:, None] + 5.0 * np.arange(5) + 1)  # (sample, parameter)
SHIFT = np.cos(2.0 * np.arange(8) + 1)


def gradient(z):
    """Aᵀ·tanh(A·z − b) + 0.1·z for z (…, parameter), with sums along the last axis only: same bits in any stack."""
    bent = np.tanh((MATRIX * z[..., None, :]).sum(-1) - SHIFT)
    return (MATRIX.T * bent[..., None, :]).sum(-1) + 0.1 * z


def now(value, step):
    """A hyperparameter in one update: a number, or a function of the step."""
    return value(step) if callable(value) else value


def memories(name, start=START, **hyperparameters):
    """(θ, memory) before the first update and after each; hyperparameters may be functions of the step."""
    rule, theta = RULES[name], start + 0
    memory = rule.at_rest(theta, hyperparameters)
    yield theta + 0, memory + 0 if not rule.many else memory
    for step in range(STEPS):
        today = {key: now(value, step) for key, value in hyperparameters.items()}
        theta, memory = rule.update(theta, gradient(theta), memory, **today)
        yield theta + 0, memory + 0 if not rule.many else memory


def play(name, **hyperparameters):
    """θ of a rule, (update, parameter), from the start on."""
    return np.array([theta for theta, _ in memories(name, **hyperparameters)])


def sutskever(gamma, eta):
    """θ and v of v ← μ·v − ε·∇J(θ + μ·v), θ ← θ + v. Sutskever et al. 2013."""
    theta, velocity = START, np.zeros(5)
    path = [(theta, velocity)]
    for _ in range(STEPS):
        velocity = gamma * velocity - eta * gradient(theta + gamma * velocity)
        theta = theta + velocity
        path.append((theta, velocity))
    thetas, velocities = np.moveaxis(np.array(path), 1, 0)
    return thetas, velocities


def synthesized_nesterov(eta, beta1, beta2):
    """x and y of x⁺ = x + β₁·(x − x₋) − η·∇J(y), y = x + β₂·(x − x₋). Lessard, Recht and Packard 2016."""
    x = before = y = START
    path = [(x, y)]
    for _ in range(STEPS):
        x, before = x + beta1 * (x - before) - eta * gradient(y), x
        y = x + beta2 * (x - before)
        path.append((x, y))
    return np.moveaxis(np.array(path), 1, 0)


def nesterov_1983(gamma, eta):
    """x and y of x⁺ = y − η·∇J(y), y⁺ = x⁺ + γ·(x⁺ − x). Nesterov 1983."""
    x = y = START
    path = [(x, y)]
    for _ in range(STEPS):
        x, before = y - eta * gradient(y), x
        y = x + gamma * (x - before)
        path.append((x, y))
    return np.moveaxis(np.array(path), 1, 0)


def triple_momentum(smoothness, convexity):
    """y of ξ⁺ = (1 + β)·ξ − β·ξ₋ − α·∇J(y), y = (1 + γ)·ξ − γ·ξ₋. Van Scoy, Freeman and Lynch 2018."""
    rho = 1 - (convexity / smoothness) ** 0.5
    alpha, beta, gamma = (1 + rho) / smoothness, rho**2 / (2 - rho), rho**2 / ((1 + rho) * (2 - rho))
    xi = before = y = START
    path = [y]
    for _ in range(STEPS):
        xi, before = (1 + beta) * xi - beta * before - alpha * gradient(y), xi
        y = (1 + gamma) * xi - gamma * before
        path.append(y)
    return np.array(path)


def schedule_free(eta, beta, c):
    """x, y and z of y = (1 − β)·z + β·x, z ← z − η·∇J(y), x ← (1 − c)·x + c·z. Defazio et al. 2024."""
    x = y = z = START
    path = [(x, y, z)]
    for step in range(STEPS):
        z = z - eta * gradient(y)
        x = (1 - now(c, step)) * x + now(c, step) * z
        y = (1 - beta) * z + beta * x
        path.append((x, y, z))
    return np.moveaxis(np.array(path), 1, 0)


def pid(proportional, integral, derivative):
    """θ = θ₀ + k_P·e + k_I·Σe + k_D·d, e = −∇J, d ← β·d + (1 − β)·(e − e₋). Ma and Yarats 2019, after Recht 2018."""
    beta = derivative / (derivative - proportional)
    theta, error, total, smooth = START, np.zeros(5), np.zeros(5), np.zeros(5)
    path = [theta]
    for _ in range(STEPS):
        error, before = -gradient(theta), error
        total = total + error
        smooth = beta * smooth + (1 - beta) * (error - before)
        theta = START + proportional * error + integral * total + derivative * smooth
        path.append(theta)
    return np.array(path)


def sign_of_accumulated(gamma, eta):
    """Signum that does not average: b ← γ·b + ∇J, θ ← θ − η·sign(b)."""
    theta, buffer = START, np.zeros(5)
    path = [theta]
    for _ in range(STEPS):
        buffer = gamma * buffer + gradient(theta)
        theta = theta - eta * np.sign(buffer)
        path.append(theta)
    return np.array(path)


def ema_from_first_gradient(gamma, eta):
    """m₁ = ∇J(θ₀), then m ← γ·m + (1 − γ)·∇J; θ ← θ − η·m."""
    theta, average = START, gradient(START)
    path = [theta]
    for _ in range(STEPS):
        average = gamma * average + (1 - gamma) * gradient(theta)
        theta = theta - eta * average
        path.append(theta)
    return np.array(path)


def torch_sgd(optimizer=torch.optim.SGD, **options):
    """θ of torch.optim.SGD, or of what stands in for it, in float64."""
    parameter = torch.nn.Parameter(torch.tensor(START))
    optimizer = optimizer([parameter], **options)
    path = [START]
    for _ in range(STEPS):
        parameter.grad = torch.tensor(gradient(parameter.detach().numpy()))
        optimizer.step()
        path.append(parameter.detach().numpy().copy())
    return np.array(path)


def sutskever_theta_from_torchs_memory(gamma, eta):
    return np.array(
        [theta + eta * gamma * buffer for theta, buffer in memories("torch_nesterov", gamma=gamma, eta=eta)]
    )


def sutskever_look_ahead(gamma, eta):
    thetas, velocities = sutskever(gamma, eta)
    return thetas + gamma * velocities


def running_mean(path):
    """(z₁ + … + z_t)/t; the start itself before the first."""
    return np.array([path[0], *(np.cumsum(path[1:], axis=0) / np.arange(1, STEPS + 1)[:, None])])
