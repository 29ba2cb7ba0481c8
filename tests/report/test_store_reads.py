"""The section on what was read from a store: ages, gains, examples."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from memjax.analysis.section import LinePlot
from memjax.modes.read_log import Label, ReadLog
from memjax.report.store_reads import section


def run(name: str, *rows: dict[str, Any]) -> Any:
  return SimpleNamespace(name=name, evaluation_rows=list(rows))


@pytest.fixture
def row() -> dict[str, Any]:
  """Three labels gain 1.5 together, one gains 1.0, one loses."""
  log = ReadLog()
  age_L = np.array([1, 2, 3, 5, 20])
  gain_L = np.array([0.5, 0.75, 0.25, 1.0, -0.25])
  share_L = np.array([0.9, 0.6, 0.3, 0.8, 0.1])
  log.add(age_L, 60.0 * age_L, share_L, gain_L, lambda i: Label((7, 8), i, 9))
  protocol = {'store_records': 30, 'space': 'alice', 'store_fingerprint': 'abc'}
  reads = {'bands': log.bands(), 'examples': log.shown(str)}
  return {'split': 'validation', 'protocol': protocol, 'reads': reads}


def test_the_newest_row_that_read_a_store_is_shown(row: dict[str, Any]) -> None:
  older = row | {'split': 'test'}
  empty: dict[str, Any] = row | {'reads': {'bands': [], 'examples': []}}
  rows = older, row, empty, {'split': 'a'}
  shown = section([run('one', *rows), run('other')])
  assert shown is not None
  [sentence] = shown.sentences
  assert sentence.startswith(
    'one: on validation, the 30 records of space alice'
  )
  assert 'gain +0.450 nats per label' in sentence
  assert 'records 1 to 3 old' in sentence
  bands, examples = shown.tables
  assert [cells[0] for cells in bands.rows] == ['1 to 3', '4 to 15', '16 to 63']
  assert bands.rows[0][1:5] == ['3', '0.60', '+0.500', '100%']
  assert bands.rows[2][1:5] == ['1', '0.10', '-0.250', '0%']
  assert bands.rows[0][5] == '1970-01-01 00:01 to 1970-01-01 00:03'
  assert examples.rows[0][0] == '+1.00'
  assert examples.rows[-1][4:6] == ['9', '20']
  [plot] = shown.plots
  assert plot.runs == ['one']
  assert 'records written since' in plot.alt
  assert isinstance(plot, LinePlot)
  drawn = {name: (c.x, c.values) for name, [c] in plot.panels.items()}
  ages = [1, 4, 16]
  assert drawn['gain, nats per label'] == (ages, [0.5, 1.0, -0.25])
  assert drawn['share of the records'] == (ages, pytest.approx([0.6, 0.8, 0.1]))
  assert drawn['labels'] == (ages, [3, 1, 1])


def test_without_such_a_row_there_is_no_section() -> None:
  assert section([run('one', {'split': 'validation'})]) is None
