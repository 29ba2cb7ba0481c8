"""The leaderboard: order, choice of the rate, records, page, and a resume."""

import csv
import itertools
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time
from typing import Any

from matplotlib.figure import Figure
from PIL import Image
import pytest

from experiments.leaderboard import __main__ as board
from experiments.leaderboard import (
  config,
  page,
  pictures,
  records,
  standing,
  summary,
)
from experiments.leaderboard.families import FAMILIES, family
from experiments.leaderboard.grid import (
  MEMORIES,
  NARROW_TASKS,
  SOONER,
  Cell,
  cell_of,
  cells,
)
from experiments.leaderboard.published import PUBLISHED
from experiments.leaderboard.tasks import TASKS
from memjax.config import command_line
from memjax.config.build import build_task
from memjax.config.reader import read_experiment
from memjax.runs import exit_codes
from tests.report.browser import look

ROOT = Path(__file__).parents[2]


def invented(
  cell: Cell, validation: list[float], test: list[float], **changes: Any
) -> tuple[Cell, dict[str, Any]]:
  """A cell and its result; three values are the same at each rate."""
  count = len(cell.each_rate)
  validation, test = (
    values * (count // len(values)) for values in (validation, test)
  )
  task = TASKS[cell.task]
  scores = {
    name: {task.metric: values, 'loss': [1.0] * count}
    for name, values in (('validation', validation), ('test', test))
  }
  if task.beyond:
    scores['beyond'] = {
      task.metric: [v / 2 for v in test],
      'loss': [1.0] * count,
    }
  result: dict[str, Any] = {
    'state': 'finished',
    'reason': 'the last step',
    'learning_rates': cell.each_rate,
    'seeds': [*range(count)],
    'steps': 100,
    'rows': 1600,
    'parameters': 1000,
    'state_bytes': 512,
    'processor_seconds': 9.5,
    'training_seconds': 8.0,
    'python': '3.11',
    'versions': {'jax': '0.10'},
    'processor': 'a processor',
    'diverged': {},
    'scores': scores,
    'curve': {
      'steps': [50, 100],
      'replicas': {task.metric: [[0.0, 0.0, 0.95] * (count // 3), validation]},
    },
  }
  return cell, result | changes


def at(memory: str, task: str = 'mqar_64x4', **changes: Any) -> Cell:
  return Cell(task, memory, 64)._replace(**changes)


def config_of(cell: Cell) -> dict[str, Any]:
  return config.get_config(cell.variant).to_dict()


def table(folder: Path) -> list[dict[str, str]]:
  with (folder / records.CSV).open() as file:
    return list(csv.DictReader(file))


def test_all_memories_read_a_task_before_any_reads_the_next() -> None:
  grid = list(cells())
  assert len({cell.name for cell in grid}) == len(grid)
  assert all(cell_of(cell.name) == cell for cell in grid)
  by_task = itertools.groupby(grid, key=lambda c: (c.width, c.task))
  order = [(key, {c.memory for c in of}) for key, of in by_task]
  a_group = [*((64, task) for task in TASKS), *((32, t) for t in NARROW_TASKS)]
  assert [key for key, _ in order] == [*a_group, *a_group]
  assert all(of == {*SOONER} for _, of in order[: len(a_group)])
  assert all(of == {*MEMORIES} - {*SOONER} for _, of in order[len(a_group) :])


@pytest.mark.parametrize('task', [t for t in TASKS if t != 'text'])
def test_every_task_is_an_experiment(task: str) -> None:
  experiment = read_experiment(config_of(at('gru', task)))
  assert experiment.train.replicas == 6
  judged = config.sets(TASKS[task])[TASKS[task].judged_on]
  assert judged['every'] == 0  # nothing in training can see it
  assert 'test' not in experiment.watched.get('train.stop_when', '')


def test_every_memory_has_the_same_block_and_budget() -> None:
  for memory in MEMORIES:
    fields = config_of(at(memory))
    assert family(memory) in FAMILIES
    assert fields['train']['steps'] * fields['train']['batch_size'] == 32_000
    if 'layer' in fields['model'] and memory not in config.OWN_MLP:
      assert fields['model']['mlp'] == 4
      assert fields['model']['wiring'] == 'pre_norm'


def test_the_command_of_a_cell_gives_the_config_of_the_cell() -> None:
  cell = at('delta_net_negative', rates=(1e-2,))
  python, launch, file, _ = records.command_of(cell).split()
  assert (python, launch) == ('python', 'launch.py')
  path = str(ROOT / file.removeprefix('--config='))
  given = command_line.read_config_file(path)
  assert given == config_of(cell)
  assert given['model']['layer']['negative']
  assert given['optim']['per_replica'] == 'learning_rate=0.01,0.01,0.01'


def test_published_figures_are_of_tasks_and_memories_of_the_grid() -> None:
  assert all(t in TASKS and m in MEMORIES for t, m in PUBLISHED)


def test_the_rate_is_chosen_on_validation_rows_only(tmp_path: Path) -> None:
  validation = [0.1, 0.2, 0.95, 0.3, 0.3, 0.95]
  test = [0.9, 1.0, 1.0, 0.1, 0.2, 0.4]
  records.add(*invented(at('gru'), validation, test), tmp_path)
  third = at('gru', rates=(1e-2,))
  records.add(*invented(third, [0.2] * 3, [1.0] * 3), tmp_path)
  (found,) = standing.standings(records.load(tmp_path))
  assert found.rate == 3e-3
  assert (found.low, found.median, found.high) == pytest.approx(
    (0.15, 0.2, 0.3)
  )
  assert found.rates == (1e-3, 3e-3, 1e-2)
  assert found.each_learnt == (float('inf'), float('inf'), 800)


def test_of_equal_medians_the_lower_validation_loss_counts(
  tmp_path: Path,
) -> None:
  cell, result = invented(at('gru'), [0.5] * 6, [0.0] * 3 + [1.0] * 3)
  losses = [0.9, 0.9, None, 1.0, 1.0, 0.1]
  result['scores']['validation']['loss'] = losses
  records.add(cell, result, tmp_path)
  (found,) = standing.standings(records.load(tmp_path))
  assert found.rate == 1e-3


def test_a_seed_that_diverged_scores_the_worst(tmp_path: Path) -> None:
  scores: Any = [0.8, None, 0.8]
  cell, result = invented(at('gru', rates=(1e-2,)), scores, scores)
  records.add(cell, result | {'diverged': {'1': 40}}, tmp_path)
  (found,) = standing.standings(records.load(tmp_path))
  assert (found.low, found.median) == pytest.approx((0.4, 0.8))
  lines = table(tmp_path)
  assert [x['state'] for x in lines] == ['finished', 'diverged', 'finished']
  assert lines[1]['reason'] == 'at step 40'


def test_a_cell_without_scores_is_a_line_with_the_reason(
  tmp_path: Path,
) -> None:
  ends = {
    exit_codes.DIVERGED: ('diverged', 'all seeds are gone'),
    exit_codes.REFUSED: ('refused', 'model.layer: no such layer'),
    exit_codes.FAILED: ('failed', 'exit code 1: ZeroDivisionError'),
    -signal.SIGKILL: ('failed', 'ended by SIGKILL: a last line'),
  }
  for i, (code, (state, reason)) in enumerate(ends.items()):
    log = f'a first line\n{reason.rpartition("1: ")[2]}\n\n'
    if code < 0:
      log = 'a last line\n'
    (tmp_path / 'output.txt').write_text(log)
    result = board.outcome(code, tmp_path)
    assert result == {'state': state, 'reason': reason}
    records.add(at(MEMORIES[i]), result, tmp_path)
  lines = table(tmp_path)
  assert [(x['state'], x['reason'], x['test']) for x in lines] == [
    (*end, '') for end in ends.values()
  ]
  left = records.missing(records.load(tmp_path), cells())
  assert at(MEMORIES[0]) not in left  # it diverged: that is its result
  assert {*left} >= {at(m) for m in MEMORIES[1:4]}
  assert standing.standings(records.load(tmp_path)) == []


def test_a_third_rate_lies_beyond_the_end_that_was_chosen(
  tmp_path: Path,
) -> None:
  scores = {'gru': (0.5, 0.2), 'lstm': (0.2, 0.5), 'rnn': (1.0, 0.5)}
  for memory, (low, high) in scores.items():
    values = [low] * 3 + [high] * 3
    records.add(*invented(at(memory), values, values), tmp_path)
  third = standing.third_rates(records.load(tmp_path))
  assert {*third} == {at('gru', rates=(3e-4,)), at('lstm', rates=(1e-2,))}


def test_csv_and_page_say_what_the_records_say(tmp_path: Path) -> None:
  scores = itertools.count(1)
  for memory, task in itertools.product(
    ('gru', 'delta_net', 'griffin'), ('mqar_64x4', 'parity')
  ):
    values = [next(scores) / 64 for _ in range(6)]
    records.add(*invented(at(memory, task), values, values), tmp_path)
  dnc = {'state': 'failed', 'reason': 'exit code 1: <no>'}
  records.add(at('dnc'), dnc, tmp_path)
  lines = table(tmp_path)
  found = records.load(tmp_path)
  for record in found:
    of = [x for x in lines if x['command'] == record['command']]
    metric = TASKS[record['task']].metric
    for split, kept in record.get('scores', {}).items():
      assert [float(x[split]) for x in of] == kept[metric]
  text = page.draw(tmp_path).read_text()
  for s in standing.standings(found):
    r, split = s.record, TASKS[s.record['task']].judged_on
    of = [
      x
      for x in lines
      if x['command'] == r['command'] and float(x['learning_rate']) == s.rate
    ]
    median = sorted(float(x[split]) for x in of)[1]
    head = f'data-memory="{r["memory"]}"'
    (line,) = [
      x
      for x in re.findall('<tr .*?</tr>', text, re.S)
      if head in x and f'data-task="{r["task"]}"' in x
    ]
    assert f'<td data-value="{median}"' in line
    assert f'>{median:.3f}</td>' in line
    assert r['command'].replace("'", '&#x27;') in line
  assert 'exit code 1: &lt;no&gt;' in text
  by_browser(tmp_path, text)


def test_every_memory_of_a_picture_is_named(tmp_path: Path) -> None:
  scores = {'gru': 0.26, 'lstm': 0.25, 'gla': 1.0, 'delta_net': 0.99}
  for memory, score in scores.items():
    records.add(*invented(at(memory), [score] * 6, [score] * 6), tmp_path)
  points = standing.standings(records.load(tmp_path))
  low, high = pictures.bands(points)
  assert [s.record['memory'] for s in low] == ['lstm', 'gru']
  assert [s.record['memory'] for s in high] == ['delta_net', 'gla']
  axes = Figure().subplots()
  pictures.name_points(axes, points)
  assert {text.get_text() for text in axes.texts} == {*scores}


def test_names_of_a_band_stand_on_one_line(tmp_path: Path) -> None:
  """Also once the layout has made room for them."""
  scores = {'gru': 0.26, 'tape_rnn': 0.13, 'gla': 1.0, 'delta_net': 0.9}
  for memory, score in scores.items():
    records.add(*invented(at(memory), [score] * 6, [score] * 6), tmp_path)
  points = standing.standings(records.load(tmp_path))
  figure = Figure(figsize=(8.5, 5.6), layout='constrained')
  axes = figure.subplots()
  axes.set(xscale='log', xlim=(100, 200_000), ylim=(0, 1))
  pictures.make_room(figure, axes, points)
  pictures.name_points(axes, points)
  figure.draw_without_rendering()
  lines = {
    name.get_text(): name.get_transform().transform(name.get_position())[1]
    for name in axes.texts
  }
  assert lines['gru'] == pytest.approx(lines['tape_rnn'], abs=0.5)
  assert lines['gla'] == pytest.approx(lines['delta_net'], abs=0.5)
  assert lines['gla'] > lines['gru'] + 50


def test_the_readme_says_what_the_records_say(tmp_path: Path) -> None:
  table = sorted(standing.standings(records.load()), key=page.place)
  readme = (records.FOLDER / 'README.md').read_text()
  inside = readme.split(summary.START)[1].split(summary.END)[0]
  assert inside.strip().splitlines() == summary.lines(table)
  copy = tmp_path / 'README.md'
  copy.write_text(f'before{summary.START}old{summary.END}after')
  summary.update(copy, table)
  assert copy.read_text() == f'before{summary.START}{inside}{summary.END}after'


def test_the_picture_of_the_readme_shows_the_records(tmp_path: Path) -> None:
  table = pictures.main_table(standing.standings(records.load()))
  words = pictures.by_state(table, page.RECALL, tmp_path / 'state.png')
  kept = records.FOLDER / 'state.png'
  for path in (tmp_path / 'state.png', kept):
    with Image.open(path) as image:
      assert image.info['Description'] == words
  for readme in (ROOT / 'README.md', records.FOLDER / 'README.md'):
    assert (
      f'![{words}]({kept.relative_to(readme.parent)})' in readme.read_text()
    )


def by_browser(folder: Path, text: str) -> None:
  """The page in a browser: complete, sorted by a click, filtered."""
  shown = look(folder / 'index.html')
  for one in shown:
    assert one.console == []
    assert [p.natural > 0 for p in one.pictures] == [True] * 3
    assert one.needed <= one.width
    assert '6 of 6 lines' in one.text
  act = """<script>
  document.querySelectorAll('th button')[4].click();
  document.getElementById('task').value = 'parity';
  document.getElementById('task').dispatchEvent(new Event('input'));
  </script></body>"""
  (folder / 'acted.html').write_text(text.replace('</body>', act))
  wide = look(folder / 'acted.html')[-1]
  assert '2 of 6' not in wide.text
  assert '3 of 6 lines' in wide.text
  names = re.findall(r'^Parity, 3-40 to 41-256\s+(\w+)', wide.text, re.M)
  assert names == ['griffin', 'delta_net', 'gru']  # the best first
  assert not re.search(r'^MQAR \(64, 4\)\s+\w+', wide.text, re.M)


@pytest.mark.parametrize(
  ('word', 'line'),
  [
    ('mqar', "only: 'mqar': is not a task, a memory or a cell; "),
    (
      'dnd',
      "only: 'dnd': is not a task, a memory or a cell; did you mean dnc?",
    ),
    ('mqar_64x5/gru-64', "task: 'mqar_64x5': did you mean mqar_64x4?"),
    ('mqar_64x4/grv-64', "memory: 'grv': did you mean gru?"),
    ('mqar_64x4/gru', "cell: 'mqar_64x4/gru': must be TASK-MEMORY-WIDTH"),
    ('mqar_64x4/gru-64-x', "cell: 'mqar_64x4/gru-64-x': must be"),
  ],
)
def test_an_unknown_word_is_refused(
  word: str, line: str, capsys: pytest.CaptureFixture
) -> None:
  assert board.main([f'--only={word}']) == exit_codes.REFUSED
  assert line in capsys.readouterr().err


def test_only_takes_the_cells_that_tasks_and_memories_share(
  tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
  words = ['--budget=0', f'--runs={tmp_path}', f'--results={tmp_path}']
  board.main(['--only=parity,s3,gru', *words])
  assert capsys.readouterr().out.startswith('4 cells to run')  # 32 and 64
  board.main(['--only=parity/gru-64', *words])
  assert capsys.readouterr().out.startswith('1 cells to run')


@pytest.mark.slow
def test_a_killed_grid_goes_on_in_the_middle_of_a_cell(tmp_path: Path) -> None:
  script = tmp_path / 'small.py'
  script.write_text(
    'import sys\n'
    'from experiments.leaderboard import __main__ as board\n'
    'from experiments.leaderboard import cell, config, grid\n'
    'config.STEPS, config.EVERY = 900, 100\n'
    "task = grid.TASKS['mqar_64x4']\n"
    'task.fields.update(length=16, pairs=2, vocab=16)\n'
    f'board.CELL = [{str(script)!r}]\n'
    "is_grid = '--only' in ' '.join(sys.argv)\n"
    'sys.exit(board.main() if is_grid else cell.main())\n'
  )
  name = 'mqar_64x4/rnn-64'
  environment = os.environ | {'PYTHONPATH': str(ROOT)}

  def start(folder: str) -> subprocess.Popen:
    words = [f'--{x}={tmp_path / folder}' for x in ('runs', 'results')]
    return subprocess.Popen(
      [sys.executable, str(script), f'--only={name}', *words],
      env=environment,
      stdout=subprocess.DEVNULL,
    )

  workdir = tmp_path / 'killed' / name
  grid = start('killed')
  metrics = workdir / 'metrics.jsonl'
  while not (metrics.exists() and '"validation"' in metrics.read_text()):
    assert grid.poll() is None
    time.sleep(0.05)
  grid.kill()
  assert grid.wait() == -signal.SIGKILL
  while '"running"' in (workdir / 'run.json').read_text():
    time.sleep(0.05)
  assert '"stopped"' in (workdir / 'run.json').read_text()
  assert start('killed').wait() == 0
  assert start('whole').wait() == 0
  killed, whole = (
    json.loads((tmp_path / folder / records.JSON).read_text())
    for folder in ('killed', 'whole')
  )
  assert len(json.loads((workdir / 'run.json').read_text())['starts']) == 2
  assert killed[0]['scores'] == whole[0]['scores']
  assert killed[0]['curve'] == whole[0]['curve']


@pytest.mark.parametrize('name', TASKS)
def test_attention_sees_a_row_of_training_or_a_segment(name: str) -> None:
  task = TASKS[name]
  length = task.train.get('segment_length') or build_task(task.fields).length
  assert task.window == length
