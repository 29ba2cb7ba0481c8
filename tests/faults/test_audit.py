"""verify finds each wrong byte, replay computes the bits of a row again."""

import hashlib
import json
from pathlib import Path
import shutil

import pytest

from memjax.errors import ConfigError
from memjax.guards import file_hashes
from memjax.modes.replay import replay
from memjax.modes.verify import verify
from memjax.runs import exit_codes, manifest
from memjax.runs.environment import describe_changes, environment
from memjax.training.loop import train
from tests.small import small

RUN = {
  'parallel.data': 1,
  'train.steps': 6,
  'train.steps_per_call': 1,
  'log.every': 2,
  'checkpoint.every': 3,
  'evals.held_out.every': 6,
}


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
  folder = tmp_path_factory.mktemp('a run') / 'run ü'
  train(small('copy_memory', 'lstm', RUN), folder, lambda *_: None)
  return folder


@pytest.fixture
def workdir(trained: Path, tmp_path: Path) -> Path:
  return Path(shutil.copytree(trained, tmp_path / 'copy'))


@pytest.mark.slow
def test_a_whole_workdir_has_no_fault(
  workdir: Path, capsys: pytest.CaptureFixture
) -> None:
  before = sorted(workdir.rglob('*'))
  assert verify(workdir) == exit_codes.FINISHED
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith('step 3: whole, ')
  assert lines[1].startswith('step 6: whole, ')
  assert lines[2] == f'2 checkpoints, 0 faults in {workdir}'
  assert sorted(workdir.rglob('*')) == before


def test_each_fault_has_its_step_file_and_bytes(
  workdir: Path, capsys: pytest.CaptureFixture
) -> None:
  step = workdir / 'checkpoints' / '3'
  path = max(step.rglob('d/*'), key=lambda p: p.stat().st_size)
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)
  (workdir / 'checkpoints' / '6' / 'extra').write_text('')
  (workdir / 'run.json').write_text('{')
  assert verify(workdir) == exit_codes.FAILED
  out = capsys.readouterr().out
  name = path.relative_to(step).as_posix()
  bytes_ = f'bytes 0 to {len(content) - 1} of {len(content)}'
  assert f'step 3: {name} differs from its hash in {bytes_}' in out
  assert 'step 6: extra is not in manifest.json' in out
  assert 'run.json' in out
  assert '2 checkpoints, ' in out


def test_parts_of_a_file_have_hashes_of_their_own(
  tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(file_hashes, 'PART', 10)
  path = tmp_path / 'file'
  path.write_bytes(bytes(45))
  hashes = file_hashes.hash_parts(path)
  assert len(hashes) == 5
  assert file_hashes.find_fault(tmp_path, 'file', 45, hashes) == ''
  changed = bytearray(45)
  changed[10] = changed[29] = changed[44] = 1
  path.write_bytes(changed)
  line = file_hashes.find_fault(tmp_path, 'file', 45, hashes)
  assert line.endswith('in bytes 10 to 29 and 40 to 44 of 45')
  old = [
    hashlib.sha256(changed[i : i + 10]).hexdigest() for i in range(0, 45, 10)
  ]
  assert file_hashes.find_fault(tmp_path, 'file', 45, old) == ''
  assert file_hashes.find_fault(tmp_path, 'file', 45, [old[1], *old[1:]])


def test_a_checkpoint_leads_nowhere_else(workdir: Path, tmp_path: Path) -> None:
  """A link, an absolute name and '..' are refused by name, and not read."""
  folder = workdir / 'checkpoints' / '6'
  found = manifest.read_manifest(folder)
  outside = tmp_path / 'outside'
  name, (size, hashes) = next(iter(found.files.items()))
  shutil.copy(folder / name, outside)
  for hostile in ('../../../outside', str(outside)):
    files = {hostile: [size, hashes]}
    (fault,) = manifest.find_faults(folder, found._replace(files=files))
    assert fault == (
      f'{hostile} leads out of the folder or is a link, and is not read'
    )
  (folder / name).unlink()
  (folder / name).symlink_to(outside)
  with pytest.raises(manifest.Damaged, match='is a link'):
    manifest.verify(folder)


def test_a_row_is_computed_again_bit_for_bit(
  workdir: Path, capsys: pytest.CaptureFixture
) -> None:
  before = sorted(workdir.rglob('*'))
  for step, first in ((6, 3), (4, 3), (2, 0)):
    assert replay(workdir, step) == exit_codes.FINISHED
    out = capsys.readouterr().out
    assert f'from step {first} to step {step}:' in out
    assert f'step {step}: all bits are equal' in out
    assert 'loss' in out
    assert '0x1.' in out
  assert sorted(workdir.rglob('*')) == before
  path = workdir / 'metrics.jsonl'
  rows = [json.loads(line) for line in path.read_text().splitlines()]
  last = [row for row in rows if row['split'] == 'train'][-1]
  last['metrics']['loss'] *= 1 + 2**-52
  path.write_text(''.join(f'{json.dumps(row)}\n' for row in rows))
  assert replay(workdir, 6) == exit_codes.FAILED
  out = capsys.readouterr().out
  assert f'recorded {last["metrics"]["loss"].hex()}' in out
  assert 'step 6: 1 figures differ' in out
  with pytest.raises(ConfigError, match='has no training row'):
    replay(workdir, 5)


def test_a_start_says_what_bits_depend_on_has_changed() -> None:
  now = environment()
  assert list(describe_changes(now, now)) == []
  before = json.loads(json.dumps(now))
  before['versions']['jaxlib'] = '0.1'
  before['processor']['vector'] = ['avx']
  before['devices'] = ['cpu'] * 3
  lines = list(describe_changes(before, now))
  assert [line.partition(':')[0] for line in lines] == [
    'devices',
    'processor.vector',
    'versions.jaxlib',
  ]
  assert 'instead of 3 x cpu' in lines[0]
