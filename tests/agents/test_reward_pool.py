import numpy as np
import pytest

from agents.reward_pool import RewardPool


def _pool(rewards, baseline="pool"):
    pool = RewardPool(baseline)
    for i, reward in enumerate(rewards):
        pool.add(np.full(60, i), np.full(20, i), reward)
    return pool


def test_rewards_are_normalised_over_the_whole_pool():
    # mean 2, population deviation sqrt(2/3)
    expected = np.array([-1, 0, 1]) / np.sqrt(2 / 3)
    np.testing.assert_allclose(_pool([1.0, 2.0, 3.0]).advantages(), expected)


def test_normalised_rewards_change_when_the_pool_grows():
    pool = _pool([1.0, 2.0])
    before = pool.advantages()[0]
    pool.add(np.zeros(60), np.zeros(20), 100.0)
    assert pool.advantages()[0] != before


def test_equal_rewards_are_normalised_to_zero():
    np.testing.assert_array_equal(_pool([0.5] * 4).advantages(), np.zeros(4))


def test_sample_draws_distinct_entries_with_their_own_rewards():
    pool = _pool([0.0, 1.0, 2.0, 3.0, 4.0])
    batch = pool.sample(3, np.random.default_rng(0))
    entries = batch.embeddings[:, 0].astype(int)
    assert len(set(entries)) == 3
    np.testing.assert_array_equal(batch.states[:, 0], entries)
    np.testing.assert_allclose(batch.advantages, pool.advantages()[entries])


def test_sample_reaches_every_entry():
    pool, rng = _pool(np.arange(6.0)), np.random.default_rng(0)
    seen = {int(i) for _ in range(50) for i in pool.sample(3, rng).embeddings[:, 0]}
    assert seen == set(range(6))


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_pool_gives_all_it_has(size):
    assert len(_pool(range(size)).sample(3, np.random.default_rng(0)).advantages) == size


def test_the_last_entry_alone_has_the_advantage_it_has_in_the_pool():
    batch = _pool([1.0, 2.0, 3.0]).last()
    assert batch.states[:, 0] == [2] and batch.embeddings[:, 0] == [2]
    np.testing.assert_allclose(batch.advantages, [1 / np.sqrt(2 / 3)])


def test_the_moving_average_is_of_the_rewards_before():
    # averages: 1 (its own), 0.9 * 1 + 0.1 * 1, 0.9 * 1 + 0.1 * 3
    np.testing.assert_allclose(_pool([1.0, 3.0, 2.0], "moving").advantages(), [0.0, 2.0, 0.8])


def test_without_a_baseline_advantages_are_rewards():
    np.testing.assert_array_equal(_pool([0.2, -1.0], "none").advantages(), [0.2, -1.0])


def test_an_unknown_baseline_is_told():
    with pytest.raises(ValueError, match="no baseline 'median'; choose one of"):
        RewardPool("median")


def test_all_entries_come_in_the_order_in_which_they_were_added():
    pool = _pool([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(pool.embeddings()[:, 0], [0, 1, 2])
    np.testing.assert_array_equal(pool.advantages().argsort(), [1, 2, 0])
