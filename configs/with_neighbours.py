"""A text with what followed similar chunks of the training text: RETRO-like.

Paper: Borgeaud et al. 2022, https://arxiv.org/abs/2112.04426.
Command: python launch.py --config=configs/with_neighbours.py:gru
  the controls: --config.task.choice=random, --config.task.neighbours=0
  your own text: --config.task.task.corpus=files
    --config.task.task.path=FILE_OR_FOLDER
  from a store: --config.task.snapshot=FOLDER, see docs/store.md
Result: for a smaller model, in experiments/external_memory/README.md.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import model
from memjax.configs.variants import quick, split_variant

VARIANTS = ('gru', 'transformer_xl')


def get_config(variant: str = 'gru') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  text = {
    'name': 'text.Text',
    'corpus': 'tiny_shakespeare',
    'path': '',  # for corpus=files
    'length': 256,
    'carry_over': False,
    'order': 'shuffled',
  }
  fields = {
    'snapshot': '',  # the training text, else a folder of --mode=snapshot
    'chunk': 32,
    'neighbours': 2,
    'continuation': 32,
    'choice': 'nearest',  # or random
  }
  task = {'name': 'with_neighbours.WithNeighbours', 'task': text}
  config.task = ConfigDict(task | fields)
  width, depth = (16, 1) if size == 'quick' else (256, 1)
  config.model = model(name, width=width, depth=depth, window=2 * width)
  config.train.update(steps=2000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=2e-3, warmup_steps=100, weight_decay=0.01)
  config.log.every = 100
  config.evals.validation = ConfigDict(
    {'every': 500, 'batch_size': 32, 'task': {'task': {'split': 'validation'}}}
  )
  config.checkpoint.update(every=500, best='validation/loss')
  if size == 'quick':
    config.task.task.update(corpus='standard_library', length=32)
    config.task.update(chunk=16, continuation=8, share=0.01)
    quick(config)
  return config.lock()
