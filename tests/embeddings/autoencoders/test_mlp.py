"""The layers of v1's autoencoder, by hand and against torch."""

import numpy as np
import pytest
import torch

from nases_env.embeddings.autoencoders.mlp import MLP, Dense, MLPBlueprint, Units, decoder, simulator


def _blueprint(*activations):
    return MLPBlueprint((Units(6, 9, activations[0]), Units(9, 4, activations[1])))


@pytest.fixture
def half():
    return _blueprint("tanh", "linear").fresh(np.random.default_rng(0))


def test_activations_by_hand():
    x = np.array([[-2.0, 0.0, 1.0]])
    expected = {
        "relu": [0, 0, 1],
        "tanh": [-0.96402758, 0, 0.76159416],
        "sigmoid": [0.11920292, 0.5, 0.73105858],
        "linear": [-2, 0, 1],
    }
    for name, values in expected.items():
        identity = Dense(np.eye(3, dtype=np.float32), np.zeros(3, dtype=np.float32), name)
        np.testing.assert_allclose(MLP((identity,)).forward(x), [values], atol=1e-6)


def test_forward_is_weights_times_input_plus_bias():
    first = Dense(np.array([[1, 2], [3, -4], [0, 1]], dtype=np.float32), np.array([1, 0, -5], dtype=np.float32), "relu")
    second = Dense(np.array([[1, 10, 100]], dtype=np.float32), np.array([0.5], dtype=np.float32), "linear")
    # (1, 1): 1+2+1 = 4, max(3−4, 0) = 0, max(1−5, 0) = 0; (2, 0): 3, 6, 0.
    assert MLP((first, second)).forward(np.array([[1, 1], [2, 0]])).tolist() == [[4.5], [63.5]]


def test_the_halves_mirror_each_other():
    there, back = simulator(60, 20).units, decoder(60, 20).units
    assert there == ((60, 1000, "relu"), (1000, 500, "tanh"), (500, 100, "tanh"), (100, 20, "sigmoid"))
    assert back == ((20, 100, "tanh"), (100, 500, "tanh"), (500, 1000, "relu"), (1000, 60, "linear"))
    assert (simulator(60, 20).fresh(np.random.default_rng(0)).input_size, back[0].inputs) == (60, 20)


def test_fresh_layers_are_uniform_in_one_over_the_root_of_the_inputs():
    (layer,) = MLPBlueprint((Units(100, 400, "relu"),)).fresh(np.random.default_rng(0)).layers
    for part in (layer.weight, layer.bias):
        assert part.dtype == np.float32
        assert 0.098 < np.abs(part).max() <= 0.1
    assert layer.weight.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.01)


def test_scaled_input_takes_raw_numbers(half):
    x = np.random.default_rng(1).uniform(0, 30, (50, 6))
    np.testing.assert_allclose(half.scale_input(15.0, 8.66).forward(x), half.forward((x - 15.0) / 8.66), atol=1e-5)


def test_scaled_output_gives_raw_numbers(half):
    x = np.random.default_rng(1).normal(size=(50, 6))
    np.testing.assert_allclose(half.scale_output(15.0, 8.66).forward(x), half.forward(x) * 8.66 + 15.0, atol=1e-4)


def test_logits_are_what_the_last_activation_sees():
    half = _blueprint("tanh", "sigmoid").fresh(np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=(50, 6))
    np.testing.assert_allclose(1 / (1 + np.exp(-half.logits().forward(x))), half.forward(x), atol=1e-6)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
def test_module_computes_what_the_layers_compute(activation):
    blueprint = _blueprint(activation, activation)
    half = blueprint.fresh(np.random.default_rng(0))
    module = half.module()
    x = np.random.default_rng(1).normal(size=(50, 6)).astype(np.float32)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), half.forward(x), atol=1e-6)
    read = blueprint.read(module)
    assert all(np.array_equal(read.tensors[name], tensor) for name, tensor in half.tensors.items())


def test_tensors_build_the_half_again(half):
    blueprint = _blueprint("tanh", "linear")
    assert {name: tensor.shape for name, tensor in half.tensors.items()} == blueprint.shapes
    x = np.random.default_rng(1).normal(size=(50, 6))
    assert np.array_equal(blueprint.build(half.tensors).forward(x), half.forward(x))
