"""Augmentation: pairs whose sources lose, swap and hide tokens in training.

Papers: Wei & Zou 2019, https://arxiv.org/abs/1901.11196; Xie et al. 2017,
https://arxiv.org/abs/1703.02573.
Command: python launch.py --config=configs/augmented.py:gru
  your own pairs: --config.task.task.corpus=files --config.task.task.path=FILE
  few labels: --config.task.task.share=0.1
Result: not measured.
"""

from ml_collections import ConfigDict

from memjax.configs import pairs
from memjax.configs.variants import split_variant

VARIANTS = ('gru', 'additive')


def get_config(variant: str = 'gru') -> ConfigDict:
  """The config of pairs, augmented; `variant` as there."""
  split_variant(variant, VARIANTS)
  config = pairs.get_config(variant).unlock()
  config.task = ConfigDict(
    {
      'name': 'augmented.Augmented',
      'task': config.task,
      'swap': 0.05,
      'mask': 0.1,
      'drop': 0.05,
    }
  )
  for evaluation in config.evals.values():
    evaluation.task = ConfigDict({'task': evaluation.task})
  return config.lock()
