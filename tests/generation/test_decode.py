"""Streaming equals the model on the whole text, in however many parts."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config.build import build_model
from memjax.configs.models import model
from memjax.errors import ConfigError
from memjax.generation import decode as module
from memjax.generation.decode import State, extend, generate, key_of, prefill
from memjax.generation.sampler import UNFILTERED, SamplerConfig
from memjax.models.base import Memory, apply
from memjax.types import Tokens
from tests.small import assert_close

VOCAB, CONTEXT = 50, 5
PROMPT = np.array([3, 1, 4, 1, 5, 9, 2])  # longer than the context
LENGTH = 14


GREEDY = SamplerConfig(temperature=0)


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
  """A prompt is read as a piece and a rest; a text is several blocks."""
  monkeypatch.setattr(module, 'PIECE', 4)


def take(
  model: Memory,
  params: Any,
  state: State,
  length: int,
  config: SamplerConfig = UNFILTERED,
) -> tuple[list[int], State]:
  """The tokens that follow, and the state after them."""
  tokens: list[int] = []
  for block, after in generate(model, params, state, length, config):
    tokens, state = [*tokens, *block.tolist()], after
  return tokens, state


@functools.cache
def random_model(name: str) -> tuple[Memory, Any]:
  """A small model with parameters large enough to have opinions."""
  spec = model(name, width=16, depth=1, window=CONTEXT).to_dict()
  built = build_model(spec, Tokens(VOCAB), Tokens(VOCAB))
  ids, reset_BT = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool)
  init = jax.jit(built.init)
  variables = init(jax.random.key(0), built.initial_carry(1), ids, reset_BT)
  rng = np.random.default_rng(0)

  def disturb(p: jax.Array) -> jax.Array:
    """Biases would win over all that was read, so they stay."""
    return p + jnp.asarray((p.ndim > 1) * rng.normal(size=p.shape), p.dtype)

  return built, jax.tree.map(disturb, variables['params'])


def whole_text(
  model: Memory, params: Any, text: list[int]
) -> tuple[Any, np.ndarray]:
  """One call over the whole text: the carry after it, and the logits."""
  ids = jnp.asarray(text, jnp.int32)[None]
  call = jax.jit(apply, static_argnums=0)
  carry, logits_BTV = call(
    model, params, model.initial_carry(1), ids, jnp.zeros(ids.shape, bool)
  )
  return carry, np.asarray(logits_BTV[0])


def assert_same(one: Any, other: Any) -> None:
  """Bit for bit, the keys too."""

  def bits(x: Any) -> np.ndarray:
    typed = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if typed else x)

  jax.tree.map(
    lambda a, b: np.testing.assert_array_equal(bits(a), bits(b)), one, other
  )


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(
  'name', ['lstm', 'transformer', 'transformer_xl', 'schlag_delta']
)
def test_greedy_is_the_argmax_chain_of_the_whole_text(name: str) -> None:
  model, params = random_model(name)
  start = prefill(model, params, PROMPT)
  tokens, _ = take(model, params, start, LENGTH, GREEDY)
  _, logits_TV = whole_text(model, params, [*PROMPT, *tokens])
  likely_T = logits_TV.argmax(-1)
  assert tokens == likely_T[len(PROMPT) - 1 : -1].tolist()
  assert len(set(tokens)) > 1


def test_one_program_reads_pieces_and_one_does_the_rest() -> None:
  model, params = random_model('lstm')
  programs: tuple[Any, Any] = (module._decode, module._read_piece)
  before = [program._cache_size() for program in programs]
  configs = [
    SamplerConfig(),
    SamplerConfig(0),
    SamplerConfig(0.5, top_k=3),
    SamplerConfig(2.0, 10, 0.9),
    SamplerConfig(1, top_p=0.1),
  ]
  for size, config in enumerate(configs, 1):
    prompt = np.arange(3 * size)
    state = prefill(model, params, prompt, seed=size)
    take(model, params, state, 5 + size, config)
  after = [program._cache_size() for program in programs]
  assert after[0] - before[0] <= 1
  assert after[1] - before[1] <= 1
  assert min(after) > 0


def test_a_text_in_parts_is_the_unbroken_text() -> None:
  model, params = random_model('lstm')
  config = SamplerConfig(0.8, 20, 0.9)
  start = prefill(model, params, PROMPT, seed=3)
  unbroken, end = take(model, params, start, LENGTH, config)
  parts: list[int] = []
  state = start
  for length in (1, 5, 2, LENGTH - 8):
    tokens, state = take(model, params, state, length, config)
    parts += tokens
  assert parts == unbroken
  assert_same(state, end)
  again, _ = take(model, params, start, LENGTH, config)
  assert again == unbroken, 'a state is a value'


def test_a_prompt_can_be_read_in_parts_and_between_tokens() -> None:
  model, params = random_model('lstm')
  tokens, state = take(model, params, prefill(model, params, PROMPT), 3, GREEDY)
  state = extend(model, params, state, np.array([7, 8, 9, 10, 11, 12]))
  state = extend(model, params, state, np.array([], int))
  text = [*PROMPT, *tokens, 7, 8, 9, 10, 11]
  carry, _ = whole_text(model, params, text)
  assert_close(state.carry, carry, 1e-5)
  assert state.token == 12
  # Reading draws nothing.
  _, drawn = take(model, params, prefill(model, params, PROMPT), 3)
  assert_same(state.key, drawn.key)


def test_a_seed_is_a_text() -> None:
  model, params = random_model('lstm')

  def text(seed: int, config: SamplerConfig) -> list[int]:
    state = prefill(model, params, PROMPT, seed)
    return take(model, params, state, LENGTH, config)[0]

  texts = [text(seed, UNFILTERED) for seed in (1, 1, 2)]
  assert texts[0] == texts[1] != texts[2]
  assert text(1, GREEDY) == text(2, GREEDY)


@pytest.mark.parametrize(
  ('prompt', 'seed', 'field'),
  [
    ([], 0, 'prompt'),
    ([[1, 2]], 0, 'prompt'),
    ([1], -1, 'seed'),
    ([1], 2**32, 'seed'),  # jax would cut it to 0
  ],
)
def test_a_bad_beginning_is_refused(
  prompt: list, seed: int, field: str
) -> None:
  model, params = random_model('lstm')
  with pytest.raises(ConfigError, match=f'^{field}: '):
    prefill(model, params, np.array(prompt, int), seed)


def test_no_length_is_refused_at_the_call() -> None:
  model, params = random_model('lstm')
  state = State(model.initial_carry(1), jnp.int32(0), key_of(0))
  with pytest.raises(ConfigError, match=r'^length: 0: '):
    generate(model, params, state, 0)
