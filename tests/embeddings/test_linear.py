"""The controls: PCA loses 75 · (1 − k/60), a random projection has the right spread, the identity loses nothing."""

from functools import cache

import numpy as np
import pytest

from nases_env import embeddings
from nases_env.embeddings import IdentityDecoder, LinearDecoder
from nases_env.embeddings.linear import principal_components
from nases_env.search_spaces import MacroSpace

SPACE = MacroSpace()


@cache  # the components of 100,000 vectors take seconds
def made(name, calibration="output"):
    return embeddings.make(name, SPACE, calibration)


@pytest.fixture(scope="module")
def origins():
    return SPACE.sample(np.random.default_rng(7), 20_000)


@pytest.fixture(scope="module")
def actions():
    return np.random.default_rng(8).uniform(size=(20_000, 20)).astype(np.float32)


def squared_error(decoder, origins):
    return float(((decoder._decode_codes(decoder._encode_codes(origins)) - origins) ** 2).mean())


def test_pca_squared_error_is_that_of_the_dimensions_left_out(origins):
    assert squared_error(made("pca"), origins) == pytest.approx(75 * (1 - 20 / 60), rel=0.01)
    forty = LinearDecoder(60, 40, principal_components)
    assert squared_error(forty, origins) == pytest.approx(75 * (1 - 40 / 60), rel=0.01)


def test_pca_of_full_size_loses_nothing(origins):
    assert squared_error(LinearDecoder(60, 60, principal_components), origins) < 1e-6


def test_pca_components_are_orthonormal():
    matrix = made("pca").matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(20), atol=1e-5)


def test_random_projection_gives_every_number_the_deviation_of_a_uniform_one(actions):
    decoder = made("random", "none")
    raw = decoder._decode_codes(actions)
    np.testing.assert_allclose(np.linalg.norm(decoder.matrix, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(raw.std(axis=0), 30 / np.sqrt(12), rtol=0.03)
    np.testing.assert_allclose(raw.mean(axis=0), 15, atol=0.4)


def test_random_projection_loses_what_a_projection_to_twenty_numbers_loses(origins):
    assert squared_error(made("random"), origins) == pytest.approx(50, rel=0.01)


@pytest.mark.parametrize("name", ["pca", "random"])
def test_middle_of_the_cube_is_the_middle_of_the_range(name):
    decoder = made(name, "none")
    np.testing.assert_allclose(decoder.decode(np.full((1, 20), 0.5, dtype=np.float32)), 15, atol=1e-5)


@pytest.mark.parametrize("name", ["pca", "random"])
def test_calibrated_numbers_are_uniform(name, actions):
    decoded = made(name).decode(actions)
    assert (decoded.dtype, decoded.shape) == (np.float32, (20_000, 60))
    quantiles = np.quantile(decoded, np.linspace(0.1, 0.9, 9), axis=0)
    # Two samples of 20,000 and 40,000: a decile's deviation is below 0.13.
    np.testing.assert_allclose(quantiles, np.linspace(3, 27, 9)[:, None].repeat(60, axis=1), atol=0.6)


@pytest.mark.parametrize("calibration", ["none", "output", "both"])
@pytest.mark.parametrize("name", ["pca", "random"])
def test_decoded_numbers_are_in_the_range(name, calibration, actions):
    corners = np.round(actions[:2000])
    decoded = made(name, calibration).decode(corners)
    assert decoded.min() >= 0
    assert decoded.max() <= 30
    SPACE.check_origins(decoded)


@pytest.mark.parametrize("name", ["pca", "random"])
def test_both_is_the_same_as_output_for_a_linear_decoder(name, actions):
    both, output, none = (made(name, c).decode(actions[:100]) for c in ("both", "output", "none"))
    assert np.array_equal(both, output)
    assert not np.allclose(none, output, atol=0.1)


@pytest.mark.parametrize("calibration", ["none", "output"])
def test_pca_encodes_what_it_decoded(calibration):
    decoder = made("pca", calibration)
    # The middle of the cube, where nothing is clipped.
    actions = np.random.default_rng(9).uniform(0.35, 0.65, (500, 20)).astype(np.float32)
    np.testing.assert_allclose(decoder.encode(decoder.decode(actions)), actions, atol=0.01)


@pytest.mark.parametrize("name", ["pca", "random"])
def test_made_twice_a_decoder_is_the_same(name):
    assert np.array_equal(made(name, "none").matrix, made(name, "output").matrix)


def test_linear_decoders_have_no_simulator():
    assert made("pca").simulator() is None
    assert embeddings.make("identity", SPACE).simulator() is None


def test_identity_is_thirty_times_the_action(origins):
    decoder = IdentityDecoder(60)
    assert (decoder.action_size, decoder.origin_size) == (60, 60)
    actions = np.array([[0, 0.25, 0.5, 1] * 15], dtype=np.float32)
    assert np.array_equal(decoder.decode(actions), np.array([[0, 7.5, 15, 30] * 15], dtype=np.float32))
    np.testing.assert_allclose(decoder.decode(decoder.encode(origins)), origins, atol=5e-6)


@pytest.mark.parametrize("calibration", ["none", "output", "both"])
def test_no_calibration_changes_the_identity(calibration, origins):
    actions = origins[:10] / 30
    decoder = embeddings.make("identity", SPACE, calibration)
    assert np.array_equal(decoder.decode(actions), IdentityDecoder(60).decode(actions))


def test_sizes_are_those_of_the_space_and_of_the_embedding():
    for name in ("pca", "random"):
        decoder = made(name)
        assert (decoder.action_size, decoder.origin_size) == (20, 60)


@pytest.mark.parametrize("name", ["identity", "random", "autoencoder"])
class TestOddRows:
    """What is no batch of rows in the box is refused in words, by every decoder."""

    def decoder(self, name):
        return made(name, "none")

    def test_one_vector_is_refused_with_the_shape_that_was_expected(self, name):
        decoder = self.decoder(name)
        with pytest.raises(ValueError, match=rf"actions have shape \(.*,\); expected \(K, {decoder.action_size}\)"):
            decoder.decode(np.zeros(decoder.action_size))
        with pytest.raises(ValueError, match=r"origin vectors have shape \(60,\); expected \(K, 60\)"):
            decoder.encode(np.zeros(60))

    def test_rows_of_another_width_are_refused(self, name):
        for call, words in ((self.decoder(name).decode, "actions"), (self.decoder(name).encode, "origin vectors")):
            for shape in ((2, 7), (1, 1, 60), (0,), ()):
                with pytest.raises(ValueError, match=f"{words} have shape"):
                    call(np.zeros(shape))

    @pytest.mark.parametrize("odd", [np.nan, np.inf, -0.001, 30.001])
    def test_numbers_outside_are_refused(self, name, odd):
        decoder = self.decoder(name)
        with pytest.raises(ValueError, match=rf"actions have to be numbers in \[0, 1\]; got {odd}"):
            decoder.decode(np.full((1, decoder.action_size), odd))
        with pytest.raises(ValueError, match=rf"origin vectors have to be numbers in \[0, 30\]; got {odd}"):
            decoder.encode(np.full((1, 60), odd))

    def test_numbers_outside_by_rounding_are_put_on_the_border(self, name):
        decoder = self.decoder(name)
        ends = np.array([[0.0], [1.0]]) * np.ones(decoder.action_size)
        np.testing.assert_array_equal(decoder.decode(ends + [[-5e-7], [5e-7]]), decoder.decode(ends))
        ends = np.array([[0.0], [30.0]]) * np.ones(60)
        np.testing.assert_array_equal(decoder.encode(ends + [[-5e-6], [5e-6]]), decoder.encode(ends))

    def test_no_rows_and_lists_are_taken(self, name):
        decoder = self.decoder(name)
        assert decoder.decode(np.zeros((0, decoder.action_size))).shape == (0, 60)
        np.testing.assert_array_equal(
            decoder.decode([[0.5] * decoder.action_size]), decoder.decode(np.full((1, decoder.action_size), 0.5))
        )


def test_making_a_linear_decoder_computes_nothing_yet():
    def too_early(*_):
        pytest.fail("the matrix was made before it was needed")

    decoder = LinearDecoder(60, 20, too_early)
    assert (decoder.action_size, decoder.origin_size) == (20, 60)
