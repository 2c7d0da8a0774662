"""The tables of measurements that the documentation shows, each a function of the files in docs/results."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from measured import comparisons, embeddings, evaluations, proxies, reach, scaling

TABLES: dict[str, Callable[[], str]] = {
    "headline": comparisons.headline,
    "digits-surrogate": comparisons.surrogate_comparison,
    "digits-surrogate-300": partial(comparisons.three_hundred_seeds, "arena-digits-surrogate-300"),
    "digits-micro-surrogate-300": partial(comparisons.three_hundred_seeds, "arena-digits-micro-surrogate-300"),
    "digits": partial(comparisons.real_comparison, "arena-digits", 100),
    "digits-micro": partial(comparisons.real_comparison, "arena-digits-micro", 60),
    "ablation": comparisons.ablation,
    "tuned": comparisons.tuned,
    "critic-kernels": comparisons.critic_kernels,
    "critic-confirmed": comparisons.critic_confirmed,
    "table1": embeddings.table1,
    "coverage": embeddings.coverage,
    "coverage-micro": embeddings.coverage_micro,
    "landscape": partial(embeddings.landscape, "landscape.csv"),
    "landscape-micro": partial(embeddings.landscape, "landscape-micro.csv"),
    "explained": reach.explained,
    "reach": reach.reach,
    "regret": reach.regret,
    "embedding-trials": reach.trials,
    "micro-sizes": embeddings.micro_sizes,
    "waiting": scaling.waiting,
    "asynchronous-searches": scaling.searches,
    "driver": scaling.driver,
    "presets": evaluations.presets,
    "noise-floor": evaluations.noise_floor,
    "collected": evaluations.collected,
    "fidelity": evaluations.fidelity,
    "proxies": proxies.correlations,
    "proxies-reward": proxies.reward_correlations,
    "proxies-r2": partial(proxies.gains, "r2"),
    "proxies-tau": partial(proxies.gains, "tau"),
    "surrogate-scores": partial(
        evaluations.surrogate_scores, "digits", ("validation_accuracy", "train_accuracy", "reward")
    ),
    "surrogate-baselines": partial(
        evaluations.surrogate_baselines, "digits", "one-hot operations and sizes, filters, links"
    ),
    "surrogate-micro-scores": partial(
        evaluations.surrogate_scores, "digits-micro", ("validation_accuracy", "train_accuracy")
    ),
    "surrogate-micro-baselines": partial(
        evaluations.surrogate_baselines, "digits-micro", "one-hot inputs and operations"
    ),
}
"""What makes each table, by the name that pages mark it with."""
