"""`memjax check`, and the laws that training tries first."""

import inspect
from pathlib import Path
import re
import subprocess
import sys

import pytest

from memjax.config.build import build_model
from memjax.config.find import classes
from memjax.configs import copy_memory
from memjax.errors import ConfigError
from memjax.laws.check import LAWS
from memjax.laws.probe import refuse_broken
from memjax.models.base import Memory, Model
from memjax.models.stack import Stack
from memjax.modes import check
from memjax.modes.train import train
from memjax.runs import exit_codes
from memjax.types import Tokens
from tests.contract.test_broken import (
  WIDTH,
  Decay,
  ReadsAheadOnPurpose,
  SaysItMixesRows,
)

ROOT = Path(__file__).parents[2]
BROKEN = 'tests.contract.test_broken'
OWN = '''"""Classes of a user."""

from flax import linen as nn
import jax.numpy as jnp

from memjax.models.base import Memory, Model


class NoCarry(Memory):
  width: int

  def __call__(self, carry, x, reset_BT, *, train=False):
    return carry, x


class NoWidth(Memory):
  def initial_carry(self, batch_size):
    return jnp.zeros((batch_size, 3))

  def __call__(self, carry, x, reset_BT, *, train=False):
    return carry, x


class Plain(nn.Module):
  width: int


class Strict(Memory):
  width: int

  def __post_init__(self):
    if self.width < 100:
      raise ValueError('too narrow')
    super().__post_init__()

  def initial_carry(self, batch_size):
    return jnp.zeros((batch_size, self.width))

  def __call__(self, carry, x, reset_BT, *, train=False):
    return carry, x


class Still(Memory):
  width: int
  windows: int

  def initial_carry(self, batch_size):
    return jnp.zeros((batch_size, self.width))

  def __call__(self, carry, x, reset_BT, *, train=False):
    return carry, x * self.windows
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
  """A folder with a user's file, `my_own.py`."""
  (tmp_path / 'my_own.py').write_text(OWN)
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.delitem(sys.modules, 'my_own', raising=False)


def tried(
  capsys: pytest.CaptureFixture[str], name: str, **settings: str
) -> tuple[int, list[str]]:
  """The exit code of a check, and its lines."""
  code = check.check(name, settings)
  lines = capsys.readouterr().out.splitlines()
  assert max(map(len, lines)) <= 80
  return code, lines


def test_a_memory_that_keeps_the_laws(
  capsys: pytest.CaptureFixture[str],
) -> None:
  code, lines = tried(capsys, 'key_value.KeyValueMemory', slots='1', width='4')
  assert code == exit_codes.FINISHED
  assert 'slots=1' in lines[0]
  assert sum(line.startswith('passed ') for line in lines) == 15
  at = next(i for i, line in enumerate(lines) if line.startswith('on purpose'))
  assert 'horizon' in lines[at]
  assert 'single pair' in lines[at + 1]
  assert 'keeps 15 of 16 laws; on purpose not horizon' in lines[-1]


def test_a_broken_memory(capsys: pytest.CaptureFixture[str]) -> None:
  code, lines = tried(capsys, f'{BROKEN}.NormalisesTheBatch')
  assert code == exit_codes.FAILED
  at = next(i for i, line in enumerate(lines) if line.startswith('broken'))
  assert lines[at].split()[1] == 'rows'
  assert 'change the outputs of row 2' in ' '.join(lines[at + 1 : at + 3])
  assert 'breaks 1 of 16 laws: rows' in lines[-1]


@pytest.mark.usefixtures('own')
@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('my_own.NoCarry', 'the class has no method initial_carry'),
    ('my_own.NoWidth', 'the class has no field `width`'),
  ],
)
def test_a_class_without_a_method_is_broken(
  name: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
  code, lines = tried(capsys, name)
  assert code == exit_codes.FAILED
  assert words in ' '.join(lines)
  assert '15 laws need methods' in ' '.join(lines[-2:])


@pytest.mark.usefixtures('own')
@pytest.mark.parametrize(
  ('name', 'settings', 'words'),
  [
    ('lsmt.LSTM', {}, 'mean lstm?'),
    ('my_own.Sill', {}, 'mean Still?'),
    ('my_own.Plain', {}, 'must inherit from memjax.models.base.Memory'),
    ('my_own.Still', {'width': 'x'}, "my_own.Still.width: 'x'"),
    ('my_own.Still', {'window': '3'}, 'mean windows?'),
    ('my_own.Strict', {}, 'refused by Strict: too narrow'),
    ('lstm.LSTM', {'width': '0'}, 'at least 1'),
    ('lstm.LSTM', {'layer.width': '3'}, 'no such field'),
    ('stack.Stack', {'layer': 'lsmt.LSTM'}, 'mean lstm?'),
  ],
)
def test_a_wrong_setting_is_refused(
  name: str, settings: dict[str, str], words: str
) -> None:
  with pytest.raises(ConfigError) as error:
    check.check(name, settings)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_fields_that_must_be_given_are_small() -> None:
  spec = check.read_settings('stack.Stack', {'layer.name': 'ntm.NTM'})
  whole = check.complete(spec)
  assert whole['width'] == 8
  assert whole['layer'] == {'name': 'ntm.NTM', 'slots': 5, 'slot_width': 4}
  assert isinstance(build_model(whole, Tokens(7), Tokens(5)), Stack)


def test_every_memory_has_sizes_for_a_check() -> None:
  number = 0
  for name, cls in classes('memjax.models'):
    if issubclass(cls, Memory) and not inspect.isabstract(cls):
      spec = check.complete({'name': name})
      if not issubclass(cls, Model):
        spec = {
          'name': 'stack.Stack',
          'width': spec.pop('width'),
          'wiring': 'plain',  # the only one for layers that answer late
          'layer': spec,
        }
      build_model(spec, check.READS, check.ANSWERS)
      number += 1
  assert number > 20


@pytest.mark.slow
def test_the_model_of_a_config(capsys: pytest.CaptureFixture[str]) -> None:
  config = copy_memory.get_config('lstm,quick').to_dict()
  assert check.check_config(config) == exit_codes.FINISHED
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith('stack.Stack on copy_memory.CopyMemory')
  assert 'keeps 16 of 16 laws' in lines[-1]


def test_the_page_states_every_law() -> None:
  text = (ROOT / 'docs' / 'laws.md').read_text(encoding='utf-8')
  rows = re.findall(r'^\| `(\w+)` \|', text, re.M)
  assert rows == [law.name for law in LAWS]


def test_the_command(tmp_path: Path) -> None:
  (tmp_path / 'my_own.py').write_text(OWN)

  def memjax(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
      [sys.executable, str(ROOT / 'launch.py'), 'check', *words],
      cwd=tmp_path,
      capture_output=True,
      text=True,
      timeout=300,
    )

  broken = memjax('my_own.Still', 'windows=0')
  assert (broken.returncode, broken.stderr) == (1, '')
  assert 'other inputs give the same outputs' in broken.stdout
  refused = memjax('my_own.Still', 'windows')
  assert refused.returncode == 2
  assert refused.stderr.count('\n') == 1
  assert 'must be field=value' in refused.stderr


def config_of(name: str, width: int = WIDTH) -> dict:
  config = copy_memory.get_config('lstm,quick').to_dict()
  return config | {
    'model': {
      'name': 'stack.Stack',
      'width': width,
      'layer': {'name': 'gru.GRU'},
      'others': {'own': {'name': name}},
      'pattern': 'layer own',
      'depth': 2,
    }
  }


@pytest.mark.usefixtures('own')
@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('my_own.NoCarry', 'has no method initial_carry'),
    ('my_own.NoWidth', 'has no field `width`'),
    (f'{BROKEN}.NoTrain', "unexpected keyword argument 'train'"),
    (f'{BROKEN}.BatchLast', 'the batch of 3 is axis 1'),
    (f'{BROKEN}.Numbers', 'leaf `c` of the carry is of type float'),
    (f'{BROKEN}.EmptyLeaf', 'leaf `d` of the carry is empty'),
    (f'{BROKEN}.CountsInFloats', 'comes out as float32 (3,)'),
    (f'{BROKEN}.CarryTimeFirst', 'comes out as float32 (1, 3, 2)'),
    (f'{BROKEN}.DropsALeaf', 'leaf `d` of the carry is missing'),
    (f'{BROKEN}.Wider', 'the last axis must be width'),
    (f'{BROKEN}.Branches', '`if reset_BT.any():`'),
    (f'{BROKEN}.DividesByItsCarry', 'an output is NaN'),
    (f'{BROKEN}.NormalisesTheBatch', 'change the outputs of row 2'),
    (f'{BROKEN}.ReadsAhead', 'A call on one step differs'),
  ],
)
def test_training_refuses_a_broken_class(
  name: str, words: str, tmp_path: Path
) -> None:
  with pytest.raises(ConfigError) as error:
    train(config_of(name), tmp_path / 'run')
  assert words in str(error.value)
  assert name in str(error.value)
  assert str(error.value).startswith('model.others.own')
  assert '\n' not in str(error.value)
  assert not (tmp_path / 'run').exists()


def whole(layer: Memory) -> Stack:
  return Stack(Tokens(7), Tokens(5), width=WIDTH, layer=layer)


def test_an_exception_inside_a_stack_is_shown_at_the_users_line(
  capsys: pytest.CaptureFixture[str],
) -> None:
  assert check.check_config(config_of(f'{BROKEN}.Branches')) == 1
  text = ' '.join(capsys.readouterr().out.split())
  assert 'test_broken.py, line' in text
  assert '`if reset_BT.any():`' in text


def test_training_takes_a_class_that_breaks_on_purpose() -> None:
  refuse_broken(whole(Decay()), 'bfloat16')
  refuse_broken(whole(ReadsAheadOnPurpose()), 'float32')


def test_a_stack_reads_ahead_if_a_layer_does() -> None:
  assert whole(Decay()).causal
  assert not whole(ReadsAheadOnPurpose()).causal
  assert dict(whole(SaysItMixesRows()).breaks) == dict(SaysItMixesRows().breaks)
