"""The external memory: records that outlive a process, found by their keys."""
