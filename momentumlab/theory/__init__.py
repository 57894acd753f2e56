"""What mathematics says of a rule before it is run: numpy and closed forms, never torch.

    method      a rule with its numbers, and the matrix that it multiplies a direction of a quadratic with
    modes       one direction: roots, rate, oscillation, the way from rest, transient growth
    stability   the largest η·λ of every rule, the noise of a curvature that a rule can stand
    tuning      the best γ and η, alone and together, and what they give; steps to an accuracy
    prediction  all of that in one answer, for a rule on a spectrum
    filter      the velocity as a filter of the gradients: effective η, half-life, stopping distance
    noise       the floor under noisy gradients: how far θ and v jitter in the end
    energy      J + (γ/2η)·‖v‖², where it goes, and which barriers it cannot cross
    spectrum    eigenvalues of a Hessian that is known by its products or by its gradient
    fit         the rate of a decay that was measured, and the steps that it took

Everything about quadratics is derived from the rules themselves (optimizers/rules.py): a linear rule is applied to
basis vectors, and what comes out is its matrix. So no formula of a rule is written a second time here.
"""
