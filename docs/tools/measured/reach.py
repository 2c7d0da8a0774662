"""Tables of what decisions explain, what embeddings reach, where searches lose, and which embeddings were tried."""

from __future__ import annotations

from measured.formatting import interval, markdown, percent, read

REGIONS = ("uniform", "near the best")


def explained() -> str:
    """How much of the rewards' variance each model explains, in both regions."""
    found = {(row["model"], row["region"]): row for row in read("reach-explained.csv")}
    models = dict.fromkeys(model for model, _ in found)
    header = ["a model of", "numbers", "uniform architectures", "near the best 1 %"]
    rows = [
        [
            model,
            found[model, REGIONS[0]]["numbers"],
            *(percent(float(found[model, region]["r2"])) for region in REGIONS),
        ]
        for model in models
    ]
    return markdown(header, rows)


def reach() -> str:
    """Rewards of uniform actions of each embedding, and the best that is reachable."""
    measures = ("median", "best 1 %", "best 0.1 %", "best", "reachable")
    header = ["decoder", "calibration", "median", "best 1 %", "best 0.1 %", "best of 100,000", "found by evolution"]
    rows = [
        [f"`{row['decoder']}`", f"`{row['calibration']}`", *(f"{float(row[measure]):.3f}" for measure in measures)]
        for row in read("reach.csv")
    ]
    return markdown(header, rows)


def regret() -> str:
    """How each agent's regret splits, and what its last children have in common."""
    header = ["agent", "not reachable", "not found", "not chosen", "last 30: reward", "spread", "distinct", "differ in"]
    numbers = ("not reachable", "not found", "not chosen", "last reward", "last spread")
    shares = ("last distinct", "last differ")
    rows = [
        [
            f"`{row['agent']}`",
            *(f"{float(row[name]):.3f}" for name in numbers),
            *(percent(float(row[name])) for name in shares),
        ]
        for row in read("regret.csv")
    ]
    return markdown(header, rows)


def trials() -> str:
    """Every embedding that was tried, the highest mean first."""
    header = ["embedding", "numbers", "seeds", "best reward of 100, IQM (95 % interval)", "probability over random",
              "chosen child's accuracy without noise", "best 1 %", "neighbours"]  # fmt: skip
    rows = [
        [
            row["configuration"],
            row["numbers"],
            row["seeds"],
            interval(row["iqm"], row["iqm_low"], row["iqm_high"], 3),
            interval(row["probability_over_random"], row["probability_low"], row["probability_high"], 2),
            f"{float(row['chosen_accuracy']):.3f}",
            row["best_1_percent"],
            row["neighbours"],
        ]
        for row in sorted(read("embedding-trials.csv"), key=lambda row: -float(row["iqm"]))
    ]
    return markdown(header, rows)
