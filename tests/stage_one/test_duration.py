"""Minutes become steps."""

from nases_env.stage_one import duration
from nases_env.stage_one.settings import PretrainingSettings


def test_minutes_become_steps_of_all_phases(monkeypatch):
    # A tenth of a second a step in either phase.
    clock = iter([0.0, 2.0, 10.0, 12.0])
    monkeypatch.setattr(duration.time, "perf_counter", lambda: next(clock))
    settings = PretrainingSettings(steps=9, finetune_steps=3, batch_size=2)
    fitted = duration.fit_minutes(settings, 1.0, "cpu")
    assert (fitted.steps, fitted.finetune_steps) == (450, 150)
