# The gate around BOA of LandmarkHMR on the free wild stream.
_base_ = '../boa/lifter_wild.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
