"""BABILong: bAbI's facts scattered over a text that grows in training.

Paper: Kuratov et al. 2024, BABILong, https://arxiv.org/abs/2406.10149: memory
models read segments of 512 tokens, one more segment at a time; the best one
answers questions on task 1 in 50 million tokens with 79.9 % right.
Command: python launch.py --config=configs/babilong.py:qa1-gated_delta_net
  your own text: --config.task.corpus=files --config.task.path=FILE_OR_FOLDER
Result: not measured.
Deviations: segments of 512 bytes; models begin with random parameters.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

SEGMENT = 512
STAGES = {0: 1, 4000: 2, 8000: 4, 12_000: 8}  # segments from a step on
QUESTIONS = {'qa1': (1, 0), 'qa2': (2, 12), 'qa3': (3, 12)}  # task, facts
VARIANTS = tuple(f'{task}-{name}' for task in QUESTIONS for name in MODELS)


def get_config(variant: str = 'qa1-gated_delta_net') -> ConfigDict:
  """A task and a model, `qa2-lstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  number, facts = QUESTIONS[task]
  config = base()
  config.task = ConfigDict(
    {
      'name': 'babilong.BABILong',
      'qa': number,
      'facts': facts,
      'corpus': 'standard_library',  # or noise, files, any of configs/text.py
      'path': '',
      'length': 8 * SEGMENT,
      'curriculum': '; '.join(
        f'{step} length={count * SEGMENT}' for step, count in STAGES.items()
      ),
    }
  )
  config.model = model(name, width=128, depth=2, window=SEGMENT)
  config.train.update(
    steps=20_000,
    batch_size=32,
    steps_per_call=10,
    segment_length=SEGMENT,
    bptt_segments=8,
  )
  config.optim.update(learning_rate=1e-3, warmup_steps=500, weight_decay=0.01)
  config.log.every = 100
  for count in (1, 8, 16):
    rows = {'every': 2000, 'batch_size': 50, 'steps': 10}
    changes = {'split': 'validation', 'length': count * SEGMENT}
    config.evals[f'segments_{count}'] = ConfigDict(
      rows | {'task': changes | {'curriculum': ''}}
    )
  config.checkpoint.update(
    every=2000, best='segments_8/exact_match', best_is='max'
  )
  if size == 'quick':
    small = {'size': '1k', 'facts': 2, 'length': 256, 'corpus': 'noise'}
    config.task.update(small | {'qa': 1, 'curriculum': '0 length=192; 1'})
    config.model = model(name, width=16, depth=1, window=16)
    config.train.update(segment_length=64, bptt_segments=4)
    for evaluation in config.evals.values():
      evaluation.task.length = 192
    quick(config)
  return config.lock()
