"""Every memory that a config names obeys the laws; so do odd sizes and hybrids.

Odd sizes are slow tests, and skip the laws that do not depend on sizes.
"""

from collections.abc import Mapping
import dataclasses
import functools
import importlib
import itertools
import pathlib
import random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.build import build_model, build_task
from memjax.configs.models import MODELS, model
from memjax.laws.broken import Broken
from memjax.laws.check import LAWS, Law, on_purpose
from memjax.laws.subject import LENGTH, Subject, draw
from memjax.models.base import (
  Memory,
  Model,
  apply,
  apply_body,
  apply_readout,
)
from memjax.models.sentences import ENCODERS
from memjax.models.stack import Stack
from memjax.tasks.base import Task
from memjax.types import Features, Sentences, Spec, Tokens
from tests.variants import covering, kind

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'


class Specs(NamedTuple):
  """What a model needs of a task."""

  input_spec: Spec
  output_spec: Spec


# Models of these are built without preparing a corpus.
CORPORA = {
  'masked.Masked': Specs(Tokens(257), Tokens(256)),
  'with_neighbours.WithNeighbours': Specs(Tokens(258), Tokens(256)),
  'text.Text': Specs(Tokens(256), Tokens(256)),
  'babi.BAbI': Specs(Sentences(23, 6, question_id=1), Tokens(6)),
  'retrieval.Retrieval': Specs(Tokens(258), Features(8)),
  'pairs.Pairs': Specs(Tokens(7, separator_id=5), Tokens(7, separator_id=5)),
}


def attentive(
  name: str, fields: dict[str, Any], **stack: Any
) -> dict[str, Any]:
  layer = {'name': name, 'head_width': 2} | fields
  return {'name': 'stack.Stack', 'width': 4, 'layer': layer} | stack


def sliding(window: int, **stack: Any) -> dict[str, Any]:
  name = 'transformer.SlidingAttention'
  return attentive(name, {'window': window}, **stack)


def block(window: int, **stack: Any) -> dict[str, Any]:
  name = 'transformer.BlockAttention'
  return attentive(name, {'window': window}, **stack)


def relative(window: int, span: str = 'fixed', **stack: Any) -> dict[str, Any]:
  name = 'transformer_xl.TransformerXL'
  return attentive(name, {'window': window, 'span': span}, **stack)


def layer(name: str, depth: int = 1, **fields: Any) -> dict[str, Any]:
  spec = {'name': name} | fields
  return {'name': 'stack.Stack', 'width': 4, 'layer': spec, 'depth': depth}


def memn2n(**fields: Any) -> dict[str, Any]:
  return {'name': 'memn2n.MemN2N', 'width': 4} | fields


ODD = {
  'sliding-long': sliding(LENGTH + 5, depth=2),
  'causal-1': block(1, positions='learned'),
  'causal-7': block(7, positions='learned', depth=2, dropout=0.5),
  'causal-long': block(LENGTH + 5, mlp=0.75),
  'lstm-options': layer(
    'lstm.LSTM', coupled=True, peepholes=True, recurrent_dropout=0.5
  ),
  'sliding-options': attentive(
    'transformer.SlidingAttention',
    {'window': 5, 'positions': 'rotary', 'key_heads': 1, 'qk_norm': True}
    | {'forget': True, 'sinks': True, 'gate': True},
  ),
  'causal-shaw': attentive(
    'transformer.BlockAttention',
    {'window': 7, 'positions': 'shaw', 'clip': 3, 'forget': True},
  ),
  'relative-0': relative(0),
  'relative-5': relative(5, depth=2, wiring='post_norm', mlp=0.75),
  'relative-long': relative(LENGTH + 5, wiring='plain'),
  'relative-shared': attentive(
    'transformer_xl.TransformerXL',
    {'window': 3, 'share_biases': True},
    depth=2,
  ),
  'rg_lru-first': attentive('rg_lru.RGLRU', {'units': 6, 'scale_first': False}),
  'segment-0': relative(0, span='segment'),
  'segment-5': relative(5, span='segment'),
  'entnet-1': layer('entnet.EntNet', slots=1),
  'entnet-5': layer('entnet.EntNet', 2, slots=5),
  'ntm-3': layer('ntm.NTM', slots=3, slot_width=2, controller_width=5),
  'dnc-1': layer('dnc.DNC', slots=1, slot_width=2, read_heads=1),
  'dnc-5': layer('dnc.DNC', 2, slots=5, slot_width=3, controller_width=5),
  'ntm-feedforward': layer(
    'ntm.NTM',
    2,
    slots=6,
    slot_width=3,
    read_heads=2,
    write_heads=2,
    shifts=2,
    controller='feedforward',
  ),
  'recurrent-memory-1': layer('rmn.RMN', window=1),
  'recurrent-memory-5': layer('rmn.RMN', 2, window=5),
  'stacked-memory-4': layer('rmn.StackedMemory', window=4),
  'lstmn-1': layer('lstmn.LSTMN', window=1),
  'lstmn-5': layer('lstmn.LSTMN', 2, window=5),
  'lstmn-long': layer('lstmn.LSTMN', window=LENGTH + 5),
  'stack-1': layer('stack_rnn.StackRNN', slots=1, cell_width=3),
  'stack-5': layer('stack_rnn.StackRNN', 2, slots=5, cell_width=2),
  'tape-1': layer('tape_rnn.TapeRNN', slots=1, jump=2, mlp_width=3),
  'tape-5': layer('tape_rnn.TapeRNN', 2, slots=5, cell_width=2, mlp_width=0),
  'additive-1': layer('linear_attention.LinearAttention', head_width=1),
  'additive-2': layer('linear_attention.LinearAttention', 2, head_width=3),
  'delta-1': layer('schlag_delta.SchlagDelta', head_width=4, nu=3),
  'delta-2': layer('schlag_delta.SchlagDelta', 2, head_width=3),
  'hopfield-0': layer('hopfield.HopfieldMemory', head_width=3, slots=0),
  'hopfield-5': layer(
    'hopfield.HopfieldMemory', 2, head_width=4, slots=5, updates=3
  ),
  'han-2': layer('han.CausalHAN', 2),
  'memn2n-1': memn2n(slots=1, hops=1),
  'memn2n-5': memn2n(slots=5, hops=2, tying='layerwise'),
  'memn2n-long': memn2n(slots=LENGTH + 5, hops=2),
  'key-value-1': layer('key_value.KeyValueMemory', slots=1),
  'key-value-5': layer('key_value.KeyValueMemory', 2, slots=5, hops=3),
  'bidirectional': layer(
    'bidirectional.Bidirectional', 2, layer={'name': 'gru.GRU'}
  ),
  'hgrn2-floors': layer('hgrn2.HGRN2', 3, head_width=2),
  'rwkv7-values': layer('rwkv7.RWKV7', 2, head_width=2),
  'key-value-long': layer('key_value.KeyValueMemory', slots=LENGTH + 5),
}

READS_SENTENCES = {
  f'sentences-{kind}': layer('gru.GRU') | {'sentences': kind}
  for kind in ENCODERS
} | {
  'sentences-memn2n-5': memn2n(slots=5),
  'sentences-memn2n-long': memn2n(slots=LENGTH + 5, linear=True),
}
ODD |= READS_SENTENCES
ODD_SPECS = dict.fromkeys(
  READS_SENTENCES, Specs(Sentences(9, 4, question_id=3), Tokens(5))
)


def encoder_decoder(
  encoder: str, decoder: str, **fields: Any
) -> dict[str, Any]:
  """Both memories with a window of 3."""
  sizes = {'head_width': 2, 'window': 3}
  layers = [
    {'name': name} | (sizes if name.startswith('transformer') else {})
    for name in (encoder, decoder)
  ]
  spec = {'name': 'encoder_decoder.EncoderDecoder', 'width': 4}
  spec |= dict(zip(('encoder_layer', 'layer'), layers, strict=True))
  return spec | {'source_length': 5, 'depth': 2} | fields


ENCODER_DECODERS = {
  'encoder-decoder-dot': encoder_decoder(
    'lru.LRU', 'lstm.LSTM', attention='dot'
  ),
  'encoder-decoder-attention': encoder_decoder(
    'transformer_xl.TransformerXL',
    'transformer.SlidingAttention',
    wiring='pre_norm',
    mlp=1.0,
  ),
  'encoder-decoder-none': encoder_decoder(
    'lstm.LSTM', 'lstm.LSTM', attention='none', wiring='post_norm'
  ),
}
ODD |= ENCODER_DECODERS
# A far memory longer than a segment, and one that a segment passes through.
ODD |= {
  f'memorizing-{slots}': attentive(
    'memorizing.MemorizingAttention',
    {'window': window, 'slots': slots, 'neighbours': 2, 'qk_norm': True}
    | {'positions': 'rotary', 'key_heads': 1, 'gate': True, 'forget': True},
  )
  for window, slots in ((0, 3), (2, LENGTH + 5))
}
CACHES = {
  f'neural-cache-{slots}': layer('gru.GRU')
  | {'name': 'neural_cache.CachedStack', 'slots': slots, 'cache_share': 0.5}
  for slots in (1, 5, LENGTH + 5)
} | {
  'neural-cache-sliding': sliding(2)
  | {'name': 'neural_cache.CachedStack', 'slots': 4, 'cache_share': 0.5}
}
ODD |= CACHES
ODD_SPECS |= dict.fromkeys(CACHES, Specs(Tokens(7), Tokens(7)))
ODD_SPECS |= dict.fromkeys(
  ENCODER_DECODERS, Specs(Tokens(7, separator_id=5), Tokens(4))
)


def hybrids() -> dict[str, dict[str, Any]]:
  """A random sample of pairs of the memories that configs name."""
  stacks = {
    name: model(name, width=4, depth=3, window=5).to_dict() for name in MODELS
  }
  layers = {name: s['layer'] for name, s in stacks.items() if 'layer' in s}
  pairs = list(itertools.combinations(layers, 2))
  return {
    f'hybrid-{one}-{other}': {
      'name': 'stack.Stack',
      'width': 4,
      'layer': layers[one],
      'others': {'other': layers[other]},
      'pattern': 'layer other',
      'depth': 3,
    }
    for one, other in random.Random(0).sample(pairs, 6)
  }


ODD |= hybrids()
# Every setting of the Stack that the configs leave alone.
ODD['stack-settings'] = sliding(
  5,
  others={'other': {'name': 'gru.GRU'}},
  pattern='layer other',
  depth=4,
  share=True,
  mlp=1.5,
  norm='rms',
  epsilon=1e-5,
  activation='swiglu',
  tie=True,
  softcap=2.0,
  embedding_scale=2.0,
  positions='sinusoidal',
)
ODD_SPECS['stack-settings'] = Specs(Tokens(7), Tokens(7))


def named() -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
  """{variant: (model, task)} of every config, each model in one size."""
  found: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
  models = set()
  for path in sorted(CONFIGS.glob('*.py')):
    module = importlib.import_module(f'configs.{path.stem}')
    for variant in covering(getattr(module, 'VARIANTS', ())):
      config = module.get_config(f'{variant},quick').to_dict()
      model_kind = kind(config['model'])
      if model_kind not in models:
        models.add(model_kind)
        found[f'{path.stem}-{variant}'] = config['model'], config['task']
  return found


NAMED = named()


def specs_of(case: str) -> Specs | Task:
  if case in ODD:
    return ODD_SPECS.get(case, Specs(Tokens(7), Tokens(5)))
  _, task = NAMED[case]
  return CORPORA.get(task['name']) or build_task(task)


@functools.cache
def built(case: str) -> Model:
  spec = ODD[case] if case in ODD else NAMED[case][0]
  task = specs_of(case)
  model = build_model(spec, task.input_spec, task.output_spec)
  return in_small_chunks(model)


@functools.cache
def purposes(case: str) -> Mapping[str, str]:
  return on_purpose(built(case))


@functools.cache
def subject(case: str) -> Subject:
  return Subject(built(case), specs_of(case).input_spec)


def in_small_chunks(model: Model) -> Model:
  """The model with small chunks: a test's short segments have several."""

  def small(layer: Memory) -> Memory:
    has = 'chunk' in {field.name for field in dataclasses.fields(layer)}
    return layer.clone(chunk=4) if has else layer

  if not isinstance(model, Stack):
    return model
  others = {name: small(layer) for name, layer in model.others.items()}
  return model.clone(layer=small(model.layer), others=others)


# Their parts have faster tests, or a memory of the same kind has.
SLOW_CASES = (
  *('pairs-additive', 'pairs-dot', 'log_linear_gated_delta_net'),
  *('relational_memory', 'adaptive_span', 'expire_span'),
  *('augmented-additive', 'xlstm', 'qwen3_next', 'griffin', 'kimi_linear'),
  *('samba', 'jamba', 'based_hybrid', 'universal_transformer'),
  *('log_linear_mamba2', 'gated_delta_net_2', 'delta_product'),
  *('lookahead-gru-1', 'smollm2', 'distilgpt2'),
  *('capped_mlstm', 'rwkv6', 'hgrn2', 'min_lstm', 's4d'),
)
# They compile programs of their own, which takes longer than all other laws.
SLOW = ('eager', 'replicas')
# `ranks` says nothing new of odd sizes: all tests raise on ranks that differ.
NAMED_ONLY = (*SLOW, 'ranks')


def marks(case: str, law: Law) -> list[pytest.MarkDecorator]:
  """A law that the memory declares as broken must be broken."""
  rare = case in ODD or case.endswith(SLOW_CASES)
  slow = [pytest.mark.slow] if rare or law.name in SLOW else []
  reason = purposes(case).get(law.name)
  if reason is None:
    return slow
  broken = pytest.mark.xfail(reason=reason, raises=Broken, strict=True)
  return [*slow, broken]


def cases() -> list[Any]:
  return [
    pytest.param(law, case, id=f'{law.name}-{case}', marks=marks(case, law))
    for case in (*NAMED, *ODD)
    for law in LAWS
    if case in NAMED or law.name not in NAMED_ONLY
  ]


@pytest.mark.parametrize(('law', 'case'), cases())
def test_law(law: Law, case: str) -> None:
  law.check(subject(case))


def test_models_that_break_laws_on_purpose_are_few() -> None:
  declared = {(case, law) for case in (*NAMED, *ODD) for law in purposes(case)}
  assert declared == {
    ('segment-0', 'segments'),
    ('segment-5', 'segments'),
    ('key-value-1', 'horizon'),
    ('fine_tuning-minilm', 'segments'),
    ('fine_tuning-minilm', 'causal'),
    ('masked-full_attention', 'segments'),
    ('masked-full_attention', 'causal'),
    ('lookahead-gru-both_ways', 'segments'),
    ('lookahead-gru-both_ways', 'causal'),
    ('bidirectional', 'segments'),
    ('bidirectional', 'causal'),
  }


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('rate', ['dropout', 'noise'])
def test_evaluation_ignores_training_noise(rate: str) -> None:
  """Laws that hold without noise hold for any noise rate in evaluation."""
  specs = Specs(Tokens(7), Tokens(5))

  def reads(share: float) -> np.ndarray:
    spec = {
      'dropout': block(7, mlp=0.75, dropout=share),
      'noise': memn2n(slots=5, noise=share),
    }[rate]
    quiet = Subject(build_model(spec, *specs), specs.input_spec)
    return quiet.read(quiet.fresh(), *draw(specs.input_spec, 9))[1]

  np.testing.assert_array_equal(reads(0.9), reads(0.0))


def test_configs_are_found() -> None:
  assert any('transformer_xl' in case for case in NAMED)


TEXT = Specs(Tokens(7), Tokens(7))


def assert_close(one: Any, other: Any) -> None:
  np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def shapes(memory: Memory) -> Any:
  """Shapes of the parameters, and of the hidden states of two rows."""

  def run() -> Any:
    carry = memory.initial_carry(2)
    inputs, reset_BT = jnp.zeros((2, 3), jnp.int32), jnp.zeros((2, 3), bool)
    params = memory.init(jax.random.key(0), carry, inputs, reset_BT)['params']
    assert isinstance(memory, Model)
    return params, apply_body(memory, params, carry, inputs, reset_BT)[1]

  return jax.tree.map(jnp.shape, jax.eval_shape(run))


@pytest.mark.slow
@pytest.mark.parametrize('width', [96, 100])
@pytest.mark.parametrize('name', MODELS)
def test_one_flag_changes_the_width_of_any_model(name: str, width: int) -> None:
  spec = model(name, width=64, depth=2, window=4).to_dict() | {'width': width}
  memory = build_model(spec, *TEXT)
  _, h = shapes(memory)
  assert h == (2, 3, width)


# One model of each class: the readout does not depend on a Stack's layers.
WHOLE = {type(built(case)): case for case in (*NAMED, *ODD)}


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize('case', WHOLE.values())
def test_a_model_is_its_body_and_a_readout_of_each_step(case: str) -> None:
  read = subject(case)
  memory = read.model
  assert isinstance(memory, Model)
  inputs, reset_BT = map(jnp.asarray, draw(read.input_spec, 5))
  arguments = read.params, read.fresh(), inputs, reset_BT
  (after, y), (same, h) = (
    jax.jit(functools.partial(f, memory))(*arguments)
    for f in (apply, apply_body)
  )
  jax.tree.map(assert_close, after, same)
  some = apply_readout(memory, read.params, h[:, [1, 4]])
  assert_close(some, y[:, [1, 4]])
