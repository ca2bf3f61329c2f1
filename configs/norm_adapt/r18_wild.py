# The normalisation layers of the free start model on the free wild stream.
_base_ = '../source/r18_wild.py'

adapter = dict(type='NormAdapt', lr=1e-3, batch=8, steps=5, source_share=0.9)
