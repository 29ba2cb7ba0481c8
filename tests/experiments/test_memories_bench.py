"""The table of memories has figures of a chunked and of another memory."""

import pytest

from experiments.bench import memories


@pytest.mark.slow
def test_a_row_has_all_figures() -> None:
  sizes = memories.Sizes(rows=2, steps=8, width=16, rounds=1)
  for name, floats in (('gla', 8 * 16), ('gru', 16)):
    found = memories.row(name, sizes, {'GLA': 1.25e-7})
    assert int(found.floats) == floats
    assert found.parity == ('1e-07' if name == 'gla' else '-')
    assert 0 <= float(found.pieces) < 1e-4
    assert 0 <= float(found.reset) < 1e-4
    assert float(found.ms) > 0
    assert float(found.loop) > 0
