"""Hooks of mkdocs: files outside of docs/ that its pages link get pages too.

On GitHub a link such as `../memjax/models/recurrent/gru.py` leads to the file.
On the site it leads to a page made from it: for a module of memjax the one that
mkdocstrings writes from its docstrings, for other Python its text, and for
markdown and pictures the file itself. No page is listed by hand.
"""

import json
import os
from pathlib import Path
import posixpath
import re
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
AS_THEY_ARE = ('.md', '.png', '.svg', '.csv')
HEADING = re.compile(
  r'(?:(?<=<p>)|(?<=\s))'
  r'((?:Papers?|Carry|Cost per step|Parameters|Deviations|Intermediates'
  r'|Specification|Labels|Reset|Metrics|Baselines?):)'
)
LINKED = InclusionLevel.NOT_IN_NAV  # reached by links, not by the menu
LINK = re.compile(r'(\]\()(?!https?:|#|mailto:)([^)#\s]+)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
  """Adds a file of the site for each linked file, and for those it links."""
  added: dict[str, str] = {}
  waiting = [ROOT / 'docs' / f.src_uri for f in files.documentation_pages()]
  waiting += [ROOT / 'CHANGELOG.md', ROOT / 'CONTRIBUTING.md']
  while waiting:
    page = waiting.pop()
    for target in [page, *linked(page)]:
      uri = uri_of(target)
      if files.get_file_from_path(uri) or uri in added:
        continue
      added[uri] = target.as_posix()
      files.append(generated(config, uri, target))
      if target.suffix == '.md':
        waiting.append(target)
  return files


def linked(page: Path) -> list[Path]:
  """The repository's files that a page of markdown links."""
  links = LINK.findall(page.read_text(encoding='utf-8'))
  targets = [Path(os.path.normpath(page.parent / link)) for _, link in links]
  return [target for target in targets if target.is_file()]


def uri_of(target: Path) -> str:
  """Where the site has a file of the repository."""
  path = target.relative_to(ROOT)
  if path.parts[0] == 'docs':
    return posixpath.join(*path.parts[1:])
  if len(path.parts) == 1 and path.suffix == '.md':
    return path.name.lower()
  if path.suffix in AS_THEY_ARE:
    return path.as_posix()
  return f'source/{path.as_posix()}.md'


def generated(config: MkDocsConfig, uri: str, target: Path) -> File:
  """A file of the site, made from one of the repository."""
  if target.suffix in AS_THEY_ARE:
    return File.generated(
      config, uri, inclusion=LINKED, abs_src_path=str(target)
    )
  path = target.relative_to(ROOT)
  if target.suffix == '.ipynb':
    return File.generated(
      config, uri, inclusion=LINKED, content=notebook(target)
    )
  kind = {'.py': 'python', '.yaml': 'yaml'}.get(path.suffix, 'text')
  body = f'````{kind}\n{target.read_text(encoding="utf-8")}````'
  if path.parts[0] == 'memjax' and path.suffix == '.py':
    name = '.'.join(path.with_suffix('').parts)
    body = f'::: {name}\n\n## Source\n\n{body}'
  return File.generated(
    config, uri, inclusion=LINKED, content=f'# {path.as_posix()}\n\n{body}\n'
  )


def notebook(path: Path) -> str:
  """Markdown of a notebook's cells, their texts and their pictures."""
  parts = []
  for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
    source = ''.join(cell['source'])
    if cell['cell_type'] == 'markdown':
      parts.append(source)
      continue
    parts.append(f'````python\n{source}\n````')
    for output in cell.get('outputs', ()):
      data = output.get('data', {'text/plain': output.get('text', '')})
      if 'image/png' in data:
        image = ''.join(data['image/png'].split())
        parts.append(f'<img alt="output" src="data:image/png;base64,{image}">')
      else:
        parts.append(f'````text\n{"".join(data["text/plain"])}\n````')
  return '\n\n'.join(parts)


def on_page_content(html: str, page: Page, **_: Any) -> str:
  """Gives each heading of a module's docstring a paragraph of its own."""
  if not page.file.src_uri.startswith('source/'):
    return html
  first, source, rest = html.partition('<h2 id="source">')
  return HEADING.sub(r'</p><p><strong>\1</strong>', first) + source + rest


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
  """Turns links between files of the repository into links of the site."""
  source = source_of(page.file)

  def moved(match: re.Match[str]) -> str:
    target = Path(os.path.normpath(source.parent / match[2]))
    if not target.is_file():
      return match[0]
    here = posixpath.dirname(page.file.src_uri)
    return match[1] + posixpath.relpath(uri_of(target), here or '.')

  return LINK.sub(moved, markdown)


def source_of(file: File) -> Path:
  """The file of the repository behind a page."""
  return Path(file.abs_src_path or ROOT / 'docs' / file.src_uri)
