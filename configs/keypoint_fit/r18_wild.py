# EFT of the free start model on the free wild stream: every frame by itself, from the start weights. The rate was
# chosen on seed 100 of the stream (docs/en/adapters/keypoint_fit.md has the numbers of this rate alone).
_base_ = '../source/r18_wild.py'

adapter = dict(type='KeypointFit', lr=1e-4, steps=5, reset='frame')
