"""Recorded steps and evaluations: what they are given, when they are recorded, and that nothing else differs."""

import weakref

import pytest
import torch

from nases_env.children.graph import Graphed, plainly
from nases_env.children.tensors import Tensors
from nases_env.children.training import EVALUATION_BATCH, Diverged, Trainer
from tests.children.trainings import SPACES, losses, pictures, trainer


def again(function, generator):
    """Stands for a recording: the function itself, on the tensors that stay in their place."""
    return function


class GraphedTrainer(Trainer):
    """Records as on CUDA, with a function that stands for the recording."""

    record = staticmethod(again)

    def _runner(self, what, images):
        return Graphed(what, images, self._generator, self.record)


def graphed(space, **fields):
    return trainer(space, kind=GraphedTrainer, **fields)


# --- what is recorded


class Body:
    """A step that keeps what it was given, and where that is."""

    def __init__(self):
        self.given, self.places = [], set()

    def __call__(self, batch, learning_rate, progress):
        self.given.append((batch.tolist(), float(learning_rate), float(progress)))
        self.places.add(batch.data_ptr())


def run(record, sizes):
    """Steps on batches of these sizes, with learning rates 0.5, 1.5, … and progress 0, 0.25, …"""
    step, body = Graphed("training steps", 3, torch.Generator(), record), Body()
    expected = []
    for number, size in enumerate(sizes):
        batch = torch.arange(size) + 10 * number
        step(body, batch, number + 0.5, number / 4)
        expected.append((batch.tolist(), number + 0.5, number / 4))
    return body, expected


def test_the_second_full_step_is_recorded_and_repeated_with_its_own_arguments():
    recorded = []

    def record(function, generator):
        recorded.append(len(body_calls))
        return lambda: body_calls.append(function()) or None

    body_calls = []
    body, expected = run(record, [3, 3, 3, 3])
    assert body.given == expected
    assert recorded == [0] and len(body_calls) == 3
    assert len(body.places) <= 2  # the first batch's, and the one that stays


def test_steps_on_fewer_images_are_run_as_they_are():
    repeated = []
    body, expected = run(lambda function, _: lambda: repeated.append(function()), [2, 3, 2, 3, 2, 3])
    assert body.given == expected
    assert len(repeated) == 2


def test_what_cannot_be_recorded_is_run_as_it_is_and_said_once():
    tried = []

    def fail(function, generator):
        tried.append(function)
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.warns(UserWarning, match="training steps are .*CUDA graph .operation not permitted") as warnings:
        body, expected = run(fail, [3, 3, 3, 2, 3])
    assert body.given == expected
    assert len(tried) == len(warnings) == 1


def test_a_recording_that_runs_out_of_memory_is_out_of_memory():
    def fail(function, generator):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        run(fail, [3, 3])


# --- trainings with and without


@pytest.mark.parametrize("space", SPACES)
def test_fifty_steps_on_tensors_that_stay_are_the_eager_ones_to_the_bit(space):
    plain, subject = trainer(space), graphed(space)
    assert len(losses(plain)) > 50
    assert losses(subject) == losses(trainer(space))
    plain_state, state = plain.state(), subject.state()
    assert plain_state.keys() == state.keys()
    for name in state:  # weights, statistics, momenta, the generator
        assert torch.equal(state[name], plain_state[name]), name
    assert subject.accuracy(subject.data) == plain.accuracy(plain.data)


def test_paths_are_dropped_as_often_where_the_progress_is_a_tensor():
    fields = {"drop_path": 0.5, "auxiliary_weight": 0.4, "epochs": 3}
    plain, subject = (losses(make("micro", **fields)) for make in (trainer, graphed))
    assert subject == pytest.approx(plain, rel=1e-4)  # the progress is rounded to float32
    assert plain != losses(trainer("micro", **fields | {"drop_path": 0.0}))


def test_a_training_goes_on_from_a_state_with_recorded_steps():
    whole, first, second = (graphed("paper", epochs=3) for _ in range(3))
    expected = [whole.train_epoch() for _ in range(3)]
    assert first.train_epoch() == expected[0]
    state = first.state()
    second.train_epoch()  # it has recorded a step already
    second.train_epoch()
    second.load_state(state)
    assert [second.train_epoch() for _ in range(2)] == expected[1:]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_on_a_cpu_nothing_is_recorded(checkpointing, monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: pytest.fail("recorded"))
    subject = trainer("paper", cuda_graph=True, epochs=2, checkpointing=checkpointing)
    assert losses(subject) == losses(trainer("paper", epochs=2, checkpointing=checkpointing))


# --- evaluations with and without


@pytest.mark.parametrize("space", SPACES)
def test_evaluations_on_tensors_that_stay_are_the_eager_ones(space, monkeypatch):
    monkeypatch.setattr("nases_env.children.training.EVALUATION_BATCH", 16)
    plain, subject = trainer(space, epochs=4), graphed(space, epochs=4)
    held_out = pictures(50, seed=1)
    for _ in range(4):  # between two evaluations the weights and statistics that they read are others
        assert plain.train_epoch() == subject.train_epoch()
        assert subject.accuracy(held_out) == plain.accuracy(held_out)
        assert subject.clean_train_accuracy(50) == plain.clean_train_accuracy(50)
    assert subject._run_evaluation._repeat is not None


def test_full_evaluation_batches_are_recorded_once_and_the_last_one_is_run_as_it_is(monkeypatch):
    monkeypatch.setattr("nases_env.children.training.EVALUATION_BATCH", 16)
    recorded, repeated = [], []

    def record(function, generator):
        recorded.append(function)
        return lambda: repeated.append(function())

    monkeypatch.setattr(GraphedTrainer, "record", staticmethod(record))
    subject = graphed("paper")
    for count in (2, 5):
        subject.accuracy(pictures(50))
        assert len(recorded) == 1 and len(repeated) == count  # three full batches, of which the first is run as it is


def test_a_recorded_evaluation_tells_outputs_that_are_not_finite(monkeypatch):
    monkeypatch.setattr("nases_env.children.training.EVALUATION_BATCH", 16)
    subject, data = graphed("paper"), pictures(64)
    expected = subject.accuracy(data)
    broken = data.images.clone()
    broken[40] = float("nan")
    with pytest.raises(Diverged):
        subject.accuracy(Tensors(broken, data.labels))
    assert subject.accuracy(data) == expected


def test_a_recording_is_dropped_where_an_evaluation_runs_out_of_memory(monkeypatch):
    sizes, alive = [], []

    def record(function, generator):
        sizes.append(subject._evaluation_batch)
        if sizes[-1] > 250:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return function

    monkeypatch.setattr(GraphedTrainer, "record", staticmethod(record))
    subject, plain = (make("paper", images=2 * EVALUATION_BATCH, size=4) for make in (graphed, trainer))
    first = weakref.ref(subject._run_evaluation)
    monkeypatch.setattr("nases_env.children.training.free_memory", lambda _: alive.append(first() is not None))
    assert subject.accuracy(subject.data) == plain.accuracy(subject.data)
    assert sizes == [1000, 500, 250] and alive == [False, False]


# --- on a device


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("error::UserWarning")  # steps that cannot be recorded would be compared with themselves
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("space", SPACES)
def test_fifty_recorded_steps_are_the_eager_ones(space, precision):
    fields = {"device": "cuda", "precision": precision, "size": 16, "epochs": 10}
    expected = losses(trainer(space, **fields))
    subject = trainer(space, cuda_graph=True, **fields)
    assert isinstance(subject._run, Graphed)
    found = losses(subject)
    assert len(found) == 50 and subject._run._repeat is not None
    # Kernels may add in another order each time; what that does to the weights grows with every step.
    assert found[:10] == pytest.approx(expected[:10], rel=0.02)
    assert found == pytest.approx(expected, rel=0.2)
    plain = trainer(space, **fields)
    losses(plain)
    assert torch.equal(plain._generator.get_state(), subject._generator.get_state())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_checkpointed_child_is_not_recorded():
    subject = trainer("paper", device="cuda", cuda_graph=True, checkpointing=True)
    assert not isinstance(subject._run, Graphed) and not isinstance(subject._run_evaluation, Graphed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("space", SPACES)
def test_a_recorded_evaluation_classifies_as_one_that_is_not(space, precision, monkeypatch):
    monkeypatch.setattr("nases_env.children.training.EVALUATION_BATCH", 16)
    subject = trainer(space, device="cuda", precision=precision, size=16, cuda_graph=True, images=256)
    held_out = pictures(72, 16, "cuda", seed=1)
    for _ in range(3):
        subject.train_epoch()
        recorded = subject.accuracy(held_out), subject.clean_train_accuracy(72)
        assert subject._run_evaluation._repeat is not None
        kept, subject._run_evaluation = subject._run_evaluation, plainly
        # Weights are the same ones, so that only a tie of two classes could fall otherwise.
        plain = subject.accuracy(held_out), subject.clean_train_accuracy(72)
        assert recorded == pytest.approx(plain, abs=1.5 / 72)
        subject._run_evaluation = kept
