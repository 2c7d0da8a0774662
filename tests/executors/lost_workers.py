"""What executors promise whose workers may die; each of them has a `pool` of two workers that give up soon."""

from nases_env.evaluation import Evaluation
from nases_env.executors import Job

OTHERS = [Job("a", 1), Job("a", 2), Job("a", 3)]
FOUND = [Evaluation(parameters=seed) for seed in (1, 2, 3)]


def run(executor, jobs=OTHERS):
    found = dict(executor.run(jobs))
    assert len(found) == len(jobs)
    return [found[index] for index in range(len(jobs))]


class LostWorkers:
    def test_a_job_whose_worker_dies_once_is_tried_again(self, pool, tmp_path):
        (tmp_path / "once").touch()
        assert run(pool, [Job(f"killed {tmp_path}", 7), *OTHERS]) == [Evaluation(parameters=7), *FOUND]
        assert list(tmp_path.iterdir()) == []

    def test_a_job_whose_workers_die_is_a_crash_and_the_others_are_done(self, pool):
        assert run(pool, [Job("killed", 7), *OTHERS]) == ["crash", *FOUND]

    def test_a_job_whose_worker_does_not_answer_is_a_timeout_and_the_others_are_done(self, pool):
        assert run(pool, [Job("hangs", 7), *OTHERS]) == ["timeout", *FOUND]
