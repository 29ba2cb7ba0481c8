"""The command line: bad input is one line and exit code 2, before a compile."""

from collections.abc import Callable, Iterator, Sequence
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from memjax.runs import exit_codes
from memjax.runs.workdir import read_run

ROOT = Path(__file__).parents[1]
COPY = '--config=configs/copy_memory.py:lstm,quick'
OWN = '--config=configs/text.py:lstm,quick'
TEXT = '--config=configs/quickstart.py:transformer_xl,quick'


def launch(*args: str) -> subprocess.CompletedProcess:
  return subprocess.run(
    [sys.executable, 'launch.py', *args],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )


FORKS = """
import json, os, sys, tempfile, traceback
from memjax.__main__ import main
from memjax.modes import evaluate, export, report, sample, train

for line in sys.stdin:
  with tempfile.TemporaryFile('w+') as errors:
    child = os.fork()
    if child == 0:
      os.dup2(errors.fileno(), 2)
      sys.argv = ['launch.py', *json.loads(line)]
      try:
        code = main()
      except BaseException:
        traceback.print_exc()
        code = 1
      sys.stderr.flush()
      os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    errors.seek(0)
    print(json.dumps([code, errors.read()]), flush=True)
"""


@pytest.fixture(scope='module')
def launch_quickly() -> Iterator[Callable[[list[str]], tuple[int, str]]]:
  """Exit code and errors of `launch` in a process that has imported memjax."""
  with subprocess.Popen(
    [sys.executable, '-W', 'ignore', '-c', FORKS],
    cwd=ROOT,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    text=True,
  ) as forks:
    assert forks.stdin
    assert forks.stdout
    pipes = forks.stdin, forks.stdout

    def ask(args: list[str]) -> tuple[int, str]:
      print(json.dumps(args), file=pipes[0], flush=True)
      code, errors = json.loads(pipes[1].readline())
      return code, errors

    yield ask


def test_what_there_is_is_listed() -> None:
  done = launch('--list')
  assert (done.returncode, done.stderr) == (0, '')
  lines = done.stdout.splitlines()
  listed = {line.split()[0] for line in lines if line.strip()}
  configs = {
    f'configs/{path.name}'
    for path in (ROOT / 'configs').glob('*.py')
    if 'get_config' in path.read_text()
  }
  assert configs <= listed
  assert {'lstm.LSTM', 'stack.Stack', 'mqar.MQAR', 'babi.BAbI'} <= listed
  assert {'stream.Loss', 'generation.ExactMatch'} <= listed
  assert not {'stack.Block', 'base.Task', 'bits.BitTask'} & listed
  assert not {'haystack.Haystack', 'haystack.Numbers'} & listed
  assert '    MODEL' in lines
  assert '    copy-MODEL, repeat_copy-MODEL,' in done.stdout


@pytest.mark.parametrize(
  'args', [[], ['--help'], ['-h'], [COPY, '--help']], ids=' '.join
)
def test_help_is_printed_in_80_columns(args: list[str]) -> None:
  done = launch(*args)
  assert (done.returncode, done.stderr) == (0, '')
  assert done.stdout.startswith('Trains, evaluates')
  assert '--config=FILE[:VARIANT]' in done.stdout
  assert '\n--prompt=' in done.stdout
  assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize('args', [['--list', 'lstm'], ['--list=lstm.LSTM']])
def test_the_fields_of_a_name_are_listed(args: list[str]) -> None:
  done = launch(*args)
  assert (done.returncode, done.stderr) == (0, '')
  assert 'forget_bias: float = 1.0' in done.stdout


@pytest.mark.parametrize(
  ('args', 'words'),
  [
    (['--workdir=x'], ['config: ', 'give one --config', '=quickstart']),
    (['--config=configs/nothing.py'], ['configs/nothing.py', 'No such file']),
    (['--config=configs/mqar.py:lsmt'], ['mqar.py:lsmt', 'lstm']),
    ([COPY, 'train'], ['flags', 'train', 'is not a flag']),
    (['--config'], ['config: ', 'give one --config']),
    (['--config=lsmt'], ["config: 'lsmt'", 'No such file', '--list shows all']),
    ([COPY, '--wrkdir=x'], ["--wrkdir: 'x'", 'did you mean --workdir?']),
    ([COPY, '--train.steps=5'], ['did you mean --config.train.steps?']),
    (['--list', 'lsmt'], ["list: 'lsmt'", 'did you mean lstm']),
    ([COPY, '--mode=trian'], ['mode', '<train|eval|export|sample|report|']),
    ([COPY, '--config.train.stpes=5'], ['train.stpes', 'mean steps?']),
    ([COPY, '--config.trian.steps=5'], ['trian', 'mean train?']),
    ([COPY, '--config.train.steps=5.5'], ['train.steps', '5.5']),
    ([COPY, '--config.train.steps', '-5'], ['train.steps', '-5', 'negative']),
    ([COPY, '--config.train.steps=1e3'], ["'1e3'", 'a whole number: 1000']),
    (
      [COPY, '--config.log.tensorboard=yes'],
      ["'yes'", 'must be true or false'],
    ),
    ([COPY, '--config.task.dlay=3'], ['task.dlay', 'did you mean delay?']),
    ([COPY, '--config.train.steps=0'], ['train.steps', '0', 'at least 1']),
    (
      [COPY, '--config.optim.clip_norm=nan'],
      ['optim.clip_norm', 'nan', 'finite'],
    ),
    (
      [COPY, '--config.optim.clip_norm=inf'],
      ['optim.clip_norm', 'inf', 'finite'],
    ),
    ([COPY, '--config.optim.name=adm'], ['optim.name', 'adm', 'mean adam']),
    ([COPY, "--config.model={'name': 'x'}"], ['model', 'whole section']),
    ([COPY, "--config.train={'steps': 3}"], ['train', 'whole section']),
    ([COPY, '--config.train=3'], ['train', 'whole section']),
    ([COPY, '--config.model.name=stack.Stak'], ['model.name', 'Stack?']),
    ([COPY, '--config.model.width=0'], ['model.width', 'at least 1']),
    ([COPY, '--config.seed=4294967296'], ['seed', 'below 2^32']),
    ([COPY, '--config.task.delay=0'], ['task.delay', '0', 'at least 1']),
    (
      [COPY, '--config.train.grad_accum_steps=3'],
      ['train.grad_accum_steps', 'divide'],
    ),
    ([COPY, '--config.train.segment_length=5'], ['train.segment_length']),
    ([COPY, '--config.train.dtype=float16'], ['train.dtype', 'bfloat16']),
    ([COPY, '--config.checkpoint.best=nope/loss'], ['checkpoint.best']),
    ([COPY, '--config.parallel.data=64'], ['parallel.data', 'does not fit']),
    (
      [
        '--config=configs/copy_memory.py:transformer,quick',
        '--config.model.layer.head_width=0',
      ],
      ['model.layer.head_width', '0', 'at least 1'],
    ),
    ([TEXT, '--config.task.corpus=wiki'], ['task.corpus', 'wiki']),
    (
      [OWN, '--config.task.corpus=files', '--config.task.path=/not/there'],
      ['task.path', '/not/there', 'does not exist'],
    ),
    ([COPY, '--workdir=/proc/x'], ['workdir', '/proc/x']),
    ([COPY, '--mode=eval', '--workdir=/not/there'], ['/not/there']),
    ([COPY, '--mode=sample', '--workdir=/not/there'], ['/not/there']),
    (['--mode=sample', '--workdir=/not/there'], ['/not/there', 'config.json']),
    (['--mode=sample', '--workdir=x', '--config.seed=3'], ['config.seed']),
    (
      ['--mode=sample', '--workdir=x', '--beams=4', '--temperature=0.5'],
      ['temperature: 0.5', '--beams finds the likeliest'],
    ),
    (['--mode=sample'], ['workdir: ', '--mode=sample needs --workdir=DIR']),
    (['--mode=eval', '--workdir=/not/there'], ['/not/there', 'config.json']),
    (['--mode=eval', '--config.seed=1'], ['workdir: ', 'needs --workdir=DIR']),
    (['traim'], ['flags', 'traim', 'is not a flag']),
    (['--config=quickstart:lstm'], ['quickstart.py:lstm', 'variants are gru']),
    (
      ['--config=experiments/leaderboard/config.py:mqar_64x4-grv-64'],
      ["grv-64': memory: 'grv': did you mean gru? known: "],
    ),
    (['--mode=export', '--workdir=/not/there'], ['/not/there', 'config.json']),
    (['--mode=export', '--workdir=x', '--config.seed=3'], ['config.seed']),
    (['--mode=import', '--workdir=x'], ['from', 'give the model']),
    (['--mode=import', '--workdir=x', '--from=no'], ['no', 'does not exist']),
    (['--mode=import', '--from=no'], ['workdir', '--mode=import needs']),
    (['--mode=import', COPY], ['config', 'makes the config']),
    (['--mode=report', '--workdir=/not/there'], ['/not/there']),
    (['--mode=report', '--workdir=configs,configs'], ['workdir', 'twice']),
    (['--mode=report', '--workdir=x', '--config.seed=1'], ['config.seed']),
  ],
  ids=lambda value: ' '.join(value)[:40] if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(
  args: list[str],
  words: list[str],
  launch_quickly: Callable[[list[str]], tuple[int, str]],
) -> None:
  code, errors = launch_quickly(args)
  assert code == exit_codes.REFUSED, errors
  assert errors.count('\n') == 1, errors
  assert errors.startswith('memjax: ')
  for word in words:
    assert word in errors
  assert not Path('/not').exists()  # nothing is made before it is refused


@pytest.mark.slow
def test_a_config_names_an_optimiser_of_its_own_folder(tmp_path: Path) -> None:
  (tmp_path / 'my_optim.py').write_text(
    'import optax\n\n\ndef halved(learning_rate):\n'
    '  return optax.chain(optax.sgd(learning_rate), optax.scale(0.5))\n'
  )
  (tmp_path / 'mine.py').write_text(
    'from memjax.configs import adding\n\n\ndef get_config(variant=""):\n'
    '  config = adding.get_config("lstm,quick").unlock()\n'
    '  config.optim.update(name="my_optim.halved", options={})\n'
    '  return config\n'
  )
  config = f'--config={tmp_path}/mine.py'
  done = launch(config, f'--workdir={tmp_path}/run')
  assert done.returncode == 0, done.stderr
  wrong = launch(config, '--config.optim.name=my_optim.halfed')
  assert wrong.returncode == 2
  assert 'is not in my_optim; did you mean halved?' in wrong.stderr


@pytest.mark.slow
def test_divergence_is_an_exit_code_and_a_state(tmp_path: Path) -> None:
  quick = '--config=configs/adding.py:gru,quick'
  huge = '--config.optim.learning_rate=1e38'
  once = '--config.log.every=1'
  ran = launch(
    quick,
    huge,
    once,
    '--config.optim.clip_norm=0',
    '--config.optim.schedule=constant',
    '--config.train.steps_per_call=1',
    '--config.parallel.data=1',
    f'--workdir={tmp_path}',
  )
  assert ran.returncode == exit_codes.DIVERGED, ran.stderr
  assert ran.stderr.count('\n') == 1, ran.stderr
  assert read_run(tmp_path).state == 'diverged'


DECAY = '''
from flax import linen as nn
import jax.numpy as jnp
from memjax.models.base import Memory
from memjax.ops.steps import walk


class Decay(Memory):
  """Leaky averages.

  Attributes:
    width: D.
    rate: share that is kept.
  """

  width: int
  rate: float = 0.9

  def initial_carry(self, batch_size):
    return jnp.zeros((batch_size, self.width))

  @nn.compact
  def __call__(self, carry, x, reset_BT, *, train=False):
    def step(c_BD, x_BD):
      c_BD = self.rate * c_BD + x_BD
      return c_BD, c_BD

    x_BTD = nn.Dense(self.width)(x)
    return walk(step, self.initial_carry(len(x)), carry, x_BTD, reset_BT)
'''


@pytest.mark.slow
def test_an_own_memory_beside_its_config_is_found_from_any_folder(
  tmp_path: Path,
) -> None:
  own, here, there = (tmp_path / name for name in ('own', 'here', 'there'))
  for folder in (own, here, there):
    folder.mkdir()
  (own / 'own_decay.py').write_text(DECAY)
  (own / 'mine.py').write_text(
    'from memjax.configs import adding\n\n\ndef get_config(variant=""):\n'
    '  config = adding.get_config("lstm,quick").unlock()\n'
    '  config.model.layer = {"name": "own_decay.Decay"}\n'
    '  return config\n'
  )
  run = ['--workdir', '../run']
  config, rate = ['--config', '../own/mine.py'], '--config.model.layer.rate=0.5'
  memjax(here, *config, rate, *run)
  listed = memjax(own, '--list', 'own_decay.Decay')
  assert 'rate: float = 0.9\n      share that is kept.' in listed
  measured = memjax(there, '--mode=eval', *run)
  assert 'exact_match' in measured
  shutil.rmtree(own)
  assert memjax(there, '--mode=eval', *run) == measured
  (there / 'load.py').write_text(
    'import memjax\nprint(memjax.load("../run").model.layer.rate)\n'
  )
  assert memjax(there, program=['load.py']) == '0.5\n'
  shutil.rmtree(tmp_path / 'run' / 'sources')
  lost = memjax(there, '--mode=eval', *run, code=exit_codes.REFUSED)
  assert "model.layer.name: 'own_decay.Decay': no such module" in lost
  assert 'looked in memjax.models and in ' in lost
  assert str(there) in lost


def memjax(
  folder: Path,
  *args: str,
  program: Sequence[str] = ('-m', 'memjax'),
  code: int = exit_codes.FINISHED,
) -> str:
  """What memjax prints when it is run in a folder."""
  done = subprocess.run(
    [sys.executable, *program, *args],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == code, done.stderr
  return done.stderr if code else done.stdout
