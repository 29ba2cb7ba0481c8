"""The table of the leaderboard's steps has a row for each memory."""

import re

import pytest

from experiments.bench import cells
from memjax.runs import exit_codes


@pytest.mark.slow
def test_a_row_says_how_many_times_as_fast_a_memory_is(
  capsys: pytest.CaptureFixture,
) -> None:
  words = ['parity', 'rnn', 'gru', '--rounds=1', '--width=16']
  assert cells.main(words) == exit_codes.FINISHED
  _, head, _, rnn, gru = capsys.readouterr().out.splitlines()
  assert head == '| memory | ms a step | rnn / memory |'
  assert rnn.endswith('| 1.00 (1.00-1.00) |')
  found = re.fullmatch(r'\| gru \| (\S+) \(\S+\) \| (\S+) \(\S+\) \|', gru)
  assert found
  ms = float(rnn.split()[3])
  assert float(found[2]) == pytest.approx(ms / float(found[1]), rel=0.1)


def test_an_unknown_memory_is_refused(capsys: pytest.CaptureFixture) -> None:
  assert cells.main(['parity', 'grv']) == exit_codes.REFUSED
  assert "memory: 'grv': did you mean gru?" in capsys.readouterr().err
