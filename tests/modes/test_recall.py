"""What one process is told, another finds; in its own space, until erased."""

from collections.abc import Callable
import os
from pathlib import Path
import re
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memjax.config import command_line
from memjax.config.build import build_model
from memjax.data.tokenizers import Bytes
from memjax.errors import ConfigError
from memjax.generation import decode, neighbours
from memjax.generation.neighbours import Mixing, Neighbours
from memjax.generation.sampler import SamplerConfig
from memjax.models.base import Model
from memjax.modes import sample as sampling
from memjax.modes.recall import Recall
from memjax.runs.load import Run
from memjax.store.crypto import VARIABLE
from memjax.store.flat import Flat
from memjax.store.grants import grant
from memjax.store.opening import open_store
from memjax.store.records import Range
from memjax.types import Tokens
from tests.small import small
from tests.store.engines import store

for needed in ('apsw', 'cryptography'):
  pytest.importorskip(needed)

ROOT = Path(__file__).parents[2]
MASTER = bytes(range(32))
ADMIN = grant('admin', '*', 'read write forget admin')
QUESTION, ANSWER = 'The code of the door is ', '7391'
FACT = f'{QUESTION}{ANSWER}.'


@pytest.fixture(scope='module')
def run() -> Run:
  """An untrained model: without a store, it answers by chance."""
  layer = {'name': 'gru.GRU'}
  spec = {'name': 'stack.Stack', 'width': 16, 'layer': layer}
  built = build_model(spec, Tokens(256), Tokens(256))
  ids, reset_BT = jnp.zeros((1, 1), jnp.int32), jnp.ones((1, 1), bool)
  read = built.initial_carry(1), ids, reset_BT
  params = jax.jit(built.init)(jax.random.key(0), *read)['params']
  config = {'task': {'name': 'text.Text'}, 'model': {'width': 16}}
  return Run(config, built, params, (), Bytes(), 5, {})


Say = Callable[..., str]


@pytest.fixture
def say(
  run: Run, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> Say:
  """`--mode=sample` on this model, with a store in a file of the test."""
  monkeypatch.setenv(VARIABLE, MASTER.hex())
  monkeypatch.setattr(sampling, 'load', lambda *where: run)
  monkeypatch.setattr(sampling, 'enable_compilation_cache', lambda: None)
  defaults = {flag.name: flag.default for flag in command_line.SAMPLING}
  defaults |= {'length': 4, 'temperature': 0.0, 'store': str(tmp_path / 'db')}

  def sampled(**changes: Any) -> str:
    assert sampling.sample(Path('run'), **defaults | changes) == 0
    return capsys.readouterr().out.rstrip('\n')

  return sampled


def test_a_fact_is_found_in_its_space_until_it_is_erased(
  say: Say, tmp_path: Path
) -> None:
  alone = say(prompt=QUESTION, store='')
  assert not alone.endswith(ANSWER)
  say(prompt='Something else, told before.', space='alice')
  say(prompt=FACT, space='alice')
  for _ in range(2):  # the question itself has no answer to be found
    assert say(prompt=QUESTION, space='alice') == QUESTION + ANSWER
  assert say(prompt=QUESTION, space='bob') == alone
  with open_store(tmp_path / 'db', ADMIN, master=MASTER) as opened:
    assert opened.end('alice') == 28 + 28 + 2 * 23 - 1
    row = opened.read('alice', Range(0, 1))[0]
    assert row.value == b'o\0\0\0'
    assert row.tags[0].startswith('model-')
    opened.erase('alice')
  assert say(prompt=QUESTION, space='alice') == alone


def test_a_text_does_not_find_itself(run: Run) -> None:
  opened = store(Flat(), grant('alice', 'alice', 'read write'))
  before = Recall(run, opened, 'alice')
  assert before.tell(FACT) == Range(0, len(FACT) - 1)
  after = Recall(run, opened, 'alice')
  assert isinstance(run.model, Model)
  assert run.tokenizer is not None
  fresh, ids = run.model.initial_carry(1), run.tokenizer.encode(FACT.encode())
  h_D = neighbours.hidden_states(run.model, run.params, fresh, ids)[5]
  assert before.look_up(h_D).token_C.size == 0
  assert before.describe().endswith('0 records, none of them read')
  assert after.look_up(h_D).token_C[0] == ids[6]
  assert f'{len(FACT) - 1} records, 8 of them read' in after.describe()
  other = Recall(run._replace(step=6), opened, 'alice')
  assert other.look_up(h_D).token_C.size == 0  # another model's records


def test_personal_data_in_a_prompt_is_masked(say: Say, tmp_path: Path) -> None:
  pytest.importorskip('phonenumbers')
  pytest.importorskip('stdnum')
  told = 'Mail bob@example.org, code 42.'
  shown = say(prompt=told, space='alice', mask=True)
  assert 'bob@' not in shown
  assert re.match(r'Mail <email_[b-z]{12}>, code 42\.', shown)
  asked = say(prompt='Mail Bob@example.org, code ', space='alice', mask=True)
  assert asked[-4:-1] == '42.'
  with open_store(tmp_path / 'db', ADMIN, master=MASTER) as opened:
    rows = opened.read('alice', Range(0, opened.end('alice')))
    text = bytes(row.value[0] for row in rows if isinstance(row.value, bytes))
  assert b'ob@example' not in text


def test_flags_that_do_not_go_together_are_refused(say: Say) -> None:
  wrong: list[tuple[str, dict[str, Any]]] = [
    ('^space.*--store=FILE', {'store': '', 'space': 'a'}),
    ('^space.*--store=FILE', {'store': '', 'mask': True}),
    ('^space.*--space=NAME', {}),
    ('^store.*beams', {'space': 'a', 'beams': 2}),
    ('^store.*carry', {'space': 'a', 'carry': 'file'}),
    ('^store_share', {'space': 'a', 'store_share': 1.0}),
  ]
  for rule, flags in wrong:
    with pytest.raises(ConfigError, match=rule):
      say(**flags)


def test_the_mixture_is_that_of_the_equations() -> None:
  rng = np.random.default_rng(0)
  logits_V = rng.normal(size=6)
  found = Neighbours(np.array([1, 4, 1]), np.array([0.99, 0.97, 0.95]))
  log_V, a = neighbours.mixed(logits_V, found, Mixing(0.5, 0.02, 0.04))
  p = np.exp(logits_V) / np.exp(logits_V).sum()
  e = np.exp(np.array([-0.01, -0.03, -0.05]) / 0.02)
  c = np.array([0, e[0] + e[2], 0, 0, e[1], 0]) / e.sum()
  assert a == pytest.approx(0.5 * np.exp(-0.25))
  np.testing.assert_allclose(np.exp(log_V), (1 - a) * p + a * c, atol=1e-12)
  nothing = Neighbours(np.zeros(0, int), np.zeros(0))
  log_V, a = neighbours.mixed(logits_V, nothing, Mixing())
  assert a == 0.0
  np.testing.assert_allclose(np.exp(log_V), p)


def test_without_records_a_text_is_that_of_the_model(run: Run) -> None:
  """The same tokens as without a store, drawn by the same keys."""
  assert isinstance(run.model, Model)
  state = decode.prefill(run.model, run.params, np.arange(5), seed=3)
  config = SamplerConfig(0.9, 50)
  blocks = decode.generate(run.model, run.params, state, 9, config)
  expected = np.concatenate([tokens for tokens, _ in blocks])
  none = Neighbours(np.zeros(0, int), np.zeros(0))
  steps = neighbours.generate(
    *(run.model, run.params, state, 9, config), lambda h_D: none, Mixing()
  )
  assert [token for token, *_ in steps] == expected.tolist()


@pytest.mark.slow
def test_processes_tell_and_ask(tmp_path: Path) -> None:
  """A trained workdir, and one process for each call."""
  from memjax.training.loop import train

  workdir = tmp_path / 'run'
  experiment = small('text', 'gru', {'parallel.data': 1})
  assert train(experiment, workdir, lambda *run: None)

  def sample(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
      [
        *(sys.executable, 'launch.py', '--mode=sample', '--length=4'),
        *(f'--workdir={workdir}', '--temperature=0', *words),
      ],
      capture_output=True,
      text=True,
      cwd=ROOT,
      env=os.environ | {VARIABLE: MASTER.hex()},
    )

  where, ask = f'--store={tmp_path / "db"}', f'--prompt={QUESTION}'
  told = sample(where, '--space=alice', f'--prompt={FACT}')
  assert told.returncode == 0, told.stderr
  assert 'space alice: 0 records, none of them read' in told.stderr
  answered = sample(where, '--space=alice', ask)
  assert answered.stdout == f'{QUESTION}{ANSWER}\n'
  assert '28 records' in answered.stderr
  assert 'written from 20' in answered.stderr
  for other in (sample(ask), sample(where, '--space=bob', ask)):
    assert other.returncode == 0
    assert ANSWER not in other.stdout
  with open_store(tmp_path / 'db', ADMIN, master=MASTER) as opened:
    opened.erase('alice')
  assert ANSWER not in sample(where, '--space=alice', ask).stdout
  refused = subprocess.run(
    [
      *(sys.executable, 'launch.py', '--mode=sample', f'--workdir={workdir}'),
      *(where, '--space=alice'),
    ],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env={k: v for k, v in os.environ.items() if k != VARIABLE},
  )
  assert refused.returncode == 2
  assert refused.stderr.splitlines()[-1].startswith('memjax: store.key')
