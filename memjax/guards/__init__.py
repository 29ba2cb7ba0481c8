"""What keeps a run honest when something goes wrong.

`phase` knows what the process is doing and ends it if that takes too long.
"""
