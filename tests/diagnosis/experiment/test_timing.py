"""Times of variants, with a clock of our own: medians of rounds in turn, and nothing where they cannot be told."""

from types import SimpleNamespace

import pytest

from preproc.diagnosis.experiment import timing
from preproc.diagnosis.experiment.plan import read_plan
from preproc.diagnosis.experiment.running import Running


@pytest.fixture
def running(recipe):
    return Running(read_plan(recipe, None, resized=False))


@pytest.fixture
def picture(pictures):
    return pictures / "red" / "0.png"


class Clock:
    """Each network takes what `seconds` says of its round, and nothing else takes any time."""

    def __init__(self, running, monkeypatch, seconds, *, rounds=9):
        self.now, self.order, self.count = 0.0, [], len(running.plan.variants)
        monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: self.now))
        monkeypatch.setattr(timing, "FEWEST", rounds)
        self.real, self.seconds = timing._once, seconds
        running.networks = [lambda _: self.go()]
        running.prepare = lambda steps, _: steps
        self.plan = running.plan

        def once(running, variant, picture):
            self.order.append(variant)
            return self.real(running, variant, picture)

        monkeypatch.setattr(timing, "_once", once)

    def go(self):
        place, number = self.plan.variants.index(self.order[-1]), (len(self.order) - 1) // self.count
        self.now += self.seconds(place, number)

    def rounds(self):
        return [self.order[start : start + self.count] for start in range(0, len(self.order), self.count)]


def test_every_round_has_all_variants_each_in_another_order(running, picture, monkeypatch):
    clock = Clock(running, monkeypatch, lambda *_: 0.001)
    timing.costs(running, [picture])
    assert len(clock.rounds()) == 9
    assert all(sorted(each, key=running.plan.variants.index) == list(running.plan.variants) for each in clock.rounds())
    assert len({tuple(variant.name for variant in each) for each in clock.rounds()}) == 9


def test_a_median_is_told_with_what_half_of_the_rounds_lie_in_and_the_first_is_not_counted(running, picture, monkeypatch):
    """Rounds of 1 to 8 thousandths more than 20, of which half lie within 22.75 and 26.25; one of a second, in the round of no count."""
    Clock(running, monkeypatch, lambda _, number: 1.0 if number == 0 else 0.020 + 0.001 * number)
    took = timing.costs(running, [picture])[0].took
    assert (took.prepare, took.total) == (0, pytest.approx(24.5))
    assert took.within == (pytest.approx(22.75), pytest.approx(26.25))
    assert took.words() == ("24", "23 to 26")


def test_one_slow_round_moves_nothing(running, picture, monkeypatch):
    Clock(running, monkeypatch, lambda _, number: 5.0 if number == 4 else 0.002)
    assert all(
        each.took.total == pytest.approx(2) and each.took.words() == ("2.00", "2.00 to 2.00") for each in timing.costs(running, [picture])
    )


def test_what_differs_by_too_much_is_not_told(running, picture, monkeypatch):
    """The second variant alone: every second round takes thrice as long."""
    Clock(running, monkeypatch, lambda place, number: 0.002 if place != 1 or number % 2 else 0.006)
    found = timing.costs(running, [picture])
    assert found[1].took is None
    assert all(each.took is not None for place, each in enumerate(found) if place != 1)


def test_slow_networks_have_the_fewest_rounds_that_tell(running, picture, monkeypatch):
    clock = Clock(running, monkeypatch, lambda *_: 2.0, rounds=3)
    monkeypatch.setattr(timing, "SECONDS", 8.0)
    timing.costs(running, [picture])
    assert len(clock.rounds()) == 3
