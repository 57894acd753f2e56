"""The article's script, with γ as an argument and its losses in a CSV."""

import argparse
import csv

import torch
from torch import nn


def train(gamma: float) -> list[float]:
    torch.manual_seed(0)
    x = torch.randn(100, 1)
    y = 2 * x + 1 + 0.1 * torch.randn(100, 1)
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=gamma)
    criterion = nn.MSELoss()
    losses = []
    for _ in range(100):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def write(path: str, losses: list[float]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "loss"])
        writer.writerows(enumerate(losses))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gamma", type=float, default=0.9)
    parser.add_argument("--out", default="losses.csv")
    options = parser.parse_args()
    losses = train(options.gamma)
    write(options.out, losses)
    print(losses[-1])
