"""The walk that the engines share: chunks that workers die of come again, are split, and end as one file that is told."""

import contextlib

import pytest

from preproc.stats.counting import Tally
from preproc.stats.engines.walk import walk
from preproc.stats.places import Place


class Workers(contextlib.AbstractContextManager):
    """So many workers, which die of the files with those names, as often as is said."""

    deadly = "died"

    def __init__(self, number, deaths, tries):
        self.number, self.deaths, self.tries = number, dict(deaths), tries
        self.tasks, self.given, self.ended = [], [], False

    def __exit__(self, *_):
        self.ended = True

    def idle(self):
        return len(self.tasks) < self.number

    def busy(self):
        return bool(self.tasks)

    def give(self, task):
        assert self.idle()
        self.tasks.append(task)
        self.given.append("".join(place.name for place in task.places))

    def answers(self):
        task = self.tasks.pop(0)
        killer = next((place.name for place in task.places if self.deaths.get(place.name)), None)
        if killer is not None:
            self.deaths[killer] -= 1
        yield task, None if killer else Tally()


def places(names):
    return [Place(name) for name in names]


@pytest.mark.parametrize(
    ("tries", "deaths", "given", "broken"),
    [
        (2, {}, ["abc", "de"], []),
        (2, {"b": 1}, ["abc", "de", "abc"], []),
        (2, {"b": 2}, ["abc", "de", "abc", "a", "b", "c"], []),
        (2, {"b": 3}, ["abc", "de", "abc", "a", "b", "c", "b"], []),
        (2, {"b": 9}, ["abc", "de", "abc", "a", "b", "c", "b"], ["b"]),
        (1, {"b": 1}, ["abc", "de", "a", "b", "c"], []),
        (1, {"b": 9, "e": 9}, ["abc", "de", "a", "b", "c", "d", "e"], ["b", "e"]),
    ],
)
@pytest.mark.parametrize("number", [1, 9])
def test_what_becomes_of_a_chunk(tries, deaths, given, broken, number):
    workers = Workers(number, deaths, tries)
    answers = list(walk(map(places, ("abc", "de")), workers))
    assert sorted(workers.given) == sorted(given)
    assert sorted(place.name for _, done in answers for place in done) == list("abcde")
    assert [entry for tally, _ in answers for entry in tally.remarks.broken] == [(name, "died") for name in broken]
    assert workers.ended


def test_a_walk_that_is_closed_ends_its_workers():
    workers = Workers(1, {}, 2)
    with contextlib.closing(walk(map(places, ("a", "b")), workers)) as answers:
        next(answers)
    assert workers.ended
    assert workers.given == ["a"]
