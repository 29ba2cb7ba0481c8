"""Published figures beside those of the leaderboard, and how they differ."""

from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
  """A figure of a paper.

  Attributes:
    figure: as the paper has it, in the unit of the task's score if `text` is
      empty.
    source: the paper.
    differs: what is not as here.
    text: the figure with its unit, where the unit is another one.
  """

  figure: float
  source: str
  differs: str
  text: str = ''


ZOOLOGY = 'Arora et al. 2023, https://arxiv.org/abs/2312.04927'
GRAZZI = 'Grazzi et al. 2024, https://arxiv.org/abs/2411.12537'
CHOMSKY = 'Deletang et al. 2022, https://arxiv.org/abs/2207.02098'
TCN = 'Bai et al. 2018, https://arxiv.org/abs/1803.01271'
FULL_MQAR = (
  'vocabulary 8192, 100,000 rows 64 times, no MLP, the best of four rates'
)
LONG_PARITY = 'more training, the best of three runs'
CHOMSKY_PARITY = (
  'lengths 1-40 to 41-500, one layer of 256 units, 128 million rows, the best '
  'of 10 seeds and three rates'
)
ADDING = '600 steps, squared error; always answering 1 scores 0.167'

PUBLISHED: Mapping[tuple[str, str], Published] = {
  **{
    (task, 'transformer'): Published(1.0, ZOOLOGY, FULL_MQAR)
    for task in ('mqar_64x4', 'mqar_128x8')
  },
  **{
    ('parity', memory): Published(figure, GRAZZI, LONG_PARITY)
    for memory, figure in (
      ('transformer', 0.022),
      ('mlstm', 0.087),
      ('slstm', 1.0),
      ('mamba', 0.0),
      ('delta_net', 0.017),
      ('delta_net_negative', 1.0),
    )
  },
  **{
    ('parity', memory): Published(1.0, CHOMSKY, CHOMSKY_PARITY)
    for memory in ('rnn', 'lstm', 'stack_rnn', 'tape_rnn')
  },
  ('adding', 'lstm'): Published(0.164, TCN, ADDING, 'squared error 0.164'),
  ('adding', 'gru'): Published(5.3e-5, TCN, ADDING, 'squared error 5.3e-5'),
}
