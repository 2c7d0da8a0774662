"""The environment: reset, step, render, close, and what goes in and out of them."""

import inspect
import json
import math
import os
import pickle
import random
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from gymnasium.error import ResetNeeded

from nases_env import rendering
from nases_env.children.ranges import RANGES
from nases_env.children.training import Trainer
from nases_env.env import NASESEnv
from nases_env.evaluators.child_training import ChildTraining
from nases_env.ledger import read_trials
from nases_env.search_spaces import MacroArchitecture
from tests.evaluators.toys import Shuffling

ROLLOUT = """
import json, sys
from pathlib import Path
import gymnasium as gym, numpy as np

protocol, actions = json.load(sys.stdin)
env = gym.make("nases_env:NASES-Digits-v0", protocol=protocol, device="cpu")
observation, info = env.reset(seed=7)
transitions = [[observation.tolist(), info]]
for action in actions:
    observation, *rest = env.step(np.array(action, np.float32))
    transitions.append([observation.tolist(), *rest])
files = [str(path) for path in Path().iterdir()]
print(json.dumps({"transitions": transitions, "optuna": "optuna" in sys.modules, "files": files}))
"""


NO_LAYERS = '{"space":"macro","rules":"paper","layers":[],"links":[]}'


@pytest.fixture(scope="module")
def elsewhere(tiny, actions, tmp_path_factory):
    """What another process, with another hash seed, makes of the same environment, seed 7 and actions."""
    result = subprocess.run(
        [sys.executable, "-c", ROLLOUT],
        input=json.dumps([tiny, actions.tolist()]),
        capture_output=True,
        text=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=os.environ | {"PYTHONHASHSEED": "12345"},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def transitions(env, actions, seed):
    """JSON types of a reset and its steps."""
    observation, info = env.reset(seed=seed)
    result = [[observation.tolist(), info]]
    for action in actions:
        observation, *rest = env.step(action)
        result.append([observation.tolist(), *rest])
    return result


def key_of(space, origin):
    return space.architecture(space.discretise(origin[None])[0]).key


class TestReproducibility:
    def test_same_seed_and_actions_give_equal_transitions(self, make, actions):
        assert transitions(make(), actions, seed=7) == transitions(make(), actions, seed=7)

    def test_another_process_with_another_hash_seed_agrees(self, elsewhere, make, actions):
        assert elsewhere["transitions"] == transitions(make(), actions, seed=7)

    def test_another_seed_draws_another_origin_vector_and_trains_children_differently(self, make, actions):
        env = make()
        origins, losses = [], []
        for seed in (0, 1):
            origins.append(env.reset(seed=seed)[0])
            env.step(actions[0])
            losses.append(env.unwrapped.evaluation.epochs[0]["loss"])
        assert not np.array_equal(*origins)
        assert losses[0] != losses[1]

    def test_episodes_without_a_seed_go_on_with_the_generator(self, make):
        one, other = make(), make()
        first = [one.reset(seed=3)[0], one.reset()[0], one.reset()[0]]
        second = [other.reset(seed=3)[0], other.reset()[0], other.reset()[0]]
        np.testing.assert_array_equal(first, second)
        assert len({origin.tobytes() for origin in first}) == 3

    def test_training_leaves_global_random_generators_alone(self, make, actions):
        def states():
            _, numbers, position, *_ = np.random.get_state()  # noqa: NPY002
            return random.getstate(), numbers.tolist(), position, torch.get_rng_state().tolist()

        env = make()
        env.reset(seed=0)
        before = states()
        env.step(actions[0])
        assert states() == before


class TestStep:
    def test_types_are_pythons_own_and_the_episode_never_terminates(self, make, actions):
        env = make().unwrapped
        env.reset(seed=0)
        for action in actions:
            observation, reward, terminated, truncated, info = env.step(action)
            assert observation in env.observation_space
            assert observation.dtype == np.float32
            assert type(reward) is float
            assert terminated is False
            assert truncated is False
            assert {name: type(value) for name, value in info.items()} == {
                "train_accuracy": float, "validation_accuracy": float, "parameters": int, "flops": int,
                "architecture": str, "architecture_key": str, "cached": bool, "failure": str,
            }  # fmt: skip

    def test_budget_truncates_without_terminating(self, make, actions):
        env = make(max_episode_steps=2)
        env.reset(seed=0)
        assert [env.step(action)[2:4] for action in actions[:2]] == [(False, False), (False, True)]

    def test_observation_is_what_was_decoded_and_built(self, make, actions):
        env = make().unwrapped
        env.reset(seed=0)
        observation, _, _, _, info = env.step(actions[0])
        np.testing.assert_array_equal(observation, env.decoder.decode(actions[:1])[0])
        assert key_of(env.space, observation) == info["architecture_key"] == env.architecture.key
        assert info["architecture"] == str(env.architecture)

    def test_information_is_what_the_manual_page_lists(self, make, actions):
        manual = inspect.getdoc(NASESEnv)
        section = manual.split("## Information")[1].split("##")[0]
        listed = [set(re.findall(r"`(\w+)`", part)) - {"step", "reset"} for part in section.split(";")]
        env = make()
        _, reset_info = env.reset(seed=0)
        info = env.step(actions[0])[4]
        assert [set(info), set(reset_info)] == listed

    def test_information_holds_finite_measurements(self, make, actions):
        env = make()
        env.reset(seed=0)
        info = env.step(actions[0])[4]
        for name, images in (("validation_accuracy", 32), ("train_accuracy", 32)):
            assert 0 <= info[name] <= 1
            assert math.isclose(info[name] * images, round(info[name] * images))
        assert info["parameters"] > 0
        assert info["flops"] > info["parameters"]
        assert info["failure"] == ""

    def test_action_is_read_and_not_kept(self, make, actions):
        env = make(decoder="identity").unwrapped
        env.reset(seed=0)
        action = np.full(60, 0.5, np.float32)
        observation = env.step(action)[0]
        np.testing.assert_array_equal(action, 0.5)
        action[:] = 0
        np.testing.assert_array_equal(observation, 15)

    def test_changing_what_was_returned_changes_nothing_later(self, make, actions):
        spoilt, clean = make(render_mode="ansi"), make(render_mode="ansi")
        for action in (None, *actions[[0, 0, 1]]):
            results = [env.reset(seed=2) if action is None else env.step(action) for env in (spoilt, clean)]
            np.testing.assert_array_equal(results[0][0], results[1][0])
            assert results[0][1:] == results[1][1:]
            assert spoilt.render() == clean.render()
            results[0][0][:] = -1
            results[0][-1].clear()

    def test_reward_is_equation_1_by_default(self, make, actions):
        env = make()
        env.reset(seed=0)
        for action in actions:
            _, reward, _, _, info = env.step(action)
            assert reward == (2 * info["validation_accuracy"] - info["train_accuracy"]) ** 3

    def test_validation_reward_is_the_validation_accuracy(self, make, actions):
        env = make(reward="validation")
        env.reset(seed=0)
        for action in actions:
            _, reward, _, _, info = env.step(action)
            assert reward == info["validation_accuracy"]

    @pytest.mark.parametrize("decoder", ["pca", "random"])
    def test_control_decoders_step(self, decoder, make, actions):
        env = make(decoder=decoder)
        assert env.action_space.shape == (20,)
        origin, _ = env.reset(seed=0)
        observation, reward, _, _, info = env.step(actions[0])
        assert observation in env.observation_space
        assert not np.array_equal(observation, origin)
        assert info["failure"] == ""
        assert reward > -1


class TestPrefetch:
    """Children of several steps, trained at once."""

    @pytest.mark.parametrize("workers", [0, 2])
    def test_the_steps_tell_what_they_tell_without_it(self, make, actions, tmp_path, monkeypatch, workers):
        walk = actions[[0, 1, 0, 2]]  # a repeat among them
        expected = transitions(make(), walk, seed=3)
        journal = tmp_path / "journal.log"
        env = make(ledger=str(journal), workers=workers)
        start, info = env.reset(seed=3)
        env.get_wrapper_attr("prefetch")(walk)
        assert [trial.value for trial in read_trials(journal)] == [step[1] for step in expected[1:]]
        monkeypatch.setattr(ChildTraining, "_evaluate", None)
        steps = [env.step(action) for action in walk]
        assert [[start.tolist(), info], *([origin.tolist(), *rest] for origin, *rest in steps)] == expected
        assert len(read_trials(journal)) == 4

    def test_after_an_error_only_the_rest_is_trained(self, make, actions, tmp_path, monkeypatch):
        expected = transitions(make(), actions, seed=3)
        journal = tmp_path / "journal.log"
        env = make(ledger=str(journal))
        env.reset(seed=3)
        evaluate = ChildTraining._evaluate
        trained = []

        def third_fails(self, architecture, seed):
            trained.append(architecture)
            if len(trained) == 3:
                raise KeyboardInterrupt
            return evaluate(self, architecture, seed)

        monkeypatch.setattr(ChildTraining, "_evaluate", third_fails)
        with pytest.raises(KeyboardInterrupt):
            env.get_wrapper_attr("prefetch")(actions)
        assert len(read_trials(journal)) == 2
        env.get_wrapper_attr("prefetch")(actions)
        assert len(trained) == 4 and len(read_trials(journal)) == 3
        assert [env.step(action)[1] for action in actions] == [step[1] for step in expected[1:]]

    def test_another_action_than_the_prefetched_one_is_refused(self, make, actions):
        env = make()
        env.reset(seed=0)
        env.get_wrapper_attr("prefetch")(actions[:2])
        with pytest.raises(ValueError, match="the next prefetched action is"):
            env.step(actions[1])
        assert env.step(actions[0])[4]["failure"] == ""

    def test_reset_forgets_what_was_prefetched(self, make, actions):
        env = make()
        env.reset(seed=0)
        env.get_wrapper_attr("prefetch")(actions[:2])
        env.reset(seed=1)
        assert env.step(actions[2])[4]["failure"] == ""

    def test_it_asks_for_a_reset_and_for_actions_of_the_right_shape(self, make, actions):
        env = make()
        with pytest.raises(ResetNeeded, match="before prefetch"):
            env.get_wrapper_attr("prefetch")(actions)
        env.reset(seed=0)
        with pytest.raises(ValueError, match=r"expected \(K, 20\)"):
            env.get_wrapper_attr("prefetch")(actions[:2, :5])
        for wrong in (actions[0], 3):
            with pytest.raises(ValueError, match=r"expected \(K, 20\)"):
                env.get_wrapper_attr("prefetch")(wrong)

    def test_children_are_told_as_they_are_known_and_stepped_then(self, make, actions):
        env, again = (make(evaluator=Shuffling()) for _ in range(2))
        env.reset(seed=0)
        told = []
        for index in env.get_wrapper_attr("prefetch_as_completed")(iter(actions), 2):
            origin, _, _, _, info = env.step(actions[index])
            np.testing.assert_array_equal(origin, env.unwrapped.decoder.decode(actions[index][None])[0])
            told.append((index, info["architecture_key"]))
        again.reset(seed=0)
        assert sorted(told) == [
            (index, again.step(action)[4]["architecture_key"]) for index, action in enumerate(actions)
        ]

    @pytest.mark.parametrize("instead", [lambda env: None, lambda env: env.reset(seed=1)])
    def test_what_was_told_is_stepped_before_the_next_one_is_asked_for(self, make, actions, instead):
        env = make(evaluator=Shuffling())
        env.reset(seed=0)
        coming = env.get_wrapper_attr("prefetch_as_completed")(actions, 2)
        next(coming)
        instead(env)
        with pytest.raises(ValueError, match="was told and not stepped; step each action before"):
            next(coming)

    def test_children_as_they_are_known_need_a_reset_and_right_arguments(self, make, actions):
        env = make(evaluator=Shuffling())
        as_completed = env.get_wrapper_attr("prefetch_as_completed")
        with pytest.raises(ResetNeeded, match="before prefetch_as_completed"):
            next(as_completed(actions, 2))
        env.reset(seed=0)
        with pytest.raises(ValueError, match="ahead is 0; expected a number of children, at least 1"):
            next(as_completed(actions, 0))
        with pytest.raises(ValueError, match=r"expected \(20,\)"):
            next(as_completed([actions[0][:5]], 2))


class TestRepeats:
    def test_repeat_is_cached_until_the_next_reset(self, make, actions):
        env = make()
        env.reset(seed=0)
        first, second, other = (env.step(actions[i]) for i in (0, 0, 1))
        assert [step[4]["cached"] for step in (first, second, other)] == [False, True, False]
        assert second[1] == first[1]
        assert second[4] | {"cached": False} == first[4]
        env.reset()
        assert env.step(actions[0])[4]["cached"] is False

    def test_repeat_is_not_trained_again(self, make, actions, monkeypatch):
        env = make()
        env.reset(seed=0)
        env.step(actions[0])
        monkeypatch.setattr(ChildTraining, "_evaluate", None)
        env.step(actions[0])
        assert env.unwrapped.evaluation.seconds == 0

    def test_another_action_that_means_the_same_network_is_a_repeat(self, make, convolutions):
        env = make(decoder="identity")
        env.reset(seed=0)
        moved = convolutions.copy()
        moved[0] *= 0.95  # filters of layer 1: 9.5 instead of 10 tens, rounded up
        first, second = env.step(convolutions), env.step(moved)
        assert not np.array_equal(first[0], second[0])
        assert second[4] == first[4] | {"cached": True}
        assert second[1] == first[1]

    def test_same_architecture_is_trained_anew_in_the_next_episode(self, make, actions):
        env = make()
        losses = []
        for seed in (0, None):
            env.reset(seed=seed)
            env.step(actions[0])
            losses.append(env.unwrapped.evaluation.epochs[0]["loss"])
        assert losses[0] != losses[1]


class TestFailures:
    @pytest.mark.parametrize("reward", ["eq1", "validation"])
    def test_child_over_a_limit_gets_the_lowest_reward_and_the_search_goes_on(
        self, reward, make, tiny, convolutions, pools
    ):
        env = make(decoder="identity", reward=reward, protocol=tiny | {"max_parameters": 20_000})
        env.reset(seed=0)
        for expected_cached in (False, True):
            observation, lowest, terminated, truncated, info = env.step(convolutions)
            assert (lowest, terminated, truncated) == (-1.0, False, False)
            assert info["failure"] == "too_many_parameters"
            assert info["parameters"] > 20_000
            assert info["train_accuracy"] == info["validation_accuracy"] == 0.0
            assert info["cached"] is expected_cached
            np.testing.assert_array_equal(observation, np.float32(30) * convolutions)
        _, trained, _, _, info = env.step(pools)
        assert info["failure"] == ""
        assert info["parameters"] < 20_000
        assert trained > -1

    def test_no_child_is_small_enough_for_one_parameter(self, make, tiny, actions):
        env = make(protocol=tiny | {"max_parameters": 1})
        env.reset(seed=0)
        for action in actions:
            _, reward, _, _, info = env.step(action)
            assert (reward, info["failure"], info["cached"]) == (-1.0, "too_many_parameters", False)

    def test_child_that_diverges_is_a_failure(self, make, tiny, actions):
        env = make(protocol=tiny | {"learning_rate": 1e38, "epochs": 2})
        env.reset(seed=0)
        _, reward, _, _, info = env.step(actions[0])
        assert (reward, info["failure"]) == (-1.0, "nan")
        assert info["train_accuracy"] == info["validation_accuracy"] == 0.0

    def test_child_that_runs_out_of_memory_is_a_failure_and_the_next_one_is_trained(self, make, actions, monkeypatch):
        def out_of_memory(self):
            raise torch.OutOfMemoryError("CUDA out of memory")

        env = make()
        env.reset(seed=0)
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "train_epoch", out_of_memory)
            _, reward, _, _, info = env.step(actions[0])
        assert (reward, info["failure"]) == (-1.0, "out_of_memory")
        assert info["parameters"] > 0
        assert env.step(actions[1])[4]["failure"] == ""

    def test_programming_error_is_no_failure_of_a_child(self, make, actions, monkeypatch):
        def wrong(self):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

        env = make()
        env.reset(seed=0)
        monkeypatch.setattr(Trainer, "train_epoch", wrong)
        with pytest.raises(RuntimeError, match="mat1 and mat2"):
            env.step(actions[0])


class TestReset:
    def test_nothing_is_trained(self, make, monkeypatch):
        monkeypatch.setattr(NASESEnv, "pipeline", None)
        env = make().unwrapped
        origin, info = env.reset(seed=0)
        assert origin in env.observation_space
        assert info == {"architecture": str(env.architecture), "architecture_key": key_of(env.space, origin)}

    def test_last_child_is_forgotten(self, make, actions):
        env = make().unwrapped
        env.reset(seed=0)
        env.step(actions[0])
        assert env.evaluation is not None
        _, info = env.reset()
        assert env.evaluation is None
        assert env.architecture.key == info["architecture_key"]

    def test_empty_options_are_no_options(self, make):
        env = make()
        np.testing.assert_array_equal(env.reset(seed=0, options={})[0], env.reset(seed=0)[0])

    @pytest.mark.parametrize("as_list", [False, True])
    def test_sixty_numbers_are_the_observation(self, as_list, make):
        env = make()
        numbers = np.linspace(0, 30, 60, dtype=np.float32)
        observation, info = env.reset(seed=0, options={"architecture": numbers.tolist() if as_list else numbers})
        assert observation in env.observation_space
        np.testing.assert_array_equal(observation, numbers)
        assert info["architecture_key"] == key_of(env.unwrapped.space, numbers)

    def test_given_numbers_and_observation_are_not_the_same_array(self, make):
        numbers = np.full(60, 10, np.float32)
        observation, _ = make().reset(seed=0, options={"architecture": numbers})
        observation[:] = 0
        np.testing.assert_array_equal(numbers, 10)

    @pytest.mark.parametrize("rules", ["paper", "published"])
    def test_json_of_an_architecture_gives_an_observation_that_means_it(self, rules, make, actions):
        env = make(rules=rules)
        env.reset(seed=0)
        env.step(actions[0])
        for architecture in [env.unwrapped.architecture] + [MacroArchitecture.published()] * (rules == "published"):
            observation, info = env.reset(seed=1, options={"architecture": architecture.to_json()})
            assert observation in env.observation_space
            assert key_of(env.unwrapped.space, observation) == info["architecture_key"] == architecture.key
            assert env.unwrapped.architecture == architecture

    def test_given_architecture_leaves_the_seeds_of_children_and_episodes_alone(self, make, actions):
        drawn, given = make(), make()
        drawn.reset(seed=4)
        given.reset(seed=4, options={"architecture": np.full(60, 10.0)})
        assert drawn.step(actions[0])[1:] == given.step(actions[0])[1:]
        np.testing.assert_array_equal(drawn.reset()[0], given.reset()[0])

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"architectures": [0.0] * 60}, "no options.*'architectures'.*has 'architecture'"),
            ({"architecture": [0.0] * 59}, "expected 60 numbers"),
            ({"architecture": [[0.0] * 60] * 2}, "expected 60 numbers"),
            ({"architecture": [31.0] * 60}, r"in \[0, 30\].*31"),
            ({"architecture": [-0.5] * 60}, r"in \[0, 30\].*-0.5"),
            ({"architecture": [math.nan] * 60}, r"in \[0, 30\].*nan"),
            ({"architecture": "{not json"}, "not a macro architecture.*{not json.*to_json"),
            ({"architecture": NO_LAYERS}, "not a macro architecture.*0 layers"),
            ({"architecture": MacroArchitecture.published().to_json()}, "'published' rules.*'paper' rules"),
        ],
    )  # fmt: skip
    def test_what_is_no_architecture_is_refused_with_words_that_help(self, options, words, make):
        with pytest.raises(ValueError, match=f"(?s){words}"):
            make().reset(seed=0, options=options)

    def test_architecture_itself_sets_the_vector(self, make):
        env = make()
        _, info = env.reset(seed=1)
        observation, again = env.reset(seed=2, options={"architecture": env.unwrapped.architecture})
        assert again == info
        assert env.observation_space.contains(observation)

    def test_refused_reset_changes_nothing(self, make, actions):
        refused, twin = make(), make()
        for env in (refused, twin):
            env.reset(seed=1)
            env.step(actions[0])
        with pytest.raises(ValueError, match="not a macro architecture"):
            refused.reset(options={"architecture": "junk"})
        for env in (refused, twin):
            env.step(actions[1])
        assert refused.unwrapped.evaluation.epochs == twin.unwrapped.evaluation.epochs

    def test_closing_ends_the_search(self, make, actions):
        env = make()
        env.reset(seed=1)
        env.step(actions[0])
        env.unwrapped.close()
        with pytest.raises(ResetNeeded):
            env.unwrapped.step(actions[0])


@pytest.mark.parametrize("space", ["macro", "micro"])
def test_child_of_the_largest_numbers_that_a_protocol_takes_is_over_a_limit(space, make, tiny):
    fields = (
        "width", "added_filters", "cell_filters", "stage_cells", "width_multiple", "channel_multiple", "crop_padding",
        "batch_size", "learning_rate", "weight_decay", "momentum", "drop_path", "auxiliary_weight", "split_seed",
        "start_seconds", "max_seconds", "hang_seconds", "crash_retries",
    )  # fmt: skip
    largest = {name: RANGES[name].highest for name in fields}
    env = make(space=space, decoder="identity", protocol=tiny | largest | {"max_parameters": 10**6})
    env.reset(seed=0)
    for number in (0.1, 0.3, 1.0):
        _, reward, _, _, info = env.step(np.full(env.action_space.shape, number, np.float32))
        assert (reward, info["failure"]) == (-1.0, "too_many_parameters")
        side = RANGES["image_size"].highest / 8  # digits have 8 pixels
        assert info["flops"] * side**2 < 2**63


class TestOrder:
    def test_step_before_reset_asks_for_reset(self, make, actions):
        env = make()
        with pytest.raises(ResetNeeded):
            env.step(actions[0])
        with pytest.raises(ResetNeeded, match=r"reset\(\) before step\(\)"):
            env.unwrapped.step(actions[0])

    @pytest.mark.parametrize("mode", ["ansi", "rgb_array"])
    def test_render_before_reset_asks_for_reset(self, mode, make):
        env = make(render_mode=mode)
        with pytest.raises(ResetNeeded):
            env.render()
        with pytest.raises(ResetNeeded, match=r"reset\(\) before render\(\)"):
            env.unwrapped.render()

    def test_closing_twice_is_fine_before_and_after_a_step(self, make, actions):
        unused, used = make(), make()
        used.reset(seed=0)
        used.step(actions[0])
        for env in (unused, unused, used, used):
            env.close()


class TestActions:
    @pytest.mark.parametrize("shape", [(19,), (60,), (1, 20), ()])
    def test_wrong_shape_is_shown_beside_the_expected_one(self, shape, make):
        env = make().unwrapped
        env.reset(seed=0)
        with pytest.raises(ValueError, match=rf"{re.escape(str(shape))}.*expected \(20,\).*0\.25"):
            env.step(np.full(shape, 0.25, np.float32))

    @pytest.mark.parametrize(
        ("number", "shown"), [(math.nan, "nan"), (math.inf, "inf"), (1.5, r"1\.5"), (-0.25, r"-0\.25")]
    )
    def test_number_outside_the_box_is_shown(self, number, shown, make):
        env = make().unwrapped
        env.reset(seed=0)
        action = np.full(20, 0.5, np.float32)
        action[7] = number
        with pytest.raises(ValueError, match=rf"(?s)in \[0, 1\].*{shown}"):
            env.step(action)

    def test_refused_action_changes_nothing(self, make, actions):
        env, other = make(render_mode="ansi"), make(render_mode="ansi")
        for each in (env, other):
            each.reset(seed=0)
        with pytest.raises(ValueError, match="shape"):
            env.unwrapped.step(np.zeros(3))
        with pytest.raises(ValueError, match="nan"):
            env.unwrapped.step(np.full(20, np.nan))
        assert env.render() == other.render()
        assert env.step(actions[0])[1:] == other.step(actions[0])[1:]

    @pytest.mark.parametrize("corner", [0.0, 1.0])
    def test_corners_of_the_box_are_actions(self, corner, make):
        env = make(decoder="identity")
        env.reset(seed=0)
        observation = env.step(np.full(60, corner, np.float32))[0]
        np.testing.assert_array_equal(observation, 30 * corner)

    def test_action_outside_by_rounding_is_put_on_the_border(self, make, tmp_path):
        journal = tmp_path / "journal.log"
        env = make(decoder="identity", ledger=str(journal)).unwrapped
        env.reset(seed=0)
        exact = np.tile(np.array([0.0, 1.0, 0.5], np.float64), 20)
        expected = env.step(exact)
        for error in (1e-7, 9e-7):
            outside = exact + np.tile([-error, error, 0.0], 20)
            observation, _, _, _, info = env.step(outside)
            np.testing.assert_array_equal(observation, expected[0])
            assert info == expected[4] | {"cached": True}
        first, *others = (trial.params for trial in read_trials(journal))
        assert others == [first] * 2
        for error in (-2e-6, 2e-6):
            with pytest.raises(ValueError, match=r"in \[0, 1\]; got"):
                env.step(np.where(exact == 0.5, 0.5, np.sign(error) > 0) + error)

    @pytest.mark.parametrize("requires_grad", [False, True])
    def test_tensors_are_actions_with_and_without_gradients(self, requires_grad, make, actions):
        env = make().unwrapped
        env.reset(seed=0)
        expected = env.step(actions[0])
        for action in (torch.tensor(actions[0]), torch.tensor(actions[0], dtype=torch.float64)):
            assert env.step(action.requires_grad_(requires_grad))[4] == expected[4] | {"cached": True}

    @pytest.mark.parametrize("action", [[[0.5], [0.5, 0.5]], "half", None, [None] * 20, [torch.ones(2)] * 3, object()])
    def test_what_is_no_action_is_refused_in_words(self, action, make):
        env = make().unwrapped
        env.reset(seed=0)
        with pytest.raises(ValueError, match="the numbers of an action (have|are)"):
            env.step(action)
        with pytest.raises(ValueError, match="the actions (have|are)"):
            env.prefetch(action)

    def test_lists_and_double_precision_are_actions(self, make, actions):
        env = make().unwrapped
        env.reset(seed=0)
        expected = env.step(actions[0])
        for action in (actions[0].tolist(), actions[0].astype(np.float64)):
            assert env.step(action)[4] == expected[4] | {"cached": True}


class TestRender:
    def test_text_names_every_layers_operation(self, make, actions):
        env = make(render_mode="ansi")
        env.reset(seed=0)
        for action in (None, *actions[:2]):
            if action is not None:
                env.step(action)
            text = env.render()
            assert type(text) is str
            lines = {int(line.split()[0]): line for line in text.splitlines() if line.split()[0].isdigit()}
            assert sorted(lines) == list(range(1, 16))
            for number, layer in enumerate(env.unwrapped.architecture.layers, start=1):
                assert layer.operation.replace("_", " ") in lines[number]

    def test_picture_is_drawn_after_reset_and_after_step(self, make, actions):
        env = make(render_mode="rgb_array")
        env.reset(seed=0)
        pictures, architectures = [env.render()], [env.unwrapped.architecture]
        env.step(actions[0])
        pictures.append(env.render())
        architectures.append(env.unwrapped.architecture)
        assert architectures[0] != architectures[1]
        for picture, architecture in zip(pictures, architectures, strict=True):
            assert picture.dtype == np.uint8
            assert picture.ndim == 3
            assert picture.shape[2] == 3
            np.testing.assert_array_equal(picture, rendering.picture(architecture))

    def test_without_a_mode_nothing_is_shown_and_the_reason_told(self, make):
        env = make().unwrapped
        env.reset(seed=0)
        with pytest.warns(UserWarning, match="render_mode"):
            assert env.render() is None


class TestPickling:
    def test_every_argument_is_kept(self, tiny):
        arguments = {
            "dataset": "cifar10", "data_dir": "somewhere", "protocol": tiny, "space": "macro", "rules": "published",
            "decoder": "random", "calibration": "output", "reward": "validation", "device": "cpu", "ledger": "journal",
            "reuse": ["other"], "workers": 2, "render_mode": "rgb_array", "evaluator": "training", "surrogate": None,
            "noise": False, "executor": "processes:2",
        }  # fmt: skip
        assert arguments.keys() == inspect.signature(NASESEnv).parameters.keys()
        env, default = NASESEnv(**arguments), NASESEnv()
        twin = pickle.loads(pickle.dumps(env))

        def kept(env):
            return {
                "rules": env.space.rules_name,
                "decoder": type(env.decoder),
                "calibration": env.decoder._output_table is None,
                "ledger": env._ledger_arguments,
            } | {
                name: getattr(env, name)
                for name in ("dataset", "data_dir", "protocol", "device", "reward_function", "render_mode")
            }  # fmt: skip

        assert kept(twin) == kept(env)
        assert all(kept(env)[name] != value for name, value in kept(default).items())


class TestArguments:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ({"protocol": "digitz"}, "'digitz'.*digits.*cifar10-mini"),
            ({"protocol": {"epochs": 1}}, "preset None.*digits"),
            ({"protocol": {"preset": "digits", "epoch": 1}}, r"\['epoch'\].*'epochs'"),
            ({"protocol": {"preset": "digits", "epochs": 0}}, "epochs is 0.*whole number from 1"),
            ({"protocol": {"preset": "digits", "width": 0}}, "width is 0.*above 0"),
            ({"protocol": {"preset": "digits", "learning_rate": 0.0}}, "learning_rate.*0.0"),
            ({"dataset": "mnist"}, "'mnist'.*cifar10, digits or imagefolder:PATH"),
            ({"space": "nano"}, "'nano'.*macro, micro"),
            ({"rules": "printed"}, "'printed'.*'paper'.*'published'"),
            ({"decoder": "vae"}, "'vae'.*'autoencoder'.*'identity'"),
            ({"calibration": "input"}, "'input'.*'output'.*'both'"),
            ({"reward": "speed"}, "'speed'.*'eq1'.*'validation'"),
            ({"render_mode": "human"}, "'human'.*'ansi'.*'rgb_array'"),
            ({"reuse": ["other/journal.log"]}, "reuse.*set ledger"),
        ],
    )
    def test_value_that_does_not_exist_is_refused_by_the_constructor_with_those_that_do(self, arguments, words):
        with pytest.raises(ValueError, match=words):
            NASESEnv(**arguments)

    def test_unknown_render_mode_is_refused_by_make(self, make):
        with pytest.warns(UserWarning, match="svg"), pytest.raises(ValueError, match="'svg'.*'ansi'.*'rgb_array'"):
            make(render_mode="svg")

    def test_final_protocol_is_refused_at_the_first_step_with_the_script_it_is_for(self, make, actions):
        env = make(protocol="digits-final")
        env.reset(seed=0)
        with pytest.raises(ValueError, match="'digits-final'.*nases train-final"):
            env.step(actions[0])

    def test_missing_cifar10_is_named_with_its_folder_and_the_fix(self, make, actions, tmp_path, monkeypatch):
        def no_network(*args, **kwargs):
            raise OSError("no route to host")

        monkeypatch.setattr("torchvision.datasets.CIFAR10", no_network)
        env = make("NASES-CIFAR10-v0", data_dir=str(tmp_path), protocol="v1-search")
        env.reset(seed=0)
        with pytest.raises(FileNotFoundError) as error:
            env.step(actions[0])
        for words in (str(tmp_path), "no route to host", "cifar-10-python.tar.gz", "data_dir", "imagefolder:PATH"):
            assert words in str(error.value)


class TestPreparing:
    def test_data_are_read_before_the_first_step_and_no_journal_is_opened(self, make, actions, tmp_path, monkeypatch):
        env = make(ledger=str(tmp_path / "journal.log"))
        env.get_wrapper_attr("prepare")()
        assert not (tmp_path / "journal.log").exists()
        monkeypatch.setattr("nases_env.children.datasets.load", None)
        env.reset(seed=0)
        assert env.step(actions[0])[4]["failure"] == ""

    def test_errors_in_what_is_read_come_at_once(self, make, tmp_path):
        with pytest.raises(FileNotFoundError, match="there are no images in"):
            make("NASES-v0", dataset=f"imagefolder:{tmp_path}").get_wrapper_attr("prepare")()
        with pytest.raises(ValueError, match="'digits-final'.*nases train-final"):
            make(protocol="digits-final").get_wrapper_attr("prepare")()
        with pytest.raises(ValueError, match="device 'x' cannot be used here"):
            make(device="x").get_wrapper_attr("prepare")()

    def test_a_search_is_the_same_with_it(self, make, actions):
        prepared = make()
        prepared.get_wrapper_attr("prepare")()
        assert transitions(prepared, actions[:1], seed=1) == transitions(make(), actions[:1], seed=1)

    def test_workers_are_not_started_by_it(self, make):
        env = make(workers=2).unwrapped
        env.prepare()
        assert env.pipeline.evaluator.executor._pool is None


class TestJournal:
    def test_search_resumed_from_its_journal_is_equal_and_trains_nothing(self, make, actions, tmp_path, monkeypatch):
        journal = str(tmp_path / "run" / "journal.log")
        walk = actions[[0, 1, 0]]
        env = make(ledger=journal)
        first = transitions(env, walk, seed=3) + transitions(env, walk[:1], seed=4)
        env.close()
        monkeypatch.setattr(ChildTraining, "_evaluate", None)
        again = make(ledger=journal)
        assert transitions(again, walk, seed=3) + transitions(again, walk[:1], seed=4) == first

    def test_search_resumed_with_another_seed_is_refused(self, make, actions, tmp_path):
        journal = str(tmp_path / "journal.log")
        env = make(ledger=journal)
        transitions(env, actions[:1], seed=3)
        env.close()
        with pytest.raises(ValueError, match="holds child 0"):
            transitions(make(ledger=journal), actions[:1], seed=4)

    def test_reused_journal_saves_the_training_and_is_no_repeat(self, make, actions, tmp_path, monkeypatch):
        env = make(ledger=str(tmp_path / "one.log"))
        first = transitions(env, actions[:1], seed=3)
        env.close()
        monkeypatch.setattr(ChildTraining, "_evaluate", None)
        other = make(ledger=str(tmp_path / "other.log"), reuse=[str(tmp_path / "one.log")])
        assert transitions(other, actions[:1], seed=3) == first
        assert other.unwrapped.evaluation.seconds == 0

    def test_search_in_memory_leaves_no_file_and_loads_no_optuna(self, elsewhere):
        assert not elsewhere["optuna"]
        assert elsewhere["files"] == []


def test_agents_reach_space_and_decoder_through_wrappers(make):
    env = make(max_episode_steps=3)
    assert env is not env.unwrapped
    assert env.get_wrapper_attr("space") is env.unwrapped.space
    assert env.get_wrapper_attr("decoder") is env.unwrapped.decoder
