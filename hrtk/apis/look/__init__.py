"""Results to look at: reports, viewers, drawn scenes, and files for other programs."""
