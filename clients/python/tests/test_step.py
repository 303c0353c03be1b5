"""The time that a step of a handshake may take: section 9.5 of PROTOCOL.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pairlay.role import Step


class _Timer:
    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at, self.call, self.cancelled = at, call, False

    def cancel(self) -> None:
        self.cancelled = True


class _Clock:
    """A loop whose time is moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[_Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None]) -> _Timer:
        self._timers.append(_Timer(self.now + seconds, call))
        return self._timers[-1]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [t for t in self._timers if t.at <= self.now and not t.cancelled]:
            timer.cancelled = True
            timer.call()


def begun(monkeypatch: pytest.MonkeyPatch) -> tuple[_Clock, Step, list[float]]:
    clock, late = _Clock(), list[float]()
    monkeypatch.setattr("asyncio.get_running_loop", lambda: clock)
    return clock, Step(lambda: late.append(clock.now)), late


def test_only_time_with_both_devices_there_counts_towards_20_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, step, late = begun(monkeypatch)
    step.presence(True)
    clock.advance(15)
    step.presence(False)
    clock.advance(30)
    step.presence(True)
    clock.advance(4)
    assert late == []
    clock.advance(1)
    assert late == [50]


def test_a_step_takes_60_seconds_at_most_and_nothing_when_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, step, late = begun(monkeypatch)
    clock.advance(60)
    assert late == [60]
    clock, step, late = begun(monkeypatch)
    step.presence(True)
    step.over()
    clock.advance(100)
    assert late == []
