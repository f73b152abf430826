"""stats.json: it adds up, an interrupted run goes on, and what is changed or made to mislead is refused."""

import hashlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest

import preproc
from preproc.errors import PreprocError
from preproc.stats import Stats, compute_stats
from preproc.stats.sums import Accumulator, Moments
from preproc.steps import Normalize
from tests.stats.making import pictures, save_all


def test_separate_runs_merge_exactly_and_a_stats_json_is_a_source(folder, expected, tmp_path):
    for name in ("a", "b"):
        compute_stats(folder / name).save(tmp_path / f"{name}.json")
    assert compute_stats([tmp_path / "b.json", tmp_path / "a.json"]).accumulator.to_bytes() == expected
    assert compute_stats([tmp_path / "a.json", folder / "b"]).accumulator.to_bytes() == expected
    with pytest.raises(PreprocError, match="statistics of different pictures to merge, got the same twice"):
        compute_stats([tmp_path / "a.json", tmp_path / "a.json"])
    with pytest.raises(PreprocError, match=r"a\.json: expected pictures converted to GRAY, as is asked for now, got pictures as they are"):
        compute_stats([tmp_path / "a.json", folder / "b"], color="GRAY")
    with pytest.raises(PreprocError, match="a sample to add to some"):
        compute_stats([tmp_path / "a.json", folder / "b"], sample="3")
    assert Stats.load(tmp_path / "a.json").to_json() == compute_stats(tmp_path / "a.json").to_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda told: {"mean": [told["mean"][0] + 1e-6, *told["mean"][1:]]},
        lambda told: {"std": [number * 1.0001 for number in told["std"]]},
        lambda told: {"mean": told["mean"][::-1], "std": told["std"][::-1]},
        lambda _: {"color": "BGR"},
    ],
)
def test_numbers_that_the_counts_do_not_give_are_no_constants(tmp_path, change):
    rng = np.random.default_rng(0)
    file = tmp_path / "s.json"
    compute_stats([(rng.integers(0, 250, (20, 30, 3)) // (1, 2, 3)).astype(np.uint8) for _ in range(2)]).save(file)
    told = json.loads(file.read_text())
    assert preproc.Normalize.from_stats(file).mean.flatten().tolist() == pytest.approx(told["mean"])
    file.write_text(json.dumps(told | change(told)))
    with pytest.raises(PreprocError, match=r"expected the mean and std that its counts give, \[.*; write other numbers into the recipe"):
        preproc.Normalize.from_stats(file)


def changed(change):
    def apply(data):
        change(data)
        return data

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            changed(lambda data: data["accumulator"]["RGB"]["counts"][0].__setitem__(3, 7)),
            "as many pixels and sums for each channel|another sha256",
        ),
        (changed(lambda data: data["accumulator"]["RGB"].__setitem__("images", 7)), "another sha256"),
        (changed(lambda data: data.__setitem__("accumulator", 3)), "an accumulator of preproc stats|whole stats.json"),
        (changed(lambda data: data["accumulator"]["RGB"].__delitem__("stds")), "an accumulator of preproc stats"),
        (changed(lambda data: data.__delitem__("decoder")), "expected a whole stats.json"),
        (changed(lambda data: data.__setitem__("version", 9)), "expected version 1, got 9; use a newer preproc"),
        (changed(lambda data: data.__setitem__("format", "x")), "got something else"),
    ],
)
def test_a_changed_stats_json_is_refused(tmp_path, change, message):
    compute_stats(pictures(2)).save(tmp_path / "s.json")
    (tmp_path / "s.json").write_text(json.dumps(change(json.loads((tmp_path / "s.json").read_text()))))
    with pytest.raises(PreprocError, match=message):
        Stats.load(tmp_path / "s.json")


def test_samples_and_other_colours_do_not_merge(tmp_path):
    place = save_all(tmp_path / "p", pictures(5))
    sample, plain, gray = compute_stats(place, sample="2"), compute_stats(place), compute_stats(place, color="GRAY")
    with pytest.raises(PreprocError, match="statistics of everything to merge, got those of a sample"):
        _ = sample + plain
    with pytest.raises(PreprocError, match="converted to one colour, got none and GRAY"):
        _ = plain + gray


def test_what_is_counted_already_is_not_counted_again(tmp_path):
    save_all(tmp_path / "p", pictures(4))
    compute_stats(tmp_path / "p").save(tmp_path / "s.json")
    with pytest.raises(PreprocError, match="which the statistics hold already"):
        compute_stats([tmp_path / "s.json", tmp_path / "p"])
    assert compute_stats([tmp_path / "p", f"{tmp_path}/p/../p"]).images == 4
    (tmp_path / "p" / "real").mkdir()
    save_all(tmp_path / "p" / "real", pictures(2))
    for name in "abcdef":
        (tmp_path / "p" / name).symlink_to(tmp_path / "p" / "real")
    assert compute_stats(tmp_path / "p").images == 6


def test_a_resumed_run_takes_new_sources_and_keeps_its_masks(tmp_path):
    save_all(tmp_path / "p", pictures(6))
    save_all(tmp_path / "q", pictures(3, seed=9))
    (tmp_path / "p" / "note.md").write_text("x")
    whole = compute_stats(tmp_path / "p")
    part = replace(compute_stats([tmp_path / "p" / "000.png", tmp_path / "p" / "001.png"]), sources=(str(tmp_path / "p"),))
    replace(part, remaining=tuple(str(tmp_path / "p" / f"00{number}.png") for number in range(2, 6)), left_out=whole.left_out).save(
        tmp_path / "part.json"
    )
    both = compute_stats([tmp_path / "part.json", tmp_path / "p", tmp_path / "q"])
    assert both.images == 9
    assert not both.partial
    assert both.left_out == whole.left_out
    assert both.sources == (str(tmp_path / "p"), str(tmp_path / "q"))
    assert both.accumulator.to_bytes() == (whole.accumulator + compute_stats(tmp_path / "q").accumulator).to_bytes()
    with pytest.raises(PreprocError, match="the masks of the statistics that are added to, none, got"):
        compute_stats([tmp_path / "part.json", tmp_path / "p"], mask_glob=f"{tmp_path}/m/*.png")


HOSTILE = {
    "endless left_out": lambda data: data | {"left_out": {".x": math.inf}},
    "nobody sampled": lambda data: data | {"sample": {"images": 1, "population": 0, "seed": 0}},
    "sampled words": lambda data: data | {"sample": {"images": "a", "population": 2, "seed": 0}},
    "another mean": lambda data: data | {"mean": [0.9, 0.9, 0.9]},
    "text for a list": lambda data: data | {"remaining": "abc"},
    "no pictures": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"images": 0}}},
    "fewer than none": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"images": -1}}},
    "squares below 0": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"mean_squares": [-1, 0, 0]}}},
    "too few pictures": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"images": 1}}},
    "huge sums": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"means": [10**400] * 3}}},
    "no pixels": lambda data: data | {"accumulator": {"RGB": data["accumulator"]["RGB"] | {"counts": [[0] * 256] * 3}}},
    "no name": lambda data: data | {"accumulator": {"": data["accumulator"]["RGB"]}},
    "ragged": lambda data: data | {"accumulator": {"RGB": {"images": 1, "pixels": 1, "mean": [1], "m2": [1, 2]}}},
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_stats_json_from_elsewhere_is_refused_in_one_line(tmp_path, change):
    save_all(tmp_path / "p", pictures(3))
    compute_stats(tmp_path / "p", color="RGB").save(tmp_path / "s.json")
    data = change(json.loads((tmp_path / "s.json").read_text()))
    text = json.dumps(data["accumulator"], sort_keys=True, separators=(",", ":"))
    data["accumulator_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "s.json").write_text(json.dumps(data))
    with pytest.raises(PreprocError, match=r"s\.json: expected"):
        Stats.load(tmp_path / "s.json")


def test_deep_json_and_mixed_kinds_are_refused(tmp_path):
    (tmp_path / "s.json").write_text("[" * 200_000)
    with pytest.raises(PreprocError, match=r"expected a stats\.json"):
        Stats.load(tmp_path / "s.json")
    one = compute_stats(np.zeros((1, 4, 4, 3), np.uint8)).accumulator
    with pytest.raises(PreprocError, match="one of each"):
        one + Accumulator({"RGB": Moments.of(np.ones((3, 4)))})


def test_small_samples_and_the_like_are_no_constants(tmp_path):
    save_all(tmp_path / "p", pictures(40))
    compute_stats(tmp_path / "p", sample="5").save(tmp_path / "few.json")
    with pytest.raises(PreprocError, match=r"few\.json: expected statistics of everything, or of a sample of at least 30"):
        Normalize.from_stats(tmp_path / "few.json")
    compute_stats(tmp_path / "p", sample="35").save(tmp_path / "many.json")
    assert len(Normalize.from_stats(tmp_path / "many.json").mean) == 3
    with pytest.raises(PreprocError, match=r"the path of a stats\.json, got a Stats; its save\(\) writes one"):
        Normalize.from_stats(compute_stats(tmp_path / "p"))
    with pytest.raises(PreprocError, match="move the channels last"):
        compute_stats(np.zeros((5, 3, 20, 24), np.uint8))
