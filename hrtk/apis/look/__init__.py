"""Presentation of results: reports, viewers, drawn scenes, and files for other programs."""
