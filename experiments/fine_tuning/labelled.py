"""A small labelled set, as a TSV: which package is this docstring of?

    python -m experiments.fine_tuning.labelled --out=packages.tsv

The source is the first paragraph of a docstring of a class or a function of
Python's own library, the target one of the packages of `PACKAGES`. Paragraphs
that stand in two packages are left out, and of equal ones all but one. A hash
of the source puts half of them into train and half into validation.
"""

import argparse
import ast
from collections.abc import Iterator
import csv
import hashlib
from pathlib import Path
import sysconfig

PACKAGES = (
  'asyncio',
  'email',
  'importlib',
  'logging',
  'multiprocessing',
  'turtle',
  'unittest',
  'xml',
)
SHORTEST = 30  # characters of a source
DOCUMENTED = ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef


def paragraphs(source: str) -> Iterator[str]:
  """The first paragraphs of the docstrings of a module, a line each."""
  for node in ast.walk(ast.parse(source)):
    if isinstance(node, DOCUMENTED):
      docstring = ast.get_docstring(node) or ''
      line = ' '.join(docstring.partition('\n\n')[0].split())
      if len(line) >= SHORTEST:
        yield line


def files_of(package: str) -> list[Path]:
  """The modules of a package of Python's library, without its tests."""
  root = Path(sysconfig.get_path('stdlib'))
  if (root / f'{package}.py').is_file():
    return [root / f'{package}.py']
  return [
    path
    for path in sorted((root / package).rglob('*.py'))
    if 'test' not in path.relative_to(root).parts
  ]


def records() -> list[tuple[str, str, str]]:
  """(source, target, split), in the order of packages and files."""
  found: dict[str, set[str]] = {}
  for package in PACKAGES:
    for path in files_of(package):
      for line in paragraphs(path.read_text(encoding='utf-8')):
        found.setdefault(line, set()).add(package)
  return [
    (line, package, split_of(line))
    for line, (package, *others) in found.items()
    if not others
  ]


def split_of(source: str) -> str:
  """Train or validation, by a hash."""
  odd = hashlib.sha256(source.encode()).digest()[0] % 2
  return 'validation' if odd else 'train'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', type=Path, default=Path('packages.tsv'))
  given = parser.parse_args()
  rows = records()
  with given.out.open('w', encoding='utf-8', newline='') as file:
    writer = csv.writer(file, delimiter='\t', lineterminator='\n')
    writer.writerow(('source', 'target', 'split'))
    writer.writerows(rows)
  trained = sum(split == 'train' for *_, split in rows)
  print(f'{given.out}: {trained} of train, {len(rows) - trained} of validation')


if __name__ == '__main__':
  main()
