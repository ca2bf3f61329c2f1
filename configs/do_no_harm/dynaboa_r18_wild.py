# The gate around DynaBOA of the free start model on the free wild stream.
_base_ = '../dynaboa/r18_wild.py'

adapter = dict(_delete_=True, type='DoNoHarm', adapter=_base_.adapter)
