"""What is told of proxies: one that knows the accuracy gains, one that knows nothing does not."""

import numpy as np
import pytest

from nases_env.surrogate_fitting import proxies


@pytest.fixture(scope="module")
def told(collected):
    """What is told of a proxy that is the accuracy, of the opposite of it, and of chance."""
    part = collected[np.arange(0, len(collected), 10)]
    accuracy, rng = part.measured["validation_accuracy"], np.random.default_rng(0)
    unknown = np.where(np.arange(len(part)) < 30, np.nan, 10**accuracy)
    values = {"known": 10**accuracy, "opposite": -(10**accuracy), "chance": rng.normal(size=len(part)), "gaps": unknown}
    return part, {row["proxy"]: row for row in proxies.compare(part, values)}


def test_correlations_have_the_proxys_direction(told):
    rows = told[1]
    assert rows["known"]["validation_accuracy_tau"] == pytest.approx(1, abs=1e-3)
    assert rows["opposite"]["validation_accuracy_rho"] == pytest.approx(-1, abs=1e-3)
    assert rows["known"]["reward_tau"] > 0.8
    assert rows["chance"]["validation_accuracy_tau_low"] < 0 < rows["chance"]["validation_accuracy_tau_high"]


def test_gains_are_above_0_only_where_a_proxy_knows_something(told):
    known, chance = told[1]["known"], told[1]["chance"]
    for name in ("validation_accuracy_r2_gain", "validation_accuracy_tau_gain", "reward_r2_gain", "reward_tau_gain"):
        assert 0.05 < known[f"{name}_low"] < known[name] < known[f"{name}_high"]
        assert chance[f"{name}_low"] < 0.01


def test_children_without_a_value_are_left_out(told):
    part, rows = told
    assert rows["known"]["evaluations"] == len(part) and rows["gaps"]["evaluations"] == len(part) - 30
    assert rows[proxies.ALL]["evaluations"] == rows[proxies.WITH_TREES]["evaluations"] == len(part) - 30


def test_all_together_are_told_too(told):
    rows = told[1]
    assert rows[proxies.ALL]["validation_accuracy_tau"] > 0.9  # of a model that was fitted on other families
    assert rows[proxies.WITH_TREES]["validation_accuracy_r2_gain_low"] > 0
    assert "validation_accuracy_tau" not in rows[proxies.WITH_TREES]
