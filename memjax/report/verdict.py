"""The first section of a page: what each run can do, in figures and a sentence.

It is made of the rows of `metrics.jsonl`, the size of the model, and what the
instruments found. It is complete when all instruments have measured.
"""

from collections.abc import Mapping, Sequence

import jax

from memjax.analysis.across_runs import MISSING, SPACE
from memjax.analysis.base import Finding
from memjax.analysis.section import Section, Table
from memjax.analysis.state_size import state_size
from memjax.errors import ConfigError
from memjax.logs.console import format_number
from memjax.logs.headline import SCORES, describe_seeds, headline
from memjax.report.runs import ReportedRun, memories

TITLE = 'Verdict'
DEFINITION = """
    Score: the last figure of the set that `checkpoint.best` names, else of the
    first evaluation set; with several seeds the median. Baseline: the best of
    the task's references, such as an answer by chance. Best possible: the score
    without any error. Farthest distance: every label distance up to it has a
    median score of at least 90%. Loss without memory: the loss on the labels
    after a segment boundary, or after the middle of an episode, if the memory
    is emptied there. Useful context: the shortest context whose loss is at most
    0.01 above the lowest loss of any context. State: a row's carry. Tokens per
    second: one forward pass over a segment, on this machine. Figures with ≥ end
    at the largest value that was tried. The sections below define each figure.
    """


def section(
  runs: Sequence[ReportedRun],
  findings: Mapping[str, Sequence[Finding]],
  waiting: bool = False,
) -> Section:
  """The table and a sentence for each run.

  Args:
    runs: the runs of the page.
    findings: {run: what the instruments found so far, in their order}.
    waiting: whether more will be found.
  """
  rows = {
    run.name: _of_rows(run) | _cells(findings.get(run.name, ())) | _size(run)
    for run in runs
  }
  figures = list(dict.fromkeys(name for row in rows.values() for name in row))
  body = [
    [figure, *(row.get(figure, MISSING) for row in rows.values())]
    for figure in figures
  ]
  sentences = [_sentence(run, findings.get(run.name, ())) for run in runs]
  notes = ['More figures follow while this page is written.'] if waiting else []
  return Section(
    TITLE,
    DEFINITION,
    sentences=[sentence for sentence in sentences if sentence],
    tables=[Table(['', *rows], body)],
    notes=notes,
  )


def _cells(findings: Sequence[Finding]) -> dict[str, str]:
  return {k: v for finding in findings for k, v in finding.cells.items()}


def _sentence(run: ReportedRun, findings: Sequence[Finding]) -> str:
  """'lstm uses its memory: +6.3 nats without it; it answers up to ...'."""
  clauses = [finding.clause for finding in findings if finding.clause]
  if not sum(state_size(run.model)):
    clauses.insert(0, 'has no memory: its carry is empty')
  # A clause that begins with 'it' follows another one.
  clauses.sort(key=lambda clause: clause.startswith('it '))
  if not clauses:
    return ''
  clauses[0] = clauses[0].removeprefix('it ')
  name, plain = run.name, run.name.replace('_', '').lower()
  memory = memories(run.config['model'])
  if all(one.lower() not in plain for one in memory.split(', ')):
    name = f'{run.name} ({memory})'
  return f'{name} {"; ".join(clauses)}.'


def _of_rows(run: ReportedRun) -> dict[str, str]:
  """The headline figure of the main set, and what it is compared with."""
  of_set = [row for row in run.rows if row['split'] == run.main_set]
  if not of_set:
    return {}
  row = of_set[-1]
  metric = headline(row['metrics'], run.config['checkpoint']['best'])
  value = format_number(row['metrics'][metric])
  if seeds := describe_seeds(row):
    value += f' ({seeds})'
  cells = {f'{run.main_set}: {metric}'.replace('_', ' '): value}
  best = max if metric in SCORES else min
  if known := baselines(run, run.main_set).get(metric, {}):
    name = best(known, key=lambda name: known[name])
    cells['baseline'] = f'{format_number(known[name])} ({name})'
  if metric in SCORES:
    cells['best possible'] = '1'
  return {k: v.replace(' ', SPACE) for k, v in cells.items()}


def baselines(
  run: ReportedRun, split: str
) -> Mapping[str, Mapping[str, float]]:
  """{} if the run has no such set, or its data are not on this machine."""
  try:
    return run.experiment.evals[split].baselines
  except (ConfigError, KeyError):
    return {}


def _size(run: ReportedRun) -> dict[str, str]:
  params = sum(x[0].size for x in jax.tree.leaves(run.params_N))
  return {
    'state, bytes': f'{sum(state_size(run.model)):,}',
    'parameters': f'{params:,}',
  }
