# The gate around EFT of LandmarkHMR on the free wild stream: every frame by itself.
_base_ = '../keypoint_fit/lifter_wild.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
