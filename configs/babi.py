"""bAbI: questions about short stories, task 1, several tasks, or all jointly.

Paper: Weston et al. 2015, https://arxiv.org/abs/1502.05698; settings of
Sukhbaatar et al. 2015, https://arxiv.org/abs/1503.08895: about 32 questions per
batch, 100 epochs, the learning rate halved every 25; memn2n has width 20 and
SGD.
Command: python launch.py --config=configs/babi.py:memn2n
  released files, downloaded once: --config.task.source=archive
  released files of your own: also --config.task.path=ARCHIVE_OR_FOLDER
  all tasks: --config.task.tasks=all
Result: memn2n, each task trained separately, 1k: mean test error 18.0 % (the
  best fit of ten seeds; median 23.2). Others in experiments/babi/README.md.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS
EPOCH = 23  # steps, of task 1
LAYERS = {'transformer': 2, 'sliding': 2, 'transformer_xl': 2}  # others: 1
SLOTS = {'entnet': 20, 'ntm': 20, 'dnc': 20}


def get_config(variant: str = 'memn2n') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'babi.BAbI',
      'tasks': '1',  # or 1,2,5 or all
      'vocabulary': '',  # tasks whose words are known; '': the same
      'source': 'generated',  # or archive
      'path': '',
      'size': '1k',  # or 10k
      'row_length': 0,  # lines; 0: the longest story
    }
  )
  layers, slots = LAYERS.get(name, 1), SLOTS.get(name, 50)
  config.model = model(name, width=64, depth=layers, window=slots)
  config.train.update(steps=100 * EPOCH, batch_size=8, steps_per_call=EPOCH)
  config.optim.update(
    name='adam',
    learning_rate=3e-3,
    schedule='halving',
    schedule_options=ConfigDict({'halve_every': 25 * EPOCH}),
    clip_norm=1.0,
  )
  if name == 'memn2n':
    config.model = model(name, width=20, depth=1, window=50)
    # The paper's 0.01 and 40 are for sums over 32 questions; these for means.
    config.optim.update(name='sgd', learning_rate=0.32, clip_norm=1.25)
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
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
