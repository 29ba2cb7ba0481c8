"""Language modelling on any text, with any of the memories at equal width.

Paper: Dai et al. 2019, https://arxiv.org/abs/1901.02860, section 4.
Command: python launch.py --config=configs/text.py:transformer_xl
  a released text: --config.task.corpus=enwik8
  its words: --config.task.corpus=wikitext-2 --config.task.tokens=words
  of a large vocabulary, with the paper's adaptive softmax and embedding:
    --config.task.corpus=wikitext-103 --config.task.tokens=words
    --config.model.cutoffs='20000 40000 200000' --config.model.shrink=4
    --config.model.tie=true --config.model.tie_projections=tails
  your own text: --config.task.corpus=files --config.task.path=FILE_OR_FOLDER
Result: for smaller models, in experiments/text/README.md. Not measured with the
  settings here.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.models import MODELS, model
from memjax.configs.variants import quick, split_variant

VARIANTS = MODELS


def get_config(variant: str = 'transformer_xl') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'text.Text',
      # or files, tiny_shakespeare, enwik8, text8, wikitext-2, wikitext-2-raw,
      # wikitext-103, wikitext-103-raw, pg19
      'corpus': 'standard_library',
      'path': '',  # for corpus=files
      'tokens': 'bytes',  # or characters, words, bpe
      'vocab': 0,  # vocabulary size of bpe and words; 0: unlimited
      'length': 128,
      'reset_at_documents': False,
      'carry_over': True,  # False: every row starts with an empty memory
      'stride': 0,  # between windows, without carry_over; 0: the length
      'order': 'as_is',  # or shuffled: documents or windows, in training
      'mix': '',  # corpora and shares: 'tiny_shakespeare:0.7,FOLDER:0.3'
    }
  )
  config.model = model(name, width=256, depth=3, window=128, dropout=0.1)
  config.train.update(steps=20_000, batch_size=32, steps_per_call=10)
  config.optim.update(learning_rate=1e-3, warmup_steps=500, weight_decay=0.01)
  config.log.update(every=100, prompt='def ', sample=400)
  config.checkpoint.update(every=1000, best='validation/loss')
  for split, every in (('validation', 1000), ('test', config.train.steps)):
    config.evals[split] = ConfigDict(
      {'every': every, 'batch_size': 32, 'task': {'split': split}}
    )
  if name == 'transformer_xl':
    config.model.epsilon = 1e-5
    config.model.embedding_scale = config.model.get_oneway_ref('width') ** 0.5
    config.model.readout_dropout = config.model.get_oneway_ref('dropout')
    config.evals.longer_memory = (
      config.evals.validation.copy_and_resolve_references()
    )
    config.evals.longer_memory.model = ConfigDict(
      {'layer': {'window': 512, 'clamp': 128}}
    )
  if size == 'quick':
    config.task.length = 16
    config.model = model(name, width=16, depth=1, window=16)
    quick(config)
  return config.lock()
