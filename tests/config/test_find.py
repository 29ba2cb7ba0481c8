"""Classes of the user's own are found in the user's folders."""

from pathlib import Path
import sys

import pytest

from memjax.config.find import find_class, find_function, make_importable
from memjax.errors import ConfigError, nearest

CLASS = (
  'import dataclasses\n\n\n@dataclasses.dataclass\nclass {}:\n  x: int = 1\n'
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
  """A folder of the user's own, importable within the test."""
  monkeypatch.setattr(sys, 'path', [*sys.path])
  make_importable(tmp_path)
  return tmp_path


def refusal(name: str) -> str:
  with pytest.raises(ConfigError) as error:
    find_class(name, 'memjax.tasks', 'task.name')
  assert '\n' not in str(error.value)
  return str(error.value)


def test_a_class_of_an_own_folder_is_found(folder: Path) -> None:
  (folder / 'own_found.py').write_text(CLASS.format('Found'))
  assert find_class('own_found.Found', 'memjax.tasks', '').__name__ == 'Found'


def test_a_message_says_where_a_class_was_looked_up(folder: Path) -> None:
  line = refusal('own_absent.Absent')
  assert "task.name: 'own_absent.Absent': no such module" in line
  assert 'looked in memjax.tasks and in ' in line
  assert str(folder) in line
  assert 'site-packages' not in line
  (folder / 'own_other.py').write_text(CLASS.format('Other'))
  assert 'did you mean Other?' in refusal('own_other.Othr')


def test_a_message_says_where_a_function_was_looked_up(folder: Path) -> None:
  with pytest.raises(ConfigError) as error:
    find_function('own_absent.adam', {}, 'optim.name')
  assert str(folder) in str(error.value)


@pytest.mark.parametrize(
  ('source', 'words'),
  [
    ('import no_such_library\n', "No module named 'no_such_library'"),
    ('x = (\n', "SyntaxError: '(' was never closed"),
    ('x = 1\n\ny = x / 0\n', 'line 3)'),
  ],
)
def test_a_file_that_cannot_be_imported_is_one_line(
  source: str, words: str, folder: Path, request: pytest.FixtureRequest
) -> None:
  module = f'own_broken_{request.node.callspec.indices["source"]}'
  (folder / f'{module}.py').write_text(source)
  line = refusal(f'{module}.Broken')
  assert f'{module} cannot be imported: ' in line
  assert words in line
  assert f'{module}.py' in line or 'No module' in line


def test_a_hint_names_five_of_a_long_list_and_where_all_are() -> None:
  names = [f'name_{i}' for i in range(40)] + ['length']
  line = nearest('lenght', names, 'memjax --list text')
  assert line.startswith('did you mean length? nearest: length, ')
  assert line.endswith('; memjax --list text shows all')
  assert line.count(',') == 4
  assert nearest('lenght', names[-3:], 'x') == (
    'did you mean length? known: length, name_38, name_39'
  )
  assert nearest('q', []) == 'known: none'
