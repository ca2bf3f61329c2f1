# The gate around EFT of the free start model on the free wild stream: every frame by itself.
_base_ = '../keypoint_fit/r18_wild.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
