"""Every tensor is used once, every leaf is filled once, and all come back."""

from collections.abc import Callable
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memjax.errors import ConfigError
from memjax.interop.convert import (
  FOLDER,
  export_tensors,
  import_tensors,
  keep_source,
)
from memjax.interop.family import family_of
from memjax.interop.names import Row, nested, of_layers, to_ours, to_theirs
from tests.interop.small_models import FAMILIES, built, golden

Tensors = dict[str, Any]


def there_and_back(family: str, tensors: Tensors, workdir: Path) -> Tensors:
  """What export writes of what import read."""
  files = golden(family).pretrained._replace(tensors=tensors)
  described = family_of(files.config)
  model, shapes = built(described)
  found = import_tensors(described, files, shapes)
  (workdir / FOLDER).mkdir(parents=True)
  keep_source(found, files, workdir)
  config, back = export_tensors(family, model, nested(found.leaves), workdir)
  assert config.items() >= files.config.items()
  return back


def assert_same_bytes(found: Tensors, wanted: Tensors) -> None:
  assert {n: (t.dtype, t.shape) for n, t in found.items()} == {
    n: (t.dtype, t.shape) for n, t in wanted.items()
  }
  different = [n for n in wanted if found[n].tobytes() != wanted[n].tobytes()]
  assert different == []


@pytest.mark.parametrize('family', FAMILIES)
def test_an_exported_import_has_the_same_bytes(
  family: str, tmp_path: Path
) -> None:
  tensors = golden(family).pretrained.tensors
  back = there_and_back(family, tensors, tmp_path)
  assert_same_bytes(back, tensors)


def test_names_without_the_main_part_types_and_buffers_come_back(
  tmp_path: Path,
) -> None:
  tensors = {
    name.removeprefix('transformer.'): t.astype(np.float16)
    for name, t in golden('gpt2').pretrained.tensors.items()
    if name != 'lm_head.weight'
  }
  tensors['h.1.attn.bias'] = np.tri(4, dtype=bool)
  back = there_and_back('gpt2', tensors, tmp_path)
  assert_same_bytes(back, tensors)


def test_a_config_made_of_our_model_describes_it() -> None:
  for kind in FAMILIES:
    family = family_of(golden(kind).pretrained.config)
    model, _ = built(family)
    again = type(family)(family.theirs(model, family.vocab))
    assert again.model() == family.model(), kind
    assert again.table() == family.table(), kind


def without(name: str) -> Callable[[Tensors], Tensors]:
  return lambda tensors: {n: t for n, t in tensors.items() if n != name}


def with_(name: str, tensor: np.ndarray) -> Callable[[Tensors], Tensors]:
  return lambda tensors: tensors | {name: tensor}


NORM = 'transformer.h.1.ln_2.bias'


@pytest.mark.parametrize(
  ('change', 'named', 'rule'),
  [
    (without(NORM), NORM, 'is missing'),
    (with_('h.9.x', np.ones(3)), 'h.9.x', 'is no tensor of the family gpt2'),
    (with_(NORM, np.ones(31, 'f')), NORM, r'\(31,\).*needs \(32,\)'),
    (with_(NORM, np.ones(32, int)), NORM, 'has the type int64'),
    (with_('lm_head.weight', np.ones(3)), 'lm_head.weight', 'must equal'),
  ],
)
def test_tensors_that_do_not_fit_are_named(
  change: Any, named: str, rule: str
) -> None:
  files = golden('gpt2').pretrained
  family = family_of(files.config)
  _, shapes = built(family)
  files = files._replace(tensors=change(files.tensors))
  with pytest.raises(ConfigError, match=rule) as caught:
    import_tensors(family, files, shapes)
  assert named in str(caught.value)
  assert '\n' not in str(caught.value)


def test_a_leaf_is_filled_once() -> None:
  x = {'a': np.ones(2), 'b': np.ones(2)}
  one, other = Row('a', 'leaf'), Row('b', 'leaf')
  with pytest.raises(ConfigError, match='filled twice'):
    to_ours([one, other], x, {'leaf': (2,)}, 'own')
  with pytest.raises(ConfigError, match='twice in the table'):
    to_ours([one, Row('a', 'more')], x, {'leaf': (2,), 'more': (2,)}, 'own')
  with pytest.raises(ConfigError, match=r'more.*filled by no tensor'):
    to_ours([one], {'a': x['a']}, {'leaf': (2,), 'more': (2,)}, 'own')
  with pytest.raises(ConfigError, match='no place in our model'):
    to_ours([one], {'a': x['a']}, {}, 'own')
  with pytest.raises(ConfigError, match=r'more.*has no tensor'):
    to_theirs([one], {'leaf': x['a'], 'more': x['a']}, 'own')
  with pytest.raises(ConfigError, match=r'leaf.*not in the model'):
    to_theirs([one], {}, 'own')


def test_rows_join_and_split() -> None:
  draw = np.random.default_rng(0).normal
  a, b = draw(size=(3, 4)), draw(size=(2, 4))
  joint = Row('a b', 'x', True, (3, 2))
  both = np.concatenate([a, b]).T
  np.testing.assert_array_equal(joint.join([a, b]), [both])
  one = Row('a', 'x y', True, (3, 2))
  for row, theirs, ours in (
    (joint, [a, b], [both]),
    (one, [both.T], [a.T, b.T]),
  ):
    for found, wanted in (
      (row.join(theirs), ours),
      (row.split(ours), theirs),
    ):
      for x, y in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(x, y)
  taps = draw(size=(5, 1, 4))
  row = Row('c', 'x', True, (), (5, 1, 4))
  np.testing.assert_array_equal(row.join([taps]), [taps[:, 0].T])
  np.testing.assert_array_equal(row.split(row.join([taps])), [taps])
  row = Row('c', 'x', flipped=True)
  np.testing.assert_array_equal(row.join([a]), [a[::-1]])
  np.testing.assert_array_equal(row.split([a]), [a[::-1]])


def test_rows_of_layers() -> None:
  row = Row('h.{i}.a h.{i}.b', 'layer_{odd}/x', first=1)
  assert of_layers([Row('w', 'w'), row], 3) == [
    Row('w', 'w'),
    dataclasses.replace(row, theirs='h.1.a h.1.b', ours='layer_3/x'),
    dataclasses.replace(row, theirs='h.2.a h.2.b', ours='layer_5/x'),
  ]


@pytest.mark.parametrize(
  ('family', 'field', 'value'),
  [
    ('llama', 'hidden_act', 'gelu'),
    ('llama', 'attention_bias', True),
    ('gpt2', 'activation_function', 'relu'),
    ('bert', 'hidden_act', 'silu'),
    ('mamba', 'time_step_rank', 7),
    ('mamba2', 'n_groups', 2),
    ('mamba2', 'time_step_limit', [0.1, 1.0]),
    ('transfo-xl', 'attn_type', 2),
    ('transfo-xl', 'n_head', 3),
    ('transfo-xl', 'mem_len', 0),
    ('transfo-xl', 'tie_projs', [True, False, True]),
    ('transformer-xl', 'sample_softmax', 8),
    ('recurrent_gemma', 'block_types', ['recurrent']),
    ('recurrent_gemma', 'num_attention_heads', 5),
    ('recurrent_gemma', 'attention_bias', True),
    ('recurrent_gemma', 'rope_parameters', {'rope_type': 'linear'}),
    ('xlstm', 'use_bias', True),
    ('xlstm', 'num_heads', 5),
    ('xlstm', 'weight_mode', 'whole'),
  ],
)
def test_what_our_layers_do_not_have_is_refused(
  family: str, field: str, value: Any
) -> None:
  config = golden(family).pretrained.config | {field: value}
  with pytest.raises(ConfigError, match=f'config.json.{field}'):
    family_of(config).model()


def test_what_transformer_xl_shares_is_read_once(tmp_path: Path) -> None:
  """u and v of all layers, beside copies in each."""
  files = golden('transfo-xl').pretrained
  tensors = dict(files.tensors)
  for name in ('r_w_bias', 'r_r_bias'):
    first = tensors[f'transformer.layers.0.dec_attn.{name}']
    tensors[f'transformer.{name}'] = first
    tensors[f'transformer.layers.1.dec_attn.{name}'] = first
  config = files.config | {'untie_r': False}
  files = files._replace(config=config, tensors=tensors)
  family = family_of(config)
  model, shapes = built(family)
  found = import_tensors(family, files, shapes)
  assert [path for path in found.leaves if path[-2:] in ('/u', '/v')] == [
    'layer_0/memory/u',
    'layer_0/memory/v',
  ]
  (tmp_path / FOLDER).mkdir()
  keep_source(found, files, tmp_path)
  leaves = nested(found.leaves)
  _, back = export_tensors('transfo-xl', model, leaves, tmp_path)
  assert_same_bytes(back, tensors)


def test_files_of_xlstm_may_be_fused() -> None:
  """Side by side, the tensors of `weight_mode` single are those of fused."""
  files = golden('xlstm').pretrained
  single = family_of(files.config).table()
  config = files.config | {'weight_mode': 'fused'}
  fused = family_of(config)
  tensors = {
    b.theirs: np.concatenate([files.tensors[name] for name in a.names])
    for a, b in zip(single, fused.table(), strict=True)
  }
  _, shapes = built(fused)
  found = import_tensors(fused, files._replace(tensors=tensors), shapes)
  wanted = import_tensors(family_of(files.config), files, shapes)
  assert found.leaves.keys() == wanted.leaves.keys()
  for path, leaf in wanted.leaves.items():
    np.testing.assert_array_equal(found.leaves[path], leaf, path)


def test_scaled_rotations_are_refused() -> None:
  rotary = {'rope_type': 'llama3', 'rope_theta': 1e4, 'factor': 8.0}
  config = golden('llama').pretrained.config | {'rope_parameters': rotary}
  with pytest.raises(ConfigError, match='rope_parameters'):
    family_of(config).model()


def test_a_family_that_is_not_known_is_refused() -> None:
  with pytest.raises(ConfigError, match='did you mean mamba'):
    family_of({'model_type': 'mambo'})
  with pytest.raises(ConfigError, match='must say which family'):
    family_of({})


def test_another_model_is_no_member_of_a_family(tmp_path: Path) -> None:
  family = family_of(golden('llama').pretrained.config)
  model, shapes = built(family)
  params = nested({path: np.zeros(shape) for path, shape in shapes.items()})
  with pytest.raises(ConfigError, match=r'model\.layer is a SlidingAttention'):
    export_tensors('gpt2', model, params, tmp_path)
  with pytest.raises(ConfigError, match=r"model.norm is 'layer', not 'rms'"):
    export_tensors('llama', model.clone(norm='layer'), params, tmp_path)
  with pytest.raises(ConfigError, match='does not hold'):
    export_tensors('mamba', model, params, tmp_path)
