# The gate around BOA of the free start model on the free wild stream. Its numbers were chosen on seeds 100 and 101.
_base_ = '../boa/r18_wild.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
