"""Memories made of other memories."""
