"""Many searches and many children: comparisons, tuning, collections of evaluations, noise and fidelity of rewards."""
