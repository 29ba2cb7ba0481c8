"""The pages of docs/ that show code: their blocks run, in order, as written.

A python block whose first line is `# NAME.py` is a file of the reader's own.
All other blocks are one session, and commands run in the folder of the files.
"""

import os
from pathlib import Path
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest

from docs.tables import SLOT, TABLES, fill
from tests.flags import xla_flags
from tests.test_house_rules import MAY_IMPORT

ROOT = Path(__file__).parents[1]
DOCS = sorted(ROOT.glob('docs/*.md'))
PAGES = [
  ROOT / 'docs/adapt.md',
  ROOT / 'docs/architecture.md',
  ROOT / 'docs/data.md',
  ROOT / 'docs/faq.md',
  ROOT / 'docs/laws.md',
  ROOT / 'docs/sources.md',
  ROOT / 'docs/store.md',
  ROOT / 'docs/pretrained.md',
  *sorted(ROOT.glob('docs/add_*.md')),
]
FAST = ('architecture',)
# Modules that a page needs and not every environment has.
NEEDS = {'store': ('apsw', 'cryptography', 'phonenumbers', 'stdnum')}
LINES = 12  # of an example in architecture.md
FILE = re.compile(r'# (\w+\.py)\n')


def blocks(text: str) -> list[tuple[str, str]]:
  """(language, code) of every python and bash block."""
  return re.findall(r'^```(python|bash)\n(.*?)^```$', text, re.M | re.S)


def session(text: str) -> str:
  """One program that does what the reader of a page does."""
  parts = ['from pathlib import Path', 'import subprocess, sys']
  for language, code in blocks(text):
    file = FILE.match(code)
    if file:
      parts.append(f'Path({file[1]!r}).write_text({code!r})')
    elif language == 'python':
      parts.append(code)
    else:
      parts += map(command, code.splitlines())
  return '\n'.join(parts)


def command(line: str) -> str:
  """A line of shell as a line of Python."""
  program, *words = shlex.split(line)
  assert program == 'python', f'{line}: only python is run'
  return f'subprocess.run([sys.executable, *{words!r}], check=True)'


def follow(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
  """Runs the page in the folder, beside the files of the repository."""
  for name in ('launch.py', 'configs', 'memjax', 'tests'):
    (folder / name).symlink_to(ROOT / name)
  return subprocess.run(
    [sys.executable, '-c', session(text)],
    capture_output=True,
    cwd=folder,
    env=os.environ
    | {'PYTHONPATH': f'{folder}', 'XLA_FLAGS': xla_flags(devices=1)},
    text=True,
    timeout=300,
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'page',
  [
    pytest.param(
      page,
      id=page.stem,
      marks=[] if page.stem in FAST else [pytest.mark.slow],
    )
    for page in PAGES
  ],
)
def test_a_page_runs_as_written(page: Path, tmp_path: Path) -> None:
  for module in NEEDS.get(page.stem, ()):
    pytest.importorskip(module)
  text = page.read_text(encoding='utf-8')
  assert blocks(text)
  ran = follow(text, tmp_path)
  assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
  'text',
  [
    '```python\nassert 1 == 2\n```\n',
    '```python\n# own.py\nx = 1\n```\n```python\nimport own\nown.y\n```\n',
    '```bash\npython launch.py --config=configs/no_such.py\n```\n',
  ],
)
def test_a_page_that_fails_is_seen(text: str, tmp_path: Path) -> None:
  assert follow(text, tmp_path).returncode


def test_examples_of_the_contracts_are_short() -> None:
  text = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
  examples = [code for _, code in blocks(text)]
  assert len(examples) >= 5
  assert [code for code in examples if len(code.splitlines()) > LINES] == []


def test_the_table_of_imports_is_the_rule() -> None:
  text = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
  rows = [
    f'| `{room}` | {", ".join(f"`{a}`" for a in allowed) or "nothing else"} |\n'
    for room, allowed in MAY_IMPORT.items()
  ]
  table = f'| folder | may import |\n|---|---|\n{"".join(rows)}\n'
  assert table in text, f'docs/architecture.md needs this table:\n{table}'


def missing_names(text: str) -> list[str]:
  """Functions and classes of memjax that a page names and that do not exist."""
  rooms = {path.stem for path in (ROOT / 'memjax').iterdir()}
  code = re.sub(r'```.*?```', '', text, flags=re.S)
  names = [
    name
    for name in re.findall(r'`([a-z_]+(?:\.\w+)+)`', code)
    if name.partition('.')[0] in rooms and not name.endswith(('.py', '.json'))
  ]
  return [
    name
    for name in names
    if not exists(f'memjax.{name}') and not exists(f'memjax.evaluation.{name}')
  ]


def exists(name: str) -> bool:
  try:
    pkgutil.resolve_name(name)
  except (ImportError, AttributeError):
    return False
  return True


@pytest.mark.parametrize('page', DOCS, ids=lambda page: page.stem)
def test_what_a_page_names_exists(page: Path) -> None:
  assert missing_names(page.read_text(encoding='utf-8')) == []


def test_a_name_that_does_not_exist_is_seen() -> None:
  text = '`training.loop.train` `training.loop.tain` `runs.lod.load` `own.py`'
  assert missing_names(text) == ['training.loop.tain', 'runs.lod.load']


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=[pytest.mark.slow] if name == 'tasks' else [])
    for name in TABLES
  ],
)
def test_a_generated_table_is_that_of_the_classes(name: str) -> None:
  text = '\n'.join(page.read_text(encoding='utf-8') for page in DOCS)
  [slot] = [slot for slot in SLOT.finditer(text) if slot[2] == name]
  assert slot[0] == fill(slot[0]), 'run: python -m docs.tables'


def test_every_table_of_the_pages_is_generated() -> None:
  text = '\n'.join(page.read_text(encoding='utf-8') for page in DOCS)
  assert {slot[2] for slot in SLOT.finditer(text)} == {*TABLES}


def test_a_stale_table_is_seen() -> None:
  text = (ROOT / 'docs/exit_codes.md').read_text(encoding='utf-8')
  assert fill(text.replace('| 75 |', '| 76 |')) == text


def test_the_counts_of_enwik8_add_up() -> None:
  text = (ROOT / 'docs/evaluating.md').read_text(encoding='utf-8')
  rows = re.findall(
    r'^\| \w+ \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$', text, re.M
  )
  counts = [[int(n.replace(',', '')) for n in row] for row in rows]
  assert [row[0] for row in counts] == [90_000_000, 5_000_000, 5_000_000]
  assert [kept + newlines for _, kept, newlines in counts] == [
    row[0] for row in counts
  ]
  assert sum(row[2] for row in counts) == 1_128_023  # wc -l enwik8


def test_every_page_is_in_the_menu_of_the_site_and_ci_builds_it() -> None:
  site = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
  listed = re.findall(r'^ +- [\w ]+: (\w+\.md)$', site, re.M)
  pages = {page.name for page in DOCS} | {'changelog.md', 'contributing.md'}
  assert sorted(listed) == sorted(pages)
  steps = (ROOT / '.ci/run').read_text(encoding='utf-8').splitlines()
  [build] = [step for step in steps if step.startswith('mkdocs build')]
  assert '--strict' in build
  assert '--quiet' not in build  # which would hide warnings from --strict
