"""What flat planes that went through a network tell of it."""

import numpy as np

from preproc.folding import BRIGHTEST, Planes
from preproc.folding.look import ways


def test_what_planes_tell():
    """Sums of channels, constants that differ from place to place, several maps in one value, and what is no map at all."""
    planes = Planes(3, BRIGHTEST[0])
    pixels = np.broadcast_to(planes.levels[:, :, None], (len(planes.levels), 3, 50))

    def rows(values):
        return planes.rows([planes.sample(np.ascontiguousarray(value)) for value in values])

    image = np.random.default_rng(0).uniform(0.3, 0.6, (3, 50))
    found = rows(pixels - image)
    assert found.averaged
    assert np.allclose(found.map.offset, -image.mean(axis=1), atol=0.01)
    both = rows(np.concatenate([pixels, 2 * pixels - 1], axis=1))
    assert [way.offset.tolist() for way in ways(both)] == [[-1, -1, -1]]
    assert np.allclose(rows(pixels.mean(axis=1)).map.matrix, 1 / 3)
    assert rows(np.zeros((6, 4))).map is None
    assert rows(pixels**2) is None
    assert rows(pixels[:, :1] * pixels[:, 1:2]) is None
    wide = Planes(40, BRIGHTEST[1])
    assert np.allclose(wide.rows([wide.sample(levels / 7 - 3) for levels in wide.levels]).map.matrix, np.eye(40) / 7, rtol=1e-5)
