"""The fold as other tools make it."""

import dataclasses

from preproc.folding import plan_for
from preproc.folding.arithmetic import folded_weights


def as_unpadded(monkeypatch):
    """The offset in the bias of every first convolution, as if nothing were padded."""

    def bare(reader):
        return dataclasses.replace(reader, slots=dataclasses.replace(reader.slots, borders=reader.slots.borders[:0]))

    def plan(readers, *rest, **options):
        return plan_for([*map(bare, readers)], *rest, **options)

    def weights(weight, bias, plan, reader, *rest, **options):
        return folded_weights(weight, bias, plan, bare(reader), *rest, **options)

    for engine in ("graph.folded", "folding.modules.rewriting"):
        monkeypatch.setattr(f"preproc.{engine}.plan_for", plan)
    monkeypatch.setattr("preproc.folding.convolutions.folded_weights", weights)
