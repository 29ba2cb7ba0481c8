"""configs/pairs.py, with an evaluation set of pairs that were trained."""

from ml_collections import ConfigDict

from memjax.configs import pairs

TRAINED = 8  # batches of the set


def get_config(variant: str = 'additive') -> ConfigDict:
  """The config of a variant of configs/pairs.py."""
  config = pairs.get_config(variant).unlock()
  fields = config.evals.written.to_dict() | {'steps': TRAINED}
  fields['task'] |= {'split': 'train'}
  config.evals.trained = ConfigDict(fields)
  return config.lock()
