"""Equilibrium propagation: relaxation and training of energy-based networks."""
