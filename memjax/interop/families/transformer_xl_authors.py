"""Transformer-XL as its authors' PyTorch program saves it.

Code: https://github.com/kimiyoung/transformer-xl; `state_dict()` of its model.
The authors have no config.json: write one with `model_type` transformer-xl,
`vocab_size` and those arguments of the class MemTransformerLM that the program
gave it. All layers have the same u and v, and
the head's scores of the tails are in descending order.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any, ClassVar

from memjax.interop.families.transformer_xl import TransformerXL


@dataclasses.dataclass(frozen=True)
class AuthorsTransformerXL(TransformerXL):
  """Transformer-XL of the authors."""

  model_types = ('transformer-xl',)
  defaults: ClassVar[Mapping[str, Any]] = {
    'cutoffs': [],
    'div_val': 1,
    'd_embed': -1,
    'mem_len': 0,
    'same_length': False,
    'clamp_len': -1,
    'pre_lnorm': False,
    'untie_r': False,
    'tie_weight': True,
    'proj_share_all_but_first': False,
    'layer_norm_epsilon': 1e-5,
  }
  prefix: ClassVar[str] = ''
  flipped: ClassVar[bool] = True
