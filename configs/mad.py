"""The MAD suite: six small skills of language models, at the base settings.

Paper: Poli et al. 2024, https://arxiv.org/abs/2403.17844: two mixers and two
SwiGLU layers of width 128, 12,800 rows for 200 epochs, in batches of 128, AdamW
at 1e-4, 5e-4 or 1e-3 with a cosine, weight decay 0 or 0.1. A score is the mean
accuracy of the best of these six runs over changes of difficulty.
Command: python launch.py --config=configs/mad.py:in_context_recall-transformer
Result: not measured.
Deviations: the number of steps is the same, 20,000 (memorization, 256 rows:
400), but each step has new rows. Layers are those of configs/memories.py:
attention has an MLP of width 512, not SwiGLU; recurrent memories have none. The
model's readout at the last step answers compression.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

# {task: (class, fields of the quick version)}
TASKS = {
  'in_context_recall': (
    'in_context_recall.InContextRecall',
    {'length': 16},
  ),
  'fuzzy_recall': ('fuzzy_recall.FuzzyRecall', {'length': 24}),
  'noisy_recall': ('noisy_recall.NoisyRecall', {'length': 16}),
  'selective_copy': (
    'selective_copy.SelectiveCopy',
    {'length': 16, 'symbols': 4},
  ),
  'compression': ('compression.Compression', {'length': 8}),
  'memorization': ('memorization.Memorization', {'length': 8, 'vocab': 16}),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'in_context_recall-transformer') -> ConfigDict:
  """A task and a model, `compression-lstm`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, small = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path})
  config.model = model(name, width=128, depth=2, window=256)
  steps = 400 if task == 'memorization' else 20_000
  config.train.update(steps=steps, batch_size=128, steps_per_call=50)
  config.optim.update(learning_rate=5e-4, final_lr_ratio=2e-3)
  config.log.every = 100
  every = steps // 20 if steps > 1000 else 200
  config.checkpoint.update(every=every, best='held_out/accuracy', best_is='max')
  config.evals.held_out = ConfigDict(
    {'every': every, 'batch_size': 128, 'steps': 10}
  )
  if task == 'fuzzy_recall':
    # The paper evaluates on keys of the greatest length.
    config.evals.held_out.task = ConfigDict({'shortest_key': 3})
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
