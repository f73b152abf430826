"""Hugging Face's image processors: every class of the installed transformers against the steps that are read of its fields."""

import copy
import json
import random
import re
import warnings

import numpy as np
import pytest

from preproc.errors import PreprocError
from preproc.layers import Pipeline
from preproc.oracle import reference
from preproc.sources import published
from preproc.sources.published.huggingface import BACKEND_NAMES
from preproc.sources.published.processor_fields import FIELDS, HARMLESS
from preproc.sources.published.processor_resizes import RESIZES, SIZES
from preproc.sources.published.processors import known
from preproc.steps import ChannelAffine, FromPixels, Rescale
from preproc.steps.resize import TORCHES

transformers = pytest.importorskip("transformers", reason="transformers is not installed: its processors are not compared")

from tests import processors  # noqa: E402
from tests.conftest import needs_avx2  # noqa: E402
from tests.survey_processors import compared, surveyed  # noqa: E402

READ = [name for name, forms in known().items() if not any(form.why_not for form in forms)]
HERE, ON_TENSORS = processors.named(), processors.named("torchvision")


@pytest.fixture(autouse=True)
def quiet():
    """transformers tells of every field that it does not know, and of the future."""
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="transformers")
        yield


def test_the_table_says_what_it_can():
    """By the command: python -m tests.processors."""
    assert len(READ) > 35
    assert sum(not forms[-1].why_not for forms in known("torchvision").values()) > 60
    for name, forms in (*known().items(), *known("torchvision").items()):
        versions = [version for form in forms for version in form.versions]
        assert len(versions) == len(set(versions)), name
        for form in forms:
            assert form.reads <= {*FIELDS}
            assert not HARMLESS & set(form.absent)
            assert set(form.sizes) <= set(SIZES)
            assert (form.resize in RESIZES) == bool(form.sizes)
            assert form.tensors in ((None,) if form.backend == "pil" or not form.sizes else TORCHES)
    assert {version.partition(".")[0] for forms in known().values() for form in forms for version in form.versions} == {"4", "5"}


@pytest.mark.parametrize("backend", ["pil", "torchvision"])
def test_the_table_names_the_classes_that_are_here(backend):
    """Which tests are made of, without importing them."""
    here = {name: kind for name, kind in processors.classes(backend).items() if name in known(backend)}
    assert {name: processors.class_of(name, backend) for name in processors.named(backend)} == here


def test_a_table_of_one_version_is_replaced():
    one, two = {"why_not": "x"}, {"reads": ["size"], "absent": {}}
    table = processors.merged({}, "4.57.6", {"A": one, "B": two})
    table = processors.merged(table, "5.4.0", {"A": one, "B": one})
    assert [form["versions"] for form in table["classes"]["A"]] == [["4.57.6", "5.4.0"]]
    assert [form["versions"] for form in table["classes"]["B"]] == [["4.57.6"], ["5.4.0"]]
    again = processors.merged(copy.deepcopy(table), "5.4.0", {"A": one, "B": one})
    assert json.loads(processors.text(again)) == table
    assert processors.merged(table, "4.57.6", {})["classes"]["B"] == [{"versions": ["5.4.0"], **one}]
    both = processors.merged(table, "5.4.0", {"A": two}, "torchvision")
    assert (both["classes"], both["torchvision"]["A"]) == (table["classes"], [{"versions": ["5.4.0"], **two}])
    assert json.loads(processors.text(both)) == both


@pytest.mark.parametrize("name", sorted(HERE))
def test_random_configurations_are_equal_or_refused(name):
    """`python -m tests.survey_processors` runs many more: tests/survey/processors.md."""
    _, wrong = surveyed(name, processors.class_of(name), 12, seed=7)
    assert not wrong


@needs_avx2
@pytest.mark.parametrize("name", [name for name in ON_TENSORS if not any(form.why_not for form in known("torchvision")[name])])
def test_random_configurations_on_tensors_are_equal_or_refused(name):
    _, wrong = surveyed(name, processors.class_of(name, "torchvision"), 8, seed=7)
    assert not wrong


@pytest.mark.parametrize("name", ["CLIPImageProcessor", "ConvNextImageProcessor", "EfficientNetImageProcessor", "LayoutLMv2ImageProcessor"])
def test_a_wrong_reading_differs(name):
    """The comparison can fail: other fields than the class is given."""
    if name not in HERE:
        pytest.skip(f"transformers {transformers.__version__} has no {name} for Pillow")
    config = {"image_processor_type": name, "apply_ocr": False, "size": {"shortest_edge": 32}, "resample": 3, "do_center_crop": False}
    if name.startswith(("EfficientNet", "LayoutLM")):
        config |= {"size": {"height": 20, "width": 33}}
    image = processors.picture((50, 41))
    theirs = processors.driven(processors.class_of(name))(config, image)
    for change in ({}, {"size": dict.fromkeys(config["size"], 40)}, {"resample": 2}):
        read = published.from_huggingface(config | change)
        mine = reference.apply([FromPixels(layout="NHWC", to=read.color), *read.steps], np.asarray(image)[None])
        assert processors.same(mine, theirs) == (not change), change


def test_fields_that_are_used_although_their_flag_is_off():
    """Mask2Former pads to a pad_size with do_pad false, too."""
    config = {"image_processor_type": "Mask2FormerImageProcessor", "size": {"height": 40, "width": 50}, "do_pad": False}
    outcome = compared(processors.class_of("Mask2FormerImageProcessor"), config, processors.picture((60, 60)))
    assert outcome == ("equal", "")  # to the next multiples of size_divisor, 64 and 64
    assert published.from_huggingface(config).steps[0].size == (64, 64)
    with pytest.raises(PreprocError, match=r"no pad_size beside do_pad false, for Mask2FormerImageProcessor .* uses it all the same"):
        published.from_huggingface(config | {"pad_size": {"height": 99, "width": 99}})


def test_driving_again_says_what_the_table_says():
    name = "MobileViTImageProcessor"
    record = json.loads(json.dumps(processors.measured(name, processors.class_of(name))))
    forms = {version: form for form in known()[name] for version in form.versions}
    if transformers.__version__ not in forms:
        pytest.skip(f"transformers {transformers.__version__} is none of those in the table: {', '.join(forms)}")
    form = forms[transformers.__version__]
    assert (set(record["reads"]), record["absent"]) == (form.reads, form.absent)
    assert not form.reads & {"do_normalize", "image_mean"}
    assert "do_flip_channel_order" in form.reads


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({"rescale_factor": 0.0078, "image_mean": 1, "image_std": 1}, [ChannelAffine]),
        ({"image_processor_type": "EfficientNetImageProcessor", "include_top": True, "size": {"height": 20, "width": 30}}, [ChannelAffine]),
        (
            {
                "image_processor_type": "EfficientNetImageProcessor",
                "include_top": False,
                "rescale_offset": True,
                "rescale_factor": 1 / 127.5,
                "do_normalize": False,
                "size": {"height": 20, "width": 30},
            },
            [Rescale],
        ),
    ],
)
def test_affine_maps(changes, steps):
    config = {"image_processor_type": "CLIPImageProcessor", "size": 30, "resample": 2, "do_center_crop": False, "rescale_factor": 1 / 255}
    config |= changes
    known_steps = published.from_huggingface(config).steps
    assert [type(step) for step in known_steps[1:]] == steps
    for size in processors.PICTURES:
        assert compared(processors.class_of(config["image_processor_type"]), config, processors.picture(size)) == ("equal", "")


def of_all_backends(name):
    return [kind for kind in (getattr(transformers, f"{name}{end}", None) for end in ("", "Pil")) if kind is not None]


@pytest.mark.parametrize("backend", ["pil", pytest.param("torchvision", marks=needs_avx2)])
@pytest.mark.parametrize("name", ["ViTImageProcessor", "CLIPImageProcessor", "MobileViTImageProcessor", "SegformerImageProcessor"])
def test_objects(name, backend):
    image, kind = processors.picture((50, 41)), processors.class_of(name, backend)
    processor = kind(size={"height": 30, "width": 22}, do_center_crop=False)
    assert processor.backend == backend
    theirs = np.asarray(processor(images=image, return_tensors="pt")["pixel_values"])
    read = published.from_huggingface(processor)
    assert read.steps[0].torch == {"pil": None, "torchvision": "uint8"}[backend]
    mine = reference.apply([FromPixels(layout="NHWC", to=read.color), *read.steps], np.asarray(image)[None])
    assert processors.same(mine, theirs)
    assert published.title(read.origin) == f"Hugging Face {kind.__name__} ({BACKEND_NAMES[backend]} backend)"
    assert np.array_equal(published.original(read.origin)(image), theirs)
    with pytest.raises(PreprocError, match=rf"expected no backend beside {kind.__name__}, which computes with"):
        published.from_huggingface(processor, backend="pil" if backend == "torchvision" else "torchvision")
    assert Pipeline.from_huggingface(processor).steps()[1:] == read.steps


def test_objects_that_turn_something_off():
    processor = transformers.ViTImageProcessorPil()
    processor.do_resize = None
    assert [step.name for step in published.from_huggingface(processor).steps] == ["rescale", "normalize"]
    processor.resample = None
    with pytest.raises(PreprocError, match="resample to be said or left out, got null"):
        published.from_huggingface(processor)


def test_a_processor_of_pictures_and_texts():
    own = transformers.CLIPImageProcessorPil(size=32, crop_size=30)

    class CLIPProcessor:
        image_processor = own

    assert published.from_huggingface(CLIPProcessor()) == published.from_huggingface(own)


def test_other_objects_are_refused():
    class ViTImageProcessorPil(transformers.ViTImageProcessorPil):
        """Whatever it computes."""

    with pytest.raises(PreprocError, match=r"an image processor of transformers, got ViTImageProcessorPil of .*test_processors"):
        published.from_huggingface(ViTImageProcessorPil())
    with pytest.raises(PreprocError, match="or an image processor of transformers, got int of builtins"):
        published.from_huggingface(3)


def test_files_of_all_backends_are_read_alike(tmp_path):
    """What save_pretrained() writes."""
    for kind in of_all_backends("CLIPImageProcessor"):
        processor = kind(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 30})
        processor.save_pretrained(tmp_path)
        read = published.from_huggingface(tmp_path)
        image = processors.picture((50, 61))
        theirs = processors.driven(transformers.CLIPImageProcessorPil)(
            json.loads((tmp_path / "preprocessor_config.json").read_text()), image
        )
        assert processors.same(reference.apply([FromPixels(layout="NHWC"), *read.steps], np.asarray(image)[None]), theirs)


def test_messages_name_the_class_and_the_version():
    seen = 0
    for name in READ[::6]:
        config = processors.random_config(random.Random(name), known()[name][-1]) | {"do_flip_channel_order": True}
        if name.startswith("MobileViT"):
            continue
        with pytest.raises(PreprocError) as error:
            published.from_huggingface(config)
        seen += bool(re.search(rf"{name} of transformers \d", str(error.value)))
    assert seen
