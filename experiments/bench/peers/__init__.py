"""Whole training steps of memjax raced against PyTorch's, side by side."""
