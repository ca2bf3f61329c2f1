# CycleAdapt of the small HMR2 on the free wild stream. Three tenths of the rate of configs/cycle_adapt/r18_wild.py,
# chosen on seeds 100 and 101 of the stream (docs/en/hmr2.md).
_base_ = '../source/hmr2_small_wild.py'

adapter = dict(type='CycleAdapt', lr=1.5e-4, motion_lr=1e-3, batch=8, window=17, motion_fps=15)
