"""Races of recurrent networks against PyTorch's nn.LSTM and nn.GRU.

PyTorch's cells have a second bias for the product with h. That of the LSTM, and
the two gates' of the GRU, only add to the first: they are not counted.
"""

import dataclasses

from experiments.bench.peers.race import Competitor, Race, draw_tokens

VOCAB, LENGTH, LAYERS = 256, 128, 2


@dataclasses.dataclass(frozen=True)
class Sizes:
  """One row.

  Attributes:
    cell: 'LSTM' or 'GRU'.
    rows: B.
    width: D.
  """

  cell: str
  rows: int
  width: int


def ours(sizes: Sizes) -> Competitor:
  """Embedding, two layers without norms between them, readout."""
  from experiments.bench.peers import memjax_step

  model = {
    'name': 'stack.Stack',
    'width': sizes.width,
    'depth': LAYERS,
    'wiring': 'plain',
    'layer': {'name': f'{sizes.cell.lower()}.{sizes.cell}'},
  }
  task = {'length': LENGTH, 'vocab': VOCAB}
  return memjax_step.competitor(
    memjax_step.experiment(model, sizes.rows, **task)
  )


def theirs(sizes: Sizes) -> Competitor:
  from experiments.bench.peers import recurrent_torch, torch_step

  model = recurrent_torch.Recurrent(sizes.cell, VOCAB, sizes.width, LAYERS)
  tokens = draw_tokens(sizes.rows, LENGTH, VOCAB)
  step = torch_step.competitor(model.body, model.readout, model, tokens)
  spare = {'LSTM': 4, 'GRU': 2}[sizes.cell] * sizes.width * LAYERS
  return step._replace(parameters=step.parameters - spare)


def race(sizes: Sizes) -> Race:
  what = f'{sizes.cell} {LAYERS} x {sizes.width}, B {sizes.rows}, T {LENGTH}'
  return Race(what, lambda: ours(sizes), {'torch': lambda: theirs(sizes)})


RACES = {
  f'{sizes.cell.lower()}_{sizes.width}': race(sizes)
  for sizes in (
    Sizes('GRU', 16, 184),
    Sizes('GRU', 32, 128),
    Sizes('GRU', 32, 256),
    Sizes('LSTM', 32, 128),
    Sizes('LSTM', 32, 256),
  )
}
