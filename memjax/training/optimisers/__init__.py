"""Optimisers and schedules by name, and groups of parameters."""
