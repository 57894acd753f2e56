def cautious(theta, gradient, velocity, gamma, eta):
    """Momentum that moves a coordinate only where inertia and slope agree (after Liang et al. 2024)."""
    velocity = gamma * velocity + eta * gradient
    agreed = velocity * gradient > 0
    return theta - agreed * velocity, velocity
