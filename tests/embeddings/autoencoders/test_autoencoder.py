"""The shipped autoencoder: what its card says, that uniform actions reach the whole space, and its errors."""

import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
import torch

from nases_env import embeddings
from nases_env.embeddings.autoencoders import autoencoder as autoencoders
from nases_env.search_spaces import MacroSpace, MicroSpace

SPACE = MacroSpace()
SHIPPED = embeddings.PRETRAINED / "macro-autoencoder-uniform.safetensors"
CALIBRATIONS = ("output", "none", "both")


@pytest.fixture(scope="module")
def autoencoder():
    return embeddings.make("autoencoder-uniform", SPACE, "output")


@pytest.fixture(scope="module")
def origins():
    return SPACE.sample(np.random.default_rng(12345), 10_000)


@pytest.fixture(scope="module")
def actions():
    return np.random.default_rng(54321).uniform(size=(10_000, 20)).astype(np.float32)


@pytest.fixture(scope="module")
def decoded(autoencoder, actions):
    return autoencoder.decode(actions)


@pytest.fixture
def copy(tmp_path):
    """The shipped files in a folder of their own, free to be damaged."""
    for file in (SHIPPED, SHIPPED.with_suffix(".json")):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / SHIPPED.name


def change_card(path, **changes):
    card = path.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))


def operation_shares(origins):
    """Shares of separable, convolution, max pool and average pool by the paper's thresholds, layer 1 included."""
    kernel_types = origins[:, 2::4].ravel()
    return np.bincount(np.searchsorted((7, 15, 22), kernel_types), minlength=4) / kernel_types.size


def mean_links(origins):
    return SPACE.discretise(origins)[:, 45:].sum(axis=1).mean()


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("autoencoder", 0, 26.5),
        ("autoencoder-uniform", 0, 26.5),
        ("autoencoder-paper", 44, 48),
        ("autoencoder-profiles", 44, 53),
    ],
)
def test_shipped_weights_lose_on_fresh_vectors_what_their_cards_say(name, lowest, highest, origins):
    decoder = embeddings.make(name, SPACE, "none")
    loss = float(((decoder._decode_codes(decoder._encode_codes(origins)) - origins) ** 2).mean())
    assert lowest <= loss <= highest
    assert loss == pytest.approx(decoder.card["test_loss"], rel=0.01)


def test_the_shipped_lstm_loses_what_its_card_says_and_finds_codes_again(actions):
    space = MicroSpace()
    decoder = embeddings.make("autoencoder", space)
    assert (decoder.card["kind"], decoder.origin_size, decoder.action_size) == ("lstm", 40, 20)
    origins = space.sample(np.random.default_rng(12345), 2000)
    loss = float(((decoder._decode_codes(decoder._encode_codes(origins)) - origins) ** 2).mean())
    assert loss == pytest.approx(decoder.card["test_loss"], rel=0.02)
    assert loss < 75 * (1 - 20 / 40)  # of the best linear embedding
    decoded = decoder.decode(actions[:2000])
    assert len(np.unique(space.discretise(decoded), axis=0)) == 2000
    assert np.corrcoef(decoder.encode(decoded).ravel(), actions[:2000].ravel())[0, 1] > 0.7


@pytest.mark.parametrize("name", ["autoencoder", "autoencoder-profiles"])
def test_an_encoder_that_is_an_inverse_finds_the_codes_of_what_its_decoder_decodes(name, actions):
    decoder = embeddings.make(name, SPACE)
    found = decoder.encode(decoder.decode(actions))
    assert np.corrcoef(found.ravel(), actions.ravel())[0, 1] > 0.9
    assert np.abs(found - actions).mean() < 0.1


def test_shipped_weights_stay_small():
    files = list(embeddings.PRETRAINED.iterdir())
    assert {file.suffix for file in files} == {".json", ".safetensors"}
    assert sum(file.stat().st_size for file in files) < 22.5e6


def test_card_names_the_sizes_and_the_recipe(autoencoder):
    assert (autoencoder.action_size, autoencoder.origin_size) == (20, 60)
    assert autoencoder.card["kind"] == "mlp"
    assert autoencoder.card["settings"]["embedding_size"] == 20


def test_layers_are_those_of_the_paper(autoencoder):
    halves = autoencoder.simulator_half, autoencoder.decoder_half
    simulator, decoder = ([(*layer.weight.shape[::-1], layer.activation) for layer in half.layers] for half in halves)
    assert simulator == [(60, 1000, "relu"), (1000, 500, "tanh"), (500, 100, "tanh"), (100, 20, "sigmoid")]
    assert decoder == [(20, 100, "tanh"), (100, 500, "tanh"), (500, 1000, "relu"), (1000, 60, "linear")]


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_decoded_vectors_are_float32_in_the_range(calibration, actions):
    decoder = embeddings.make("autoencoder-uniform", SPACE, calibration)
    inputs = np.concatenate([actions[:1000], np.round(actions[:1000]), np.zeros((1, 20)), np.ones((1, 20))])
    decoded = decoder.decode(inputs)
    assert decoded.dtype == np.float32
    assert decoded.shape == (2002, 60)
    assert decoded.min() >= 0
    assert decoded.max() <= 30
    SPACE.check_origins(decoded)


@pytest.mark.parametrize("name", ["autoencoder", "random"])
def test_a_row_decodes_to_the_same_bits_alone_and_among_others(name, actions, origins):
    decoder = embeddings.make(name, SPACE)
    for walk, rows in ((decoder.decode, actions[:1000]), (decoder.encode, origins[:1000])):
        together = walk(rows)
        for first, last in ((0, 1), (3, 4), (7, 15), (13, 18), (500, 999), (999, 1000)):
            assert np.array_equal(walk(rows[first:last]), together[first:last])


@pytest.mark.parametrize("name", ["autoencoder", "random", "identity"])
def test_no_actions_decode_to_no_vectors(name):
    decoder = embeddings.make(name, SPACE)
    assert decoder.decode(np.empty((0, decoder.action_size))).shape == (0, 60)
    assert decoder.encode(np.empty((0, 60))).shape == (0, decoder.action_size)


def test_uniform_actions_choose_each_operation_as_often_as_uniform_vectors_do(decoded):
    np.testing.assert_allclose(operation_shares(decoded), np.array([7, 8, 7, 8]) / 30, atol=0.01)


def test_uniform_actions_give_as_many_links_as_uniform_vectors_do(decoded, origins):
    # 105 pairs, each linked with probability 1 − 0.9² = 0.19: 19.95.
    assert mean_links(origins) == pytest.approx(19.95, abs=0.3)
    assert mean_links(decoded) == pytest.approx(20, abs=1)


def test_ten_thousand_actions_are_ten_thousand_architectures(decoded):
    assert len(np.unique(SPACE.discretise(decoded), axis=0)) == 10_000


def test_every_number_is_uniform_after_calibration(decoded):
    quantiles = np.quantile(decoded, np.linspace(0.1, 0.9, 9), axis=0)
    np.testing.assert_allclose(quantiles, np.linspace(3, 27, 9)[:, None].repeat(60, axis=1), atol=0.75)


def test_without_calibration_the_decoder_is_the_bare_network(actions):
    decoder = embeddings.make("autoencoder-uniform", SPACE, "none")
    raw = decoder.decoder_half.forward(actions[:500])
    assert raw.max() > 30  # it overshoots, so clipping is seen
    assert np.array_equal(decoder.decode(actions[:500]), np.clip(raw, 0, 30))
    assert np.array_equal(decoder.action_to_code(actions[:5]), actions[:5])


def test_output_calibration_maps_the_bare_networks_numbers_only(autoencoder, actions):
    bare = embeddings.make("autoencoder-uniform", SPACE, "none")
    assert np.array_equal(autoencoder.action_to_code(actions[:5]), actions[:5])
    assert np.array_equal(autoencoder.code_to_action(actions[:5]), actions[:5])
    raw, calibrated = bare._decode_codes(actions), autoencoder.decode(actions)
    order = np.argsort(raw, axis=0, kind="stable")
    assert (np.diff(np.take_along_axis(calibrated, order, axis=0), axis=0) >= 0).all()
    assert np.abs(calibrated - np.clip(raw, 0, 30)).mean() > 0.5


def test_both_calibration_spreads_the_encoders_codes_over_the_cube(origins):
    decoder = embeddings.make("autoencoder-uniform", SPACE, "both")
    codes = decoder._encode_codes(origins)
    actions = decoder.code_to_action(codes)
    quantiles = np.quantile(actions, [0.1, 0.5, 0.9], axis=0)
    np.testing.assert_allclose(quantiles, np.array([[0.1], [0.5], [0.9]]).repeat(20, axis=1), atol=0.03)
    # What lies beyond the fitted sample comes back as its end.
    seen = np.clip(codes, decoder.action_to_code(np.zeros((1, 20))), decoder.action_to_code(np.ones((1, 20))))
    np.testing.assert_allclose(decoder.action_to_code(actions), seen, atol=1e-3)


def test_both_calibration_covers_the_space_too(actions):
    decoded = embeddings.make("autoencoder-uniform", SPACE, "both").decode(actions)
    np.testing.assert_allclose(operation_shares(decoded), np.array([7, 8, 7, 8]) / 30, atol=0.01)
    assert mean_links(decoded) == pytest.approx(20, abs=1)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_decoding_an_encoded_vector_comes_much_nearer_than_chance(calibration, origins):
    decoder = embeddings.make("autoencoder-uniform", SPACE, calibration)
    some = origins[:3000]
    encoded = decoder.encode(some)
    assert (encoded.dtype, encoded.shape) == (np.float32, (3000, 20))
    assert encoded.min() >= 0
    assert encoded.max() <= 1
    back = decoder.decode(encoded)
    # Predicting the mean costs 75, another uniform vector 150.
    assert ((back - some) ** 2).mean() < 37.5
    assert ((back - some[::-1]) ** 2).mean() > 120


def test_encoding_a_decoded_action_brings_it_back(autoencoder, actions, decoded):
    # A uniform guess would be 1/6 away in the mean square.
    assert ((autoencoder.encode(decoded[:3000]) - actions[:3000]) ** 2).mean() < 0.02


def test_simulator_gives_the_logits_of_the_codes(autoencoder, origins):
    logits = autoencoder.simulator()(torch.from_numpy(origins[:200]))
    codes = autoencoder.simulator_half.forward(origins[:200])
    assert logits.shape == (200, 20)
    np.testing.assert_allclose(torch.sigmoid(logits).detach().numpy(), codes, atol=1e-5)


def test_simulator_is_a_trainable_copy(autoencoder, origins):
    before = autoencoder.simulator_half.forward(origins[:10])
    simulator = autoencoder.simulator()
    parameters = list(simulator.parameters())
    assert sum(p.numel() for p in parameters) == 61 * 1000 + 1001 * 500 + 501 * 100 + 101 * 20
    with torch.no_grad():
        for parameter in parameters:
            assert parameter.requires_grad
            parameter.add_(1.0)
    assert np.array_equal(autoencoder.simulator_half.forward(origins[:10]), before)
    assert not torch.equal(next(autoencoder.simulator().parameters()), parameters[0])


def test_simulator_leaves_the_global_random_state_alone(autoencoder):
    before = torch.get_rng_state()
    autoencoder.simulator()
    assert torch.equal(torch.get_rng_state(), before)


def test_making_and_decoding_need_no_torch():
    code = """
import sys
import numpy as np
from nases_env import embeddings
from nases_env.search_spaces import MacroSpace, MicroSpace
for space in (MacroSpace(), MicroSpace()):
    decoder = embeddings.make("autoencoder", space)
    assert "_tensors" not in vars(decoder), "weights were read before they were used"
    decoder.encode(decoder.decode(np.zeros((2, decoder.action_size))))
print(sorted(name for name in ("torch", "sklearn", "torchvision") if name in sys.modules))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_copy_decodes_like_the_shipped_file(copy, actions, decoded):
    assert np.array_equal(embeddings.make(str(copy), SPACE, "output").decode(actions), decoded)


def test_missing_weights_name_the_file_and_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"mine\.safetensors is missing; nases pretrain"):
        embeddings.make(str(tmp_path / "mine.safetensors"), SPACE)


def test_missing_card_names_the_card(copy):
    copy.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match=r"macro-autoencoder-uniform\.json is missing; nases pretrain"):
        embeddings.make(str(copy), SPACE)


@pytest.mark.parametrize("content", [b"", b"not weights at all", "truncated"])
def test_damaged_weights_say_so_at_once(copy, content):
    copy.write_bytes(copy.read_bytes()[:-1000] if content == "truncated" else content)
    with pytest.raises(ValueError, match=r"macro-autoencoder-uniform\.safetensors is damaged.*nases pretrain"):
        embeddings.make(str(copy), SPACE)


def test_weights_of_another_size_than_the_card_says_are_refused_at_once(copy):
    change_card(copy, embedding_size=10)
    with pytest.raises(ValueError, match=r"simulator.3.weight of shape \(20, 100\).*60 numbers in 10.*\(10, 100\)"):
        embeddings.make(str(copy), SPACE)


def test_weights_of_another_kind_than_the_card_says_are_refused_at_once(copy):
    change_card(copy, kind="lstm")
    with pytest.raises(ValueError, match="simulator.input.weight of shape None"):
        embeddings.make(str(copy), SPACE)


def test_a_card_of_other_weights_is_refused_when_they_are_read(copy, actions):
    change_card(copy, weights_sha256="0" * 64)
    decoder = embeddings.make(str(copy), SPACE)
    with pytest.raises(
        ValueError, match=r"macro-autoencoder-uniform\.safetensors has the hash .*\.json belongs to 0000"
    ):
        decoder.decode(actions[:1])


def change_weights(copy, edit):
    """Change the weights, and the hash in the card with them."""
    weights = {name: tensor.copy() for name, tensor in safetensors.numpy.load(copy.read_bytes()).items()}
    edit(weights)
    copy.write_bytes(safetensors.numpy.save(weights))
    change_card(copy, weights_sha256=hashlib.sha256(copy.read_bytes()).hexdigest())


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e7])
@pytest.mark.parametrize("name", ["decoder.0.weight", "simulator.3.bias", "quantiles.output"])
def test_absurd_numbers_are_refused_although_the_hash_agrees(copy, actions, name, number):
    change_weights(copy, lambda weights: weights[name].reshape(-1)[-1:].fill(number))
    with pytest.raises(ValueError, match=rf"is damaged \({name} holds numbers that are not finite or beyond"):
        embeddings.make(str(copy), SPACE).decode(actions[:1])


def test_quantiles_that_do_not_ascend_are_refused_although_the_hash_agrees(copy, actions):
    change_weights(copy, lambda weights: weights.update({"quantiles.code": weights["quantiles.code"][:, ::-1].copy()}))
    with pytest.raises(ValueError, match=r"is damaged \(quantiles.code does not ascend"):
        embeddings.make(str(copy), SPACE).decode(actions[:1])


def test_weights_of_another_type_are_refused_at_once(copy):
    change_weights(copy, lambda weights: weights.update({"decoder.0.bias": weights["decoder.0.bias"].astype("f8")}))
    with pytest.raises(ValueError, match=r"decoder.0.bias of shape \(100,\) and type F64"):
        embeddings.make(str(copy), SPACE)


@pytest.mark.parametrize("size", [0, -1, 10**9, True, 20.0, "20"])
@pytest.mark.parametrize("name", ["origin_size", "embedding_size"])
def test_absurd_sizes_in_a_card_are_refused(copy, name, size):
    change_card(copy, **{name: size})
    with pytest.raises(ValueError, match=f"no card of an autoencoder.*{name} is"):
        embeddings.make(str(copy), SPACE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than"),
        ("{", "is no card"),
        ("5", "is no card of an autoencoder.*it is a int"),
        ('{"kind": "mlp"}', "lacks origin_size, embedding_size, settings"),
    ],
)
def test_what_is_no_card_says_so(copy, text, words):
    copy.with_suffix(".json").write_text(text)
    with pytest.raises(ValueError, match=words):
        embeddings.make(str(copy), SPACE)


def test_a_card_of_another_kind_is_refused(copy):
    change_card(copy, kind="transformer")
    with pytest.raises(ValueError, match="its kind is 'transformer'"):
        embeddings.make(str(copy), SPACE)


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_weights_for_vectors_of_another_size_are_refused(copy, kind):
    halves = [blueprint.fresh(np.random.default_rng(0)) for blueprint in autoencoders.blueprints(kind, 40, 20)]
    autoencoders.save(copy, kind, *halves, {"settings": {}})
    with pytest.raises(ValueError, match="decodes 40 numbers; the macro space has 60"):
        embeddings.make(str(copy), SPACE)


@pytest.mark.parametrize("name", ["lstm-of-another-day", "", "weights.pt"])
def test_unknown_decoder_is_refused_with_the_known_ones(name):
    with pytest.raises(ValueError, match="there is no decoder.*autoencoder.*pca.*random.*identity.*safetensors"):
        embeddings.make(name, SPACE)


@pytest.mark.parametrize("name", ["autoencoder", "pca", "identity"])
def test_unknown_calibration_is_refused_whatever_the_decoder(name):
    with pytest.raises(ValueError, match="there is no calibration 'input'"):
        embeddings.make(name, SPACE, "input")
