"""One trial: an ordinary run in its own process and its own workdir."""

import contextlib
import json
import math
from pathlib import Path
import signal
import subprocess
import threading
import time

from optuna.trial import TrialState

from memjax.logs import metrics_file
from memjax.logs.headline import describe_seeds
from memjax.runs import exit_codes
from memjax.sweep.file import Sweep
from memjax.sweep.study import Claim, Outcome

POLL = 0.2  # seconds between two reads of a run's metrics, at least
WANDB = '--config.log.wandb.mode'


def command(sweep: Sweep, claim: Claim) -> list[str]:
  """The command of a trial: the sweep's, in its workdir, without wandb."""
  words = sweep.command(claim.values)
  if not any(word.startswith(f'{WANDB}=') for word in words):
    words.append(f'{WANDB}=disabled')
  return [*words, f'--workdir={claim.workdir}']


def run_trial(sweep: Sweep, claim: Claim, stop: threading.Event) -> Outcome:
  """Runs a trial until it ends, is pruned, or `stop` is set.

  The process has its own session, so Ctrl-C reaches it only through this
  function. It inherits the lock of the claim, which is held until it ends. How
  it ended is read from its exit code.
  """
  errors = claim.workdir / 'stderr.txt'
  with (claim.workdir / 'stdout.txt').open('a') as out, errors.open('a') as err:
    process = subprocess.Popen(
      command(sweep, claim),
      stdin=subprocess.DEVNULL,
      stdout=out,
      stderr=err,
      start_new_session=True,
      pass_fds=[claim.lock.fileno()],
    )
  reported, pruned = monitor(sweep, claim, process, stop)
  if terminated := process.poll() is None:
    process.terminate()  # it saves its step and exits
  code = process.wait()
  rows = load_evaluations(claim.workdir, sweep.metric)
  for count, (_, value) in enumerate(rows[reported:], reported + 1):
    claim.trial.report(value, count)
  step, value = rows[-1] if rows else (0, math.nan)
  resumable = code == exit_codes.STOPPED or (terminated and code)
  if resumable and not pruned:
    return Outcome(TrialState.RUNNING, value, step)
  if not pruned and code:
    reason = f'{describe_exit(code)}: {last_line(errors)}'
    return Outcome(TrialState.FAIL, value, step, reason)
  if not math.isfinite(value):
    metric = sweep.metric
    reason = f'{metric} is {value}' if rows else f'{metric} was not measured'
    return Outcome(TrialState.FAIL, value, step, reason)
  state = TrialState.PRUNED if pruned else TrialState.COMPLETE
  reason = diverged_seeds(claim.workdir, sweep.metric)
  return Outcome(state, value, step, reason)


def monitor(
  sweep: Sweep,
  claim: Claim,
  process: subprocess.Popen,
  stop: threading.Event,
) -> tuple[int, bool]:
  """Reports evaluations until the run ends, is pruned, or `stop` is set.

  A run that has reached its last step is not pruned.

  Returns:
    The number of reported evaluations, and whether to prune the trial.
  """
  reported = claim.reported
  while process.poll() is None and not stop.is_set():
    start = time.monotonic()
    rows = load_evaluations(claim.workdir, sweep.metric)
    for count, (step, value) in enumerate(rows[reported:], reported + 1):
      claim.trial.report(value, count)
      if step < total_steps(claim.workdir) and claim.trial.should_prune():
        return count, True
    reported = max(reported, len(rows))
    pause = max(POLL, 20 * (time.monotonic() - start))
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(pause)
  return reported, False


def load_evaluations(workdir: Path, metric: str) -> list[tuple[int, float]]:
  """Steps and values so far of a metric, named SET/METRIC as in wandb."""
  split, _, name = metric.partition('/')
  return [
    (row['step'], row['metrics'][name])
    for row in metrics_file.load_rows(workdir / 'metrics.jsonl')
    if row['split'] == split and name in row['metrics']
  ]


def diverged_seeds(workdir: Path, metric: str) -> str:
  """What to say of the seeds behind the last value; '' if none diverged."""
  split = metric.partition('/')[0]
  rows = metrics_file.load_rows(workdir / 'metrics.jsonl')
  last = next(row for row in reversed(rows) if row['split'] == split)
  return describe_seeds(last)


def total_steps(workdir: Path) -> int:
  """Number of steps of the whole run."""
  config = json.loads((workdir / 'config.json').read_text(encoding='utf-8'))
  return config['train']['steps']


def describe_exit(code: int) -> str:
  """'exit code 1' or 'ended by SIGKILL'."""
  if code < 0:
    return f'ended by {signal.Signals(-code).name}'
  return f'exit code {code}'


def last_line(path: Path) -> str:
  """The last line that is not blank; '' if there is none."""
  text = path.read_text(encoding='utf-8', errors='replace')
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  return lines[-1] if lines else ''
