"""Many runs of one sweep file, on machines that share a folder, no server.

    python -m memjax.sweep FILE --workers=2

`file` and `parameters` read what wandb calls a sweep and build its commands,
`check` holds them against the configs, `space` says them in Optuna's terms,
`study` hands out trials, `trial` runs one, `workers` runs all, `table` and
`picture` show what was found.
"""
