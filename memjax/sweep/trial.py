"""One trial: an ordinary run in a process and a workdir of its own."""

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
from memjax.runs import exit_codes
from memjax.sweep.file import Sweep
from memjax.sweep.study import Claim, Outcome

POLL = 0.2  # seconds between looks at a run, at least
WANDB = '--config.log.wandb.mode'


def command(sweep: Sweep, claim: Claim) -> list[str]:
  """What is run: the sweep's command, in the trial's workdir, without wandb."""
  words = sweep.command(claim.values)
  if not any(word.startswith(f'{WANDB}=') for word in words):
    words.append(f'{WANDB}=disabled')
  return [*words, f'--workdir={claim.workdir}']


def run(sweep: Sweep, claim: Claim, stop: threading.Event) -> Outcome:
  """Runs a trial until it ends, is given up, or `stop` is set.

  The process is in a session of its own, so that Ctrl-C reaches it only
  through here, and it inherits the claim, which therefore holds until it ends.
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
  reported, pruned = follow(sweep, claim, process, stop)
  if terminated := process.poll() is None:
    process.terminate()  # it saves its step and exits
  code = process.wait()
  rows = evaluations(claim.workdir, sweep.metric)
  for count, (_, value) in enumerate(rows[reported:], reported + 1):
    claim.trial.report(value, count)
  step, value = rows[-1] if rows else (0, math.nan)
  resumable = code == exit_codes.STOPPED or (terminated and code)
  if resumable and not pruned:
    return Outcome(TrialState.RUNNING, value, step)
  if not pruned and code:
    reason = f'{ended(code)}: {last_line(errors)}'
    return Outcome(TrialState.FAIL, value, step, reason)
  if not math.isfinite(value):
    reason = f'{sweep.metric} is {value}' if rows else f'no {sweep.metric}'
    return Outcome(TrialState.FAIL, value, step, reason)
  state = TrialState.PRUNED if pruned else TrialState.COMPLETE
  return Outcome(state, value, step)


def follow(
  sweep: Sweep,
  claim: Claim,
  process: subprocess.Popen,
  stop: threading.Event,
) -> tuple[int, bool]:
  """Reports evaluations until the end or `stop`, or until it is hopeless.

  A run that has reached its last step is not given up.

  Returns:
    How many are reported, and whether to give the trial up.
  """
  reported = claim.reported
  while process.poll() is None and not stop.is_set():
    began = time.monotonic()
    seen = evaluations(claim.workdir, sweep.metric)
    for count, (step, value) in enumerate(seen[reported:], reported + 1):
      claim.trial.report(value, count)
      if step < steps(claim.workdir) and claim.trial.should_prune():
        return count, True
    reported = max(reported, len(seen))
    pause = max(POLL, 20 * (time.monotonic() - began))
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(pause)
  return reported, False


def evaluations(workdir: Path, metric: str) -> list[tuple[int, float]]:
  """The steps and values of a metric so far, SET/METRIC as wandb names it."""
  split, _, name = metric.partition('/')
  return [
    (row['step'], row['metrics'][name])
    for row in metrics_file.load_rows(workdir / 'metrics.jsonl')
    if row['split'] == split and name in row['metrics']
  ]


def steps(workdir: Path) -> int:
  """Steps of the whole run."""
  config = json.loads((workdir / 'config.json').read_text(encoding='utf-8'))
  return config['train']['steps']


def ended(code: int) -> str:
  """'exit code 1' or 'ended by SIGKILL'."""
  if code < 0:
    return f'ended by {signal.Signals(-code).name}'
  return f'exit code {code}'


def last_line(path: Path) -> str:
  """The last line that is not blank; '' if there is none."""
  text = path.read_text(encoding='utf-8', errors='replace')
  lines = [line.strip() for line in text.splitlines() if line.strip()]
  return lines[-1] if lines else ''
