"""Fine-tuning: an imported model learns the labels of a small set.

Papers: Devlin et al. 2018, https://arxiv.org/abs/1810.04805, who train a new
readout of BERT, and the rest with it; Hu et al. 2021, LoRA,
https://arxiv.org/abs/2106.09685, who train a small change of its kernels.
Command: python launch.py --mode=import --from=FOLDER --workdir=runs/minilm
  python launch.py --config=configs/fine_tuning.py:minilm --workdir=runs/tuned
    --config.train.init_from=runs/minilm
    --config.task.tokenizer=runs/minilm/pretrained/tokenizer.json
    --config.task.path=FILE.tsv
  the head alone: --config.adapt.method='' --config.adapt.where=''
  all but the table of tokens: also --config.adapt.trainable='^(?!encoder)'
  a causal model that writes the label in words: --config.task.answer=tokens
    --config.model.tie=True --config.adapt.trainable=''
  another model of a family: --config.model.width=768 and so on, as in the
    `config.json` of the imported workdir
Result: experiments/fine_tuning.
"""

from ml_collections import ConfigDict

from memjax.configs.base import base
from memjax.configs.imported_models import BOTH_WAYS, NAMES, imported_model
from memjax.configs.variants import quick, split_variant

VARIANTS = NAMES
# The token that ends a source; the label is answered there.
SEPARATORS = {
  'smollm2': '<|im_end|>',
  'minilm': '[SEP]',
  'distilgpt2': '<|endoftext|>',
  'bert': '[SEP]',
}


def get_config(variant: str = 'minilm') -> ConfigDict:
  """The family's config; `variant` is a model, then perhaps `,quick`."""
  name, size = split_variant(variant, VARIANTS)
  config = base()
  config.task = ConfigDict(
    {
      'name': 'pairs.Pairs',
      'corpus': 'files',
      'path': 'labelled.tsv',  # a line of names: source, target
      'source': 'source',  # field, or column from 1
      'target': 'target',
      'answer': 'label',
      'tokenizer': f'runs/{name}/pretrained/tokenizer.json',
      'separator': SEPARATORS[name],
      'length': 128,
    }
  )
  # A readout of classes; the table of tokens stays as it is.
  config.model = ConfigDict(imported_model(name) | {'tie': False})
  config.train.update(steps=200, batch_size=16, init_from=f'runs/{name}')
  config.adapt.update(method='lora', where='qkv', trainable='readout')
  config.optim.update(learning_rate=1e-3, warmup_steps=20)
  config.evals.validation = ConfigDict(
    {
      'every': 50,
      'batch_size': 16,
      'steps': 0,
      'task': {'split': 'validation'},
    }
  )
  config.checkpoint.best = 'validation/loss'
  config.log.every = 10
  if size == 'quick':  # random parameters; each first line is a class
    config.task.update(corpus='docstrings', path='', length=192)
    config.task.update(tokenizer='', separator='')
    config.train.init_from = ''
    config.model.update(width=16, depth=1)
    config.model.layer.head_width = 8
    if name not in BOTH_WAYS:
      config.model.layer.window = 192
    if name == 'smollm2':
      config.model.layer.key_heads = 1
    config.adapt.rank = 2
    quick(config)
  return config.lock()
