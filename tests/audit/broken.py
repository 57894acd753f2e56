"""Optimizers that are broken on purpose, one defect each, and sound ones of formulas that torch does not have."""

import sys

import numpy as np
import torch
from torch.optim import SGD, Optimizer


class Plain(Optimizer):
    """v ← γ·v + η·∇J, θ ← θ − v: the classical form, sound. What is broken or different overrides one method."""

    def __init__(self, params, lr=0.1, momentum=0.9, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[parameter], group)

    def update(self, parameter, gradient, state, group):
        velocity = state.setdefault("velocity", torch.zeros_like(parameter))
        velocity.mul_(group["momentum"]).add_(gradient, alpha=group["lr"])
        parameter.sub_(velocity)


# Sound, and each the recurrence of its name


class Ema(Plain):
    def update(self, parameter, gradient, state, group):
        parameter.sub_(self.average(gradient, state, group["momentum"]), alpha=group["lr"])

    def average(self, gradient, state, gamma):
        return state.setdefault("average", torch.zeros_like(gradient)).lerp_(gradient, 1 - gamma)


class CorrectedEma(Ema):
    def average(self, gradient, state, gamma):
        state["step"] = state.get("step", 0) + 1
        return super().average(gradient, state, gamma) / (1 - gamma ** state["step"])


class EmaFromTheFirstGradient(Ema):
    def average(self, gradient, state, gamma):
        return state.setdefault("average", gradient.clone()).lerp_(gradient, 1 - gamma)


class Signum(Ema):
    def average(self, gradient, state, gamma):
        return super().average(gradient, state, gamma).sign()


class SignDescent(Optimizer):
    def __init__(self, params, learning_rate=0.1):
        super().__init__(params, {"learning_rate": learning_rate})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad.sign(), alpha=group["learning_rate"])


class Lion(Plain):
    def __init__(self, params, lr=0.1, betas=(0.9, 0.99), weight_decay=0.0):
        Optimizer.__init__(self, params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    def update(self, parameter, gradient, state, group):
        average = state.setdefault("average", torch.zeros_like(parameter))
        one, two = group["betas"]
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_((average * one + gradient * (1 - one)).sign(), alpha=group["lr"])
        average.lerp_(gradient, 1 - two)


class AggMo(Plain):
    def __init__(self, params, lr=0.1, betas=(0.0, 0.9, 0.99)):
        Optimizer.__init__(self, params, {"lr": lr, "betas": betas})

    def update(self, parameter, gradient, state, group):
        velocities = state.setdefault("velocities", [torch.zeros_like(parameter) for _ in group["betas"]])
        for velocity, beta in zip(velocities, group["betas"], strict=True):
            parameter.sub_(velocity.mul_(beta).add_(gradient), alpha=group["lr"] / len(velocities))


class Quasi(Ema):
    def __init__(self, params, lr=0.1, momentum=0.9, nu=0.7):
        Optimizer.__init__(self, params, {"lr": lr, "momentum": momentum, "nu": nu})

    def average(self, gradient, state, gamma):
        average, nu = super().average(gradient, state, gamma), self.defaults["nu"]
        return (1 - nu) * gradient + nu * average


class DampenedAlways(Plain):
    def __init__(self, params, lr=0.1, momentum=0.9, dampening=0.5):
        Optimizer.__init__(self, params, {"lr": lr, "momentum": momentum, "dampening": dampening})

    def update(self, parameter, gradient, state, group):
        super().update(parameter, (1 - group["dampening"]) * gradient, state, group)


class DampenedWithMomentum(DampenedAlways):
    def update(self, parameter, gradient, state, group):
        dampening = group["dampening"] if group["momentum"] else 0.0
        Plain.update(self, parameter, (1 - dampening) * gradient, state, group)


class DampeningIgnored(DampenedAlways):
    def update(self, parameter, gradient, state, group):
        Plain.update(self, parameter, gradient, state, group)


class Decoupled(Plain):
    def update(self, parameter, gradient, state, group):
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        super().update(parameter, gradient, state, group)


class DecoupledUnscaled(Plain):
    def update(self, parameter, gradient, state, group):
        parameter.mul_(1 - group["weight_decay"])
        super().update(parameter, gradient, state, group)


class PassesItsOptionsOn(SGD):
    """Only its base class says what the options are."""

    def __init__(self, params, **options):
        super().__init__(params, **options)


class OtherKeys(Plain):
    """Its constructor and its param_groups have other names for γ and η."""

    def __init__(self, params, learning_rate=0.1, beta=0.9):
        Optimizer.__init__(self, params, {"lr": learning_rate, "momentum": beta})


class UnknownKeys(Plain):
    """Its param_groups have names that nobody else has; γ stands there beside another number."""

    def __init__(self, params, eta=0.1, beta1=0.9, beta2=0.99):
        Optimizer.__init__(self, params, {"step_size": eta, "betas": (beta1, beta2)})

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, state, {"lr": group["step_size"], "momentum": group["betas"][0]})


class MovesTwice(Plain):
    """Sound until the 5th update, then a formula that nobody knows."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, state, group)
        state["step"] = state.get("step", 0) + 1
        if state["step"] >= 5:
            parameter.sub_(state["velocity"])


class OneNorm(Plain):
    """All gradients are divided by one norm, and so parameters influence each other: no defect."""

    @torch.no_grad()
    def step(self):
        every = [parameter for group in self.param_groups for parameter in group["params"]]
        norm = sum(parameter.grad.square().sum() for parameter in every if parameter.grad is not None).sqrt()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad / norm, self.state[parameter], group)


class Noisy(Plain):
    """Adds random numbers: two trainings never agree, which is no defect."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient + torch.randn_like(gradient), state, group)


class NoisyByItself(Plain):
    """Its random numbers are nobody's to seed."""

    def update(self, parameter, gradient, state, group):
        noise = torch.from_numpy(np.random.default_rng().normal(size=tuple(gradient.shape)))
        super().update(parameter, gradient + noise, state, group)


class Bare:
    """An optimizer that knows no param_groups and no state_dict."""

    def __init__(self, params, eta=0.1, gamma=0.9):
        self.params, self.eta, self.gamma = list(params), eta, gamma
        self.velocities = [torch.zeros_like(parameter) for parameter in self.params]

    @torch.no_grad()
    def step(self):
        for parameter, velocity in zip(self.params, self.velocities, strict=True):
            if parameter.grad is not None:
                velocity.mul_(self.gamma).add_(parameter.grad, alpha=self.eta)
                parameter.sub_(velocity)


# Broken


class GammaIgnored(Plain):
    """γ is taken and forgotten: momentum with 0.9, always."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, state, {**group, "momentum": 0.9})


class BufferZeroed(Plain):
    """The velocity is made anew at every step."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, {}, group)


class SignumZeroed(Signum):
    """The average is made anew at every step: sign descent."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, {}, group)


class EmaZeroed(Ema):
    """The average is made anew at every step, so γ makes the step smaller and remembers nothing."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, {}, group)


class StateOutside(Plain):
    """The velocities are not in `state`, so they are not saved."""

    def __init__(self, params, lr=0.1, momentum=0.9):
        super().__init__(params, lr, momentum)
        self.outside = {}

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, self.outside.setdefault(parameter, {}), group)


class CounterOutside(CorrectedEma):
    """The average is saved, the number of steps for its correction is not."""

    def __init__(self, params, lr=0.1, momentum=0.9):
        super().__init__(params, lr, momentum)
        self.steps = {}

    def average(self, gradient, state, gamma):
        self.steps[id(state)] = self.steps.get(id(state), 0) + 1
        return Ema.average(self, gradient, state, gamma) / (1 - gamma ** self.steps[id(state)])


class LoadingFails(Plain):
    def load_state_dict(self, state_dict):
        raise KeyError("velocity")


class FromTheWeights(Plain):
    """The velocity begins as a copy of the parameter."""

    def update(self, parameter, gradient, state, group):
        state.setdefault("velocity", parameter.clone())
        super().update(parameter, gradient, state, group)


class BufferIsFirstTheWeights(Plain):
    """As torch's form, but in update 1 the buffer is a copy of the parameter in place of the gradient."""

    def update(self, parameter, gradient, state, group):
        if "buffer" in state:
            state["buffer"].mul_(group["momentum"]).add_(gradient)
        else:
            state["buffer"] = parameter.clone()
        parameter.sub_(state["buffer"], alpha=group["lr"])


class SignError(Plain):
    """p.add_ where p.sub_ is meant."""

    def update(self, parameter, gradient, state, group):
        buffer = state.setdefault("buffer", torch.zeros_like(parameter)).mul_(group["momentum"]).add_(gradient)
        parameter.add_(buffer, alpha=group["lr"])


class MaximizeIgnored(Plain):
    def __init__(self, params, lr=0.1, momentum=0.9, maximize=False):
        Optimizer.__init__(self, params, {"lr": lr, "momentum": momentum, "maximize": maximize})


class SharedByTheClass(Plain):
    """The velocities belong to the class: an instance begins with those of the one before."""

    velocities = {}  # noqa: RUF012 - this is the mistake

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, self.velocities.setdefault(parameter.shape, {}), group)


class SharedByDefault(Plain):
    """The same by the oldest trap of Python."""

    def __init__(self, params, lr=0.1, momentum=0.9, velocities={}):  # noqa: B006 - this is the trap
        super().__init__(params, lr, momentum)
        self.velocities = velocities

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, self.velocities.setdefault(parameter.shape, {}), group)


class GradientScaled(Plain):
    """η is multiplied into the gradient itself."""

    def update(self, parameter, gradient, state, group):
        gradient.mul_(group["lr"])
        super().update(parameter, gradient, state, {**group, "lr": 1.0})


class GradientDropped(Plain):
    """Gradients are taken away after the update."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient.clone(), state, group)
        parameter.grad = None


class GradientKept(Plain):
    """The buffer is the first gradient itself, not a copy: the next gradient overwrites it."""

    def update(self, parameter, gradient, state, group):
        if "buffer" in state:
            state["buffer"].mul_(group["momentum"]).add_(gradient)
        else:
            state["buffer"] = gradient
        parameter.sub_(state["buffer"], alpha=group["lr"])


class FirstGroupsEta(Plain):
    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, state, {**group, "lr": self.param_groups[0]["lr"]})


class LastGroupsGamma(Plain):
    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, state, {**group, "momentum": self.param_groups[-1]["momentum"]})


class BuffersByPlace(Plain):
    """Buffers are found by the place in the group, which other groups have too."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for place, parameter in enumerate(group["params"]):
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, self.state[place], group)


class LastGroupOnly(Plain):
    @torch.no_grad()
    def step(self):
        for parameter in self.param_groups[-1]["params"]:
            if parameter.grad is not None:
                self.update(parameter, parameter.grad, self.state[parameter], self.param_groups[-1])


class EtaFrozen(Plain):
    """η is what the constructor was given, whatever stands in param_groups later."""

    def update(self, parameter, gradient, state, group):
        super().update(parameter, gradient, state, {**group, "lr": state.setdefault("lr", group["lr"])})


class DecaysWithoutGradient(Plain):
    """Weight decay for parameters without a gradient too."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    parameter.mul_(0.99)
                else:
                    self.update(parameter, parameter.grad, self.state[parameter], group)


class NeedsEveryGradient(Plain):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                self.update(parameter, parameter.grad, self.state[parameter], group)


class Raises(Plain):
    def update(self, parameter, gradient, state, group):
        state["step"] = state.get("step", 0) + 1
        if state["step"] == 3:
            raise ZeroDivisionError("the third time")
        super().update(parameter, gradient, state, group)


class ExitsInAnUpdate(Plain):
    def update(self, parameter, gradient, state, group):
        sys.exit(0)


class ExitsWhenBuilt(Plain):
    def __init__(self, params, lr=0.1):
        sys.exit("no")


class ExitsWhenSaved(Plain):
    def state_dict(self):
        sys.exit(0)
