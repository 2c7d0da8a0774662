"""The layers of v3's autoencoder, against torch."""

import numpy as np
import pytest
import torch

from nases_env.embeddings.autoencoders import lstm

HALVES = {"simulator": lstm.simulator(40, 20), "decoder": lstm.decoder(40, 20)}


@pytest.fixture(params=HALVES)
def blueprint(request):
    return HALVES[request.param]


@pytest.fixture
def half(blueprint):
    return blueprint.fresh(np.random.default_rng(0))


@pytest.fixture
def x(half):
    return np.random.default_rng(1).uniform(size=(50, half.input_size)).astype(np.float32)


def test_ten_nodes_are_read_and_written():
    reads, writes = HALVES["simulator"], HALVES["decoder"]
    assert (reads.steps, reads.inputs, reads.outputs, reads.activation) == (10, 4, 20, "sigmoid")
    assert (writes.steps, writes.inputs, writes.outputs, writes.activation) == (10, 20, 4, "linear")
    assert lstm.simulator(60, 20).steps == 15


def test_what_is_no_sequence_is_refused():
    with pytest.raises(ValueError, match="42 numbers are no sequence of 4"):
        lstm.simulator(42, 20)


def test_module_computes_what_the_cells_compute(blueprint, half, x):
    module = half.module()
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), half.forward(x), atol=1e-6)
    assert np.array_equal(blueprint.read(module).forward(x), half.forward(x))


def test_a_trained_module_is_read_whole(blueprint, half, x):
    module, generator = half.module(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():  # torch's second bias of the gates too
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    read = blueprint.read(module).forward(x)
    np.testing.assert_allclose(module(torch.from_numpy(x)).detach().numpy(), read, atol=1e-6)
    assert np.abs(read - half.forward(x)).max() > 0.01


def test_a_module_leaves_the_global_random_state_alone(half):
    before = torch.get_rng_state()
    half.module()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_simulator_hears_every_step():
    half = HALVES["simulator"].fresh(np.random.default_rng(0))
    x = np.zeros((11, 40), dtype=np.float32)
    x[np.arange(10), np.arange(0, 40, 4)] = 1.0
    assert len(np.unique(half.forward(x).round(7), axis=0)) == 11


def test_a_step_depends_on_those_before_it():
    half = HALVES["decoder"].fresh(np.random.default_rng(0))
    steps = half.forward(np.full((1, 20), 0.5)).reshape(10, 4)
    assert len(np.unique(steps.round(7), axis=0)) == 10  # the same input in every one


def test_a_row_has_the_same_bits_alone_and_among_others(half, x):
    assert np.array_equal(half.forward(x[7:8]), half.forward(x)[7:8])


def test_scaled_input_takes_raw_numbers(half, x):
    raw = 30 * x
    np.testing.assert_allclose(half.scale_input(15.0, 8.66).forward(raw), half.forward((raw - 15) / 8.66), atol=1e-5)


def test_scaled_output_gives_raw_numbers(x):
    half = HALVES["decoder"].fresh(np.random.default_rng(0))
    x = x[:, :20]
    np.testing.assert_allclose(half.scale_output(15.0, 8.66).forward(x), half.forward(x) * 8.66 + 15.0, atol=1e-4)


def test_logits_are_what_the_sigmoid_sees():
    half = HALVES["simulator"].fresh(np.random.default_rng(0))
    x = np.random.default_rng(1).uniform(size=(5, 40))
    np.testing.assert_allclose(1 / (1 + np.exp(-half.logits().forward(x))), half.forward(x), atol=1e-6)


def test_tensors_build_the_half_again(blueprint, half, x):
    assert {name: tensor.shape for name, tensor in half.tensors.items()} == blueprint.shapes
    assert np.array_equal(blueprint.build(half.tensors).forward(x), half.forward(x))
