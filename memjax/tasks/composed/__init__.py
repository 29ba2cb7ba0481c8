"""Tasks that change other tasks."""
