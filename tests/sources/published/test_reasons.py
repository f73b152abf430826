"""Published constants that look wrong are taken where somebody says why they are right."""

import pytest

from preproc.errors import PreprocError
from preproc.sources import published
from tests.sources.published.configurations import CLIP, DOUBTED, WHY, without


@pytest.mark.parametrize("publisher", DOUBTED)
def test_published_constants_are_taken_where_somebody_says_why(publisher):
    read, source = DOUBTED[publisher]
    with pytest.raises(PreprocError, match=r"imagenet's; write mean = .* or say why they are right in constants_because = "):
        read(source)
    assert read(source, constants_because=WHY).steps()[-1].constants_because == WHY
    with pytest.raises(PreprocError, match="constants_because to be a reason in words"):
        read(source, constants_because=" ")


def test_a_reason_for_no_constants_is_refused():
    with pytest.raises(
        PreprocError, match=r"a normalization, whose constants the reason in constants_because = .*, got resize, center_crop, resc"
    ):
        published.from_huggingface(without(do_normalize=False), constants_because=WHY)
    assert published.from_huggingface(CLIP).steps[-1].constants_because is None
