"""Sequential digits: images pixel by pixel, 8 x 8 or MNIST's 28 x 28.

Paper: Le et al. 2015, https://arxiv.org/abs/1504.00941; compare with
Bai et al. 2018 (MNIST, accuracy in % row by row: LSTM 87.2, GRU 96.2, RNN 21.5;
their permutation is not bit reversal).
Command: python launch.py --config=configs/sequential_images.py:gru
  needs scikit-learn
  MNIST: --config.task.source=mnist --config.task.path=FOLDER
  permuted: --config.task.order=bit_reversal
Result: with fewer steps, in experiments/leaderboard/earlier.md. Not measured
  with the settings here.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'gru') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'sequential_images.Digits',
      'source': 'digits',  # or mnist, or generated
      'path': '',
      'order': 'rows',  # or bit_reversal
    }
  )
  config.model = model(name, width=128, depth=1, window=64)
  config.train.update(steps=10_000, batch_size=50, steps_per_call=20)
  config.optim.update(learning_rate=1e-3, schedule='cosine', warmup_steps=100)
  config.log.every = 100
  config.checkpoint.update(every=500, best='validation/accuracy', best_is='max')
  for split, every in (('validation', 500), ('test', config.train.steps)):
    config.evals[split] = ConfigDict(
      {'every': every, 'batch_size': 60, 'steps': 0, 'task': {'split': split}}
    )
  if size == 'quick':
    config.task.source = 'generated'
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
