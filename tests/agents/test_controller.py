import numpy as np
import pytest
import torch

from agents.controller import Controller
from nases_env import embeddings, search_spaces

SPACE = search_spaces.make()
CELLS = search_spaces.make("micro")


def _controller(
    policy="logit_normal", decoder="autoencoder", calibration="output", sigma=1.0, pretrained=True, space=SPACE
):
    made = embeddings.make(decoder, space, calibration)
    return Controller(made, policy, sigma, pretrained, np.random.default_rng(0)), made


@pytest.mark.parametrize("space", [SPACE, CELLS], ids=lambda space: space.name)
@pytest.mark.parametrize("calibration", ["output", "none", "both"])
def test_the_fresh_controller_stands_where_the_encoder_stands(calibration, space):
    controller, decoder = _controller("deterministic", calibration=calibration, space=space)
    states = space.sample(np.random.default_rng(1), 5)
    actions = decoder.code_to_action(controller.draw(controller.logits(states), np.random.default_rng(0)))
    np.testing.assert_allclose(actions, decoder.encode(states), atol=1e-5)


def test_logit_normal_scores_like_the_normal_density_of_the_logits():
    controller, _ = _controller(sigma=0.5)
    states = SPACE.sample(np.random.default_rng(1), 1)
    logits = torch.from_numpy(controller.logits(states)).float()
    # At the mean the density of each of 20 numbers is 1 / (0.5 · sqrt(2π)).
    score = float(controller.score(states, torch.sigmoid(logits).numpy()).detach())
    assert score == pytest.approx(-20 * np.log(0.5 * np.sqrt(2 * np.pi)), abs=1e-3)
    further = float(controller.score(states, torch.sigmoid(logits + 0.5).numpy()).detach())
    assert further == pytest.approx(score - 20 * 0.5, abs=1e-2)


def test_logit_normal_scores_embeddings_on_the_border():
    controller, _ = _controller()
    states = SPACE.sample(np.random.default_rng(1), 2)
    assert torch.isfinite(controller.score(states, np.array([[0.0] * 20, [1.0] * 20]))).all()


def test_logit_normal_samples_have_the_deviation_sigma_before_the_sigmoid():
    controller, _ = _controller(sigma=0.3)
    state = SPACE.sample(np.random.default_rng(1), 1)
    logits = controller.logits(np.repeat(state, 4000, axis=0))
    samples = controller.draw(logits, np.random.default_rng(0)).astype(np.float64)
    z = np.log(samples / (1 - samples))
    np.testing.assert_allclose(z.std(axis=0), 0.3, rtol=0.1)
    np.testing.assert_allclose(z.mean(axis=0), controller.logits(state)[0], atol=0.03)


@pytest.mark.parametrize(("policy", "sigma"), [("logit_normal", 0.3), ("bernoulli", 0), ("deterministic", 0)])
def test_only_the_normal_distribution_has_a_sigma(policy, sigma):
    controller, _ = _controller(policy, sigma=0.3)
    np.testing.assert_allclose(controller.sigma, np.full(20, sigma), rtol=1e-6)


def test_bernoulli_draws_bits_as_likely_as_the_sigmoid_says():
    controller, decoder = _controller("bernoulli")
    state = SPACE.sample(np.random.default_rng(1), 1)
    samples = controller.draw(controller.logits(np.repeat(state, 4000, axis=0)), np.random.default_rng(0))
    assert set(np.unique(samples)) == {0.0, 1.0}
    np.testing.assert_allclose(samples.mean(axis=0), decoder.encode(state)[0], atol=0.04)
    assert set(np.unique(controller.random(10, np.random.default_rng(0)))) == {0.0, 1.0}


def test_bernoulli_scores_are_log_probabilities():
    controller, _ = _controller("bernoulli")
    state = SPACE.sample(np.random.default_rng(1), 1)
    p = torch.sigmoid(torch.from_numpy(controller.logits(state)).float()).numpy()[0]
    bits = (p > 0.5).astype(np.float32)
    expected = np.log(np.where(bits == 1, p, 1 - p)).sum()
    assert float(controller.score(state, bits[None]).detach()[0]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("decoder", ["pca", "random", "identity"])
def test_a_decoder_without_a_simulator_gets_a_fresh_one_of_its_size(decoder):
    controller, made = _controller(decoder=decoder)
    samples = controller.draw(controller.logits(SPACE.sample(np.random.default_rng(1), 3)), np.random.default_rng(0))
    assert samples.shape == (3, made.action_size)
    units = [part.out_features for part in controller.simulator if isinstance(part, torch.nn.Linear)]
    assert units == [1000, 500, 100, made.action_size]


def test_fresh_weights_have_the_layers_of_the_simulator():
    (own, _), (fresh, _) = (_controller(space=CELLS, pretrained=pretrained) for pretrained in (True, False))
    shapes = [{name: tensor.shape for name, tensor in each.state_dict().items()} for each in (own, fresh)]
    assert shapes[0] == shapes[1] and any("cells" in name for name in shapes[0])
    state = CELLS.sample(np.random.default_rng(1), 1)
    assert not np.array_equal(own.logits(state), fresh.logits(state))


def test_training_the_controller_leaves_the_decoder_alone():
    controller, decoder = _controller()
    state = SPACE.sample(np.random.default_rng(1), 1)
    before = decoder.encode(state)
    with torch.no_grad():
        for parameter in controller.parameters():
            parameter.add_(1.0)
    np.testing.assert_array_equal(decoder.encode(state), before)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="gaussian.*logit_normal"):
        _controller("gaussian")
