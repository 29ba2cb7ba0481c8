"""Strings to copy and to search: longer ones than in training.

Paper: Jelassi et al. 2024, Repeat After Me, https://arxiv.org/abs/2402.01032:
copies of up to 300 letters, tested up to 1000; keys behind a string, which must
be kept whole, and before it; a phonebook. Palindromes are those of Kimi Team
2025, https://arxiv.org/abs/2510.26692.
Command: python launch.py --config=configs/lookup.py:copy-transformer_xl
Result: not measured.
Deviations: shorter strings, that two cores can train on.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

COPY = {'shortest': 10, 'longest': 50}
LOOKUP = {'shortest': 10, 'longest': 50, 'ngram': 3, 'answer': 1}
SMALL_LOOKUP = {'shortest': 6, 'longest': 8, 'ngram': 2}
LONGER = {
  'length_100': {'shortest': 100, 'longest': 100},
  'length_200': {'shortest': 200, 'longest': 200},
}
# {task: (class, fields, fields of the quick version, evaluation sets)}
TASKS: dict[str, tuple[str, dict, dict, dict]] = {
  'copy': (
    'string_copy.StringCopy',
    COPY,
    {'shortest': 1, 'longest': 4},
    LONGER,
  ),
  'palindrome': (
    'string_copy.StringCopy',
    COPY | {'backwards': True},
    {'shortest': 1, 'longest': 4},
    LONGER,
  ),
  'key_behind': (
    'ngram_lookup.NgramLookup',
    LOOKUP | {'key': 'behind'},
    SMALL_LOOKUP,
    LONGER,
  ),
  'key_before': (
    'ngram_lookup.NgramLookup',
    LOOKUP | {'key': 'before'},
    SMALL_LOOKUP,
    LONGER,
  ),
  'phonebook': (
    'phonebook.Phonebook',
    {'entries': 16, 'fewest': 4, 'name_letters': 3, 'digits': 4},
    {'entries': 2, 'fewest': 1, 'name_letters': 2, 'digits': 1},
    {'entries_64': {'entries': 64, 'fewest': 64}},
  ),
}
VARIANTS = tuple(f'{task}-{name}' for task in TASKS for name in MODELS)


def get_config(variant: str = 'copy-transformer_xl') -> ConfigDict:
  """A task and a model, `phonebook-gru`, then perhaps `,quick`."""
  both, size = split_variant(variant, VARIANTS)
  task, _, name = both.partition('-')
  path, fields, small, sets = TASKS[task]
  config = base()
  config.task = ConfigDict({'name': path} | fields)
  config.model = model(name, width=128, depth=2, window=256)
  config.train.update(steps=20_000, batch_size=64, steps_per_call=50)
  config.optim.update(learning_rate=1e-3, weight_decay=0.1, warmup_steps=100)
  config.log.every = 200
  config.checkpoint.update(every=1000, best='held_out/accuracy', best_is='max')
  if size == 'quick':
    config.task.update(small)
    config.model = model(name, width=16, depth=1, window=16)
    sets = {}
  for label, changes in {'held_out': {}, **sets}.items():
    rows = {'every': 1000, 'batch_size': 100, 'steps': 5}
    config.evals[label] = ConfigDict(rows | {'task': changes})
  return (quick(config) if size == 'quick' else config).lock()
