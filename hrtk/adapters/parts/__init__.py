"""Pieces that adapters share."""
