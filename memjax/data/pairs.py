"""Pairs of texts, a source and its target, and the split of each.

A record of a user's files is a pair: two of its fields, or two columns of a
file without a header. In a .conll file a sentence is a pair: its words and
their tags. The text of lists is their items, separated by spaces.

File and folder names say the split, as in splits.py, or a record's field
`split`. Without either, the source's SHA-256 says it: 90 % train, 5 %
validation, 5 % test. So equal sources are never in two splits, and a longer
file moves no pair to another split.
"""

import ast
from collections.abc import Mapping
import functools
import inspect
import json
from pathlib import Path
import textwrap

from memjax.data.known import known, known_digest
from memjax.data.local_sources import standard_library
from memjax.data.pair_archives import open_archive
from memjax.data.pair_files import Pair, read_pairs, split_of_source
from memjax.data.splits import FileOptions, Placed, place_files
from memjax.errors import require

DOCSTRINGS, FUNCTIONS, FILES = 'docstrings', 'functions', 'files'
DEFINED = ast.FunctionDef, ast.AsyncFunctionDef
DOCUMENTED = ast.Module, ast.ClassDef, *DEFINED


PairsBySplit = Mapping[str, tuple[Pair, ...]]  # {split: its pairs, in order}


def open_pairs(
  corpus: str, path: str, options: FileOptions, source: str, target: str
) -> PairsBySplit:
  """The pairs of a corpus by split; files that have changed are read anew.

  Args:
    corpus: 'docstrings' of Python's own library on this machine: what follows
      the first line, then the first line; 'functions' of it: the docstring's
      first line, then the code; 'files'; or a name of pair_archives.py.
    path: the file or folder of 'files'.
    options: which files are read, and what says their split.
    source: the field of the source; a number is a column, from 1.
    target: the same of the target.

  Raises:
    ConfigError: a file cannot be read or downloaded, or has no such field, or
      there are no pairs.
  """
  if corpus in (DOCSTRINGS, FUNCTIONS):
    return _library(corpus)
  if corpus != FILES:
    return open_archive(corpus)
  placed = tuple(place_files(path, options))
  digests = tuple(known_digest(file.path) for file in placed)
  return _from_files(placed, digests, source, target)


@functools.lru_cache(4)
def _from_files(
  placed: tuple[Placed, ...],
  digests: tuple[str, ...],
  source: str,
  target: str,
) -> PairsBySplit:
  del digests  # changed files are other arguments
  pairs: dict[str, list[Pair]] = {}
  for path, split in placed:
    for pair, said in read_pairs(path, source, target):
      name = split or said or split_of_source(pair.source)
      pairs.setdefault(name, []).append(pair)
  rule = f'has no record with both {source!r} and {target!r}'
  require(bool(pairs), 'path', str(placed[0].path), rule)
  return {split: tuple(found) for split, found in pairs.items()}


@functools.cache
def _library(corpus: str) -> PairsBySplit:
  """The pairs of Python's library, without repetitions."""
  pairs: dict[str, dict[Pair, None]] = {}
  for file in standard_library().files:
    find = functools.partial(pairs_of_module, file.path)
    found = json.loads(known(file.path, 'documented', find))
    for source, target in found[corpus]:
      split = split_of_source(source)
      pairs.setdefault(split, {})[Pair(source, target)] = None
  return {split: tuple(found) for split, found in pairs.items()}


def pairs_of_module(path: Path) -> bytes:
  """JSON, `{corpus: [[source, target], ...]}` of a module."""
  source = path.read_bytes()
  pairs: dict[str, list[list[str]]] = {DOCSTRINGS: [], FUNCTIONS: []}
  try:
    tree = ast.parse(source)
  except (SyntaxError, ValueError):  # an example of one, in lib2to3
    return json.dumps(pairs).encode()
  lines = source.decode(errors='replace').splitlines()
  for node in ast.walk(tree):
    if not isinstance(node, DOCUMENTED):
      continue
    first, _, rest = (ast.get_docstring(node) or '').partition('\n\n')
    first = ' '.join(first.split())
    if first and rest.strip():
      pairs[DOCSTRINGS].append([inspect.cleandoc(rest).strip(), first])
    if first and isinstance(node, DEFINED) and (code := _code(node, lines)):
      pairs[FUNCTIONS].append([first, code])
  return json.dumps(pairs).encode()


def _code(function: ast.stmt, lines: list[str]) -> str:
  """The lines of a function without its docstring; empty if it has no more."""
  assert isinstance(function, DEFINED)
  docstring, *rest = function.body
  if not rest or docstring.lineno == function.lineno:
    return ''
  head = lines[function.lineno - 1 : docstring.lineno - 1]
  body = lines[docstring.end_lineno : function.end_lineno]
  return textwrap.dedent('\n'.join([*head, *body])).strip()
