import numpy as np
import pytest

from agents import Proposal
from agents.trace import Trace


@pytest.fixture
def trace(closed_form):
    env = closed_form()
    env.prefetched = []
    env.prefetch = env.prefetched.append
    return Trace(env, 3)


def _proposals(*sources):
    return [Proposal(np.full(20, i / 10, dtype=np.float32), source) for i, source in enumerate(sources)]


def test_children_are_built_in_the_order_of_their_proposals(trace):
    proposals = _proposals("one", "two", "three")
    rewards, next_states = trace.build(proposals)
    actions = np.stack([proposal.action for proposal in proposals])
    np.testing.assert_array_equal(rewards, actions.mean(axis=1))
    np.testing.assert_array_equal(next_states, trace.env.decoder.decode(actions))
    assert [(row["source"], row["reward"]) for row in trace.rows] == list(
        zip(("one", "two", "three"), rewards, strict=True)
    )


def test_it_knows_every_child_by_its_index(trace):
    _, next_states = trace.build(_proposals("one", "two", "three"))
    np.testing.assert_array_equal(trace.origins, next_states)
    child = trace.child(1)
    assert (child.step, child.reward) == (1, trace.rows[1]["reward"])
    assert child.architecture.key == trace.rows[1]["architecture_key"]


def test_several_are_prefetched_together_and_one_is_not(trace):
    proposals = _proposals("one", "two", "three")
    trace.build(proposals[:1])
    trace.build(proposals[1:])
    (prefetched,) = trace.env.prefetched
    np.testing.assert_array_equal(prefetched, np.stack([proposal.action for proposal in proposals[1:]]))


def test_a_step_without_a_proposal_has_the_source_that_was_set(trace):
    action = np.full(20, 0.5, dtype=np.float32)
    trace.step(action)
    trace.default_source = "ppo"
    trace.step(action)
    trace.build(_proposals("one"))
    assert [row["source"] for row in trace.rows] == ["", "ppo", "one"]


def test_proposals_beyond_the_budget_are_refused_before_any_is_built(trace):
    trace.build(_proposals("one"))
    with pytest.raises(RuntimeError, match="budget of 3 children has 2 left, too few to build 3 more"):
        trace.build(_proposals("one", "two", "three"))
    assert trace.steps == 1 and not trace.env.prefetched


def test_no_proposals_are_refused(trace):
    with pytest.raises(ValueError, match="no proposals to build"):
        trace.build([])


def test_children_are_recorded_as_they_are_known(trace):
    proposals = _proposals("one", "two", "three")

    def last_first(actions, ahead):
        assert ahead == 3 and len(list(actions)) == 3
        yield from (2, 1, 0)

    trace.env.prefetch_as_completed = last_first
    built = list(trace.build_as_completed(iter(proposals), 3))
    assert [proposal.source for proposal, *_ in built] == ["three", "two", "one"]
    assert [row["source"] for row in trace.rows] == ["three", "two", "one"]
    for proposal, reward, origin in built:
        assert reward == proposal.action.mean()
        np.testing.assert_array_equal(origin, trace.env.decoder.decode(proposal.action[None])[0])


def test_children_beyond_the_budget_are_refused_before_they_are_in_flight(trace):
    trace.env.prefetch_as_completed = lambda actions, ahead: iter([len(list(actions))])
    trace.build(_proposals("one"))
    building = trace.build_as_completed(iter(_proposals("two", "three", "four")), 3)
    with pytest.raises(RuntimeError, match="budget of 3 children has 2 left, too few to build 3 more"):
        next(building)
    assert trace.steps == 1
