"""The page of the leaderboard: one HTML file that loads nothing.

A table that a click on its head sorts and that filters narrow, the pictures,
and for every memory the commands of its cells. `page.html` is its frame, with
its style and its script.
"""

import base64
from collections.abc import Sequence
import html
import math
from pathlib import Path

from experiments.leaderboard import pictures, records, summary
from experiments.leaderboard.families import FAMILIES, family
from experiments.leaderboard.grid import SEEDS
from experiments.leaderboard.published import PUBLISHED
from experiments.leaderboard.records import DIVERGED, FINISHED, Record
from experiments.leaderboard.standing import Standing, standings
from experiments.leaderboard.tasks import TASKS

PAGE = 'index.html'
FRAME = Path(__file__).with_name('page.html')
HEAD = (
  *('task', 'memory', 'family', 'width', 'score', 'quartiles', 'test rows'),
  *('published', 'rows to learn', 'state, bytes', 'parameters', 'rate'),
  *('rows read', 'processor, s', 'cell'),
)
RECALL = 'mqar_64x4'  # the task of the first pictures


def draw(folder: Path) -> Path:
  """Draws the pictures and the page, and updates README's table."""
  found = records.load(folder)
  table = sorted(standings(found), key=place)
  images = draw_pictures(pictures.main_table(table), folder)
  page = folder / PAGE
  page.write_text(render(found, table, images), encoding='utf-8')
  summary.update(folder / 'README.md', table)
  return page


def place(s: Standing) -> tuple[int, int, float]:
  """By task, then by width, then the best first."""
  r = s.record
  better = -s.median if TASKS[r['task']].highest else s.median
  return list(TASKS).index(r['task']), -r['width'], better


def draw_pictures(
  table: Sequence[Standing], folder: Path
) -> list[tuple[Path, str]]:
  """The pictures that the results allow, each with its words."""
  tasks = {s.record['task'] for s in table}
  drawn = []
  if RECALL in tasks:
    path = folder / 'state.png'
    drawn.append((path, pictures.by_state(table, RECALL, path)))
  if tasks & {t for t in TASKS if TASKS[t].highest}:
    path = folder / 'heat_map.png'
    drawn.append((path, pictures.heat_map(table, path)))
  if RECALL in tasks:
    path = folder / 'learning.png'
    drawn.append((path, pictures.learning_speed(table, RECALL, path)))
  return drawn


def render(
  found: Sequence[Record],
  table: Sequence[Standing],
  images: Sequence[tuple[Path, str]],
) -> str:
  """The page as text."""
  finished = [r for r in found if r['state'] == FINISHED]
  hours = sum(r['processor_seconds'] for r in finished) / 3600
  lead = (
    f'Finished cells: {len(finished)}, with {SEEDS} seeds at each rate;'
    f' {hours:.1f} processor hours.'
    ' Score: the median over seeds at the rate that validation rows chose, on'
    ' rows that nothing was chosen on.'
  )
  filters = ''.join(
    select(name, options)
    for name, options in (
      ('task', [t for t in TASKS if any(s.record['task'] == t for s in table)]),
      ('family', FAMILIES),
      ('width', sorted({str(s.record['width']) for s in table}, reverse=True)),
    )
  )
  head = ''.join(f'<th><button>{name}</button></th>' for name in HEAD)
  shown = ''.join(
    f'<figure><img alt="{html.escape(words)}" src="data:image/png;base64,'
    f'{base64.b64encode(path.read_bytes()).decode()}"></figure>'
    for path, words in images
  )
  values = {
    'lead': html.escape(lead),
    'filters': filters,
    'head': head,
    'rows': '\n'.join(row(s, found) for s in table),
    'pictures': shown,
    'others': others(found),
  }
  text = FRAME.read_text(encoding='utf-8')
  for name, value in values.items():
    text = text.replace(f'<!--{name}-->', value)
  return text


def select(name: str, options: Sequence[str]) -> str:
  """A filter: any, or one of the options."""
  inside = ''.join(f'<option>{html.escape(o)}</option>' for o in options)
  return (
    f'<label>{name} <select id="{name}"><option value="">any</option>'
    f'{inside}</select></label>'
  )


def row(s: Standing, found: Sequence[Record]) -> str:
  """A line of the table; every field has the value that it is sorted by."""
  r, task = s.record, TASKS[s.record['task']]
  at = PUBLISHED.get((r['task'], r['memory']))
  quartiles = f'{s.low:.3f} to {s.high:.3f}'
  fields: list[tuple[str, object, str]] = [
    (task.title, r['task'], ''),
    (r['memory'], r['memory'], ''),
    (family(r['memory']).replace('_', ' '), family(r['memory']), ''),
    (str(r['width']), r['width'], ''),
    (f'{s.median:.3f}', s.median, f'{task.judged_on}/{task.metric}'),
    (quartiles, s.high - s.low, ''),
    (f'{s.test:.3f}', s.test, f'test/{task.metric}'),
    (
      (at.text or f'{at.figure:g}') if at else '',
      at.figure if at and not at.text else -1,
      f'{at.source}. Differs: {at.differs}' if at else '',
    ),
    (
      f'{s.learnt:,.0f}' if math.isfinite(s.learnt) else 'never',
      min(s.learnt, 1e12),
      'until validation is at 0.9, median over seeds',
    ),
    (f'{r["state_bytes"]:,}', r['state_bytes'], ''),
    (f'{r["parameters"]:,}', r['parameters'], ''),
    (
      f'{s.rate:g}',
      s.rate,
      f'chosen from {", ".join(f"{x:g}" for x in s.rates)}',
    ),
    (f'{r["rows"]:,}', r['rows'], r['reason']),
    (f'{r["processor_seconds"]:.0f}', r['processor_seconds'], ''),
  ]
  data = (
    f'data-task="{r["task"]}" data-family="{family(r["memory"])}"'
    f' data-width="{r["width"]}" data-memory="{html.escape(r["memory"])}"'
  )
  body = ''.join(
    f'<td data-value="{html.escape(str(value))}"'
    + (f' title="{html.escape(title)}"' if title else '')
    + f'>{html.escape(text)}</td>'
    for text, value, title in fields
  )
  return f'<tr {data}>{body}<td>{commands(s, found)}</td></tr>'


def commands(s: Standing, found: Sequence[Record]) -> str:
  """The commands of the cells of this memory, folded."""
  r = s.record
  key = ('task', 'memory', 'width')
  cells = [x for x in found if all(x[k] == r[k] for k in key)]
  inside = ''.join(f'<pre>{html.escape(x["command"])}</pre>' for x in cells)
  versions = ', '.join(f'{k} {v}' for k, v in r['versions'].items())
  made = html.escape(f'Python {r["python"]}, {versions}, {r["processor"]}')
  return (
    f'<details id="{r["name"]}"><summary>command</summary>{inside}'
    f'<p>{made}. <a href="config.py">config</a>,'
    ' <a href="results.json">record</a></p></details>'
  )


def others(found: Sequence[Record]) -> str:
  """The cells without scores, and seeds that diverged."""
  lines = [
    f'{r["name"]}: {r["state"]}: {r["reason"]}'
    for r in found
    if r['state'] != FINISHED
  ]
  lines += [
    f'{r["name"]}: seed {seed} {DIVERGED} at step {step}'
    for r in found
    for seed, step in r.get('diverged', {}).items()
  ]
  if not lines:
    return '<p>None.</p>'
  return f'<ul>{"".join(f"<li>{html.escape(x)}</li>" for x in lines)}</ul>'
