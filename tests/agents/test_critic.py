import numpy as np
import pytest

from agents.critic import Critic, climb

SCALE = 20 / 6
"""The mean squared distance of two uniform embeddings."""


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def _critic(rng, function, noise=0.0, ridge=0.01):
    embeddings = rng.random((200, 20))
    return Critic(embeddings, function(embeddings) + noise * rng.standard_normal(200), SCALE, ridge)


def test_it_predicts_what_it_has_not_seen(rng):
    def pays(x):
        return x[:, 0] - x[:, 1] + 2 * x[:, 2] * x[:, 3]

    critic = _critic(rng, pays)
    fresh = rng.random((500, 20))
    assert np.corrcoef(critic.value(fresh), pays(fresh))[0, 1] > 0.95
    assert critic.explained > 0.9


def test_what_it_explains_is_predicted_from_all_others(rng):
    embeddings, advantages = rng.random((30, 20)), rng.random(30)
    targets = (advantages - advantages.mean()) / advantages.std()
    critic = Critic(embeddings, advantages, SCALE, 0.2)
    kernel = critic.kernel(embeddings)
    errors = []
    for i in range(30):
        others = np.arange(30) != i
        weights = np.linalg.solve(kernel[np.ix_(others, others)] + 0.2 * np.eye(29), targets[others])
        errors.append(targets[i] - kernel[i, others] @ weights)
    assert critic.explained == pytest.approx(1 - np.mean(np.square(errors)))


def test_noise_explains_nothing(rng):
    critic = _critic(rng, lambda x: np.zeros(len(x)), noise=1.0, ridge=0.2)
    assert critic.explained < 0.1


def test_its_gradient_is_the_slope_of_its_value(rng):
    critic = _critic(rng, lambda x: (x**2).sum(axis=1))
    x, step = rng.random((3, 20)), 1e-5
    slopes = [(critic.value(x + step * unit) - critic.value(x - step * unit)) / (2 * step) for unit in np.eye(20)]
    np.testing.assert_allclose(critic.gradient(x), np.transpose(slopes), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_it_ascends_to_what_pays(rng, sigma):
    critic = _critic(rng, lambda x: x[:, 0] - x[:, 1])
    reached = critic.ascend(np.zeros(20), np.full(20, sigma), 20, 0.5, 8, rng)
    assert reached[0] > 2 and reached[1] < -2
    assert np.abs(reached[2:]).max() < 2


def test_each_step_has_the_length_that_was_asked_for(rng):
    critic = _critic(rng, lambda x: x[:, 0])
    start = rng.standard_normal(20)
    assert np.linalg.norm(critic.ascend(start, np.full(20, 0.5), 1, 1.5, 8, rng) - start) == pytest.approx(1.5)
    np.testing.assert_array_equal(critic.ascend(start, np.full(20, 0.5), 0, 1.5, 8, rng), start)


def test_equal_rewards_move_nothing(rng):
    critic = _critic(rng, lambda x: np.full(len(x), 0.3))
    start = rng.standard_normal(20)
    np.testing.assert_array_equal(critic.ascend(start, np.ones(20), 5, 1.0, 8, rng), start)
    assert critic.explained == Critic(start[None], np.array([1.0]), SCALE, 0.2).explained == 0.0


def test_the_unit_of_the_advantages_does_not_matter(rng):
    embeddings, advantages = rng.random((30, 20)), rng.random(30)
    one, other = (Critic(embeddings, given, SCALE, 0.2) for given in (advantages, 100 * advantages - 7))
    np.testing.assert_allclose(one.value(embeddings), other.value(embeddings), atol=1e-9)


def test_an_embedding_drawn_twice_is_one_measured_twice(rng):
    embeddings = rng.random((2, 20))
    once, advantages = Critic(embeddings, np.array([1.0, -1.0]), SCALE, 0.2), np.array([1.2, 0.8, -1.0, -1.0])
    twice = Critic(embeddings.repeat(2, axis=0), advantages / advantages.std(), SCALE, 0.4)
    elsewhere = rng.random((5, 20))
    np.testing.assert_allclose(twice.value(elsewhere) * advantages.std(), once.value(elsewhere), atol=1e-9)


def test_what_is_saved_is_all_that_its_value_takes(rng):
    critic = _critic(rng, lambda x: x[:, 0])
    saved, fresh = critic.state_dict(), rng.random((5, 20))
    distances = ((fresh[:, None] - saved["critic.inputs"]) ** 2).sum(axis=2)
    expected = np.exp(-distances / saved["critic.scale"]) @ saved["critic.weights"]
    np.testing.assert_allclose(critic.value(fresh), expected)


class TestClimbing:
    def test_it_reaches_what_pays(self, rng):
        reached = climb(lambda x: x[:, 0] - x[:, 1], np.zeros(5), 0.7, 30, 16, rng)
        assert reached[0] > 2 and reached[1] < -2

    def test_it_is_the_best_of_all_draws(self, rng):
        seen = []

        def value(embeddings):
            seen.append(embeddings)
            return -((embeddings - 0.7) ** 2).sum(axis=1)

        reached = 1 / (1 + np.exp(-climb(value, np.zeros(5), 0.7, 4, 8, rng)))
        assert [len(each) for each in seen] == [1, 8, 8, 8, 8]
        known = np.concatenate(seen)
        np.testing.assert_allclose(reached, known[np.argmin(((known - 0.7) ** 2).sum(axis=1))])

    def test_it_stays_where_nothing_is_better(self, rng):
        start = rng.standard_normal(5)
        np.testing.assert_array_equal(climb(lambda x: np.zeros(len(x)), start, 0.7, 5, 8, rng), start)
        np.testing.assert_array_equal(climb(lambda x: x[:, 0], start, 0.7, 0, 8, rng), start)
