"""One HTML page with text, tables and pictures, and without scripts.

The page loads nothing from a network; its own content policy forbids it. It
fits phones and desktop screens, and follows the light or dark mode.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
import html
import inspect
import re

from memjax.analysis.section import Picture, Section, Table
from memjax.logs.plots import Style, style_runs
from memjax.report.pictures import svg


def render(
  title: str,
  lead: str,
  sections: Iterable[Section],
  styles: Mapping[str, Style] | None = None,
  waiting: Sequence[str] = (),
) -> str:
  """The page.

  Args:
    title: its heading.
    lead: a line below it.
    sections: each also gets a link at the top.
    styles: of the runs; by default they are styled in their order.
    waiting: titles of the sections that follow. With any, a browser reads the
      page again every few seconds.
  """
  sections = list(sections)
  styles = styles or style_runs(
    dict.fromkeys(
      run for s in sections for plot in s.plots for run in plot.runs
    )
  )
  links = ''.join(
    f'<a href="#{anchor(s.title)}">{html.escape(s.title)}</a>' for s in sections
  )
  body = '\n'.join(_section(section, styles) for section in sections)
  if waiting:
    titles = html.escape(', '.join(waiting))
    body += f'\n<p class="waiting">Being measured: {titles}.</p>'
  return PAGE.format(
    title=html.escape(title),
    lead=html.escape(lead),
    links=links,
    body=body,
    again=AGAIN if waiting else '',
  )


def drawn(section: Section, styles: Mapping[str, Style]) -> Section:
  """The section with pictures in place of its plots."""
  pictures = [svg(plot, styles) for plot in section.plots]
  return section._replace(plots=(), pictures=[*pictures, *section.pictures])


def anchor(title: str) -> str:
  """The id of a section in the page."""
  return '-'.join(''.join(c if c.isalnum() else ' ' for c in title).split())


def _section(section: Section, styles: Mapping[str, Style]) -> str:
  title = html.escape(section.title)
  opened = f'<section id="{anchor(section.title)}"><h2>{title}</h2>'
  notes = _notes(section.notes)
  shown = section._replace(title='', notes=())
  if not any(shown):
    return f'{opened}{notes}</section>'.replace('">', '" class="nothing">', 1)
  parts = [opened]
  if section.lead:
    parts.append(f'<p class="about">{html.escape(section.lead)}</p>')
  parts += [
    f'<p class="sentence">{html.escape(text)}</p>' for text in section.sentences
  ]
  parts += map(_picture, drawn(section, styles).pictures)
  parts += map(_table, section.tables)
  for name, text in section.quotes:
    parts.append(f'<h3>{html.escape(name)}</h3><pre>{html.escape(text)}</pre>')
  parts.append(notes)
  if section.definition:
    inside = ''.join(map(_paragraph, paragraphs(section.definition)))
    parts.append(_folded('How this is defined', inside))
  parts += [
    _folded(name, f'<pre>{html.escape(text)}</pre>')
    for name, text in section.folded
  ]
  if section.files:
    links = ', '.join(
      f'<a href="{html.escape(file)}">{html.escape(file)}</a>'
      for file in section.files
    )
    parts.append(f'<p class="files">The same as files: {links}</p>')
  return '\n'.join([*parts, '</section>'])


def _folded(name: str, inside: str) -> str:
  summary = f'<summary>{html.escape(name)}</summary>'
  return f'<details>{summary}{inside}</details>'


def _notes(notes: Sequence[str]) -> str:
  items = ''.join(f'<li>{html.escape(note)}</li>' for note in notes)
  return f'<ul class="notes">{items}</ul>' if items else ''


def paragraphs(definition: str) -> list[str]:
  """The paragraphs, each on one line unless it is indented."""
  each = inspect.cleandoc(definition).split('\n\n')
  return [
    text if text.startswith('  ') else ' '.join(text.split())
    for text in each
    if text
  ]


def _paragraph(text: str) -> str:
  """Indented text as it is; other text with `code` as code."""
  if text.startswith('  '):
    return f'<p class="definition as-is">{html.escape(text)}</p>'
  inside = re.sub('`([^`]+)`', r'<code>\1</code>', html.escape(text))
  return f'<p class="definition">{inside}</p>'


def _picture(picture: Picture) -> str:
  content = base64.b64encode(picture.content).decode()
  alt = html.escape(picture.alt)
  source = f'data:{picture.kind};base64,{content}'
  return f'<figure><img alt="{alt}" src="{source}"></figure>'


def _table(table: Table) -> str:
  def row(cells: Sequence[str], tag: str) -> str:
    inside = ''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)
    return f'<tr>{inside}</tr>'

  caption = table.caption and f'<caption>{html.escape(table.caption)}</caption>'
  body = ''.join(row(cells, 'td') for cells in table.rows)
  return (
    f'<div class="wide"><table>{caption}<thead>{row(table.head, "th")}</thead>'
    f'<tbody>{body}</tbody></table></div>'
  )


AGAIN = '<meta http-equiv="refresh" content="5">'
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{again}
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
:root {{ --page: #fff; --ink: #222; --soft: #666; --line: #e2e2e2;
  --tint: #f6f6f4; --link: #0072b2 }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #16181b;
  --ink: #e4e4e4; --soft: #9da1a6; --line: #33373c; --tint: #1e2125;
  --link: #5cb3ea }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0 auto; max-width: 66rem; padding: 3.5rem 1.25rem 6rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif }}
h1 {{ font-size: 2rem; line-height: 1.2; font-weight: 650;
  letter-spacing: -.015em; margin: 0 0 .4rem; overflow-wrap: anywhere }}
h2 {{ font-size: 1.3rem; line-height: 1.3; font-weight: 600;
  letter-spacing: -.005em; margin: 0 0 1rem }}
h3 {{ font-size: .95rem; font-weight: 600; margin: 1.5rem 0 .4rem }}
.lead, .definition, .notes, .about, .files, .waiting, caption, summary {{
  color: var(--soft) }}
.lead {{ margin: 0 }}
nav {{ display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin-top: 1.5rem;
  font-size: .9rem }}
a {{ color: var(--link); text-decoration: none }}
a:hover {{ text-decoration: underline }}
section {{ margin-top: 3.5rem; padding-top: 1.5rem;
  border-top: 1px solid var(--line) }}
.about {{ margin: -.6rem 0 1.1rem; max-width: 42rem }}
.sentence {{ font-size: 1.08rem; margin: 0 0 .5rem; max-width: 50rem }}
.files, .waiting {{ font-size: .85rem; margin: .8rem 0 0;
  overflow-wrap: anywhere }}
.waiting {{ margin-top: 3.5rem }}
.nothing {{ margin-top: 2rem; padding-top: 1rem; display: flex;
  flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline }}
.nothing h2 {{ font-size: 1rem; margin: 0 }}
.nothing .notes {{ margin: 0 }}
.nothing .notes li {{ border: 0; padding: 0; margin: 0 }}
figure {{ margin: 0 0 1rem; max-width: 52rem }}
img {{ display: block; width: 100%; height: auto }}
img[src^="data:image/png"] {{ background: #fff; border-radius: 4px }}
.definition, .notes {{ font-size: .88rem; max-width: 42rem }}
.definition {{ margin: .55rem 0 }}
.as-is {{ white-space: pre; overflow-x: auto;
  font: .8rem/1.45 ui-monospace, monospace }}
.notes {{ margin: 1rem 0 0; padding: 0; list-style: none }}
.notes li {{ padding-left: 1rem; border-left: 2px solid var(--line);
  margin: .35rem 0; overflow-wrap: anywhere }}
.wide {{ overflow-x: auto; margin: 1.25rem 0 }}
table {{ border-collapse: collapse; font-size: .9rem; line-height: 1.4;
  font-variant-numeric: tabular-nums }}
caption {{ text-align: left; padding-bottom: .4rem; white-space: nowrap }}
th, td {{ text-align: right; vertical-align: top;
  padding: .35rem 0 .35rem 1.6rem; border-bottom: 1px solid var(--line) }}
th {{ font-weight: 600; vertical-align: bottom }}
th:first-child, td:first-child {{ text-align: left; padding-left: 0 }}
th {{ min-width: 4.5rem }}
td {{ min-width: 4.5rem; max-width: 22rem; overflow-wrap: break-word }}
td:first-child {{ color: var(--soft); min-width: 7rem }}
code {{ font: .92em ui-monospace, monospace }}
pre {{ margin: 0; padding: .9rem 1rem; background: var(--tint);
  border-radius: 4px; font: .82rem/1.5 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere }}
details {{ margin-top: .6rem; font-size: .9rem }}
summary {{ cursor: pointer; margin-bottom: .4rem }}
</style></head><body>
<header><h1>{title}</h1><p class="lead">{lead}</p><nav>{links}</nav></header>
{body}
</body></html>
"""
