"""Runs the trials of a sweep file on machines that share a folder.

    python -m memjax.sweep FILE --workers=2

`file` and `parameters` read a wandb sweep file and build its commands, `check`
compares them with the configs, `space` translates them to Optuna, `study` hands
out trials, `trial` runs one, `workers` runs all, and `table` and `picture` show
the results.
"""
