"""Multi-query associative recall as measured since 2024: one run, many sizes.

Paper: Arora et al. 2024, Based, https://arxiv.org/abs/2402.18668, and the code
of Zoology: training mixes five sizes, 100,000 rows of 4 pairs and 20,000 of
each other, for 32 epochs in batches of 256, at the best of four learning rates
from 10^-3 to 10^-1.5; random tokens fill the row; the test is by number of
pairs, up to 256 in 1024 tokens. A figure is accuracy against the bytes of the
carry; the models have no MLP and no positions.
Command: python launch.py --config=configs/mqar_mixture.py:delta_net
Result: not measured.
Deviations: every row is new, the sizes mix in every batch, and a row of a small
size is padded to 256 steps.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS
TRAINED = ((5, 64, 4), (1, 128, 8), (1, 256, 16), (1, 256, 32), (1, 256, 64))
TESTED: tuple[tuple[int, int], ...] = (
  *((64, 4), (64, 8), (64, 16), (128, 32)),
  *((256, 64), (512, 128), (1024, 256)),
)


def get_config(variant: str = 'delta_net') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'mqar.MQAR',
      'length': 256,
      'pairs': 64,
      'vocab': 8192,
      'random_fillers': True,
      'mixture': '; '.join(
        f'{share} length={length} pairs={pairs}'
        for share, length, pairs in TRAINED
      ),
    }
  )
  config.model = model(name, width=64, depth=2, window=256)
  config.train.update(steps=22_500, batch_size=256, steps_per_call=50)
  config.optim.update(learning_rate=3e-3, weight_decay=0.1)
  config.log.every = 100
  tested = TESTED
  if size == 'quick':
    sizes = 'length=16 pairs=2; 1 length=32 pairs=4'
    config.task.update(length=32, pairs=8, vocab=64, mixture=f'2 {sizes}')
    config.model = model(name, width=16, depth=1, window=16)
    tested = ((16, 2), (32, 8))
  for length, pairs in tested:
    changes = {'length': length, 'pairs': pairs, 'mixture': ''}
    config.evals[f'pairs_{pairs}'] = ConfigDict(
      {'every': 4500, 'batch_size': 100, 'steps': 10, 'task': changes}
    )
  best = f'pairs_{tested[-1][1]}/accuracy'
  config.checkpoint.update(every=4500, best=best, best_is='max')
  return (quick(config) if size == 'quick' else config).lock()
