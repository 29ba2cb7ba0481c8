"""Streaming equals the model on the whole text, and draws what it says."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.models import model
from memjax import generate as module
from memjax.build import build_model
from memjax.data.tokenizers import Bytes, Characters
from memjax.errors import ConfigError
from memjax.generate import generate
from memjax.loading import Run
from memjax.models.base import Memory, apply
from memjax.summary import sample
from memjax.types import Tokens

VOCAB, CONTEXT = 50, 5
PROMPT = np.array([3, 1, 4, 1, 5, 9, 2])  # longer than the context
LENGTH = 14


class Fixed(Memory):
  """Says the same of every token."""

  logits: tuple[float, ...]

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,))

  def __call__(self, carry, x, reset_BT, *, train=False) -> Any:
    logits_V = jnp.asarray(self.logits)
    return carry, jnp.broadcast_to(logits_V, (*x.shape, logits_V.size))


class Script(Memory):
  """Says one token after the other, whatever it reads."""

  script: tuple[int, ...]

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,), jnp.int32)

  def __call__(self, carry, x, reset_BT, *, train=False) -> Any:
    said = jnp.asarray(self.script)[carry]
    logits_BV = jax.nn.one_hot(said, 256)
    return carry + 1, jnp.broadcast_to(
      logits_BV[:, None], (*x.shape, logits_BV.shape[-1])
    )


class Echo(Memory):
  """Says again what it has just read."""

  def initial_carry(self, batch_size: int) -> jax.Array:
    return jnp.zeros((batch_size,))

  def __call__(self, carry, x, reset_BT, *, train=False) -> Any:
    return carry, jax.nn.one_hot(x, 256)


def take(length: int, *args: Any, **options: Any) -> list[int]:
  tokens = generate(*args, **options)
  return [next(tokens) for _ in range(length)]


@functools.cache
def random_model(name: str) -> tuple[Memory, Any]:
  """A small model with parameters large enough to have opinions."""
  spec = model(name, width=16, layers=1, context=CONTEXT).to_dict()
  built = build_model(spec, Tokens(VOCAB), Tokens(VOCAB))
  ids, reset_BT = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool)
  init = jax.jit(built.init)
  made = init(jax.random.key(0), built.initial_carry(1), ids, reset_BT)
  rng = np.random.default_rng(0)

  def disturb(p: jax.Array) -> jax.Array:
    """Biases would win over all that was read, so they stay."""
    return p + jnp.asarray((p.ndim > 1) * rng.normal(size=p.shape), p.dtype)

  return built, jax.tree.map(disturb, made['params'])


@pytest.mark.parametrize('name', ['lstm', 'transformer', 'transformer_xl'])
def test_greedy_is_the_argmax_chain_of_the_whole_text(name: str) -> None:
  built, params = random_model(name)
  tokens = take(LENGTH, built, params, PROMPT, temperature=0)
  text = jnp.asarray([*PROMPT, *tokens], jnp.int32)[None]
  reset_BT = jnp.zeros(text.shape, bool)
  whole = jax.jit(apply, static_argnums=0)
  _, logits_BTV = whole(built, params, built.initial_carry(1), text, reset_BT)
  likely = np.asarray(jnp.argmax(logits_BTV[0], axis=-1))
  assert tokens == likely[len(PROMPT) - 1 : -1].tolist()
  assert len(set(tokens)) > 2


def test_one_program_reads_a_prompt_and_one_a_token() -> None:
  built, params = random_model('lstm')
  count = module._read_and_draw._cache_size
  before = count()
  for seed, temperature in ((0, 1.0), (1, 0.5), (2, 0.0)):
    take(9, built, params, PROMPT, temperature=temperature, seed=seed)
  assert count() - before == 2
  take(9, built, params, PROMPT[:3])
  assert count() - before == 3


def test_a_seed_is_a_text() -> None:
  built, params = random_model('lstm')
  texts = [take(LENGTH, built, params, PROMPT, seed=s) for s in (1, 1, 2)]
  assert texts[0] == texts[1] != texts[2]
  greedy = [
    take(LENGTH, built, params, PROMPT, temperature=0, seed=s) for s in (1, 2)
  ]
  assert greedy[0] == greedy[1]


@pytest.mark.parametrize('temperature', [0.5, 2.0])
def test_draws_are_those_of_the_softmax(temperature: float) -> None:
  logits = (0.3, -1.0, 1.2, 0.0)
  odds = np.exp(np.array(logits) / temperature)
  draws = 4000
  tokens = take(
    draws, Fixed(logits=logits), {}, PROMPT[:1], temperature=temperature
  )
  counts, wanted = np.bincount(tokens, minlength=4), draws * odds / odds.sum()
  chi_square = ((counts - wanted) ** 2 / wanted).sum()
  assert chi_square < 16.3  # one in a thousand, 3 degrees of freedom


@pytest.mark.parametrize(
  ('prompt', 'options', 'field'),
  [
    ([], {}, 'prompt'),
    ([[1, 2]], {}, 'prompt'),
    ([1], {'temperature': -0.1}, 'temperature'),
    ([1], {'temperature': float('nan')}, 'temperature'),
    ([1], {'temperature': float('inf')}, 'temperature'),
    ([1], {'seed': -1}, 'seed'),
    ([1], {'seed': 2**32}, 'seed'),  # jax would cut it to 0
  ],
)
def test_bad_values_are_refused_at_the_call(prompt, options, field) -> None:
  with pytest.raises(ConfigError, match=f'^{field}: '):
    generate(Echo(), {}, np.array(prompt, int), **options)


def run_of(built: Memory, tokenizer: Any) -> Run:
  config = {'task': {'name': 'text.Text'}}
  return Run(config, built, {}, (), tokenizer, 0, {})


def test_characters_of_many_bytes_come_whole() -> None:
  text = 'aé€😀z'
  built = Script(script=tuple(text.encode()))
  pieces = list(sample(run_of(built, Bytes()), '?', 11, 0.0, 0))
  assert [piece for piece in pieces if piece] == list(text)
  assert len(pieces) == len(text.encode())


@pytest.mark.parametrize(
  ('tokenizer', 'prompt', 'said'),
  [
    (Characters('ab'), 'ab', 'bbb'),
    (Characters('ab'), 'abé', '\ufffd\ufffd\ufffd'),  # an id of its own
    (Bytes(), 'ab\udcff', '\ufffd\ufffd\ufffd'),  # a byte, no UTF-8
  ],
)
def test_the_prompt_is_read_as_it_is(tokenizer, prompt, said) -> None:
  run = run_of(Echo(), tokenizer)
  assert ''.join(sample(run, prompt, 3, 0.0, 0)) == said


def test_a_prompt_that_is_no_text_is_refused() -> None:
  run = run_of(Echo(), Characters('ab'))
  with pytest.raises(ConfigError, match=r'^prompt: .* is not UTF-8'):
    next(sample(run, 'ab\udcff', 3, 0.0, 0))


def test_only_text_is_sampled() -> None:
  with pytest.raises(ConfigError, match=r"^task\.name: 'text\.Text': is not"):
    next(sample(run_of(Echo(), None), 'ab', 3, 0.0, 0))
