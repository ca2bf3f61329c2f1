# CycleAdapt of the free start model on the free wild stream. The videos have 40 frames, fewer than the 49 of MDNet's
# window in the code.
_base_ = '../source/r18_wild.py'

adapter = dict(type='CycleAdapt', lr=2e-4, batch=8, window=17, motion_fps=15)  # as the stream
