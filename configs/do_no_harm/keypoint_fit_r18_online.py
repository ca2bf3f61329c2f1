# The gate around plain fine-tuning of the free start model that goes on from frame to frame.
_base_ = '../keypoint_fit/r18_online.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
