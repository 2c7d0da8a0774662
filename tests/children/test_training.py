"""The hot loop: learning rates, accuracy, resuming to the bit, learning, and divergence."""

import json

import pytest
import torch
from torch import nn

from nases_env.children import build, datasets
from nases_env.children.base import Child
from nases_env.children.presets import resolve
from nases_env.children.tensors import Tensors
from nases_env.children.training import EVALUATION_BATCH, Diverged, OtherDevice, Trainer, resolve_device
from nases_env.search_spaces import MacroArchitecture

SMALL = {"preset": "digits", "train_images": 64, "validation_images": 32, "epochs": 2, "batch_size": 20, "width": 0.03}


def architecture(rules="paper", changes=()):
    kinds = (("convolution", 3, 10), ("separable", 3, 20), ("convolution", 5, 10))
    layers = [dict(changes).get(layer + 1, kinds[layer % 3]) for layer in range(15)]
    fields = {"space": "macro", "rules": rules, "layers": layers, "links": [[1, 3], [2, 7], [4, 12], [10, 15]]}
    return MacroArchitecture.from_json(json.dumps(fields))


def digits(protocol):
    return datasets.load("digits", "nowhere", protocol, "cpu")


def trainer(seed=0, rules="paper", data=None, changes=(), **fields):
    protocol = resolve({**SMALL, **fields})
    model = build.skeleton(architecture(rules, changes), protocol, 1, 10)
    model = build.materialise(model, torch.Generator().manual_seed(0), "cpu")
    return Trainer(model, digits(protocol).train if data is None else data, protocol, seed)


def weights(trainer):
    """All that a trained network is, batch norm's statistics included."""
    return torch.cat([tensor.detach().flatten().double() for tensor in trainer.model.state_dict().values()])


def rate(trainer):
    return trainer.step.optimiser.param_groups[0]["lr"]


class Recorder(Child):
    """A linear classifier that keeps what it was shown."""

    def __init__(self, size):
        super().__init__()
        self.linear = nn.Linear(size, 10)
        self.seen, self.rates = [], []

    def flops(self, image_size):
        raise NotImplementedError

    def forward(self, images):
        if self.training:
            self.seen.append(images.detach().clone())
        return self.linear(images.flatten(1))


def recorded(count=50, size=4, **fields):
    images = torch.arange(1.0, count * size * size + 1).reshape(count, 1, size, size) / 1000
    data = Tensors(images, torch.arange(count) % 10)
    protocol = resolve({**SMALL, **fields})
    return Trainer(Recorder(size * size), data, protocol, 0)


# --- what an epoch is


def test_an_epoch_shows_every_image_once_and_its_last_batch_may_be_smaller():
    subject = recorded(50, crop_padding=0)
    subject.train_epoch()
    assert [len(batch) for batch in subject.model.seen] == [20, 20, 10]
    shown = torch.cat(subject.model.seen).flatten(1)
    assert not torch.equal(shown, subject.data.images.flatten(1))  # shuffled
    assert torch.equal(shown[shown[:, 0].argsort()], subject.data.images.flatten(1))


@pytest.mark.parametrize(
    ("count", "sizes"), [(41, [20, 21]), (42, [20, 20, 2]), (40, [20, 20]), (21, [21]), (7, [7]), (1, [1])]
)
def test_one_image_left_alone_joins_the_batch_before_it(count, sizes):
    subject = recorded(count)
    subject.train_epoch()
    assert [len(batch) for batch in subject.model.seen] == sizes


def test_a_child_that_shrinks_images_to_one_pixel_trains_when_one_image_is_left_over():
    # Batch normalisation refuses a single value; 897 digits in batches of 64 leave one.
    pools = {layer: ("max_pool", 0, 0) for layer in (2, 3, 4)}
    subject = trainer(rules="published", changes=pools, train_images=61)
    assert len(subject.data) % subject.protocol.batch_size == 1
    subject.train_epoch()


def test_every_epoch_has_another_order():
    subject = recorded(50, crop_padding=0)
    subject.train_epoch()
    subject.train_epoch()
    first, second = torch.cat(subject.model.seen[:3]), torch.cat(subject.model.seen[3:])
    assert first.shape == second.shape
    assert not torch.equal(first, second)


def test_images_keep_their_labels():
    # Every image says its label in its first pixel; 200 epochs learn it only if the two stay together.
    labels = torch.arange(40) % 4
    images = torch.zeros(40, 1, 2, 2)
    images[torch.arange(40), 0, labels // 2, labels % 2] = 1
    protocol = resolve({**SMALL, "crop_padding": 0, "epochs": 30, "learning_rate": 0.5})
    subject = Trainer(Recorder(4), Tensors(images, labels), protocol, 0)
    for _ in range(30):
        subject.train_epoch()
    assert subject.accuracy(subject.data) == 1


@pytest.mark.parametrize(("fields", "augmented"), [({"crop_padding": 0}, False), ({"crop_padding": 1}, True)])
def test_training_images_are_cropped_as_the_protocol_says(fields, augmented):
    subject = recorded(50, **fields)
    subject.train_epoch()
    zeros = torch.cat(subject.model.seen).eq(0).any()
    assert bool(zeros) == augmented  # no image has a zero but from padding


def test_training_images_are_mirrored_if_the_protocol_says_so():
    for flip in (False, True):
        subject = recorded(50, crop_padding=0, flip=flip)
        subject.train_epoch()
        shown = torch.cat(subject.model.seen)
        rising = (shown[:, 0, 0, 1] > shown[:, 0, 0, 0]).float().mean()
        assert (0.2 < rising < 0.8) if flip else rising == 1


def test_training_images_are_cut_out_if_the_protocol_says_so():
    subject = recorded(50, crop_padding=0, cutout=2)
    subject.train_epoch()
    zeros = torch.cat(subject.model.seen).eq(0).flatten(1).sum(dim=1)
    assert set(zeros.tolist()) == {1, 2, 4}  # a 2 × 2 square, whole or clipped


def test_loss_and_running_accuracy_are_means_over_images():
    # Ten equal logits: the loss is ln 10 for every image; argmax is class 0, which 5 of 50 images have.
    subject = recorded(50, learning_rate=1e-60, final_learning_rate=1e-60)
    nn.init.zeros_(subject.model.linear.weight)
    nn.init.zeros_(subject.model.linear.bias)
    loss, accuracy = subject.train_epoch()
    assert loss == pytest.approx(2.302585, abs=1e-5)
    assert accuracy == 0.1


# --- optimiser


def test_learning_rate_is_a_cosine_from_the_first_step_to_the_last():
    # 3 steps an epoch, 2 epochs: cosine of 0, π/5, … π.
    subject = recorded(50, learning_rate=0.05, final_learning_rate=0.001)
    rates = []
    subject.model.register_forward_pre_hook(lambda *_: rates.append(rate(subject)))
    subject.train_epoch()
    subject.train_epoch()
    shares = [1, 0.9045085, 0.6545085, 0.3454915, 0.0954915, 0]
    assert rates == pytest.approx([0.001 + 0.049 * share for share in shares], rel=1e-6)
    assert rates[0] == 0.05
    assert rates[-1] == pytest.approx(0.001)


def test_a_run_of_a_single_step_has_the_highest_learning_rate():
    subject = recorded(20, epochs=1)
    subject.train_epoch()
    assert rate(subject) == 0.05


def test_optimiser_is_the_papers():
    subject = trainer()
    (group,) = subject.step.optimiser.param_groups
    assert isinstance(subject.step.optimiser, torch.optim.SGD)
    assert (group["momentum"], group["nesterov"], group["weight_decay"]) == (0.9, True, 1e-4)
    # Weight decay is on all parameters, batch norm's and biases included.
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in subject.model.parameters())


def test_one_step_by_hand():
    # One image, a linear layer without momentum: w − lr · (gradient + decay · w).
    images = torch.tensor([[[[1.0, -2.0], [0.5, 3.0]]]])
    fields = {"crop_padding": 0, "epochs": 1, "momentum": 0.0, "weight_decay": 0.1, "learning_rate": 0.25}
    subject = Trainer(Recorder(4), Tensors(images, torch.tensor([3])), resolve({**SMALL, **fields}), 0)
    weight, bias = (p.detach().clone() for p in subject.model.linear.parameters())
    share = torch.softmax(images.flatten() @ weight.T + bias, dim=0) - nn.functional.one_hot(torch.tensor(3), 10)
    subject.train_epoch()
    expected = weight - 0.25 * (share[:, None] * images.flatten() + 0.1 * weight)
    torch.testing.assert_close(subject.model.linear.weight.detach(), expected)
    torch.testing.assert_close(subject.model.linear.bias.detach(), bias - 0.25 * (share + 0.1 * bias))


# --- seeds and resuming


def test_same_seed_gives_the_same_weights_to_the_bit():
    first, second = trainer(seed=3, flip=True), trainer(seed=3, flip=True)
    assert first.train_epoch() == second.train_epoch()
    assert torch.equal(weights(first), weights(second))


def test_another_seed_gives_other_weights_from_the_same_start():
    first, second = trainer(seed=3), trainer(seed=4)
    assert torch.equal(weights(first), weights(second))
    first.train_epoch()
    second.train_epoch()
    assert not torch.equal(weights(first), weights(second))


def test_training_leaves_torchs_global_random_state_alone():
    subject = trainer(flip=True, cutout=3)
    before = torch.get_rng_state()
    subject.train_epoch()
    subject.accuracy(subject.data)
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_are_counted_in_every_normalisation():
    subject = trainer()
    for epoch in (1, 2):
        subject.train_epoch()
        counted = [count for name, count in subject.state().items() if name.endswith("num_batches_tracked")]
        assert len(counted) > 15 and all(count == 4 * epoch for count in counted)  # 64 images in batches of 20


@pytest.mark.parametrize("rules", ["paper", "published"])
def test_resumed_training_is_uninterrupted_training_to_the_bit(rules):
    whole = trainer(rules=rules, flip=True)
    losses = [whole.train_epoch() for _ in range(2)]
    interrupted = trainer(rules=rules, flip=True)
    assert interrupted.train_epoch() == losses[0]
    resumed = trainer(seed=99, rules=rules, flip=True)
    resumed.load_state(interrupted.state())
    assert resumed.epoch == 1
    assert resumed.train_epoch() == losses[1]
    assert resumed.epoch == 2
    assert torch.equal(weights(resumed), weights(whole))
    assert rate(resumed) == rate(whole)


def test_a_state_stays_as_it_was_while_training_goes_on():
    one = trainer()
    one.train_epoch()
    state = one.state()
    kept = {name: tensor.clone() for name, tensor in state.items()}
    one.train_epoch()
    assert all(torch.equal(state[name], kept[name]) for name in kept)


def test_state_before_the_first_epoch_can_be_loaded():
    fresh, other = trainer(seed=1), trainer(seed=2)
    other.load_state(fresh.state())
    assert other.epoch == 0
    assert other.train_epoch() == fresh.train_epoch()
    assert torch.equal(weights(other), weights(fresh))


def test_state_is_tensors_that_safetensors_can_hold(tmp_path):
    from safetensors.torch import load_file, save_file

    first = trainer()
    first.train_epoch()
    save_file(first.state(), tmp_path / "state.safetensors")
    second = trainer(seed=9)
    second.load_state(load_file(tmp_path / "state.safetensors"))
    assert second.train_epoch() == first.train_epoch()
    assert torch.equal(weights(second), weights(first))


def test_a_state_of_another_kind_of_device_is_refused_in_words_and_changes_nothing():
    subject = trainer()
    subject.train_epoch()
    before, state = weights(subject), trainer(seed=1).state()
    state["generator"] = torch.zeros(16, dtype=torch.uint8)  # as CUDA's
    with pytest.raises(OtherDevice, match="another kind of device than cpu: its generator .* has 16 bytes"):
        subject.load_state(state)
    assert subject.epoch == 1 and torch.equal(weights(subject), before)


# --- accuracy


class Echo(Child):
    """Its logits are the image."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def flops(self, image_size):
        raise NotImplementedError

    def forward(self, images):
        return images.flatten(1) * self.weight


def test_accuracy_is_the_share_of_right_answers_over_all_batches():
    count = 2 * EVALUATION_BATCH + 500
    answers = torch.arange(count) % 4
    labels = answers.clone()
    labels[: count // 4] = (labels[: count // 4] + 1) % 4  # the first quarter is wrong
    images = nn.functional.one_hot(answers, 4).float().reshape(count, 1, 2, 2)
    subject = Trainer(Echo(), Tensors(images, labels), resolve({**SMALL, "crop_padding": 0}), 0)
    assert subject.accuracy(subject.data) == 0.75
    assert subject.clean_train_accuracy(count // 4) == 0
    assert subject.clean_train_accuracy(count // 2) == 0.5
    assert subject.clean_train_accuracy(10 * count) == 0.75


def test_measuring_accuracy_changes_nothing():
    subject = trainer()
    subject.train_epoch()
    before = weights(subject)
    first = subject.accuracy(subject.data)
    assert subject.accuracy(subject.data) == first
    assert torch.equal(weights(subject), before)


def test_accuracy_of_an_image_does_not_depend_on_its_batch():
    subject = trainer()
    subject.train_epoch()
    images, labels = subject.data.images, subject.data.labels
    alone = [subject.accuracy(Tensors(images[i : i + 1], labels[i : i + 1])) for i in range(20)]
    assert sum(alone) / 20 == pytest.approx(subject.clean_train_accuracy(20))


class Scarce(Echo):
    """It has memory for so many images and no more."""

    def __init__(self, most):
        super().__init__()
        self.most, self.batches = most, []

    def forward(self, images):
        self.batches.append(len(images))
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(images)


def test_accuracy_is_measured_in_smaller_batches_where_memory_runs_out():
    answers = torch.arange(1100) % 4
    images = nn.functional.one_hot(answers, 4).float().reshape(-1, 1, 2, 2)
    data, protocol = Tensors(images, (answers + (answers == 0)) % 4), resolve({**SMALL, "crop_padding": 0})
    subject = Trainer(Scarce(300), data, protocol, 0)
    assert subject.accuracy(data) == 0.75
    assert subject.model.batches == [1000, 500, *[250] * 4, 100]
    assert subject.accuracy(data) == 0.75
    assert subject.model.batches[7:] == [*[250] * 4, 100]
    with pytest.raises(torch.OutOfMemoryError):
        Trainer(Scarce(0), data, protocol, 0).accuracy(data)


# --- learning


@pytest.mark.parametrize(("rules", "epochs"), [("paper", 20), ("published", 40)])
def test_a_tiny_child_overfits(rules, epochs):
    subject = trainer(rules=rules, epochs=epochs, batch_size=8, crop_padding=0)
    losses = [subject.train_epoch()[0] for _ in range(epochs)]
    assert losses[-1] < 0.6 * losses[0]
    assert subject.accuracy(subject.data) > 0.4  # chance is 0.1


def test_bfloat16_is_float32_on_a_cpu():
    plain, half = trainer(), trainer(precision="bfloat16")
    assert plain.train_epoch() == half.train_epoch()
    assert torch.equal(weights(plain), weights(half))


def test_images_that_are_no_numbers_are_a_divergence():
    data = digits(resolve(SMALL)).train
    images = data.images.clone()
    images[5] = float("nan")
    subject = trainer(data=Tensors(images, data.labels))
    with pytest.raises(Diverged, match="loss is nan after epoch 1"):
        subject.train_epoch()


def test_a_far_too_large_learning_rate_is_a_divergence():
    with pytest.raises(Diverged):
        trainer(learning_rate=1e30).train_epoch()


def test_a_last_step_that_ruins_the_weights_is_a_divergence_once_they_are_measured():
    subject = trainer(learning_rate=1e30, epochs=1, batch_size=64)
    subject.train_epoch()  # one step: its loss is still that of the initial weights
    with pytest.raises(Diverged, match="outputs are not finite after epoch 1"):
        subject.accuracy(subject.data)


def test_a_cutout_as_large_as_the_image_is_refused():
    with pytest.raises(ValueError, match="cutout=8 would blank whole images of 8 pixels"):
        trainer(cutout=8)


def test_warm_restarts_begin_a_cosine_twice_as_long_at_the_highest_rate():
    subject = recorded(40, epochs=3, restart_period=1)
    rates = []
    step = subject.step.optimiser.step
    subject.step.optimiser.step = lambda: rates.append(rate(subject)) or step()
    for _ in range(3):
        subject.train_epoch()
    protocol = subject.protocol
    assert rates[0] == rates[2] == protocol.learning_rate
    assert rates[1] == pytest.approx(protocol.final_learning_rate) == rates[5]
    assert rates[2:] == sorted(rates[2:], reverse=True)


def test_a_child_is_told_how_far_its_training_is():
    subject = recorded(40, epochs=2)
    told, loss = [], subject.model.loss
    subject.model.loss = lambda *given: told.append(given[2]) or loss(*given)
    subject.train_epoch()
    subject.train_epoch()
    assert told == [0, 0.25, 0.5, 0.75]


# --- other schedules, other steps


class Counted:
    """A schedule whose rate says its step and an epoch's steps."""

    def __init__(self, protocol, steps):
        self.protocol, self.steps = protocol, steps

    def learning_rate(self, step):
        return self.steps + step / 100

    def progress(self, step):
        return 0.5


class Counting:
    """A step that trains nothing and keeps what it is told."""

    def __init__(self, model, protocol):
        self.told = []

    def __call__(self, images, labels, learning_rate, progress, generator):
        self.told.append((learning_rate, progress))
        return torch.tensor(2.0), nn.functional.one_hot(labels, 10).float()

    def state(self):
        return {"told": torch.tensor(len(self.told))}

    def load_state(self, state):
        self.told = [None] * int(state["told"])


def test_a_trainer_follows_the_schedule_and_takes_the_steps_that_it_is_made_with():
    plain = recorded(40)
    subject = Trainer(plain.model, plain.data, plain.protocol, 0, schedule=Counted, step=Counting)
    before = weights(subject)
    assert subject.train_epoch() == (2.0, 1.0)
    subject.train_epoch()
    assert subject.step.told == [(2.0, 0.5), (2.01, 0.5), (2.02, 0.5), (2.03, 0.5)]
    assert torch.equal(weights(subject), before)


def test_a_steps_state_is_part_of_the_trainers():
    plain = recorded(40)
    first, second = (Trainer(plain.model, plain.data, plain.protocol, 0, step=Counting) for _ in range(2))
    first.train_epoch()
    second.load_state(first.state())
    assert len(second.step.told) == 2


# --- devices


@pytest.mark.parametrize(("device", "here"), [("cuda", True), ("cuda:0", True), ("cuda:1", False)])
def test_a_cuda_device_is_looked_for_without_being_opened(monkeypatch, device, here):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: pytest.fail("a tensor opens the device"))
    if here:
        assert resolve_device(device) == device
    else:
        with pytest.raises(ValueError, match="'cuda:1' cannot be used here .*finds 1 CUDA devices.*'auto' or 'cpu'"):
            resolve_device(device)
