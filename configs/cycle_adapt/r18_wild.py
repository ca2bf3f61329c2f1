# CycleAdapt of the free start model on the free wild stream. The rates were chosen on seed 100 of the stream. The
# videos have 40 frames at 15 frames/s, fewer than the 49 of MDNet's window in the code.
_base_ = '../source/r18_wild.py'

adapter = dict(type='CycleAdapt', lr=5e-4, motion_lr=1e-3, batch=8, window=17, motion_fps=15)
