"""Config files: the user's own, and those that come with memjax."""

from pathlib import Path
import runpy
from typing import Any

from ml_collections import ConfigDict

from memjax.config.find import LISTS
from memjax.errors import ConfigError, nearest

FOLDER = (Path(__file__).parents[1] / 'configs').resolve()
HERE = Path('configs')  # as a user writes it; memjax's own folder answers too


def find_config_file(file: str) -> Path:
  """The file that `--config=FILE` means.

  The file itself comes first. A bare name is a file of `configs/` here. What is
  not here is looked up among the configs that come with memjax.

  Args:
    file: a path, `configs/NAME.py`, or a bare `NAME`.

  Raises:
    ConfigError: there is no such file.
  """
  path = Path(file)
  if path.is_file():
    return path
  if path.parent in (Path(), HERE) and path.suffix in ('', '.py'):
    name = f'{path.stem}.py'
    for folder in (HERE, FOLDER):
      if (folder / name).is_file():
        return folder / name
  hint = nearest(path.stem, names(), LISTS)
  rule = f'No such file, nor a config of memjax; {hint}'
  raise ConfigError('config', file, rule)


def names(folder: Path = FOLDER) -> list[str]:
  """The names of the configs in a folder."""
  return sorted(
    path.stem
    for path in folder.glob('*.py')
    if '\ndef get_config(' in path.read_text(encoding='utf-8')
  )


def load_config(file: Path, variant: str) -> dict[str, Any]:
  """The config of a file as nested dicts, before any override.

  A field that refers to another one (`ConfigDict.get_oneway_ref`) still does;
  `override` resolves it.

  Args:
    file: defines `get_config(variant)`.
    variant: its argument; '' for the default.

  Raises:
    ConfigError: the file cannot be read or run, or refuses the variant.
  """
  field = f'{file}:{variant}' if variant else f'{file}'
  try:
    get_config = runpy.run_path(str(file))['get_config']
    config = get_config(variant) if variant else get_config()
    whole = config if isinstance(config, ConfigDict) else ConfigDict(config)
    whole.to_dict()  # refuses a reference without a value
    return _sections(whole)
  except OSError as error:
    raise ConfigError('config', field, f'{error.strerror}') from None
  except ConfigError as error:
    raise ConfigError('config', field, str(error)) from None
  except Exception as error:
    line = f'{type(error).__name__}: {error}'.splitlines()[0]
    raise ConfigError('config', field, f'cannot be read: {line}') from None


def _sections(config: ConfigDict) -> dict[str, Any]:
  """As `ConfigDict.to_dict`, which does not keep what a reference computes."""
  return {
    key: _sections(value) if isinstance(value, ConfigDict) else value
    for key, value in config.iteritems(preserve_field_references=True)
  }
