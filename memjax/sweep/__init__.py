"""Many runs of one sweep file, on machines that share a folder, no server.

    python -m memjax.sweep FILE --workers=2

`file` reads what wandb calls a sweep and builds its commands, `check` holds
them against the configs, `space` says it in Optuna's terms, `study` hands out
trials, `trial` runs one, `workers` runs all, `table` and `picture` show them.
"""
