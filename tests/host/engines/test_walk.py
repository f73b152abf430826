"""The walk that the engines share: chunks that workers die of come again, are split, and end as one item that is told."""

import contextlib

import pytest

from preproc.host.engines.walk import Lost, walk


class Workers(contextlib.AbstractContextManager):
    """So many workers, which die of those items, as often as is said."""

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
        self.given.append("".join(task.items))

    def answers(self):
        task = self.tasks.pop(0)
        killer = next((item for item in task.items if self.deaths.get(item)), None)
        if killer is not None:
            self.deaths[killer] -= 1
        yield task, None if killer else {}


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
    answers = list(walk(map(list, ("abc", "de")), workers))
    assert sorted(workers.given) == sorted(given)
    assert sorted(item for _, done in answers for item in done) == list("abcde")
    lost = [(item, answer.reason) for answer, done in answers if isinstance(answer, Lost) for item in done]
    assert lost == [(name, "died") for name in broken]
    assert workers.ended


def test_a_walk_that_is_closed_ends_its_workers():
    workers = Workers(1, {}, 2)
    with contextlib.closing(walk(map(list, ("a", "b")), workers)) as answers:
        next(answers)
    assert workers.ended
    assert workers.given == ["a"]
