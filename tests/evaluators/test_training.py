"""Training children: what an evaluation holds, and that a child that fails is an evaluation too."""

import dataclasses
import json
import math
import os
import warnings
import weakref

import numpy as np
import pytest
import torch
from PIL import Image

from nases_env.children import build, datasets, padding, training
from nases_env.children.presets import resolve
from nases_env.children.stopping import never
from nases_env.children.tensors import ChildData, Tensors
from nases_env.children.training import Trainer
from nases_env.evaluators import Evaluation, child_training
from nases_env.evaluators import training as training_evaluator
from nases_env.evaluators.child_training import ChildTraining
from nases_env.evaluators.training import TrainingEvaluator
from nases_env.executors.processes import ProcessExecutor
from nases_env.search_spaces import MacroArchitecture, MacroSpace

TINY = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "width": 0.03}
SPACE = MacroSpace()
ARCHITECTURES = [SPACE.architecture(row) for row in SPACE.discretise(SPACE.sample(np.random.default_rng(0), 3))]
CHILD = ARCHITECTURES[0]


def evaluator(**fields):
    return TrainingEvaluator("digits", "nowhere", resolve({**TINY, **fields}), "cpu")


def evaluate(subject, architecture=CHILD, seed=0):
    ((index, evaluation),) = subject.evaluate([architecture], [seed])
    assert index == 0
    return evaluation


def result(evaluation):
    """What a repeat has to repeat."""
    return dataclasses.replace(evaluation, seconds=0.0)


@pytest.fixture(scope="module")
def evaluation():
    return evaluate(evaluator())


# --- what an evaluation holds


def test_evaluation_holds_accuracies_sizes_and_epochs(evaluation):
    assert evaluation.failure == ""
    assert 0 <= evaluation.train_accuracy <= 1
    assert 0 <= evaluation.validation_accuracy <= 1
    assert evaluation.device == "cpu"
    assert evaluation.seconds > 0
    assert evaluation.versions["torch"] == torch.__version__
    assert set(evaluation.versions) == {"python", "torch", "torchvision"}
    assert len(evaluation.epochs) == 2
    for epoch in evaluation.epochs:
        assert set(epoch) == {"loss", "running_train_accuracy", "validation_accuracy"}
        assert math.isfinite(epoch["loss"])
    assert evaluation.validation_accuracy == evaluation.epochs[-1]["validation_accuracy"]


def test_sizes_are_those_of_the_child_as_it_was_built(evaluation):
    skeleton = build.skeleton(CHILD, resolve(TINY), 1, 10)
    assert evaluation.parameters == padding.count_parameters(skeleton)
    assert evaluation.flops == skeleton.flops(8)


def test_evaluation_is_json(evaluation):
    assert Evaluation(**json.loads(json.dumps(evaluation.to_dict()))) == evaluation


def trained_by_hand(seed, **fields):
    protocol = resolve({**TINY, **fields})
    data = datasets.load("digits", "nowhere", protocol, "cpu")
    skeleton = build.skeleton(CHILD, protocol, 1, 10)
    trainer = Trainer(
        build.materialise(skeleton, torch.Generator().manual_seed(seed), "cpu"), data.train, protocol, seed
    )
    for _ in range(protocol.epochs):
        trainer.train_epoch()
    return trainer, data


def test_accuracies_are_the_last_epochs_on_validation_and_as_many_training_images():
    fields = {"epochs": 6, "learning_rate": 0.1}
    found = evaluate(evaluator(**fields), seed=4)
    trainer, data = trained_by_hand(4, **fields)
    assert found.validation_accuracy == trainer.accuracy(data.validation)
    # 32 of the 64 training images, as there are validation images.
    first = Tensors(data.train.images[:32], data.train.labels[:32])
    assert found.train_accuracy == trainer.accuracy(first)
    assert found.validation_accuracy != 0.1


def test_running_training_accuracy_is_the_last_epochs():
    found = evaluate(evaluator(train_accuracy="running"))
    assert found.train_accuracy == found.epochs[-1]["running_train_accuracy"]


def test_architectures_are_evaluated_in_order(evaluation):
    found = list(evaluator().evaluate(ARCHITECTURES, [0, 1, 2]))
    assert [index for index, _ in found] == [0, 1, 2]
    skeletons = [build.skeleton(architecture, resolve(TINY), 1, 10) for architecture in ARCHITECTURES]
    assert [e.parameters for _, e in found] == [padding.count_parameters(skeleton) for skeleton in skeletons]
    assert result(found[0][1]) == result(evaluation)


def test_children_are_trained_one_at_a_time_as_they_are_asked_for(monkeypatch):
    trained = []
    subject = evaluator()
    monkeypatch.setattr(
        ChildTraining, "_train", lambda _, child, seed, measured, retry: trained.append(seed) or measured
    )
    evaluations = subject.evaluate(ARCHITECTURES, [5, 6, 7])
    assert trained == []
    next(evaluations)
    assert trained == [5]


def test_a_child_that_an_executor_lost_is_measured(evaluation):
    class Loses:
        workers, here = 1, False

        def start(self, task, data):
            assert task.digest == data.digest

        def run(self, jobs):
            assert len(list(jobs)) == 2
            yield 1, "timeout"
            yield 0, "crash"

        def close(self):
            pass

    subject = TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu", Loses())
    (first, timeout), (second, crash) = subject.evaluate([ARCHITECTURES[1], CHILD], [0, 0])
    assert (first, second) == (1, 0)
    assert_failed(timeout, "timeout")
    assert_failed(crash, "crash")
    assert timeout.parameters == evaluation.parameters != crash.parameters


@pytest.mark.parametrize(("workers", "begun"), [(1, "in order"), (2, "longest first"), (3, "in order")])
def test_the_longest_children_begin_first_where_some_have_to_wait(workers, begun):
    class Remembers:
        here = False

        def __init__(self):
            self.workers, self.jobs = workers, []

        def start(self, task, data):
            pass

        def run(self, jobs):
            self.jobs = list(jobs)
            return ((index, Evaluation(parameters=job.seed)) for index, job in enumerate(self.jobs))

        def close(self):
            pass

    executor = Remembers()
    subject = TrainingEvaluator("digits", "nowhere", resolve(TINY | {"threads": 1}), "cpu", executor)
    flops = [subject.measure(child).flops for child in ARCHITECTURES]
    assert flops != sorted(flops, reverse=True)
    found = dict(subject.evaluate(ARCHITECTURES, [5, 6, 7]))
    assert [found[index].parameters for index in range(3)] == [5, 6, 7]
    seeds = [job.seed for job in executor.jobs]
    longest = [seed for _, seed in sorted(zip(flops, (5, 6, 7), strict=True), reverse=True)]
    assert seeds == (longest if begun == "longest first" else [5, 6, 7])


def test_every_architecture_needs_a_seed():
    with pytest.raises(ValueError, match="shorter"):
        list(evaluator().evaluate(ARCHITECTURES[:2], [0]))


# --- seeds


def test_same_seed_repeats_the_evaluation_and_other_children_do_not_disturb_it(evaluation):
    subject = evaluator()
    list(subject.evaluate(ARCHITECTURES[1:], [1, 2]))
    torch.manual_seed(1234)
    assert result(evaluate(subject)) == result(evaluation)


def test_another_seed_gives_another_training(evaluation):
    other = evaluate(evaluator(), seed=1)
    assert other.epochs != evaluation.epochs
    assert (other.parameters, other.flops) == (evaluation.parameters, evaluation.flops)


def test_evaluating_leaves_torchs_global_random_state_alone():
    before = torch.get_rng_state()
    evaluate(evaluator())
    assert torch.equal(torch.get_rng_state(), before)


# --- failures


def assert_failed(found, failure):
    assert found.failure == failure
    assert (found.train_accuracy, found.validation_accuracy, found.epochs) == (0.0, 0.0, [])
    assert found.parameters > 0
    assert found.flops > 0


def test_divergence_is_the_failure_nan():
    assert_failed(evaluate(evaluator(learning_rate=1e30)), "nan")
    # Also in the very last step, whose loss was still a number.
    assert_failed(evaluate(evaluator(learning_rate=1e30, epochs=1, batch_size=64)), "nan")


def test_a_child_over_a_limit_fails_without_being_trained(evaluation, monkeypatch):
    monkeypatch.setattr(ChildTraining, "_train", lambda *_: pytest.fail("trained"))
    assert_failed(evaluate(evaluator(max_parameters=evaluation.parameters - 1)), "too_many_parameters")
    assert_failed(evaluate(evaluator(max_flops=evaluation.flops - 1)), "too_many_flops")


def test_a_child_at_both_limits_is_trained(evaluation):
    found = evaluate(evaluator(max_parameters=evaluation.parameters, max_flops=evaluation.flops))
    assert result(found) == result(evaluation)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes"),
    ],
)
def test_a_child_out_of_memory_fails_and_the_next_one_is_trained(evaluation, error, monkeypatch):
    def fail(_):
        raise error

    subject = evaluator()
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", fail)
        assert_failed(evaluate(subject), "out_of_memory")
    assert result(evaluate(subject)) == result(evaluation)


def test_out_of_memory_is_tried_once_more_with_checkpointing(evaluation, monkeypatch):
    tried = []
    train = ChildTraining._train

    def scarce(self, child, seed, measured, checkpointing):
        tried.append(checkpointing)
        if not checkpointing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(self, child, seed, measured, checkpointing)

    monkeypatch.setattr(ChildTraining, "_train", scarce)
    found = evaluate(evaluator())
    assert tried == [False, True]
    assert result(found) == result(evaluation)
    assert_failed(evaluate(evaluator(checkpoint_retry=False)), "out_of_memory")
    assert tried == [False, True, False]


def test_a_child_out_of_memory_is_freed_before_it_is_tried_again(monkeypatch):
    models = []

    def fail(self):
        models.append(weakref.ref(self.model))
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "train_epoch", fail)
    alive = []
    subject = evaluator()
    monkeypatch.setattr(child_training, "free_memory", lambda _: alive.append(models[-1]() is not None))
    assert_failed(evaluate(subject), "out_of_memory")
    assert alive == [False, False]


def test_a_child_and_its_recordings_are_gone_when_scarce_memory_is_freed(monkeypatch):
    trainers, alive = [], []
    train_epoch = Trainer.train_epoch
    monkeypatch.setattr(Trainer, "train_epoch", lambda self: trainers.append(weakref.ref(self)) or train_epoch(self))
    monkeypatch.setattr(child_training, "free_scarce_memory", lambda _: alive.append(trainers[-1]() is not None))
    assert not evaluate(evaluator()).failure
    assert alive == [False]


def test_a_child_far_too_large_for_this_machine_is_measured_and_over_its_limit():
    subject = TrainingEvaluator("digits", "nowhere", resolve({**TINY, "width": 64.0, "max_parameters": 1000}), "cpu")
    found = evaluate(subject)
    assert found.failure == "too_many_parameters" and found.parameters > 1e9


def test_a_child_larger_than_the_machines_memory_is_not_even_tried(evaluation, monkeypatch):
    monkeypatch.setattr(ChildTraining, "_attempt", None)
    monkeypatch.setattr(child_training, "physical_memory", lambda: 12 * evaluation.parameters - 1)
    assert_failed(evaluate(evaluator()), "out_of_memory")
    monkeypatch.undo()
    monkeypatch.setattr(child_training, "physical_memory", lambda: None)
    assert not evaluate(evaluator()).failure


def test_a_child_over_its_time_is_a_timeout_and_the_next_one_is_trained(evaluation, monkeypatch):
    subject = evaluator(max_seconds=5)
    clock = iter([0.0, 0.0, 6.0])
    with monkeypatch.context() as patch:
        patch.setattr(training.time, "monotonic", lambda: next(clock))
        assert_failed(evaluate(subject), "timeout")
    assert result(evaluate(subject)) == result(evaluation)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), TypeError("a bug"), KeyboardInterrupt()])
def test_other_errors_are_not_taken_for_a_failure_of_the_child(error, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(Trainer, "train_epoch", fail)
    with pytest.raises(type(error)):
        evaluate(evaluator())


def test_a_protocol_without_validation_images_is_refused():
    with pytest.raises(ValueError, match="'digits-final' holds out no validation images"):
        TrainingEvaluator("digits", "nowhere", resolve("digits-final"), "cpu")


def test_several_workers_that_would_each_use_all_cores_are_refused():
    protocol = resolve({**TINY, "threads": None})
    with pytest.raises(ValueError, match="for 2 workers set its threads"):
        TrainingEvaluator("digits", "nowhere", protocol, "cpu", ProcessExecutor(2))
    TrainingEvaluator("digits", "nowhere", protocol, "cpu", ProcessExecutor(1))


# --- stopping


@dataclasses.dataclass(frozen=True)
class After:
    """Stops every child after so many epochs, with a verdict."""

    epochs: int
    verdict: dict

    @property
    def fingerprint(self):
        return repr(self)

    def __call__(self, epochs):
        return self.verdict if len(epochs) == self.epochs else None


def stopped(*rule):
    return TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu", stopping=After(*rule))


def test_a_stopped_child_is_measured_where_it_was_stopped(evaluation):
    found = evaluate(stopped(1, {}))
    assert found.epochs == evaluation.epochs[:1]
    assert found.validation_accuracy == evaluation.epochs[0]["validation_accuracy"]
    assert found.failure == "" and 0 <= found.train_accuracy <= 1


def test_a_rule_sets_fields_of_the_evaluation():
    found = evaluate(stopped(1, {"validation_accuracy": 0.75}))
    assert found.validation_accuracy == 0.75 and len(found.epochs) == 1


def test_a_rule_that_does_not_stop_a_child_changes_nothing(evaluation):
    assert result(evaluate(stopped(3, {}))) == result(evaluation)


def test_fingerprint_changes_with_the_stopping_rule():
    fingerprints = [evaluator().fingerprint, stopped(1, {}).fingerprint, stopped(2, {}).fingerprint]
    assert len(set(fingerprints)) == 3
    assert TrainingEvaluator("digits", "nowhere", resolve(TINY), "cpu", stopping=never).fingerprint == fingerprints[0]


# --- fingerprint


def fingerprint(**fields):
    return evaluator(**fields).fingerprint


def test_fingerprint_is_sixteen_hexadecimal_digits_and_stays():
    assert len(fingerprint()) == 16
    assert set(fingerprint()) <= set("0123456789abcdef")
    assert fingerprint() == fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 3},
        {"width": 0.04},
        {"learning_rate": 0.06},
        {"train_accuracy": "running"},
        {"reductions": [4]},
        {"split_seed": 1},
        {"train_images": 65},
        {"max_flops": 10**9},
        {"threads": 2},
    ],
)
def test_fingerprint_changes_with_the_protocol(change):
    assert fingerprint(**change) != fingerprint()


def test_fingerprint_does_not_depend_on_the_presets_name_or_its_final():
    renamed = dataclasses.replace(resolve(TINY), name="v1-search", final="")
    assert TrainingEvaluator("digits", "nowhere", renamed, "cpu").fingerprint == fingerprint()


def test_fingerprint_changes_with_the_data_but_not_with_their_place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        rng = np.random.default_rng(seed)
        for i in range(12):
            path = tmp_path / folder / "train" / "xy"[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
        protocol = resolve({**TINY, "train_images": 8, "validation_images": 4})
        found.append(TrainingEvaluator(f"imagefolder:{tmp_path / folder}", "", protocol, "cpu").fingerprint)
    assert found[0] == found[1] != found[2]


def test_fingerprint_does_not_depend_on_what_was_evaluated():
    subject = evaluator()
    before = subject.fingerprint
    evaluate(subject)
    assert subject.fingerprint == before == fingerprint()


# --- slow children, threads, devices


@pytest.fixture
def untrained(monkeypatch):
    """CIFAR-10's shapes without its images, and children that are only measured."""
    images = Tensors(torch.empty((45_000, 3, 32, 32), device="meta"), torch.empty(45_000, device="meta"))
    data = ChildData(images, images, np.zeros(3), np.ones(3), tuple("0123456789"), digest="none")
    monkeypatch.setattr(datasets, "load", lambda *_: data)
    monkeypatch.setattr(ChildData, "to", lambda data, device: data)
    monkeypatch.setattr(ChildTraining, "_train", lambda self, child, seed, measured, checkpointing: measured)


def test_a_slow_child_on_the_cpu_is_warned_of_once(untrained):
    subject = TrainingEvaluator("cifar10", "nowhere", resolve({"preset": "v1-search", "threads": 2}), "cpu")
    child = MacroArchitecture.published()
    with pytest.warns(UserWarning, match=r"about \d+\.\d hours on the CPU.*'v1-search'.*'digits'.*'cifar10-mini'"):
        list(subject.evaluate([child], [0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(subject.evaluate([child, child], [1, 2]))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_no_warning_for_a_fast_child_or_a_gpu(untrained, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1, 1))
    monkeypatch.setattr(training_evaluator, "resolve_device", lambda device: device)
    fields = {"preset": "v1-search", "threads": 2, "width": 0.03 if device == "cpu" else 1.0}
    subject = TrainingEvaluator("cifar10", "nowhere", resolve(fields), device)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ((_, found),) = subject.evaluate([MacroArchitecture.published()], [0])
    assert found.device == ("cpu" if device == "cpu" else "a GPU")


def test_children_train_on_the_protocols_threads_and_the_callers_are_restored(monkeypatch):
    seen = []
    monkeypatch.setattr(ChildTraining, "_train", lambda *args: seen.append(torch.get_num_threads()) or args[3])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for _ in evaluator(threads=2).evaluate(ARCHITECTURES[:2], [0, 0]):
            assert torch.get_num_threads() == 3  # also between two children
        evaluate(evaluator(threads=None))
        assert seen == [2, 2, os.cpu_count()]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_threads_are_restored_after_an_error(monkeypatch):
    def fail(*_):
        raise TypeError("a bug")

    monkeypatch.setattr(ChildTraining, "_train", fail)
    before = torch.get_num_threads()
    with pytest.raises(TypeError):
        evaluate(evaluator(threads=before + 1))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("available", "device"), [(False, "cpu"), (True, "cuda")])
def test_auto_is_cuda_if_there_is_one(monkeypatch, available, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert TrainingEvaluator("digits", "nowhere", resolve("digits"), "auto").device == device


def test_data_are_not_read_before_the_first_child():
    subject = TrainingEvaluator("imagefolder:/nowhere/at/all", "nowhere", resolve(TINY), "cpu")
    with pytest.raises(FileNotFoundError):
        evaluate(subject)


def test_preparing_reads_the_data_and_trains_nothing(monkeypatch):
    subject = evaluator()
    monkeypatch.setattr(ChildTraining, "_train", lambda *_: pytest.fail("trained"))
    subject.prepare()
    monkeypatch.undo()
    monkeypatch.setattr(datasets, "load", lambda *_: pytest.fail("read again"))
    assert evaluate(subject).failure == ""


def test_preparing_finds_that_data_are_missing():
    with pytest.raises(FileNotFoundError, match="no images in /nowhere/at/all/train"):
        TrainingEvaluator("imagefolder:/nowhere/at/all", "nowhere", resolve(TINY), "cpu").prepare()


def test_preparing_finds_a_cutout_that_leaves_nothing():
    with pytest.raises(ValueError, match="cutout=8 would blank whole images of 8 pixels"):
        evaluator(cutout=8).prepare()


def test_closing_frees_the_images_and_may_be_done_twice_and_undone():
    datasets._loaded.clear()  # images of its own
    subject = evaluator()
    before = result(evaluate(subject))
    images = weakref.ref(subject.data.train.images)
    subject.close()
    subject.close()
    assert images() is None and len(subject.fingerprint) == 16
    assert result(evaluate(subject)) == before


@pytest.mark.parametrize("device", ["cuda", "tpu9000", "meta"])
def test_a_device_that_is_not_here_is_refused(device):
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match=f"{device}.*'auto' or 'cpu'"):
        TrainingEvaluator("digits", "nowhere", resolve(TINY), device)


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: out of memory",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "DefaultCPUAllocator: can't allocate memory",
        "GET was unable to find an engine to execute this computation",
    ],
)
def test_out_of_memory_in_any_librarys_words_is_a_failure(words, monkeypatch):
    def fail(self):
        raise RuntimeError(words)

    monkeypatch.setattr(Trainer, "train_epoch", fail)
    assert evaluate(evaluator()).failure == "out_of_memory"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_child_learns_on_the_gpu_as_on_the_cpu():
    fields = {"preset": "digits", "epochs": 8, "precision": "bfloat16"}
    accuracies = [
        evaluate(TrainingEvaluator("digits", "nowhere", resolve(fields), device)).validation_accuracy
        for device in ("cpu", "cuda")
    ]
    assert min(accuracies) > 0.5
    assert abs(accuracies[0] - accuracies[1]) < 0.1


def test_fields_that_a_protocol_did_not_always_have_leave_old_fingerprints_as_they_were():
    # Of journals and tables that were written before these fields existed.
    assert TrainingEvaluator("digits", "nowhere", resolve("digits"), "cpu").fingerprint == "836d3d45806a57ea"
    changed = resolve({"preset": "digits", "restart_period": 1})
    assert TrainingEvaluator("digits", "nowhere", changed, "cpu").fingerprint != "836d3d45806a57ea"
