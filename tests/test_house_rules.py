"""The rules of the house, read off the source: who imports whom, what size.

Each rule is a function from a file to its breaches. The last tests hand every
rule a file that breaks it, so that no rule can go blind unnoticed.
"""

import ast
from collections.abc import Callable, Iterator
import graphlib
from pathlib import Path
import re
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = sorted((ROOT / 'memjax').rglob('*.py'))
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
LAUNCH = ROOT / 'launch.py'
PAGES = [
  ROOT / 'README.md',
  *sorted((ROOT / 'docs').glob('*.md')),
  *sorted((ROOT / 'experiments').rglob('*.md')),
]
MODELS = sorted((ROOT / 'memjax' / 'models').rglob('*.py'))
TASKS = sorted((ROOT / 'memjax' / 'tasks').rglob('*.py'))

# What each room of memjax may import from memjax, besides itself and the two
# modules that every room knows. Only `config.find` turns names into classes.
EVERYWHERE = ('types', 'errors')
MAY_IMPORT = {
  'ops': (),
  'models': ('ops',),
  'data': (),
  # Batches of a retrieval task depend on a snapshot, and on its fingerprint.
  'tasks': ('data', 'store.records', 'store.snapshot', 'store.snapshot_files'),
  'config': (
    'configs',
    'evaluation.base',
    'models.base',
    'tasks.base',
    'data.tokenizer',
    'guards.phase',
  ),
  # A run keeps its tokenizer, so that its model can be read without the data;
  # compiled programs lie in the cache folder, beside the corpora.
  'runs': (
    'config',
    'models.base',
    'tasks.base',
    'data.tokenizers',
    'data.cache',
    'guards.phase',
    'guards.ending',
    'guards.file_hashes',
    'guards.place',
  ),
  'guards': ('config', 'runs', 'logs', 'models.base', 'tasks.base'),
  'laws': ('models.base',),
  'logs': (),
  'training': (
    'config',
    'evaluation.base',
    'evaluation.protocol',
    'runs',
    'logs',
    'guards',
    'models.base',
    'tasks.base',
  ),
  'evaluation': (
    'training',
    'generation.beam',
    'guards.elastic',
    'guards.interrupts',
    'models.base',
    'tasks.base',
    'data.ranks',
    'data.tokenizers',
  ),
  'generation': ('runs', 'models.base', 'data.tokenizers', 'ops.steps'),
  'analysis': ('logs.plots', 'logs.console', 'models.base', 'tasks.base'),
  'report': (
    'analysis',
    'generation',
    'runs',
    'logs',
    'config',
    'models.base',
    'tasks.base',
  ),
  'modes': (
    'evaluation',
    'report',
    'generation',
    'store',
    'training',
    'runs',
    'logs',
    'config',
    'guards',
    'laws',
    'interop',
    'models.base',
    'tasks.base',
    'tasks.language.chunk_database',
    'tasks.language.with_neighbours',
    'data.file_tokenizer',
  ),
  # Models never import it: what they hold of a store is a range of numbers.
  'store': (),
  # Models of other programs become configs and parameters of ours.
  'interop': ('config', 'configs.base', 'data.bpe', 'data.file_tokenizer'),
  # A sweep starts runs, it does not train: nothing here imports jax.
  'sweep': ('config', 'logs', 'runs.exit_codes'),
  '__init__': ('runs.load',),
  '__main__': (
    'config.command_line',
    'config.listing',
    'guards',
    'modes',
    'runs.exit_codes',
    'runs.heap',
  ),
}
LAUNCH_MAY_IMPORT = ('__main__',)
ROOM_LIMIT, TRAINING_FILES, ROOT_MODULES = 18, 18, 5
README_BYTES = 8192

SOFT, HARD, FUNCTION, CONFIG, LAUNCHER, STORY = 250, 400, 60, 80, 12, 150
LARGER_THAN_SOFT = {
  'memjax/types.py': 'the records that every part shares',
  'memjax/models/base.py': 'the contract: every method and what it promises',
  'memjax/models/stack.py': 'one frame, and what each setting of it means',
  'memjax/models/attention/transformer.py': 'one attention and its options',
  'memjax/tasks/language/pairs.py': 'one task, the fields of any pairs',
  'memjax/tasks/language/text.py': 'one task, the fields of any text corpus',
  'memjax/store/base.py': 'the contract: every call and what it promises',
  'memjax/tasks/base.py': 'the contract: every method and what it promises',
  'memjax/runs/checkpoint.py': 'saving and restoring are one protocol',
}


# Files of models/ and tasks/ that are no model and no task.
NO_MODEL = {
  'base.py': 'the contract',
  'stack.py': 'the frame around the layers, no paper of its own',
  'stack_rules.py': 'what the fields of a stack must be',
  'block.py': 'one layer of a stack',
  'pattern.py': 'which memory each layer of a stack has',
  'encoder.py': 'how inputs become vectors',
  'dense.py': 'the linear map of all models',
  'clusters.py': 'how a vocabulary is cut for adaptive.py',
  'composed/hand_over.py': 'a step of encoder_decoder.py',
  'composed/layers.py': 'layers without encoder and readout',
  'composed/source.py': 'where sources and answers lie in a segment',
  'composed/source_attention.py': 'the attention of encoder_decoder.py',
  'mixing.py': 'what memories since 2022 have before and after their state',
  'state_space/discretisation.py': 'continuous units as steps',
  'sharing.py': 'what layers of a stack hand to those above',
  'floors.py': 'the floors of forget gates of several memories',
  'recurrent/cell.py': 'what the recurrent cells have in common',
  'sentences.py': 'how a step that is a sentence becomes a vector',
}
NO_TASK = {
  'language/chunk_database.py': 'the neighbours of chunks',
  'composed/wrapper.py': 'the base of tasks around another one',
  'base.py': 'the contract',
  'draws.py': 'random draws that several tasks share',
  'stages.py': 'other sizes of a task in training',
  'chomsky/episode.py': 'what the fifteen tasks have in common',
  'ntm/bits.py': 'what tasks on vectors of bits have in common',
  'ruler/haystack.py': 'what tasks that hide sentences in text share',
  'ruler/story.py': 'the sentences, question and answers of a row',
}
MODEL_HEADINGS = ('Paper:', 'Carry:', 'Cost per step', 'Deviations:')
TASK_HEADINGS = ('Specification:', 'Labels:', 'Metrics:')


def tree(path: Path) -> ast.Module:
  return ast.parse(path.read_text(encoding='utf-8'), str(path))


def part_of(path: Path) -> tuple[str, str]:
  """('training', 'training.step') of memjax/training/step.py."""
  inside = path.parts[path.parts.index('memjax') + 1 :]
  return inside[0].removesuffix('.py'), '.'.join(inside).removesuffix('.py')


def is_module(dotted: str) -> bool:
  path = ROOT.joinpath(*dotted.split('.'))
  return path.is_dir() or path.with_suffix('.py').is_file()


def imports(node: ast.AST) -> Iterator[str]:
  """Every module imported anywhere in a file, functions included."""
  for child in ast.walk(node):
    if isinstance(child, ast.Import):
      yield from (alias.name for alias in child.names)
    elif isinstance(child, ast.ImportFrom):
      assert not child.level, f'relative import at line {child.lineno}'
      for alias in child.names:
        inner = f'{child.module}.{alias.name}'
        yield inner if is_module(inner) else str(child.module)


def within(module: str, allowed: tuple[str, ...]) -> bool:
  return any(module == a or module.startswith(f'{a}.') for a in allowed)


def layering(path: Path) -> list[str]:
  """Imports from parts of memjax that this part may not know."""
  part, _ = part_of(path)
  if part not in (*MAY_IMPORT, *EVERYWHERE):
    return [f'{part} is a new room: say in MAY_IMPORT what it may import']
  allowed = (*EVERYWHERE, part, *MAY_IMPORT.get(part, ()))
  found = {
    name.removeprefix('memjax.')
    for name in imports(tree(path))
    if name.startswith('memjax.')
  }
  return sorted(name for name in found if not within(name, allowed))


def launch_imports(path: Path) -> list[str]:
  found = {
    name.removeprefix('memjax.')
    for name in imports(tree(path))
    if name.startswith('memjax')
  }
  return sorted(name for name in found if not within(name, LAUNCH_MAY_IMPORT))


def config_imports(path: Path) -> list[str]:
  """Anything but ml_collections and the other configs."""
  allowed = ('ml_collections', 'memjax.configs')
  return [name for name in imports(tree(path)) if not within(name, allowed)]


def dynamic_imports(path: Path) -> list[str]:
  """Names resolved to modules anywhere but in config/find.py."""
  if part_of(path)[1] == 'config.find':
    return []
  return [name for name in imports(tree(path)) if name == 'importlib']


def foreign_imports(path: Path) -> list[str]:
  """Flax's linen outside models/, and TensorFlow anywhere."""
  names = list(imports(tree(path)))
  found = [name for name in names if within(name, ('tensorflow',))]
  if part_of(path)[0] != 'models':
    source = path.read_text(encoding='utf-8')
    found += re.findall(r'flax\.linen|from flax import .*\blinen\b', source)
    found += [name for name in names if within(name, ('flax.linen',))]
  return found


def config_defaults(path: Path) -> list[str]:
  """`config.get(...)`: a default that no config shows."""
  return [
    f'line {node.lineno}: {ast.unparse(node)}'
    for node in ast.walk(tree(path))
    if isinstance(node, ast.Call)
    and isinstance(node.func, ast.Attribute)
    and node.func.attr == 'get'
    and re.search(r'\b(config|cfg|spec)$', ast.unparse(node.func.value))
  ]


def lines(path: Path) -> int:
  return len(path.read_text(encoding='utf-8').splitlines())


def too_long(path: Path) -> list[str]:
  """Files beyond their budget."""
  name = path.as_posix()
  where = name[name.rindex('memjax/') :]
  listed = where in LARGER_THAN_SOFT
  budget = STORY if where.endswith('training/loop.py') else SOFT
  budget = HARD if listed else budget
  length = lines(path)
  if length <= budget:
    stale = listed and length <= SOFT
    return [f'is listed as larger than {SOFT} and is not'] if stale else []
  return [f'{length} lines, {budget} allowed: two ideas? split it by idea']


def long_functions(path: Path) -> list[str]:
  return [
    f'{node.name}: {node.end_lineno - node.lineno + 1} lines'
    for node in ast.walk(tree(path))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    and node.end_lineno is not None
    and node.end_lineno - node.lineno + 1 > FUNCTION
  ]


def spec_ladders(path: Path) -> list[str]:
  """`isinstance` over specs: they have methods and properties for it."""
  if part_of(path)[1] == 'types':
    return []
  return [
    f'line {node.lineno}: {ast.unparse(node)}'
    for node in ast.walk(tree(path))
    if isinstance(node, ast.Call)
    and ast.unparse(node.func) == 'isinstance'
    and re.search(r'\b(Tokens|Features|Sentences)\b', ast.unparse(node.args[1]))
  ]


def bad_names(path: Path) -> list[str]:
  bad = path.stem in ('utils', 'util', 'helpers', 'misc', 'common') or (
    re.search(r'_(v\d+|old|new)$', path.stem)
  )
  return [path.name] if bad else []


def headings(path: Path) -> list[str]:
  """What a model's or a task's docstring does not say."""
  models = part_of(path)[0] == 'models'
  said = ast.get_docstring(tree(path)) or ''
  wanted = MODEL_HEADINGS if models else TASK_HEADINGS
  return [heading for heading in wanted if heading not in said]


def unlisted(path: Path) -> list[str]:
  """A model or a task without a row in `docs/models.md` or `docs/tasks.md`."""
  page = ROOT / 'docs' / f'{part_of(path)[0]}.md'
  lines = page.read_text(encoding='utf-8').splitlines()
  link = f'(../memjax/{path.as_posix().rpartition("memjax/")[2]})'
  listed = any(link in line for line in lines if line.startswith('|'))
  return [] if listed else [f'no row of {page.name} links {link}']


def circle(paths: list[Path]) -> list[str]:
  """Modules that import one another in a circle, if any do."""
  graph = {
    f'memjax.{part_of(path)[1]}': {
      name for name in imports(tree(path)) if name.startswith('memjax.')
    }
    for path in paths
    if path.name != '__init__.py'
  }
  try:
    graphlib.TopologicalSorter(graph).prepare()
  except graphlib.CycleError as error:
    return error.args[1]
  return []


Rule = Callable[[Path], list[str]]
OF_THE_PACKAGE: list[Rule] = [
  layering,
  dynamic_imports,
  foreign_imports,
  config_defaults,
  spec_ladders,
  too_long,
  long_functions,
  bad_names,
]


def concrete(
  files: list[Path], package: str, others: dict[str, str]
) -> list[Path]:
  """The files of a package that hold a model or a task."""
  folder = ROOT / 'memjax' / package
  return [
    path
    for path in files
    if path.name != '__init__.py'
    and path.relative_to(folder).as_posix() not in others
  ]


CONCRETE = concrete(MODELS, 'models', NO_MODEL) + concrete(
  TASKS, 'tasks', NO_TASK
)


def breaches(rule: Rule, paths: list[Path]) -> dict[str, list[str]]:
  found = {p.relative_to(ROOT).as_posix(): rule(p) for p in paths}
  return {name: broken for name, broken in found.items() if broken}


@pytest.mark.parametrize('rule', OF_THE_PACKAGE)
def test_the_package_keeps(rule: Rule) -> None:
  assert len(PACKAGE) > 20
  assert breaches(rule, PACKAGE) == {}


@pytest.mark.parametrize('rule', [headings, unlisted])
def test_every_model_and_task_keeps(rule: Rule) -> None:
  assert len(CONCRETE) >= 5
  assert breaches(rule, CONCRETE) == {}


@pytest.mark.parametrize('rule', [config_imports, long_functions, bad_names])
def test_configs_keep(rule: Rule) -> None:
  assert CONFIGS
  assert breaches(rule, CONFIGS) == {}


def test_configs_and_the_launcher_are_short() -> None:
  budgets = dict.fromkeys(CONFIGS, CONFIG) | {LAUNCH: LAUNCHER}
  long = {p.name: lines(p) for p, b in budgets.items() if lines(p) > b}
  assert long == {}


def test_the_launcher_only_calls() -> None:
  assert breaches(launch_imports, [LAUNCH]) == {}


def test_exceptions_are_of_files_that_exist() -> None:
  assert all((ROOT / name).is_file() for name in LARGER_THAN_SOFT)
  assert all((ROOT / 'memjax/models' / name).is_file() for name in NO_MODEL)
  assert all((ROOT / 'memjax/tasks' / name).is_file() for name in NO_TASK)


@pytest.mark.parametrize('files', [MODELS, TASKS])
def test_a_file_name_is_enough_to_find_a_class(files: list[Path]) -> None:
  names = [path.name for path in files if path.name != '__init__.py']
  assert sorted(set(names)) == sorted(names)


def test_the_house_is_small() -> None:
  rooms = [room for room in MAY_IMPORT if not room.startswith('__')]
  assert len(rooms) <= ROOM_LIMIT
  training = [p for p in PACKAGE if p.parent.name == 'training']
  root = [p for p in PACKAGE if p.parent.name == 'memjax']
  assert len(training) <= TRAINING_FILES
  assert len(root) <= ROOT_MODULES


def test_nothing_imports_itself_in_a_circle() -> None:
  assert circle(PACKAGE) == []


def dead_links(page: Path) -> list[str]:
  """Links of a page to files that do not exist."""
  links = re.findall(r'\]\(([^)#:]+)[^):]*\)', page.read_text(encoding='utf-8'))
  return [link for link in links if not (page.parent / link).exists()]


def test_links_lead_somewhere() -> None:
  assert len(PAGES) > 10
  assert breaches(dead_links, PAGES) == {}


def test_a_dead_link_is_seen(tmp_path: Path) -> None:
  page = tmp_path / 'page.md'
  page.write_text('[a](page.md) [b](gone.md) [c](gone.md#d) [e](http://e.org)')
  assert dead_links(page) == ['gone.md', 'gone.md']


def test_the_readme_is_short() -> None:
  assert (ROOT / 'README.md').stat().st_size <= README_BYTES


def test_importing_memjax_imports_nothing_heavy() -> None:
  script = (
    'import sys, time; began = time.process_time(); import memjax\n'
    'took = time.process_time() - began\n'
    'heavy = {"jax", "flax", "numpy", "wandb", "rich", "tensorflow", '
    '"tensorflow_datasets", "matplotlib", "orbax", "optax"}\n'
    'print(sorted(heavy & set(sys.modules)), took < 0.3, memjax.load.__name__)'
  )
  ran = subprocess.run(
    [sys.executable, '-c', script],
    capture_output=True,
    text=True,
    check=True,
    cwd=ROOT,
  )
  assert ran.stdout == '[] True load\n'


@pytest.mark.parametrize(
  ('rule', 'file', 'source'),
  [
    (layering, 'models/new.py', 'from memjax.tasks.base import Task'),
    (layering, 'models/new.py', 'def f():\n  import memjax.training.step'),
    (layering, 'ops/new.py', 'from memjax.models import base'),
    (layering, 'data/new.py', 'from memjax.tasks import text'),
    (
      layering,
      'training/new.py',
      'from memjax.models.recurrent.lstm import LSTM',
    ),
    (layering, 'runs/new.py', 'from memjax.training import step'),
    (layering, 'logs/new.py', 'from memjax.config import sections'),
    (layering, 'config/build.py', 'from memjax.models.recurrent import lstm'),
    (layering, 'analysis/new.py', 'from memjax.training import step'),
    (layering, 'types.py', 'import memjax.ops.attention'),
    (layering, 'new.py', ''),
    (
      launch_imports,
      'launch.py',
      'from memjax.models.recurrent.lstm import LSTM',
    ),
    (config_imports, 'configs/new.py', 'import jax'),
    (config_imports, 'configs/new.py', 'from configs.base import base'),
    (
      config_imports,
      'configs/new.py',
      'from memjax.models.recurrent.lstm import LSTM',
    ),
    (dynamic_imports, 'training/new.py', 'import importlib'),
    (foreign_imports, 'training/new.py', 'from flax import linen as nn'),
    (foreign_imports, 'training/new.py', 'import flax.linen as nn'),
    (foreign_imports, 'ops/new.py', 'import flax\nflax.linen.Dense(3)'),
    (foreign_imports, 'models/new.py', 'import tensorflow as tf'),
    (foreign_imports, 'data/new.py', 'def f():\n  from tensorflow import io'),
    (config_defaults, 'config/build.py', 'x = self.config.get("a", 3)'),
    (spec_ladders, 'analysis/new.py', 'isinstance(task.input_spec, Tokens)'),
    (spec_ladders, 'models/new.py', 'isinstance(s, (int, types.Features))'),
    (too_long, 'ops/new.py', '\n' * (SOFT + 1)),
    (too_long, 'training/loop.py', '\n' * (STORY + 1)),
    (too_long, 'runs/checkpoint.py', '\n' * (HARD + 1)),
    (too_long, 'runs/checkpoint.py', '\n' * SOFT),
    (long_functions, 'ops/new.py', 'def f():\n' + '  x = 1\n' * FUNCTION),
    (bad_names, 'ops/utils.py', ''),
    (bad_names, 'models/lstm_v2.py', ''),
    (headings, 'models/new.py', '"""Paper: a. Carry: b. Deviations: c."""'),
    (headings, 'tasks/new.py', '"""Specification: a. Labels: b."""'),
    (unlisted, 'tasks/new.py', ''),
  ],
)
def test_each_rule_sees_a_breach(
  rule: Rule, file: str, source: str, tmp_path: Path
) -> None:
  path = tmp_path / 'memjax' / file
  path.parent.mkdir(parents=True)
  path.write_text(source)
  assert rule(path)


def test_a_circle_is_seen(tmp_path: Path) -> None:
  folder = tmp_path / 'memjax'
  folder.mkdir()
  for name, other in (('a', 'b'), ('b', 'c'), ('c', 'a'), ('d', 'a')):
    (folder / f'{name}.py').write_text(f'import memjax.{other}')
  found = circle(sorted(folder.iterdir()))
  assert {'memjax.a', 'memjax.b', 'memjax.c'} == set(found)


@pytest.mark.parametrize('rule', OF_THE_PACKAGE)
def test_a_decent_file_is_let_through(rule: Rule, tmp_path: Path) -> None:
  path = tmp_path / 'memjax' / 'models' / 'decent.py'
  path.parent.mkdir(parents=True)
  path.write_text(
    'from flax import linen as nn\n'
    'from memjax.errors import require\n'
    'from memjax.models.base import Memory\n'
    'from memjax.ops import attention\n'
    'def f(counts):\n'
    '  return counts.get("a", 0)\n' + '\n' * 100
  )
  assert rule(path) == []
