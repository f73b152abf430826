"""The page: whole, by itself, and safe whatever files and classes are called."""

from html.parser import HTMLParser

import pytest

from preproc.diagnosis.experiment import TITLE, compare, page
from tests.diagnosis.experiment.conftest import save

VOID = {"meta", "img", "br", "circle", "line", "rect"}


class Strict(HTMLParser):
    """Every element is closed in order; what refers to something is kept."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.references, self.text, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "xlink:href", "action")]

    def handle_startendtag(self, tag, _):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def parsed(recipe_of, tmp_path_factory):
    place = tmp_path_factory.mktemp("named")
    name = "<b>red & 'blue'"
    file = recipe_of("Brightest", named=('"red"', f'"{name}"'))
    for number in range(3):
        save(place / name, "red", number)
        save(place / "blue", "blue", 10 + number)
    compared = compare(file, place)
    text = page(compared)
    parser = Strict()
    parser.feed(text)
    parser.close()
    assert not parser.open
    return text, parser, len(compared.rows)


def test_it_refers_to_nothing_outside(parsed):
    text, parser, _ = parsed
    assert parser.references
    assert all(each.startswith("data:image/png;base64,") for each in parser.references)
    assert not {"script", "link", "iframe", "object", "base", "form"} & set(parser.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert "://" not in text


def test_it_says_what_was_found_and_names_stay_text(parsed):
    text, parser, variants = parsed
    words = " ".join(parser.text)
    assert TITLE in text
    assert "with 'recipe' the model reads 6 of 6 right" in words
    assert "<b>red & 'blue'" in words
    assert "imagenet, BGR" in words
    assert parser.tags.count("img") == 6  # every picture changes its answer in some variant
    assert parser.tags.count("svg") == 1 + variants + variants  # an axis; of each variant an interval and a calibration
