"""bAbI: questions about short stories, task 1 or any others, or all at once.

Paper: Weston et al. 2015, https://arxiv.org/abs/1502.05698; settings after
Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895: width 20, 50 memories,
some 32 questions in a batch, 100 epochs, the learning rate halved every 25.
Command: python launch.py --config=configs/babi.py:lstm
  the released files: --config.task.source=archive, fetched once, or
  --config.task.path=ARCHIVE_OR_FOLDER with it; --config.task.tasks=all
Result: not measured.
"""

from ml_collections import ConfigDict

from configs.base import base, quick, words
from configs.models import MODELS, model

VARIANTS = MODELS
EPOCH = 23  # steps, of task 1


def get_config(variant: str = 'lstm') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = words(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'babi.BAbI',
      'tasks': '1',  # or 1,2,5 or all
      'vocabulary': '',  # the tasks whose words are known, if not the same
      'source': 'made',  # or archive
      'path': '',
      'size': '1k',  # or 10k
      'row_length': 0,  # the longest story
    }
  )
  config.model = model(name, width=20, layers=2, context=50)
  config.train.update(steps=100 * EPOCH, batch_size=8, steps_per_call=EPOCH)
  config.optim.update(
    name='adam',
    learning_rate=0.01,
    schedule='halving',
    halve_every=25 * EPOCH,
    clip=40.0,
  )
  config.log.every = EPOCH
  config.checkpoint.update(
    every=10 * EPOCH, best='validation/accuracy', best_is='max'
  )
  for split, every in (('validation', 10), ('test', 100)):
    config.evals[split] = ConfigDict(
      {
        'every': every * EPOCH,
        'batch_size': 32,
        'steps': 0,
        'task': {'split': split},
      }
    )
  if size == 'quick':
    config.model = model(name, width=16, layers=2, context=16)
    quick(config)
  return config.lock()
