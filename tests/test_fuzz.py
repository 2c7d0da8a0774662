"""Whatever a file, a protocol or an architecture says: it is read rightly, or refused in words. Nothing in between."""

import io
import json
import math
import shutil
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from PIL import Image

from agents.search.run_directory import RunDirectory
from nases_env import embeddings, rewards, search_spaces, surrogates
from nases_env.children import datasets
from nases_env.children.presets import PRESETS, resolve
from nases_env.children.protocol import Protocol
from nases_env.children.ranges import RANGES
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.ledger import DamagedJournalError, EvaluationId, JournalLedger, read_trials, repair
from nases_env.search_spaces import MacroArchitecture, MicroSpace
from nases_env.surrogates import FITTED
from tests.ledger.conftest import action, evaluation

REFUSED = (ValueError, OSError)
"""Errors that are meant for people; anything else is a fault."""


@contextmanager
def read_or_refused():
    """Whatever is in the block either succeeds or is refused in words; `--hypothesis-show-statistics` counts both."""
    try:
        yield
        event("read")
    except REFUSED as error:
        assert len(str(error)) > 20, error
        event("refused")


odd_numbers = st.sampled_from(
    [0, 1, -1, 2, 0.5, -0.0, math.nan, math.inf, -math.inf, 1e308, 2**31, 2**63, 10**30, 10**400, True]
)
odd_values = st.recursive(
    st.none() | st.booleans() | odd_numbers | st.integers() | st.floats() | st.text(max_size=5) | st.just("x" * 2000),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def few(examples):
    """So many examples, always the same ones."""
    unhealthy = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=unhealthy)


@st.composite
def altered(draw, document):
    """A JSON document in which a value somewhere is another, missing, or there twice."""
    document = json.loads(json.dumps(document))
    place, parent = document, None
    key = None
    while isinstance(place, dict | list) and place and (parent is None or draw(st.integers(0, 3))):
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        parent, place = place, place[key]
    if parent is None:
        return draw(odd_values)
    kind = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
    if kind == "remove":
        del parent[key]
    elif kind == "add" and isinstance(parent, dict):
        parent[draw(st.text(max_size=5))] = draw(odd_values)
    elif kind == "add":
        parent.insert(key, place)
    else:
        parent[key] = draw(odd_values)
    return document


@st.composite
def damaged(draw, data):
    """Bytes of which some are others, missing, there twice, or cut off."""
    start = draw(st.integers(0, max(len(data) - 1, 0)))
    length = draw(st.sampled_from([1, 1, 2, 40, 400]))
    middle = draw(
        st.sampled_from([b"", b"\n", b"\0", b"\n\n", data[start : start + length] * 2])
        | st.binary(min_size=1, max_size=4)
    )
    end = len(data) if draw(st.integers(0, 5)) == 0 else start + length
    return data[:start] + middle + data[end:]


def as_json(value):
    return json.dumps(value).encode()


def other_content(text):
    """A JSON file's bytes with another value somewhere, or damaged."""
    return altered(json.loads(text)).map(as_json) | damaged(text)


class TestProtocols:
    LIMITS = {name: st.sampled_from([limits.lowest, limits.highest]) for name, limits in RANGES.items()}
    ODD = dict.fromkeys(Protocol.__dataclass_fields__, odd_values)

    @pytest.fixture(scope="class")
    @classmethod
    def architecture(cls):
        return MacroArchitecture.published()

    @given(st.data())
    @few(600)
    def test_a_protocol_is_refused_or_any_child_of_it_can_be_measured(self, architecture, data):
        names = data.draw(st.lists(st.sampled_from(sorted(self.ODD)), max_size=3, unique=True))
        kinds = self.LIMITS if data.draw(st.booleans()) else self.ODD
        fields = {name: data.draw(kinds[name]) for name in names if name in kinds}
        given_protocol = {"preset": data.draw(st.sampled_from(sorted(PRESETS)))} | fields
        with read_or_refused():
            protocol = resolve(given_protocol)
            assert resolve({"preset": given_protocol["preset"], **fields}) == protocol
            small = {"train_images": 64, "validation_images": 32, "image_size": None}
            protocol = resolve({"preset": given_protocol["preset"], **fields, **small})
            measured = TrainingEvaluator("digits", "data", protocol, "cpu").measure(architecture)
            assert measured.parameters >= 0 and measured.flops >= 0


class TestArchitectures:
    TEXTS = [MacroArchitecture.published().to_json()] + [
        space.architecture(row).to_json()
        for space in (search_spaces.make(), MicroSpace())
        for row in space.discretise(space.sample(np.random.default_rng(0), 2))
    ]

    @given(st.data())
    @few(600)
    def test_a_text_is_refused_or_names_one_architecture(self, data):
        text = data.draw(st.sampled_from(self.TEXTS))
        text = data.draw(other_content(text.encode())).decode(errors="replace")
        with read_or_refused():
            architecture = search_spaces.from_json(text)
            assert search_spaces.from_json(architecture.to_json()) == architecture
            assert json.loads(text).keys() == json.loads(architecture.to_json()).keys()


class TestJournals:
    @pytest.fixture(scope="class")
    @classmethod
    def journal(cls, tmp_path_factory):
        path = tmp_path_factory.mktemp("journal") / "journal.log"
        ledger = JournalLedger(path)
        for index in range(4):
            architecture, found = MacroArchitecture.published(), evaluation(index)
            identity = EvaluationId("f", architecture.key, index)
            ledger.record(action(index), identity, architecture, found, rewards.eq1(found))
        ledger.close()
        return path.read_bytes()

    @given(st.data())
    @few(600)
    def test_a_journal_is_read_cut_at_its_end_or_refused_unchanged_and_can_be_repaired(self, journal, tmp_path, data):
        content = journal
        if data.draw(st.booleans()):
            lines = journal.splitlines(keepends=True)
            number = data.draw(st.integers(0, len(lines) - 1))
            lines[number] = as_json(data.draw(altered(json.loads(lines[number])))) + b"\n"
            content = b"".join(lines)
        else:
            content = data.draw(damaged(journal))
        path = tmp_path / "journal.log"
        path.write_bytes(content)
        for side in tmp_path.glob("journal.*-*.log"):
            side.unlink()
        if not self._opens(path, content):
            with read_or_refused():
                repair(path, rewards.eq1)
                assert self._opens(path, path.read_bytes())

    @staticmethod
    def _opens(path, content):
        try:
            ledger = JournalLedger(path, reward=rewards.eq1)
        except ValueError as error:
            assert path.read_bytes() == content
            assert isinstance(error, DamagedJournalError) or "nothing was changed" in str(error)
            return False
        ledger.close()
        trials = read_trials(path)
        assert content.startswith(path.read_bytes()) or not trials
        for trial in trials:
            assert 0 <= trial.user_attrs["evaluation"]["validation_accuracy"] <= 1 and math.isfinite(trial.value)
        return True


class TestSettings:
    SETTINGS = {
        "options": {"agent": "random", "seed": 0, "children": 3, "device": None},
        "environment": {
            "id": "NASES-Digits-v0",
            "keywords": {"protocol": {"preset": "digits", "epochs": 2}, "decoder": "pca", "reward": "eq1"},
            "protocol": {"epochs": 2},
        },
    }

    @given(st.data())
    @few(600)
    def test_a_run_folder_is_opened_or_refused(self, tmp_path, data):
        (tmp_path / "settings.json").write_bytes(data.draw(other_content(as_json(self.SETTINGS))))
        run = RunDirectory(tmp_path)
        with read_or_refused():
            run.options()
        with read_or_refused():
            run.reward()
        with read_or_refused():
            run.make_environment().close()


class TestCards:
    @pytest.fixture(scope="class")
    @classmethod
    def weights(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("weights")
        shipped = embeddings.PRETRAINED / "micro-autoencoder.safetensors"
        for suffix in (".safetensors", ".json"):
            shutil.copy(shipped.with_suffix(suffix), folder)
        return folder / shipped.name

    @given(st.data())
    @few(300)
    def test_a_decoder_is_refused_or_decodes_to_the_space(self, weights, data):
        card = weights.with_suffix(".json")
        before = card.read_bytes()
        try:
            card.write_bytes(data.draw(other_content(before)))
            with read_or_refused():
                decoder = embeddings.make(str(weights), MicroSpace(), "both")
                origins = decoder.decode(np.full((1, decoder.action_size), 0.5, np.float32))
                assert origins.shape == (1, 40) and ((origins >= 0) & (origins <= 30)).all()
        finally:
            card.write_bytes(before)

    @pytest.fixture(scope="class")
    @classmethod
    def surrogate(cls, tmp_path_factory):
        return Path(shutil.copytree(FITTED / "digits", tmp_path_factory.mktemp("surrogate") / "digits"))

    @given(st.data())
    @few(300)
    def test_a_surrogate_is_refused_or_predicts_accuracies(self, surrogate, data):
        card = surrogate / "card.json"
        before = card.read_bytes()
        space = search_spaces.make()
        rows = space.discretise(space.sample(np.random.default_rng(0), 2))
        try:
            card.write_bytes(data.draw(other_content(before)))
            with read_or_refused():
                found = surrogates.make(str(surrogate), noise=True).predict(rows, ["a", "b"], [0, 1])
                for accuracy in found[:2]:
                    assert ((accuracy >= 0) & (accuracy <= 1)).all()
        finally:
            card.write_bytes(before)


class TestImageFolders:
    @staticmethod
    def _image(mode, kind):
        """The bytes of a picture."""
        pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, kind)
        return file.getvalue()

    @given(st.data())
    @few(600)
    def test_a_folder_is_refused_or_read_as_pictures_with_a_class_each(self, tmp_path, monkeypatch, data):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        root = tmp_path / "images"
        shutil.rmtree(root, ignore_errors=True)
        for name in ("cat", "dog"):
            (root / "train" / name).mkdir(parents=True)
            (root / "train" / name / "0.png").write_bytes(self._image("RGB", "PNG"))
        mode, kind = data.draw(
            st.sampled_from(
                [("RGB", "JPEG"), ("L", "PNG"), ("RGBA", "PNG"), ("I", "TIFF"), ("F", "TIFF"), ("P", "GIF")]
            )
        )
        suffix = data.draw(st.sampled_from([".png", ".jpg", ".tif", ".gif", ".txt", "", ".ppm", ".ico"]))
        name = data.draw(st.sampled_from(["cat/", "cat/.", "dog/", ".hidden/", "", "new/", "cat/sub/"]))
        odd = root / "train" / f"{name}odd{suffix}"
        odd.parent.mkdir(parents=True, exist_ok=True)
        odd.write_bytes(data.draw(damaged(self._image(mode, kind)) | st.binary(max_size=50)))
        with read_or_refused(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = datasets.read(f"imagefolder:{root}", "", "train", 8)
            assert images.pixels.dtype == np.uint8 and images.pixels.shape[1:3] == (8, 8)
            assert len(images.pixels) == len(images.labels) and 2 <= len(images.labels) <= 3
