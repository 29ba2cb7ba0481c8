"""Hidden in text: needles, several values, chains of names, common words.

Paper: Hsieh et al. 2024, RULER, https://arxiv.org/abs/2404.06654.
S-NIAH-2 is `niah`; MK-, MV- and MQ-NIAH have several keys, values and queries.
Command: python launch.py --config=configs/ruler.py:niah-transformer
  your own text: --config.task.corpus=files --config.task.path=FILE_OR_FOLDER
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

TASKS: dict[str, tuple[str, dict]] = {
  'niah': ('niah.NIAH', {'needles': 1}),
  'multi_niah': ('niah.NIAH', {'needles': 4}),
  's_niah_1': ('niah.NIAH', {'corpus': 'noise'}),
  's_niah_3': ('niah.NIAH', {'kind': 'uuid'}),
  'mv_niah': ('niah.NIAH', {'values': 4}),
  'mq_niah': ('niah.NIAH', {'needles': 4, 'queries': 4, 'digits': 3}),
  'variable_tracking': (
    'variable_tracking.VariableTracking',
    {'chains': 1, 'hops': 2},
  ),
  'common_word_extraction': (
    'common_word_extraction.CommonWordExtraction',
    {'words': 4, 'common': 5, 'seldom': 2},
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'niah-transformer') -> ConfigDict:
  """A task and a model, `niah-gru`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, fields = TASKS[task]
  config = base()
  config.task = ConfigDict(
    {
      'name': path,
      'corpus': 'standard_library',  # or files, or any of configs/text.py
      'path': '',
      'length': 512,
    }
    | fields
  )
  config.model = model(name, width=128, depth=2, window=512)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=1e-3, warmup_steps=500, weight_decay=0.01)
  config.log.every = 100
  rows = {'every': 1000, 'batch_size': 50, 'steps': 10}
  split = {'split': 'validation'}
  config.evals.validation = ConfigDict(rows | {'task': split})
  config.evals.longer = ConfigDict(rows | {'task': split | {'length': 1024}})
  config.checkpoint.update(
    every=1000, best='validation/accuracy', best_is='max'
  )
  if size == 'quick':
    config.task.length = 256
    config.evals.longer.task.length = 288
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
