import numpy as np
import pytest

from agents.built import Built
from nases_env import search_spaces
from tests.search_spaces import toy


@pytest.fixture(params=["macro", "micro", "toy"])
def space(request):
    return toy.ToySpace() if request.param == "toy" else search_spaces.make(request.param)


def _sample(space, count, seed=1):
    return space.sample(np.random.default_rng(seed), count)


def test_two_random_networks_are_so_far_apart(space):
    features = Built(space)(_sample(space, 2000))
    distance = ((features[:1000] - features[1000:]) ** 2).sum(axis=1).mean()
    assert distance == pytest.approx(Built.distance, rel=0.05)


def test_equal_networks_have_equal_features(space):
    origins = _sample(space, 50)
    again = np.stack([space.origin_of(space.architecture(row)) for row in space.discretise(origins)])
    built = Built(space)
    np.testing.assert_array_equal(built(origins), built(again))
    assert len(np.unique(built(origins), axis=0)) == len(np.unique(space.discretise(origins), axis=0))


def test_a_network_has_the_same_features_whatever_is_asked_with_it(space):
    origins, built = _sample(space, 20), Built(space)
    np.testing.assert_allclose(np.concatenate([built(origin[None]) for origin in origins]), built(origins), atol=1e-14)


def test_every_kind_of_decision_counts_as_much():
    space = search_spaces.make()
    features = Built(space)(_sample(space, 4000))
    # Operations of 15 layers one-hot, sizes, filters and links; then the mean, the trend and the bend of each.
    sizes = [15 * 4, 15 * 3, 15, 105, 3 * 4, 3 * 3, 3, 3]
    assert features.shape[1] == sum(sizes)
    groups = np.split(features, np.cumsum(sizes)[:-1], axis=1)
    np.testing.assert_allclose([group.var(axis=0).sum() for group in groups], 1 / 8, rtol=0.1)


def test_upside_down_a_profile_has_the_same_mean_and_bend_and_the_opposite_trend():
    space = search_spaces.make()
    origins, built = _sample(space, 20), Built(space)
    turned = origins.reshape(-1, 15, 4)[:, ::-1].reshape(-1, 60)
    (mean, trend, bend), (same_mean, opposite, same_bend) = (built(each)[:, -6:-3].T for each in (origins, turned))
    np.testing.assert_allclose([same_mean, same_bend], [mean, bend], atol=1e-12)
    assert np.ptp(trend + opposite) < 1e-12 < np.ptp(trend)


def test_layers_that_are_all_wider_change_the_mean_of_the_profile_most():
    space = search_spaces.make()
    origins, built = _sample(space, 20), Built(space)
    wider = origins.reshape(-1, 15, 4).clip(0, 20) + np.array([10, 0, 0, 0])
    narrow = origins.reshape(-1, 15, 4).clip(0, 20)
    mean, trend, bend = (built(wider.reshape(-1, 60)) - built(narrow.reshape(-1, 60)))[:, -6:-3].T
    assert (mean > 0.5).all() and np.abs(trend).max() < 1e-9 and (np.abs(bend) < 0.2 * mean).all()
