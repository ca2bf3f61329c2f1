# The normalisation layers of the free start model on the free wild stream. Rate and share were chosen on seed 100 of
# the stream (docs/en/adapters/norm_adapt.md lists what was tried).
_base_ = '../source/r18_wild.py'

adapter = dict(type='NormAdapt', lr=3e-3, batch=8, steps=5, source_share=0.9)
