"""1000 steps down Rosenbrock's valley with torch's autograd, γ as an argument, the losses in a CSV."""

import argparse

import torch
from linreg import write


def train(gamma: float) -> list[float]:
    theta = torch.tensor([-1.2, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([theta], lr=5e-4, momentum=gamma)
    losses = []
    for _ in range(1000):
        x, y = theta
        loss = (1 - x) ** 2 + 100 * (y - x**2) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gamma", type=float, default=0.9)
    parser.add_argument("--out", default="losses.csv")
    options = parser.parse_args()
    losses = train(options.gamma)
    write(options.out, losses)
    print(losses[-1])
