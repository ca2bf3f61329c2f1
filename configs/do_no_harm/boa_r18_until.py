# The gate around plain steps that end where the evidence is met, on the free wild stream.
_base_ = '../boa/r18_until.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
